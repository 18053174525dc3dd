"""No secret gets out of a link by a window of ours: not into the browser's argv, environment or temporary files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from canary_places import LeakError, search
from canary_run import Run, searched_run
from canary_sandbox import TappedSandbox
from link_script import LINK
from mutated_package import Plant, planted
from support.xvfb_display import display, needs_xvfb
from test_canaries_mutated import with_copy

__all__ = ["display"]

pytestmark = needs_xvfb


WHERE_IT_JUDGES = Plant("browsers/window.py", "BrowserWindow._verdict", "print(query)")


@pytest.mark.parametrize(
    ("browser", "decision", "status"),
    [("chromium", "authorize", 0), ("chromium", "deny", 4), ("firefox", "authorize", 0)],
)
async def test_a_window_brings_the_redirect(display: str, browser: str, decision: str, status: int) -> None:
    if not (shutil.which(browser) or shutil.which(f"{browser}-esr")):
        pytest.skip(f"{browser} is not installed")
    environ = {"BROWSER": "", "DISPLAY": display, "PYTHONASYNCIODEBUG": "1"}
    # In a short folder: Chromium keeps its socket elsewhere where the name of its profile is long.
    with tempfile.TemporaryDirectory(prefix="canary") as folder:
        async with searched_run(Path(folder) / "run", environ=environ, decision=decision) as run:
            run.is_window = True
            async with run.started(*LINK, "--events", "-vv", "--browser", browser) as link:
                await link.ended(status)
            assert not list((run.folder / "tmp").iterdir())


@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
async def test_a_leak_planted_where_the_window_judges_is_found(display: str, tmp_path: Path) -> None:
    copy = planted(WHERE_IT_JUDGES, tmp_path / "copy")
    async with TappedSandbox(decision="authorize") as sandbox:
        run = Run(tmp_path / "run", sandbox, {"BROWSER": "", "DISPLAY": display})
        with_copy(run, copy)
        async with run.started(*LINK, "--browser", "chromium") as link:
            await link.ended(0)
        with pytest.raises(LeakError, match="stdout 0: code"):
            await search(run)
