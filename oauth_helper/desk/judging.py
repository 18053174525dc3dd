"""The one judge for all ways: who brings the redirect first, and what was no redirect of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from oauth_helper.authorization import RepoType
from oauth_helper.desk.tally import Tally
from oauth_helper.diagnosis import Diagnosis
from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError
from oauth_helper.events import Advice, Captured, Event, OpenedTwice, Outcome, Refused, Stray, Visited, Way
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse


class Desk:
    """Where every way brings what it caught: one judge, one winner, one outcome for all."""

    def __init__(self, request: AuthorizationRequest, tell: Callable[[Event], None]) -> None:
        self._request = request
        self._tell = tell
        self._tally = Tally(tell)
        self._diagnosis = Diagnosis()
        self._is_denied = False
        self._way: Way | None = None
        self._is_refused = False
        self._redirect: asyncio.Future[AuthorizationResponse] = asyncio.get_running_loop().create_future()
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def authorization_url(self) -> str:
        """The address at the Git host; it contains the state."""
        return self._request.url.reveal()

    @property
    def printed_url(self) -> str:
        """The same address as people and scripts get it: in terminals and chats it is one whole link."""
        return self._request.printed_url.reveal()

    @property
    def repo_type(self) -> RepoType:
        """What is being linked."""
        return self._request.repo_type

    @property
    def redirect_uri(self) -> str | None:
        """Where the Git host will send the browser, where it is known."""
        return self._request.redirect_uri

    def judge(self, text: str, way: Way) -> None:
        """Judge a pasted text; return when it is ours.

        Raises:
            RedirectRejectedError: It is not ours, or not whole; the wait goes on.
        """
        self._decide(self._request.judge, text, way)

    def judge_query(self, query: str, way: Way) -> None:
        """Judge the raw query of a request; as :meth:`judge`, but nothing is searched or unwrapped."""
        self._decide(self._request.judge_query, query, way)

    def _decide(self, judge: Callable[[str], AuthorizationResponse], offered: str, way: Way) -> None:
        try:
            response = judge(offered)
        except RedirectRejectedError as rejected:
            self._ignore(rejected.reason)
            raise
        except AuthorizationDeniedError as denied:
            self._tally.tell_rest()
            if not self._redirect.done():
                self._is_denied = True
                self._way = way
            self.give_up(denied)
        else:
            if not self._redirect.done():
                self._redirect.set_result(response)
                self._way = way
                self._tally.tell_rest()
                self._tell(Captured(way))

    def ignore(self, stray: Stray) -> None:
        """Count a request to the listener that got no further."""
        self._ignore(stray)

    def _ignore(self, reason: str) -> None:
        if self._outcome.done():
            return  # The end is told, and nothing comes after it.
        self._diagnosis.reached(reason)
        self._tally.add(reason)

    def visit(self) -> None:
        """Know that a browser that can reach us begins."""
        self._diagnosis.reached()
        if not self._redirect.done():
            self._tell(Visited())

    def warn_of_second_use(self, listener: str) -> None:
        """Have the user told that an address that is good once was used again, and of a new one."""
        if not self._redirect.done():
            self._tell(OpenedTwice(listener))

    def advice(self, *, is_last: bool) -> Advice | None:
        """Return what may keep the redirect from coming, unless that was said; see :class:`Diagnosis`."""
        return self._diagnosis.advice(is_last=is_last)

    @property
    def has_redirect(self) -> bool:
        """Whether the redirect is in hand."""
        return self._redirect.done() and not self._redirect.cancelled() and self._redirect.exception() is None

    @property
    def was_answered(self) -> bool:
        """Whether a redirect of ours came, be it a denial."""
        return self.has_redirect or self._is_denied

    @property
    def way(self) -> Way | None:
        """How the redirect in hand, or the last one that was, came; a denial is one too."""
        return self._way

    @property
    def is_refused(self) -> bool:
        """Whether the redirect in hand is worth nothing any more."""
        return self._is_refused

    def refuse(self) -> None:
        """Know that ServiceStage will not have the redirect in hand."""
        self._is_refused = True
        self._tell(Refused())

    def start_over(self, request: AuthorizationRequest) -> None:
        """Wait for the redirect that answers ``request``: the one in hand came to nothing."""
        self._request = request
        self._is_refused = False
        self._diagnosis = Diagnosis()
        self._redirect = asyncio.get_running_loop().create_future()

    def give_up(self, error: BaseException) -> None:
        """End the wait with ``error``, unless the redirect is in hand."""
        if not self._redirect.done():
            self._redirect.set_exception(error)

    async def redirect(self) -> AuthorizationResponse:
        """Wait for the first redirect that is ours.

        Raises:
            AuthorizationDeniedError: It says that the Git host or the user refused.
        """
        return await asyncio.shield(self._redirect)

    async def outcome(self) -> Outcome:
        """Wait for the end of the story."""
        return await asyncio.shield(self._outcome)

    def end(self, outcome: Outcome) -> None:
        """Let everybody who waits know how the story ended."""
        self._tally.tell_rest()
        self._outcome.set_result(outcome)
        self._redirect.cancel()
