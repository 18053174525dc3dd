"""The command with real browsers on a display: what they get of our environment, and that nothing is left of them."""

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from browsers.xvfb_display import display, needs_xvfb
from support.command_runner import commands, line_with
from support.screen import terminal

from oauth_helper.sandbox import Sandbox

__all__ = ["display"]

TEST_VARIABLES = {
    "MOZ_HEADLESS": "1",
    "MOZ_HEADLESS_WIDTH": "1280",
    "MOZ_AUTOMATION": "1",
    "MOZ_REMOTE_SETTINGS_DEVTOOLS": "1",
    "MOZ_DISABLE_NONLOCAL_CONNECTIONS": "1",
    "XRE_PROFILE_PATH": "/nonexistent",
    "CHROME_HEADLESS": "1",
    "QT_QPA_PLATFORM": "offscreen",
}

OUTCOMES = {4: "You denied access", 5: "was not linked"}
"""Words of the title of the final page, by exit status."""


@pytest.fixture(params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (folder := tmp_path / "a-home").mkdir()
    return folder


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    (folder := tmp_path / "t").mkdir()
    yield folder
    assert not list(folder.glob("oauth-helper-*"))


@asynccontextmanager
async def window(
    browser: str, sandbox: Sandbox, display: str, **more: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, int]]:
    """A link whose window is open: its process, the supervisor's number, and the browser's."""
    environ = commands.environ(sandbox, BROWSER="", DISPLAY=display, **more)
    async with commands.running("link", "github", "--browser", browser, environ=environ) as process:
        await line_with(process.stderr, "Authorize there; nothing to copy.")
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
        while Path(f"/proc/{process}/cmdline").exists() and any(arguments(process)):  # noqa: ASYNC110 not a child
            await asyncio.sleep(0.02)


@needs_xvfb
@pytest.mark.parametrize("wanted", ["auto", "firefox"])
@pytest.mark.thorough("firefox")
async def test_a_window_opens_and_the_link_needs_no_copying(display: str, temporary: Path, wanted: str) -> None:
    async with Sandbox(decision="authorize") as sandbox:
        environ = commands.environ(sandbox, BROWSER="", DISPLAY=display, TMPDIR=str(temporary))
        doctor = await commands.run("doctor", "--browser", wanted, environ=environ)
        if "a dedicated window in" not in doctor.out:
            pytest.skip("no browser is installed that can be a window")
        end = await commands.run("link", "github", "--browser", wanted, environ=environ)
        assert end.status == 0, end.err
        assert "Authorize there; nothing to copy." in end.err
        assert ("remote-controlled" in end.err) is (wanted == "firefox")
        assert sandbox.console.requests == 0


async def until_removed(folder: Path) -> None:
    """Wait until there is no profile."""
    async with asyncio.timeout(15):
        while list(folder.glob("oauth-helper-*")):  # noqa: ASYNC110 of another process
            await asyncio.sleep(0.1)


async def titles(display: str) -> str:
    """What the windows of a display are called."""
    command = ("xwininfo", "-display", display, "-root", "-tree")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode(errors="replace")


@needs_xvfb
@pytest.mark.skipif(not shutil.which("xwininfo"), reason="xwininfo is not installed")
@pytest.mark.parametrize(
    ("browser", "decision", "status"),
    [("firefox", "deny", 4), ("chromium", None, 5)],
    indirect=["browser"],
)
@pytest.mark.thorough("None")
async def test_on_a_terminal_the_window_shows_the_outcome_for_ten_seconds(
    display: str, temporary: Path, browser: str, decision: Literal["authorize", "deny"] | None, status: int
) -> None:
    async with Sandbox(decision=decision) as sandbox:
        environ = commands.environ(sandbox, BROWSER="", DISPLAY=display, TMPDIR=str(temporary))
        async with terminal("link", "github", "--browser", browser, "--timeout", "20", environ=environ) as screen:
            assert await screen.ended() == status, screen.shown
            ended = time.monotonic()
            screen.hang_up()
            await asyncio.sleep(ended + 3 - time.monotonic())
            assert OUTCOMES[status] in await titles(display)
            await until_removed(temporary)
            assert ended + 8 < time.monotonic() < ended + 12
    assert OUTCOMES[status] not in await titles(display)


