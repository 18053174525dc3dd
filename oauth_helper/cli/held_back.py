"""Telling what happens between the redirect and the request without keeping the request waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from oauth_helper.events import Captured, Event, Exchanging

if TYPE_CHECKING:
    import asyncio

LONGEST: Final = 0.02
"""Seconds that an event is held back: several times what it takes from the redirect to the request."""


class HeldBack:
    """Tells events in their order, those on the way to the request a moment later, with when they happened.

    To write lines, and to wake who reads them, takes time that the request would have to wait for.
    """

    def __init__(self, tell: Callable[[Event, datetime], None], *, longest: float = LONGEST) -> None:
        self._tell = tell
        self._longest = longest
        self._held: list[tuple[Event, datetime]] = []
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, event: Event) -> None:
        """Tell an event; one that is on the way to the request soon, any other now."""
        self._held.append((event, datetime.now(UTC)))
        if not (self._longest and isinstance(event, Captured | Exchanging)):
            self.catch_up()
        elif self._timer is None:
            import asyncio  # noqa: PLC0415 - a help need not wait for it

            self._timer = asyncio.get_running_loop().call_later(self._longest, self.catch_up)

    def catch_up(self) -> None:
        """Tell what is held back."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        for event, at in held:
            self._tell(event, at)
