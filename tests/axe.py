"""axe-core, the judge of accessibility, fetched once by npm, and what it finds on a page."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from browser_session import Tab

_PACKAGE: Final = "axe-core@4.14.1"
_FOLDER: Final = Path(__file__).parent.parent / ".venv-axe" / _PACKAGE
_SCRIPT: Final = Path("node_modules", "axe-core", "axe.min.js")
_ENVIRON: Final = dict(os.environ)
"""As it was before any test: npm finds its registry by what lies in the user's own home folder."""
_FOUND: Final = """[...axeFound.violations].map((rule) =>
    `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 120) + " " + node.failureSummary).join("; ")}`)"""


def axe_core() -> str:
    """Return axe-core's script; skip the test where it cannot be had."""
    if not (_FOLDER / _SCRIPT).exists():
        _fetch()
    return (_FOLDER / _SCRIPT).read_text(encoding="utf-8")


def _fetch() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, so axe-core cannot be fetched")
    _FOLDER.parent.mkdir(exist_ok=True)
    # Another worker may fetch it at the same time: whoever is first keeps its place.
    with tempfile.TemporaryDirectory(dir=_FOLDER.parent) as folder:
        command = [
            npm,
            "install",
            "--silent",
            "--no-fund",
            "--no-audit",
            "--ignore-scripts",
            "--prefix",
            folder,
            _PACKAGE,
        ]
        fetched = subprocess.run(command, env=_ENVIRON, capture_output=True, text=True, check=False, timeout=50)
        if fetched.returncode:
            pytest.skip(f"npm cannot fetch {_PACKAGE}: {fetched.stderr.strip()[-200:]}")
        if not _FOLDER.exists():
            shutil.copytree(folder, f"{folder}.whole")
            try:
                Path(f"{folder}.whole").rename(_FOLDER)
            except OSError:
                shutil.rmtree(f"{folder}.whole")


async def violations(tab: Tab, script: str) -> list[str]:
    """Return what axe-core finds wrong with the page that the tab shows."""
    await tab.evaluate(f"(() => {{ {script}; return 1; }})()")
    await tab.evaluate("(() => { axe.run(document).then((found) => { window.axeFound = found; }); return 1; })()")
    await tab.wait_for("Boolean(window.axeFound)")
    found: list[str] = await tab.evaluate(_FOUND)
    return found