@needs_xvfb
@pytest.mark.parametrize("browser", ["chromium"], indirect=True)
@pytest.mark.parametrize(("option", "status"), [("--json", 0), ("--verbose", 130)])
async def test_a_script_or_a_signal_closes_the_window_at_once(
    display: str, temporary: Path, browser: str, option: str, status: int
) -> None:
    async with Sandbox(decision=None if status else "authorize") as sandbox:
        environ = commands.environ(sandbox, BROWSER="", DISPLAY=display, TMPDIR=str(temporary))
        async with terminal("link", "github", "--browser", browser, option, environ=environ) as screen:
            if status:
                await screen.until("Opened a Chromium window")
                screen.type("\x03")
            assert await screen.ended() == status, screen.shown
    assert not list(temporary.glob("oauth-helper-*"))


@needs_xvfb
@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
async def test_a_key_continues_in_the_users_own_browser(display: str, temporary: Path, tmp_path: Path) -> None:
    own = tmp_path / "x-www-browser"
    own.write_text(f'#!/bin/sh\nexec {commands.environ()["BROWSER"]} "$1"\n')
    own.chmod(0o755)
    async with Sandbox() as sandbox:
        environ = commands.environ(
            sandbox, BROWSER="", DISPLAY=display, TMPDIR=str(temporary), PATH=f"{tmp_path}:{os.environ['PATH']}"
        )
        async with terminal("link", "github", "--browser", "chromium", environ=environ) as screen:
            await screen.until("type b and press Enter")
            screen.type("b\r")
            assert await screen.ended() == 0, screen.shown
            await until_removed(temporary)


@needs_xvfb
@pytest.mark.parametrize("browser", ["chromium"], indirect=True)
@pytest.mark.parametrize("next_command", [("resume",), ("link", "github", "--no-browser", "--timeout", "1")])
async def test_if_we_and_the_supervisor_are_killed_the_next_command_removes_the_profile(
    display: str, temporary: Path, browser: str, next_command: tuple[str, ...]
) -> None:
    async with Sandbox() as sandbox:
        async with window(browser, sandbox, display, TMPDIR=str(temporary)) as (process, supervisor, first):
            os.kill(supervisor, signal.SIGSTOP)  # so that it cannot clear up before it is killed
            os.kill(process.pid, signal.SIGKILL)
            os.kill(supervisor, signal.SIGKILL)
            await until_gone(first)
        assert list(temporary.glob("oauth-helper-*")), "there is something to remove"
        await commands.run(*next_command, environ=commands.environ(sandbox, TMPDIR=str(temporary)))


@needs_xvfb
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
@pytest.mark.thorough("firefox")
async def test_if_a_signal_ends_the_link_nothing_is_left(
    display: str, temporary: Path, browser: str, number: signal.Signals, status: int
) -> None:
    async with (
        Sandbox() as sandbox,
        window(browser, sandbox, display, TMPDIR=str(temporary)) as (process, supervisor, first),
    ):
        process.send_signal(number)
        assert (await commands.ended(process)).status == status
        await until_gone(supervisor)
        await until_gone(first)


@needs_xvfb
@pytest.mark.thorough("firefox")
async def test_a_crash_of_the_browser_leaves_no_report(display: str, home: Path, browser: str) -> None:
    variables = {"HOME": str(home), "XDG_CONFIG_HOME": ""}
    async with Sandbox() as sandbox, window(browser, sandbox, display, **variables) as (process, _, first):
        os.kill(first, signal.SIGSEGV)
        await line_with(process.stderr, "The window was closed")
        process.terminate()
        await process.wait()
    written = [path for path in home.rglob("*") if path.is_file() and "rash" in str(path) and path.stat().st_size]
    assert not written


