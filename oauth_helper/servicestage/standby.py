"""One connection that stands ready while a request is expected, so that this needs a single round trip.

It is opened with its TLS, and nothing is sent on it: a request for its sake would be signed and counted, and some
accounts may make none but those of the link itself. It is renewed before the server closes it for being idle, as a POST
that meets the server's end of a connection is one of which nothing is known.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from oauth_helper.servicestage.failures import FOREIGN

_FRESH: Final = 0.75
"""Of the time that the server keeps an idle connection: from then on another one is opened."""
_SAFE: Final = 0.9
"""Of that time: from then on nothing is sent on it, as its end may be on its way."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StandbyPace:
    """When the connection that stands ready is renewed, in seconds."""

    idle: float = 60.0
    """How long the server keeps a connection on which nothing comes, until it shows to be less."""
    between: float = 25.0
    """From one opening to the next, where nobody seems to come."""
    after_sign: float = 2.0
    """From one opening to the next, where somebody does."""
    glance: float = 1.0
    """Between two glances at whether it still stands."""


STANDBY: Final = StandbyPace()
"""The usual one."""


class Held(Protocol):
    """A connection out of a pool."""

    @property
    def closed(self) -> bool:
        """Whether one of both sides has closed it."""

    def close(self) -> None:
        """Close it."""

    def release(self) -> None:
        """Give it back to the pool, for the next request."""


@dataclass(slots=True)
class _Standing:
    """What stands ready, and since when nothing was sent on it, by two clocks."""

    held: Held
    since: float
    since_by_wall: float
    stood_at: float = 0.0
    """Its age at the last glance at which it was not closed."""


class Standby:
    """Keeps one connection ready, while :meth:`kept` is entered.

    Args:
        connect: Takes a connection out of the pool, or opens one; returns it with the seconds it has been idle for.
        pace: When it is renewed.
        wall: A clock that goes on while the machine sleeps, in seconds; the loop's own may not.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[tuple[Held, float]]],
        pace: StandbyPace = STANDBY,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._pace = pace
        self._wall = wall
        self._idle = pace.idle
        self._waits = 0
        self._opened_at = -math.inf
        self._is_expected = False
        self._wake = asyncio.Event()
        self._standing: _Standing | None = None
        self._opening: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._trouble: Exception | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep one ready within the context, and leave it for what is sent then. It may be entered more than once."""
        self._waits += 1
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="keeps a connection ready")
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                self._keeping.cancel()  # and not waited for: a request is to leave at once
                self._keeping = None

    def expect(self) -> None:
        """Know that a request may come soon: where nothing that is fresh stands, it is opened now."""
        if not self._is_younger_than(_FRESH):
            self._is_expected = True
            self._wake.set()

    async def release(self) -> None:
        """Give what stands to the pool, for the request that is sent next. Nothing that is about to end gets there.

        Raises:
            Exception: One of :data:`FOREIGN`: a connection that was just being opened could not be. To open another one
                would take as long again.
        """
        is_safe = self._is_younger_than(_SAFE)
        if not is_safe and self._opening and not self._opening.done():
            await asyncio.wait({self._opening})
            if not self._opening.cancelled() and self._trouble:
                raise self._trouble
            is_safe = self._is_younger_than(_SAFE)
        standing, self._standing = self._standing, None
        if standing and is_safe:
            standing.held.release()
        elif standing:
            standing.held.close()

    async def close(self) -> None:
        """Let go of everything."""
        await _cancelled(self._keeping)
        await _cancelled(self._opening)
        if self._standing:
            self._standing.held.close()
            self._standing = None

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._glance()
            if self._is_due(loop.time()):
                self._is_expected = False
                # A task of its own: it goes on when the wait is over, for the request that comes then.
                self._opening = loop.create_task(self._open())
                await asyncio.wait({self._opening})
            self._wake.clear()
            timer = loop.call_later(self._pace.glance, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    def _glance(self) -> None:
        """Learn how long the server keeps an idle connection, from what it did with this one."""
        if (standing := self._standing) is None:
            return
        if standing.held.closed:
            self._idle = min(self._idle, standing.stood_at)
            _log.debug("An idle connection was closed after %.0f s or more", standing.stood_at)
            standing.held.close()
            self._standing = None
        else:
            standing.stood_at = self._age(standing)
            # That another one was closed sooner was an accident then, such as the server's own end.
            self._idle = min(max(self._idle, standing.stood_at), self._pace.idle)

    def _is_due(self, now: float) -> bool:
        if self._is_younger_than(_FRESH):
            return False
        pause = self._pace.after_sign if self._is_expected else self._pace.between
        return now - self._opened_at >= pause

    async def _open(self) -> None:
        now = asyncio.get_running_loop().time
        self._opened_at = now()
        self._trouble = None
        try:
            held, idle_for = await self._connect()
        except FOREIGN as error:  # the wait goes on
            self._trouble = error
            _log.debug("No connection to stand ready: %s", type(error).__name__)
            return
        if self._standing:
            self._standing.held.close()
        self._standing = _Standing(held, now() - idle_for, self._wall() - idle_for)

    def _is_younger_than(self, share: float) -> bool:
        standing = self._standing
        return standing is not None and not standing.held.closed and self._age(standing) < share * self._idle

    def _age(self, standing: _Standing) -> float:
        now = asyncio.get_running_loop().time()
        return max(now - standing.since, self._wall() - standing.since_by_wall)


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task:
        task.cancel()
        await asyncio.wait({task})
