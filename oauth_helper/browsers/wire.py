"""How messages get to a browser and back: over a pipe that only it and we hold, or over a websocket on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import aiohttp

from oauth_helper.browsers.trouble import BrowserTroubleError
from oauth_helper.phrase import phrase

_LONGEST: Final = 2**24
"""Bytes of a message. A held request may bring the body of its form along."""
_END: Final = b"\0"


class Wire(Protocol):
    """Whole messages, both ways."""

    async def send(self, message: str) -> None:
        """Send one.

        Raises:
            OSError: The other side is closed.
        """

    def messages(self) -> AsyncIterator[str]:
        """Give what comes, until the other side is closed."""


class _Pipe:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: str) -> None:
        self._writer.write(message.encode() + _END)
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[str]:
        # Half a message at its end, or a reset, is how a killed browser goes; longer than the longest is no browser.
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            while True:
                yield (await self._reader.readuntil(_END)).removesuffix(_END).decode(errors="replace")


class _WebSocket:
    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection

    async def send(self, message: str) -> None:
        await self._connection.send_str(message)

    async def messages(self) -> AsyncIterator[str]:
        async for message in self._connection:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield message.data


@asynccontextmanager
async def over_pipe(ours: socket.socket) -> AsyncIterator[Wire]:
    """Speak over ``ours``, one end of a socket pair of which the browser holds the other.

    A message ends with a NUL (Chromium's ``content/browser/devtools/devtools_pipe_handler.cc``).
    """
    reader, writer = await asyncio.open_connection(sock=ours, limit=_LONGEST)
    try:
        yield _Pipe(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def over_websocket(endpoint: str, *, seconds: float) -> AsyncIterator[Wire]:
    """Connect to ``endpoint`` within so many seconds. No Origin header is sent: both browsers would refuse one.

    Raises:
        BrowserTroubleError: There is no connection to be had.
    """
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(seconds):
                connection = await session.ws_connect(
                    endpoint, max_msg_size=_LONGEST, timeout=aiohttp.ClientWSTimeout(ws_close=1)
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BrowserTroubleError(
                phrase("takes no connection to drive it ({name__})", name__=type(error).__name__)
            ) from error
        async with connection:
            yield _WebSocket(connection)
