"""A process that floods a listener: forged redirects over some connections, one after the other, and many silent ones.

A line ``PORT TARGET`` on standard input begins it, the next line ends it; it tells when it is under way, and at the end
how many answers a second it got.
"""

from __future__ import annotations

import asyncio
import sys
import time

from torture.victims.telling import tell
from torture.wire import HOST, connect

FLOODING = 50
SILENT = 500
_UNDER_WAY = 10
"""Answers on each connection before the flood counts as one."""


class Flood:
    """One flood."""

    def __init__(self, port: int, target: str) -> None:
        self._port = port
        self._request = f"GET {target} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
        self._silent: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._began = time.monotonic()
        self.answers = 0
        self.is_over = False
        self.is_under_way = asyncio.Event()

    async def begin(self) -> None:
        """Open every connection, and wait until the flood is under way."""
        self._silent = [(await connect(self._port))[1] for _ in range(SILENT)]
        self._began = time.monotonic()
        for _ in range(FLOODING):
            await self.pour()
        await self.is_under_way.wait()

    async def pour(self) -> None:
        """Open one connection that is flooded."""
        await asyncio.get_running_loop().create_connection(lambda: _Stream(self, self._request), HOST, self._port)

    def count(self) -> None:
        """Note an answer."""
        self.answers += 1
        if self.answers >= _UNDER_WAY * FLOODING:
            self.is_under_way.set()

    def pour_again(self) -> None:
        """Replace a connection that was closed on us."""
        if not self.is_over:
            self._tasks.append(asyncio.create_task(self.pour()))

    async def end(self) -> float:
        """Close everything; return the answers a second."""
        self.is_over = True
        took = time.monotonic() - self._began
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._silent:
            writer.close()
        return self.answers / took


class _Stream(asyncio.Protocol):
    def __init__(self, flood: Flood, request: bytes) -> None:
        self._flood = flood
        self._request = request
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take what arrives for one answer, or none: our pages come in one piece."""
        assert self._transport
        if not data.startswith(b"HTTP/1.1 "):
            return
        self._flood.count()
        if self._flood.is_over:
            self._transport.close()
        else:
            self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._flood.pour_again()


async def _main() -> None:
    async def line() -> str:
        return await asyncio.to_thread(sys.stdin.readline)

    while asked := await line():
        port, target = asked.split()
        flood = Flood(int(port), target)
        await flood.begin()
        tell(flooding=SILENT + FLOODING)
        await line()
        tell(answers_a_second=await flood.end())


if __name__ == "__main__":
    asyncio.run(_main())
