"""A terminal to type into, a prompt in it, and a receiver that takes what is pasted there."""

import asyncio
import os
import select
import termios
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from unittest.mock import patch

import pytest
from support.redirect_cases import REQUEST, STATE, redirect

from oauth_helper import terminal_prompt
from oauth_helper.errors import RedirectRejectedError
from oauth_helper.terminal_prompt import TerminalPrompt

CODE = "0123456789planted-code9876543210"
ADDRESS = redirect(code=CODE, state=STATE)
CODE_LAST = redirect(state=STATE, code=CODE)
FOREIGN = redirect(code=CODE, state="$2a$10$foreign")
ON, OFF = b"\x1b[?2004h", b"\x1b[?2004l"


def bracketed(text: str) -> bytes:
    return b"\x1b[200~" + text.encode() + b"\x1b[201~"


class RedirectReceiver:
    """Judges as the product does, and lets a test wait for what was offered and printed."""

    def __init__(self) -> None:
        self.offered: list[str] = []
        self.codes: list[str] = []
        self.messages: asyncio.Queue[str] = asyncio.Queue()

    def offer(self, text: str) -> None:
        self.offered.append(text)
        self.codes.append(REQUEST.judge(text).code.reveal())

    async def hears(self, *lines: str) -> None:
        async with asyncio.timeout(10):
            assert [await self.messages.get() for _ in lines] == list(lines)

    async def hears_received(self, count: int = len(ADDRESS)) -> None:
        await self.hears(f"received {count} characters")

    async def hears_rejection(self) -> None:
        async with asyncio.timeout(10):
            messages = await self.messages.get()
        with pytest.raises(RedirectRejectedError) as rejected:
            REQUEST.judge(self.offered[-1])
        assert messages == f"{rejected.value.message}. {rejected.value.hint}"


class Terminal:
    """A pseudo terminal: the test is the terminal program and its user, the prompt has the other end."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        self.shown = b""
        self.found = termios.tcgetattr(self.theirs)

    def close(self) -> None:
        for fd in {self.ours, self.theirs} - {-1}:
            os.close(fd)

    def hang_up(self) -> None:
        os.close(self.ours)
        self.ours = -1

    async def types(self, data: bytes) -> None:
        await asyncio.to_thread(self._write, data)

    async def shows(self, data: bytes, times: int = 1) -> None:
        await asyncio.to_thread(self._read_until, lambda: self.shown.count(data) >= times)

    async def is_read(self) -> None:
        """Wait until the prompt has read all that was typed."""
        deadline = time.monotonic() + 10
        while select.select([self.theirs], [], [], 0)[0]:
            assert time.monotonic() < deadline
            await asyncio.to_thread(time.sleep, 0.002)  # a terminal has no event for "all was read"

    async def has_arrived(self) -> None:
        """Wait until what was typed can be read."""
        assert (await asyncio.to_thread(select.select, [self.theirs], [], [], 10))[0]

    def shown_to_the_end(self) -> bytes:
        os.write(self.theirs, b"END")
        self._read_until(lambda: self.shown.endswith(b"END"))
        return self.shown.removesuffix(b"END")

    def is_as_found(self) -> bool:
        return termios.tcgetattr(self.theirs) == self.found

    def is_silent(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & (termios.ECHO | termios.ICANON)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.ours, data) :]

    def _read_until(self, seen: Callable[[], bool]) -> None:
        while not seen():
            assert select.select([self.ours], [], [], 10)[0], f"all that was shown: {self.shown!r}"
            self.shown += os.read(self.ours, 65_536)


@contextmanager
def standard_input(terminal: Terminal) -> Iterator[None]:
    """Let this process read ``terminal`` as its standard input."""
    before = os.dup(0)
    os.dup2(terminal.theirs, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


@asynccontextmanager
async def prompting(
    terminal: Terminal, receiver: RedirectReceiver, *, quiet: float = 0.05, term: str = "xterm"
) -> AsyncIterator[None]:
    times = patch.multiple(terminal_prompt, QUIET=quiet, REMINDER=0.3, END_OF_PASTE=0.3)
    with times, patch.dict(os.environ, TERM=term):
        async with TerminalPrompt(offer=receiver.offer, say=receiver.messages.put_nowait, fd=terminal.theirs):
            yield


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def receiver() -> RedirectReceiver:
    return RedirectReceiver()
