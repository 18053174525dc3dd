"""The end of a story, and what comes between: who waits for it, and what they are told when they have waited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from oauth_helper.errors import OutcomeUnknownError
from oauth_helper.events import Failed
from oauth_helper.phrase import phrase

if TYPE_CHECKING:
    from oauth_helper.events import Outcome
    from oauth_helper.listener.redirect_desk import RedirectDesk

_STOPPED: Final = Failed(OutcomeUnknownError(phrase("oauth-helper was stopped before the outcome was known")))
_TURNS: Final = 10
"""Turns of the loop in which what the desk knows has reached us: some more than it takes."""


class Finale:
    """The end of one story, as far as it is known."""

    def __init__(self, desk: RedirectDesk, *, story: int) -> None:
        self._outcome = asyncio.create_task(desk.outcome(), name="outcome, for the listener's pages")
        self._started_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._story = story
        self._tries = 1

    @property
    def attempt(self) -> str:
        """Which attempt this is, of all that this listener serves: a page knows by it that another has begun."""
        return f"{self._story}.{self._tries}"

    @property
    def is_known(self) -> bool:
        """Whether there is an end."""
        return self._outcome.done()

    def known(self) -> Outcome | None:
        """Return the end; None where there is none yet."""
        if not self._outcome.done():
            return None
        return _STOPPED if self._outcome.cancelled() else self._outcome.result()

    async def wait(self, seconds: float) -> None:
        """Wait until the end is known or the story has started over, but no longer than that."""
        either: set[asyncio.Future[Any]] = {self._outcome, self._started_over}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    def start_over(self) -> None:
        """Let who waits know that the story has."""
        self._tries += 1
        self._started_over.set_result(None)
        self._started_over = asyncio.get_running_loop().create_future()

    async def give_up(self) -> None:
        """Wait no longer than it takes to hear of an end that there is; else nobody will ever know."""
        for _ in range(_TURNS):
            if self._outcome.done():
                return
            await asyncio.sleep(0)
        self._outcome.cancel()
