"""What a window's browser gets of our environment and leaves in the machine, however it and we end."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from command import line_with, run_command, running, surroundings
from support.xvfb_display import display, needs_xvfb

from oauth_helper.sandbox import Sandbox

__all__ = ["display"]

pytestmark = needs_xvfb

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL)
OF_TEST_MACHINES = {
    "MOZ_HEADLESS": "1",
    "MOZ_HEADLESS_WIDTH": "1280",
    "MOZ_AUTOMATION": "1",
    "MOZ_REMOTE_SETTINGS_DEVTOOLS": "1",
    "MOZ_DISABLE_NONLOCAL_CONNECTIONS": "1",
    "XRE_PROFILE_PATH": "/nonexistent",
    "CHROME_HEADLESS": "1",
    "QT_QPA_PLATFORM": "offscreen",
}


@pytest.fixture(params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (home := tmp_path / "a-home").mkdir()
    return home


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (folder := tmp_path / "t").mkdir()
    return folder


@asynccontextmanager
async def window(
    browser: str, sandbox: Sandbox, display: str, **more: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, int]]:
    """A link whose window is open: its process, the supervisor's number, and the browser's."""
    environ = surroundings(sandbox, BROWSER="", DISPLAY=display, **more)
    async with running("link", "github", "--browser", browser, environ=environ) as process:
        await line_with(process.stderr, "A window was opened")
        [supervisor] = children(process.pid)
        [first] = children(supervisor)
        yield process, supervisor, first


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def arguments(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")


async def until_gone(process: int) -> None:
    """Wait for the end of a process; a zombie has ended."""
    async with asyncio.timeout(10):
        while Path(f"/proc/{process}/cmdline").exists() and any(arguments(process)):  # noqa: ASYNC110 a stranger's
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("next_command", [("resume",), ("link", "github", "--no-browser", "--timeout", "1")])
async def test_when_all_of_ours_are_killed_the_browser_ends_and_the_next_command_removes_its_profile(
    display: str, temporary: Path, browser: str, next_command: tuple[str, ...]
) -> None:
    async with Sandbox() as sandbox:
        async with window(browser, sandbox, display, TMPDIR=str(temporary)) as (process, supervisor, first):
            os.kill(supervisor, signal.SIGSTOP)  # so that it cannot clear up before it is killed, too
            os.kill(process.pid, signal.SIGKILL)
            os.kill(supervisor, signal.SIGKILL)
            await until_gone(first)
        assert list(temporary.glob("oauth-helper-*")), "there is something to remove"
        await run_command(*next_command, environ=surroundings(sandbox, TMPDIR=str(temporary)))
    assert not list(temporary.iterdir())


async def test_when_the_link_is_killed_nothing_is_left(display: str, temporary: Path, browser: str) -> None:
    async with (
        Sandbox() as sandbox,
        window(browser, sandbox, display, TMPDIR=str(temporary)) as (process, supervisor, first),
    ):
        process.kill()
        await until_gone(supervisor)
        await until_gone(first)
        assert not list(temporary.iterdir())


async def test_a_crash_of_the_browser_leaves_no_report(display: str, home: Path, browser: str) -> None:
    async with Sandbox() as sandbox:
        for crash in CRASHES:
            async with window(browser, sandbox, display, HOME=str(home), XDG_CONFIG_HOME="") as (process, _, first):
                os.kill(first, crash)
                await line_with(process.stderr, "The window was closed")
                process.terminate()
                await process.wait()
    written = [path for path in home.rglob("*") if path.is_file() and "rash" in str(path) and path.stat().st_size]
    assert not written


async def test_a_browser_gets_no_variable_that_hides_its_window_or_makes_it_a_test(
    display: str, tmp_path: Path, browser: str
) -> None:
    script = tmp_path / "own-browser"
    script.write_text(f'#!/bin/sh\nenv >"{tmp_path}/environment.new"; mv "{tmp_path}"/environment.new "$0".told\n')
    script.chmod(0o755)
    async with Sandbox() as sandbox:
        async with window(browser, sandbox, display, **OF_TEST_MACHINES) as (_, _, first):
            of_window = Path(f"/proc/{first}/environ").read_text(errors="replace").split("\0")
        environ = surroundings(sandbox, BROWSER=str(script), **OF_TEST_MACHINES)
        async with running("link", "github", environ=environ) as process:
            await line_with(process.stderr, "was opened")
            async with asyncio.timeout(10):
                while not (told := script.with_suffix(".told")).exists():  # noqa: ASYNC110 written by a stranger
                    await asyncio.sleep(0.02)
            of_default = told.read_text().splitlines()
    for environment in (of_window, of_default):
        assert f"HOME={os.environ['HOME']}" in environment
        assert not {line.partition("=")[0] for line in environment} & set(OF_TEST_MACHINES)


async def test_a_temporary_folder_that_every_user_can_change_gets_no_profile(
    display: str, temporary: Path, browser: str
) -> None:
    temporary.chmod(0o777)
    async with (
        Sandbox() as sandbox,
        window(browser, sandbox, display, TMPDIR=str(temporary)) as (_, _, first),
    ):
        [profile] = [word for word in arguments(first) if "/oauth-helper-" in word and "start.html" not in word]
        assert str(temporary) not in profile
        assert not list(temporary.iterdir())


async def test_a_browser_that_ends_at_once_is_told_with_its_last_words(temporary: Path, browser: str) -> None:
    environ = surroundings(BROWSER="", DISPLAY=":7777", WAYLAND_DISPLAY="", TMPDIR=str(temporary))
    end = await run_command("link", "github", "--sandbox", "--browser", browser, environ=environ)
    assert end.status == 9
    assert {"chromium": "Missing X server", "firefox": "display"}[browser] in end.err
    assert "k=" not in end.err


async def test_a_loader_that_complains_brings_its_variable_into_the_message(tmp_path: Path) -> None:
    if not shutil.which("chromium"):
        pytest.skip("Chromium is not installed")
    (tmp_path / "libnss3.so").touch()
    environ = surroundings(BROWSER="", DISPLAY=":7777", LD_LIBRARY_PATH=str(tmp_path))
    end = await run_command("link", "github", "--sandbox", "--browser", "chromium", environ=environ)
    assert end.status == 9
    assert "file too short" in end.err
    assert "LD_LIBRARY_PATH is set, which may be the cause" in " ".join(end.err.split())
