"""While the user is asked: the browser is open, one redirect is waited for, and every end is told to the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from oauth_helper.desk import Desk, Ending
from oauth_helper.errors import DeadlineError, OAuthHelperError, OutcomeUnknownError, StoppedError
from oauth_helper.events import Advised, Failed, Waiting, Way
from oauth_helper.link_request import LinkRequest
from oauth_helper.linking.doors import Doors
from oauth_helper.phrase import phrase
from oauth_helper.redirect import AuthorizationResponse

_FAREWELL: Final = 1.0
"""Seconds that whoever opened the browser gets to see the final page."""


class Browsing:
    """What brings the listener's address before the user, as long as the story goes on."""

    def __init__(self, desk: Desk, request: LinkRequest, doors: Doors) -> None:
        self._desk = desk
        self._request = request
        self._doors = doors
        self._opening: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def begun(cls, start: str, desk: Desk, request: LinkRequest, doors: Doors) -> AsyncIterator[Browsing]:
        """Open the browser on ``start``; at the end, give whoever brought the redirect a moment to see its page."""
        browsing = cls(desk, request, doors)
        browsing._open(start)
        try:
            try:
                yield browsing
            finally:
                if desk.was_answered and browsing._opening:
                    await asyncio.wait({browsing._opening}, timeout=_FAREWELL)
        finally:
            await browsing._close()

    async def start_over(self) -> None:
        """Lead the tab that brought the redirect to the Git host again; where there is none, open one."""
        way = self._desk.way
        start = self._doors.listener.start_over(self._desk.authorization_url if way is Way.WINDOW else None)
        is_open = self._opening is not None and not self._opening.done()
        if way is Way.PAGE or (way is Way.WINDOW and is_open):
            self._tell_of_the_wait(start)
        else:
            await self._close()
            self._open(start)

    def _open(self, start: str) -> None:
        self._tell_of_the_wait(start)
        self._opening = asyncio.create_task(self._bring(start))

    def _tell_of_the_wait(self, start: str) -> None:
        deadline = datetime.now(UTC) + timedelta(seconds=self._request.timeout)
        self._doors.tell(Waiting(start, self._desk.printed_url, deadline))

    async def _bring(self, start: str) -> None:
        try:
            await self._doors.open_browser(start, self._desk)
        except Exception as error:  # noqa: BLE001 - whatever it is, the story is to end with it, not to wait on
            self._desk.give_up(error)

    async def _close(self) -> None:
        if self._opening:  # pragma: no branch - begun() has set it
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)


@asynccontextmanager
async def truth_told(desk: Desk, ending: Ending) -> AsyncIterator[None]:
    """See to it that the page learns how it ended, whatever the end is."""
    try:
        yield
    except OAuthHelperError as error:
        desk.end(Failed(error))
        ending.tell(Failed(error))
        raise
    except asyncio.CancelledError:
        desk.end(Failed(_stopped(desk)))
        raise
    except BaseException as fault:
        desk.end(Failed(OAuthHelperError(phrase("A fault of oauth-helper: {name__}", name__=type(fault).__name__))))
        raise


def _stopped(desk: Desk) -> OAuthHelperError:
    if desk.is_refused:
        return StoppedError(
            phrase("oauth-helper was stopped after ServiceStage had refused the redirect. Nothing was created")
        )
    if desk.has_redirect:
        return OutcomeUnknownError(
            phrase("oauth-helper was stopped while ServiceStage was asked to create the authorization")
        )
    return StoppedError(phrase("oauth-helper was stopped before the redirect came. Nothing was created"))


async def redirect_of(desk: Desk, request: LinkRequest, doors: Doors) -> AuthorizationResponse:
    """Wait for one redirect that is ours, until the deadline.

    Raises:
        DeadlineError: None came in time.
        OAuthHelperError: The user or the Git host said no, or no browser can be opened where one must.
    """

    def offer_pasted(text: str) -> None:
        desk.judge(text, Way.TERMINAL)

    async with doors.kept_ready():
        try:
            async with asyncio.timeout(request.timeout), doors.prompt(offer_pasted), _advised(desk, doors):
                return await desk.redirect()
        except TimeoutError:
            raise DeadlineError(phrase("No redirect came within {seconds:g} s", seconds=request.timeout)) from None


@asynccontextmanager
async def _advised(desk: Desk, doors: Doors) -> AsyncIterator[None]:
    advising = asyncio.create_task(_advise(desk, doors))
    try:
        yield
    finally:
        advising.cancel()  # and not waited for: the redirect that came is to leave at once


async def _advise(desk: Desk, doors: Doors) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    for moment in doors.advice_after:
        await asyncio.sleep(began + moment - clock())
        if advice := desk.advice(is_last=moment == doors.advice_after[-1]):
            doors.tell(Advised(advice))
