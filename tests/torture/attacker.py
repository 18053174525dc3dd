"""A stranger at the callback's port: what it says, what it keeps open, and what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from torture.callback import Callback
from torture.wire import Answer, connect, read_answer

_PATIENCE = 1.0
"""Seconds for an answer to a hostile request; unanswered, its connection stays open, as a browser's does."""


@dataclass
class Attacker:
    """Knows the callback, and a response to an earlier attempt of the same tool."""

    callback: Callback
    earlier: str = ""
    answers: list[Answer] = field(default_factory=list)
    _open: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def say(self, said: bytes, *, has_body: bool = True) -> None:
        """Send ``said`` on a connection of its own, and read the answer if one comes in time."""
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await connect(self.callback.port)
                self._open.append(writer)
                writer.write(said)
                answer = await read_answer(reader, has_body=has_body)
        except (OSError, TimeoutError):
            return
        self._open.remove(writer)
        writer.close()
        if answer:
            self.answers.append(answer)

    async def hold(self, said: bytes = b"") -> None:
        """Send ``said``, and nothing more, on a connection that stays open until the end."""
        try:
            _, writer = await connect(self.callback.port)
        except OSError:
            return
        self._open.append(writer)
        writer.write(said)

    async def hold_many(self, times: int) -> None:
        """Open silent connections; those that find no place in a full queue go on trying until the end."""
        tasks = [asyncio.create_task(self._hold_at_last()) for _ in range(times)]
        self._tasks += tasks
        await asyncio.wait(tasks, timeout=2 * _PATIENCE)

    async def _hold_at_last(self) -> None:
        """Try again sooner than the system does (1, 3, 7 seconds after the first try), so that the queue stays full.

        Less and less often: on a busy machine it is we ourselves who are too slow.
        """
        for tries in count():
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE / 4 * 2**tries):
                    await self.hold()
                    return

    async def drip(self, said: bytes, *, every: float) -> None:
        """Send ``said`` byte by byte, from now on until the end."""
        self._tasks.append(asyncio.create_task(self._drip(said, every)))
        await asyncio.sleep(0)

    async def _drip(self, said: bytes, every: float) -> None:
        try:
            _, writer = await connect(self.callback.port)
            self._open.append(writer)
            for byte in said:
                writer.write(bytes([byte]))
                await asyncio.sleep(every)
        except OSError:
            return

    async def flood(self, requests: Iterable[bytes], *, connections: int, seconds: float) -> None:
        """Send these one after the other as fast as they are answered, over so many connections at once."""
        queue = iter(requests)
        tasks = [asyncio.create_task(self._pour(queue)) for _ in range(connections)]
        self._tasks += tasks
        await asyncio.wait(tasks, timeout=seconds)

    async def _pour(self, requests: Iterable[bytes]) -> None:
        connection = None
        for said in requests:
            try:
                reader, writer = connection = connection or await connect(self.callback.port)
                writer.write(said)
                answer = await read_answer(reader)
            except OSError:
                return
            if not answer or answer.head.startswith("HTTP/1.0") or answer.header("connection") == "close":
                writer.close()
                connection = None
        if connection:
            connection[1].close()

    async def leave(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._open:
            writer.close()


@asynccontextmanager
async def attacking(callback: Callback, earlier: str = "") -> AsyncIterator[Attacker]:
    """Send an attacker, who leaves at the end."""
    attacker = Attacker(callback, earlier)
    try:
        yield attacker
    finally:
        await attacker.leave()