@needs_xvfb
@pytest.mark.thorough("chromium")
async def test_a_window_gets_no_variable_that_hides_it_or_makes_it_a_test(display: str, browser: str) -> None:
    async with Sandbox() as sandbox, window(browser, sandbox, display, **TEST_VARIABLES) as (_, _, first):
        environment = Path(f"/proc/{first}/environ").read_text(errors="replace").split("\0")
    assert f"HOME={os.environ['HOME']}" in environment
    assert not {line.partition("=")[0] for line in environment} & set(TEST_VARIABLES)


@needs_xvfb
@pytest.mark.parametrize("browser", ["chromium"], indirect=True)
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


async def test_a_browser_that_ends_at_once_is_reported_with_its_last_lines(temporary: Path, browser: str) -> None:
    environ = commands.environ(BROWSER="", DISPLAY=":7777", WAYLAND_DISPLAY="", TMPDIR=str(temporary))
    end = await commands.run("link", "github", "--sandbox", "--browser", browser, environ=environ)
    assert end.status == 9
    assert {"chromium": "Missing X server", "firefox": "display"}[browser] in end.err
    assert "k=" not in end.err


@pytest.mark.parametrize("browser", ["chromium"], indirect=True)
async def test_if_the_loader_complains_the_message_names_its_variable(tmp_path: Path, browser: str) -> None:
    (tmp_path / "libnss3.so").touch()
    environ = commands.environ(BROWSER="", DISPLAY=":7777", LD_LIBRARY_PATH=str(tmp_path))
    end = await commands.run("link", "github", "--sandbox", "--browser", browser, environ=environ)
    assert end.status == 9
    assert "file too short" in end.err
    assert "LD_LIBRARY_PATH is set, which may be the cause" in " ".join(end.err.split())


DEAD = {
    "unix": {"DISPLAY": ":7777"},
    "screen": {"DISPLAY": "unix:7777.0"},
    "tcp": {"DISPLAY": "localhost:7777.0"},
    "wayland": {"WAYLAND_DISPLAY": "wayland-77"},
    "both": {"WAYLAND_DISPLAY": "wayland-77", "DISPLAY": ":7777"},
}


def with_display(display: dict[str, str], folder: Path) -> dict[str, str]:
    folder.chmod(0o700)
    none = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "SSH_CONNECTION": "", "XDG_RUNTIME_DIR": str(folder)}
    return commands.environ() | none | display


@pytest.mark.parametrize("which", DEAD)
async def test_doctor_and_link_report_a_display_that_cannot_be_opened(which: str, tmp_path: Path) -> None:
    environ = with_display(DEAD[which], tmp_path)
    doctor = await commands.run("doctor", "--json", environ=environ)
    [browser] = [line for line in doctor.out.splitlines() if "cannot be opened" in line]
    for name, value in DEAD[which].items():
        assert f'the display {name}=\\"{value}\\" cannot be opened' in browser
    link = await commands.run("link", "github", "--sandbox", "--timeout", "20", environ=environ)
    assert "cannot be opened" in link.err
    assert link.status == 0, "the simulated user authorizes instead"


@pytest.mark.parametrize(("browser", "status"), [("default", "fail"), ("chromium", "fail"), ("auto", "note")])
async def test_doctor_fails_if_a_browser_is_demanded_without_a_display(
    browser: str, status: str, tmp_path: Path
) -> None:
    environ = with_display(DEAD["unix"], tmp_path)
    end = await commands.run("doctor", "--browser", browser, environ=environ)
    [line] = [line for line in end.out.splitlines() if line.split()[1:2] == ["browser"]]
    assert line.split()[0] == status


async def test_one_display_that_answers_is_enough(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as wayland:
        wayland.bind(str(tmp_path / "wayland-1"))
        wayland.listen()
        environ = with_display({"WAYLAND_DISPLAY": "wayland-1", "DISPLAY": ":7777"}, tmp_path)
        doctor = await commands.run("doctor", environ=environ)
    assert "cannot be opened" not in doctor.out
