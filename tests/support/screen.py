"""The command in a real terminal: what it shows, and a keyboard."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from support.command_runner import commands
from support.forked_command import fork_command, reader_of

COLUMNS = 80
WIDE = 500
"""Columns in which no text of ours is broken."""
COMMAND = (sys.executable, "-m", "oauth_helper")


@dataclass
class Screen:
    """The other side of a terminal: everything shown so far, and the keyboard."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    keyboard: int
    transport: asyncio.BaseTransport
    shown: str = ""
    everything: str = ""
    """What was shown so far, whatever was looked at."""

    async def until(self, words: str) -> None:
        async with asyncio.timeout(30):
            while words not in self.shown:
                try:
                    chunk = await self.reader.read(4096)
                except OSError:  # Linux: the last user of the terminal has closed it
                    chunk = b""
                assert chunk, f"ended without {words!r}: {self.shown}"
                self._show(chunk)

    def _show(self, chunk: bytes) -> None:
        self.shown += chunk.decode()
        self.everything += chunk.decode()

    async def line_with(self, words: str) -> str:
        """Wait for a whole line; what was shown before it and in it is not looked at any more."""
        await self.until(words)
        before, _, self.shown = self.shown.partition(words)
        await self.until("\n")
        after, _, self.shown = self.shown.partition("\n")
        return f"{before.rpartition(chr(10))[2]}{words}{after}".strip()

    async def ended(self) -> int:
        async with asyncio.timeout(30):
            try:
                while chunk := await self.reader.read(4096):
                    self._show(chunk)
            except OSError:
                pass
            return await self.process.wait()

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    def hang_up(self) -> None:
        """Close it, as who closes a terminal's window."""
        self.transport.close()
        os.close(self.keyboard)
        self.keyboard = -1


@asynccontextmanager
async def terminal(
    *arguments: str, environ: Mapping[str, str], program: Sequence[str] = COMMAND, columns: int = WIDE
) -> AsyncIterator[Screen]:
    """Run the command, or another program, as the foreground process of a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    if program == COMMAND:
        process = await fork_command(*arguments, environ=environ, terminal=theirs)
    else:
        process = await asyncio.create_subprocess_exec(
            *("setsid", "--ctty", *program, *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=dict(environ),
        )
    os.close(theirs)
    reader, transport = await reader_of(os.dup(ours))
    screen = Screen(process, reader, ours, transport)
    try:
        with commands.watching_files(environ):
            yield screen
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        if screen.keyboard >= 0:
            screen.hang_up()
        # A link repeats its text.
        commands.record_screen(re.sub("\x1b]8;;[^\x1b]*\x1b\\\\", "", screen.everything))
