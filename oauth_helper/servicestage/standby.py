"""One open connection that waits for a request, so that this takes a single round trip.

It is opened with its TLS, and nothing is sent on it: a request would be signed and counted, and some accounts may make
no other calls than those of a link. It is renewed before a server closes it for being idle, because nothing is known of
a POST that is sent as the server closes the connection.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from oauth_helper.servicestage.failures import FOREIGN

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StandbyPace:
    """When the open connection is renewed, in seconds."""

    renewal: float = 25.0
    """From one opening to the next."""
    after_sign: float = 2.0
    """The same, if a request may come soon."""
    oldest: float = 40.0
    """Nothing is sent on a connection that is older: usual servers close it after 60."""
    wall: Callable[[], float] = time.time
    """A clock that also runs while the machine sleeps; the event loop's may not."""


STANDBY: Final = StandbyPace()


class Held(Protocol):
    """A connection out of a pool."""

    @property
    def closed(self) -> bool:
        """Whether one of both sides has closed it."""

    def close(self) -> None:
        """Close it."""

    def release(self) -> None:
        """Give it back to the pool, for the next request."""


class Standby:
    """Keeps one connection open while :meth:`kept` is entered.

    Args:
        connect: Takes a connection out of the pool, or opens one.
        pace: When it is renewed.
    """

    def __init__(self, connect: Callable[[], Awaitable[Held]], pace: StandbyPace = STANDBY) -> None:
        self._connect = connect
        self._pace = pace
        self._waits = 0
        self._tried_at = -math.inf
        self._wake = asyncio.Event()
        self._held: Held | None = None
        self._held_since = -math.inf
        self._opening: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._trouble: Exception | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep a connection open within the context, and leave it for the next request. May be entered repeatedly."""
        self._waits += 1
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="keeps a connection ready")
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                self._keeping.cancel()  # without waiting for it: a request is to leave at once
                self._keeping = None

    def expect(self) -> None:
        """Renew the connection now, unless that was tried a moment ago: a request may come soon."""
        if asyncio.get_running_loop().time() - self._tried_at >= self._pace.after_sign:
            self._wake.set()

    async def release(self) -> None:
        """Give the connection to the pool, for the request that is sent next; if it may be about to end, close it.

        Raises:
            Exception: One of :data:`FOREIGN`: the opening that was under way failed. Another would take as long again.
        """
        if not self._is_usable() and self._opening and not self._opening.done():
            await asyncio.wait({self._opening})
            if not self._opening.cancelled() and self._trouble:
                raise self._trouble
        is_usable = self._is_usable()
        held, self._held = self._held, None
        if held and is_usable:
            held.release()
        elif held:
            held.close()

    async def close(self) -> None:
        """Stop keeping a connection, and close it."""
        for task in (self._keeping, self._opening):
            if task:
                task.cancel()
                await asyncio.wait({task})
        if self._held:
            self._held.close()
            self._held = None

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._tried_at = loop.time()
            # A task of its own: it goes on when the wait is over, for the request that comes then.
            self._opening = loop.create_task(self._open())
            await asyncio.wait({self._opening})
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.renewal):
                    await self._wake.wait()

    async def _open(self) -> None:
        self._trouble = None
        try:
            held = await self._connect()
        except FOREIGN as error:  # the wait goes on
            self._trouble = error
            _log.debug("No connection to stand ready: %s", type(error).__name__)
            return
        if self._held:
            self._held.close()
        self._held, self._held_since = held, self._pace.wall()

    def _is_usable(self) -> bool:
        is_young = self._pace.wall() - self._held_since < self._pace.oldest
        return self._held is not None and not self._held.closed and is_young
