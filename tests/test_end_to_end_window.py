"""The command on a screen: a window opens by itself, and nothing of it is left however the command ends."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest
from command import ended, line_with, running, surroundings
from forked_commands import run_command
from screen import terminal
from support.xvfb_display import display, needs_xvfb

from oauth_helper.sandbox import Sandbox

__all__ = ["display"]

pytestmark = needs_xvfb


def on_screen(sandbox: Sandbox, display: str, folder: Path) -> dict[str, str]:
    return surroundings(sandbox, BROWSER="", DISPLAY=display, TMPDIR=str(folder))


def browsers_of(folder: Path) -> list[str]:
    """The processes that name the folder in which the profiles of this test lie."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has just ended
            continue
        if f"{folder}/oauth-helper-" in arguments:
            found.append(arguments)
    return found


@pytest.mark.parametrize("browser", ["auto", "firefox"])
async def test_a_window_opens_and_the_link_needs_no_copying(display: str, tmp_path: Path, browser: str) -> None:
    async with Sandbox(decision="authorize") as sandbox:
        environ = on_screen(sandbox, display, tmp_path)
        doctor = await run_command("doctor", "--browser", browser, environ=environ)
        if "a window of our own" not in doctor.out:
            pytest.skip("no browser is installed that can be a window")
        end = await run_command("link", "github", "--browser", browser, environ=environ)
        assert end.status == 0, end.err
        assert "A window was opened" in end.err
        assert "Received the redirect from the window." in end.err
        assert ("robot mark" in end.err) is (browser == "firefox")
        assert sandbox.console.requests == 0
    assert not list(tmp_path.glob("oauth-helper-*"))
    assert not browsers_of(tmp_path)


@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
async def test_the_sandbox_opens_a_window_too_where_there_is_a_screen(display: str, tmp_path: Path) -> None:
    environ = surroundings(BROWSER="", DISPLAY=display, TMPDIR=str(tmp_path))
    async with running("link", "github", "--sandbox", environ=environ) as process:
        await line_with(process.stderr, "A window was opened")
        process.send_signal(signal.SIGTERM)
        assert (await ended(process)).status == 143
    assert not list(tmp_path.glob("oauth-helper-*"))


@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
async def test_a_key_goes_on_in_the_users_own_browser(display: str, tmp_path: Path) -> None:
    own = tmp_path / "x-www-browser"
    own.write_text(f'#!/bin/sh\nexec {surroundings()["BROWSER"]} "$1"\n')
    own.chmod(0o755)
    async with Sandbox() as sandbox:
        environ = on_screen(sandbox, display, tmp_path) | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        async with terminal("link", "github", "--browser", "chromium", environ=environ) as screen:
            await screen.until("press b and Enter")
            screen.type("b\r")
            assert await screen.ended() == 0, screen.shown
    assert "Received the redirect from the page." in screen.shown
    assert not list(tmp_path.glob("oauth-helper-*"))


@pytest.mark.skipif(not shutil.which("chromium") or not shutil.which("firefox"), reason="a browser is missing")
@pytest.mark.parametrize("browser", ["chromium", "firefox"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_nothing_is_left_of_the_window_however_we_end(
    display: str, tmp_path: Path, browser: str, number: signal.Signals
) -> None:
    async with Sandbox() as sandbox:
        environ = on_screen(sandbox, display, tmp_path)
        async with running("link", "github", "--browser", browser, environ=environ) as process:
            await line_with(process.stderr, "A window was opened")
            assert browsers_of(tmp_path)
            process.send_signal(number)
            end = await ended(process)
        assert end.status == (130 if number is signal.SIGINT else -signal.SIGKILL)
        # Killed, nobody of ours is left to tell when the browser has ended: it has five seconds.
        async with asyncio.timeout(5 if number is signal.SIGKILL else 0.5):
            while browsers_of(tmp_path):  # noqa: ASYNC110 - processes that are not our children tell nobody
                await asyncio.sleep(0.05)
        if number is signal.SIGINT:
            assert not list(tmp_path.glob("oauth-helper-*"))
        else:
            again = await run_command(
                "link", "github", "--browser", browser, "--timeout", "1", "--name", "again", environ=environ
            )
            assert again.status == 5
            assert not list(tmp_path.glob("oauth-helper-*")), "swept at the next start"
