"""The command in a real terminal: a paste that nobody sees, a clock that counts down, an answer to a question."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import surroundings

from oauth_helper.sandbox import Sandbox

COLUMNS = 80


@dataclass
class Screen:
    """The other side of a terminal: everything shown so far, and the keyboard."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    keyboard: int
    shown: str = ""

    async def until(self, words: str) -> None:
        async with asyncio.timeout(30):
            while words not in self.shown:
                try:
                    chunk = await self.reader.read(4096)
                except OSError:  # Linux: the last user of the terminal has closed it
                    chunk = b""
                assert chunk, f"ended without {words!r}: {self.shown}"
                self.shown += chunk.decode()

    async def ended(self) -> int:
        async with asyncio.timeout(30):
            try:
                while chunk := await self.reader.read(4096):
                    self.shown += chunk.decode()
            except OSError:
                pass
            return await self.process.wait()

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())


@asynccontextmanager
async def terminal(*arguments: str, environ: Mapping[str, str]) -> AsyncIterator[Screen]:
    """Run the command as the foreground process of a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    child = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", child, sys.executable, "-m", "oauth_helper", *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(environ),
        start_new_session=True,
    )
    os.close(theirs)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(ours), "rb", buffering=0)
    )
    try:
        yield Screen(process, reader, ours)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        transport.close()
        os.close(ours)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


def wrapped(text: str) -> str:
    return "\n".join(text[at : at + COLUMNS] for at in range(0, len(text), COLUMNS))


@pytest.mark.parametrize("bracketed", [False, True])
async def test_a_wrapped_paste_is_taken_unseen(sandbox: Sandbox, tmp_path: Path, bracketed: bool) -> None:
    fifo = tmp_path / "redirect"
    os.mkfifo(fifo)
    environ = surroundings(sandbox, SCRIPTED_REDIRECT=str(fifo))
    async with terminal("link", "github", environ=environ) as screen:
        redirect = await asyncio.to_thread(fifo.read_text)
        await screen.until("paste its address here")
        screen.type("nonsense\n")
        await screen.until("holds no address")
        paste = wrapped(redirect)
        screen.type(f"\x1b[200~{paste}\x1b[201~" if bracketed else f"{paste}\n")
        assert await screen.ended() == 0, screen.shown
    assert f"received {len(paste)} characters" in screen.shown
    assert "Received the redirect from the terminal." in screen.shown
    assert "repo_user   octocat" in screen.shown
    for unseen in (redirect[-20:], "code=", "state=", "nonsense"):
        assert unseen not in screen.shown


async def test_the_clock_counts_down_and_control_c_leaves_the_terminal_as_it_was(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, SCRIPTED_USER="nothing")
    async with terminal("link", "github", "--timeout", "100", environ=environ) as screen:
        await screen.until("1:40 left")
        await screen.until("1:38 left")
        screen.type("\x03")
        assert await screen.ended() == 130
        modes = termios.tcgetattr(screen.keyboard)[3]
        assert modes & termios.ECHO
        assert modes & termios.ICANON
    assert "\x1b[2K\x1b[31m\x1b[1merror:\x1b[0m Interrupted. Nothing was created" in screen.shown
    assert screen.shown.count("\x1b[?2004h") == screen.shown.count("\x1b[?2004l") == 1


async def test_colours_are_left_out_where_the_user_wants_none(sandbox: Sandbox) -> None:
    async with terminal("show", "none", environ=surroundings(sandbox)) as screen:
        assert await screen.ended() == 6
    assert "\x1b[31m" in screen.shown
    async with terminal("show", "none", environ=surroundings(sandbox, NO_COLOR="1")) as screen:
        assert await screen.ended() == 6
    assert "\x1b" not in screen.shown


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
async def test_delete_asks_on_a_terminal(sandbox: Sandbox, answer: str, left: int) -> None:
    environ = surroundings(sandbox)
    async with terminal("link", "github", "--name", "mine", environ=environ) as screen:
        assert await screen.ended() == 0, screen.shown
    async with terminal("delete", "mine", environ=environ) as screen:
        await screen.until("Delete mine?")
        screen.type(f"{answer}\n")
        assert await screen.ended() == 0
    async with terminal("list", "--json", environ=environ) as screen:
        assert await screen.ended() == 0
    assert screen.shown.count('"name"') == left


async def test_who_has_no_credentials_is_asked_for_an_iam_user(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    async with terminal("list", environ=environ) as screen:
        for question, answer in (
            ("Account name", sandbox.user.domain_name),
            ("IAM user name", sandbox.user.name),
            # The blank comes last: what is typed before it is thrown away, lest it was shown.
            ("Password: ", sandbox.user.password.reveal()),
        ):
            await screen.until(question)
            screen.type(f"{answer}\n")
        assert await screen.ended() == 0, screen.shown
    assert sandbox.user.password.reveal() not in screen.shown
    assert "There are none." in screen.shown
