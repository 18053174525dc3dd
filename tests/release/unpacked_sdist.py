"""The sdist is a checkout for who has no git: from it alone the package is installed, and its tests run."""

from __future__ import annotations

import re
import sys
import sysconfig
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from release.archives import sdist_in
from release.checklist import RefusalError
from release.commands import output_of, surroundings
from release.documents import pass_tests

_REMEDY: Final = "Unpack dist/*.tar.gz, and run its tests."
_OF_THE_TREE: Final = (
    *("catalogs", "contributing_document", "end_to_end_sandbox", "package_contents", "public_names"),
    *("readme", "readme_examples", "recipes", "schema", "security_document"),
)
"""Tests that read other files of the tree, and one that links. The others need no more than what is collected."""


def runs_its_tests(root: Path) -> str:
    """As many tests are collected as in the checkout, and those pass that read what else is in the tree."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(sdist := sdist_in(root / "dist")) as archive:
            archive.extractall(folder, filter="data")
        unpacked = folder / sdist.name.removesuffix(".tar.gz")
        python = _install(unpacked)
        found, expected = _collected(unpacked, python), _collected(root, Path(sys.executable))
        if found != expected:
            raise RefusalError(f"{found} tests are collected, and {expected} in the checkout.", _REMEDY)
        passed = pass_tests(
            unpacked, *(f"tests/test_{each}.py" for each in _OF_THE_TREE), remedy=_REMEDY, python=python
        )
    return f"{found} collected; {passed}"


def _install(unpacked: Path) -> Path:
    """Install as `make test` does, but take what the tests need besides from the environment that runs this."""
    environment = unpacked / ".venv"
    python = environment / "bin" / "python"
    _run(unpacked, sys.executable, "-m", "venv", environment)
    site = _run(unpacked, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # A folder that a .pth names comes last, and its own .pth files, such as the checkout's, are not read.
    Path(site, "what_tests_need.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    _run(unpacked, python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    return python


def _collected(root: Path, python: Path) -> int:
    said = _run(root, python, "-m", "pytest", "--quiet", "--collect-only", "-p", "no:cacheprovider")
    (number,) = re.findall(r"^(\d+) tests collected", said, re.MULTILINE)
    return int(number)


def _run(cwd: Path, *command: object) -> str:
    with TemporaryDirectory() as home:
        return output_of(*command, cwd=cwd, environ=surroundings(Path(home)), remedy=_REMEDY)
