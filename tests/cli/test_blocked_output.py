"""Output that is blocked blocks nothing else, and every way out leaves the terminal as it was found."""

import asyncio
import fcntl
import os
import signal
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE

import aiohttp
import pytest
from support.command_runner import commands
from support.link_script import consent, delivered, scripted, until
from support.screen import terminal as screen_of
from terminal.job_session import in_session
from terminal.pseudo_terminal import Terminal, terminal

from oauth_helper.sandbox import Sandbox

__all__ = ["terminal"]

LINK = (sys.executable, "-m", "oauth_helper", "link", "github", "--name", "mine", "--no-browser", "-v")
F_SETPIPE_SZ = 1031


def full_pipe() -> tuple[int, int]:
    """A pipe that takes nothing more."""
    ours, theirs = os.pipe()
    if sys.platform == "linux":
        fcntl.fcntl(theirs, F_SETPIPE_SZ, 4096)
    os.set_blocking(theirs, False)
    try:
        while os.write(theirs, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(theirs, True)
    return ours, theirs


async def is_listening(port: int) -> bool:
    """Whether the listener answers soon; until it listens, ask again."""
    async with aiohttp.ClientSession() as browser, asyncio.timeout(20):
        while True:
            try:
                async with browser.get(f"http://127.0.0.1:{port}/start", timeout=aiohttp.ClientTimeout(3)) as answer:
                    return answer.status == 404
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("blocked", ["stderr", "stdout"])
@pytest.mark.parametrize("end", ["deadline", "SIGTERM"])
async def test_a_reader_that_pauses_stops_neither_listener_nor_end(
    sandbox: Sandbox, unused_tcp_port: int, blocked: str, end: str
) -> None:
    ours, theirs = full_pipe()
    timeout = "3" if end == "deadline" else "60"
    process = await asyncio.create_subprocess_exec(
        *(*LINK, "--events", "--port", str(unused_tcp_port), "--timeout", timeout),
        stdin=DEVNULL,
        stdout=theirs if blocked == "stdout" else DEVNULL,
        stderr=theirs if blocked == "stderr" else DEVNULL,
        env=commands.environ(sandbox),
    )
    try:
        assert await is_listening(unused_tcp_port)
        if end == "SIGTERM":
            process.terminate()
        async with asyncio.timeout(10):
            assert await process.wait() == (5 if end == "deadline" else 143)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
        os.close(theirs)


async def test_a_redirect_is_delivered_while_the_terminal_shows_nothing(
    sandbox: Sandbox, unused_tcp_port: int, terminal: Terminal
) -> None:
    environ = commands.environ(sandbox, TERM="xterm")
    process = await asyncio.create_subprocess_exec(
        *(*LINK, "--events", "--port", str(unused_tcp_port)), stdin=DEVNULL, stdout=PIPE, stderr=terminal.theirs,
        env=environ,
    )  # fmt: skip
    assert process.stdout
    termios.tcflow(terminal.theirs, termios.TCOOFF)  # what Ctrl-S does
    try:
        waiting = ""
        while '"waiting"' not in waiting:
            waiting = (await process.stdout.readline()).decode()
        redirect = await consent(waiting.partition('"authorization_url": "')[2].partition('"')[0])
        ended = await delivered(redirect, environ)
        assert ended.status == 0, ended.err
        async with asyncio.timeout(10):
            await process.communicate()
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        termios.tcflow(terminal.theirs, termios.TCOON)


async def test_lines_that_a_slow_terminal_has_missed_come_later_without_the_countdown(
    sandbox: Sandbox, unused_tcp_port: int, terminal: Terminal
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*LINK, "--port", str(unused_tcp_port)), stdin=DEVNULL, stderr=terminal.theirs,
        env=commands.environ(sandbox, TERM="xterm"),
    )  # fmt: skip
    try:
        await terminal.shows(b"left")
        termios.tcflow(terminal.theirs, termios.TCOOFF)
        end = asyncio.get_running_loop().time() + 3  # the countdown has a line a second
        while asyncio.get_running_loop().time() < end:
            assert await is_listening(unused_tcp_port)
        termios.tcflow(terminal.theirs, termios.TCOON)
        await terminal.shows(b"Ignored what is not our redirect", times=3)
        assert terminal.shown.count(b"left") <= 4
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("options", [("--no-browser",), ("--with-token",)])
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
async def test_a_signal_at_a_prompt_ends_the_process_and_restores_the_terminal(
    sandbox: Sandbox, options: tuple[str, ...], number: signal.Signals
) -> None:
    async with screen_of("link", "github", *options, environ=commands.environ(sandbox, TERM="xterm")) as screen:
        found = termios.tcgetattr(screen.keyboard)
        await screen.until("left" if "--no-browser" in options else "token of GitHub: ")
        assert not termios.tcgetattr(screen.keyboard)[3] & termios.ECHO
        if number == signal.SIGQUIT:
            screen.type("\x1c")
        else:
            screen.process.send_signal(number)
        status = await screen.ended()
        assert status == (143 if number == signal.SIGTERM and "--no-browser" in options else -number)
        assert termios.tcgetattr(screen.keyboard) == found
    assert screen.shown.count("\x1b[?2004h") == screen.shown.count("\x1b[?2004l")


TOKEN_PROMPT = """
    import os, sys
    os.dup2(0, 2)
    from oauth_helper.cli import main
    print("begins", flush=True)
    print("done", main(["link", "github", "--with-token", "--name", "mine"]), flush=True)
"""


async def test_control_z_at_the_token_prompt_shows_typing_while_the_process_is_stopped(
    sandbox: Sandbox, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    with in_session(terminal, TOKEN_PROMPT) as session:
        session.tell("start foreground")
        await session.prints("begins")
        await terminal.shows(b"token of GitHub: ")
        await terminal.types(b"\x1a")
        session.tell("wait")
        await session.prints("stopped")
        assert terminal.is_as_found()
        session.tell("foreground", "signal SIGCONT")
        await until(lambda: not termios.tcgetattr(terminal.theirs)[3] & termios.ECHO)
        await terminal.types(b"typed-after-fg\n")
        await session.prints("done 6")  # the sandbox knows no such token
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()
    assert b"typed-after-fg" not in terminal.shown_to_the_end()


async def test_log_lines_stand_on_lines_of_their_own_and_in_order(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, TERM="xterm")
    async with screen_of("link", "github", "-vv", environ=environ) as screen:
        assert await screen.ended() == 0, screen.shown
    shown = screen.shown.replace("\r\x1b[2K", "\n")
    received = shown.index("Received the redirect")
    exchange = shown.index(": POST ")
    assert received < exchange
    assert "\n" in shown[:exchange][-80:].rpartition("oauth_helper")[0]


LIKE_WINDOWS = """
import os, sys
del os.tcgetpgrp
sys.modules["termios"] = None
from oauth_helper.cli import main
sys.exit(main())
"""
"""Windows has neither settings nor process groups of a terminal."""


async def test_deliver_asks_on_a_console_without_terminal_settings(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    async with scripted("link", "github", environ=environ) as script:
        redirect = await script.consent()
        async with screen_of("deliver", environ=environ, program=(sys.executable, "-c", LIKE_WINDOWS)) as screen:
            await screen.until("(it is not shown): ")
            screen.type(f"{redirect}\n")
            assert await screen.ended() == 0, screen.shown
            assert redirect in screen.everything
            # The pseudo-terminal echoes what is typed, unlike a console of Windows.
            screen.everything = screen.everything.replace(redirect, "")
        assert (await script.ended()).status == 0
