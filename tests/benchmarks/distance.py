"""A server that is far away: a TCP proxy which delays each direction by half a round trip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK = 2**16


class _Distance:
    """The kernel accepts a connection at once; so the first bytes are held for the round trip that TCP's handshake
    would have taken. What is sent arrives half a round trip later, and so does the end of either side."""

    def __init__(self, port: int, round_trip: float) -> None:
        self._port = port
        self._round_trip = round_trip
        self._carrying: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        task = asyncio.current_task()
        assert task
        self._carrying.add(task)
        established = asyncio.get_running_loop().time() + self._round_trip
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await asyncio.gather(
                    self._delayed(reader, far_writer, not_before=established),
                    self._delayed(far_reader, writer, not_before=0.0),
                )
            finally:
                far_writer.close()
        except (asyncio.CancelledError, OSError):
            pass  # the end of the benchmark, or of what is measured
        finally:
            writer.close()
            self._carrying.discard(task)

    async def _delayed(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, not_before: float) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._arriving(under_way, sink))
            while True:
                data = b""
                with suppress(OSError):  # a reset ends it as a close does
                    data = await source.read(_CHUNK)
                sent_at = max(asyncio.get_running_loop().time(), not_before)
                under_way.put_nowait((sent_at + self._round_trip / 2, data))
                if not data:
                    return

    async def _arriving(self, under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                with suppress(OSError):
                    sink.write_eof()
                return
            sink.write(data)

    async def close(self) -> None:
        """Carry nothing any more."""
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)


@asynccontextmanager
async def distance(port: int, round_trip: float) -> AsyncIterator[int]:
    """Give the port by which a server on this machine is ``round_trip`` seconds away; its own where that is 0."""
    if not round_trip:
        yield port
        return
    far = _Distance(port, round_trip)
    server = await asyncio.start_server(far.carry, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await far.close()
