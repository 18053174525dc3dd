"""The command in a real terminal: what it shows, and a keyboard."""

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
