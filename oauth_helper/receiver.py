"""Every way delivers its redirect here: one winner, one outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from oauth_helper.errors import AuthorizationDeniedError, OAuthHelperError, RedirectRejectedError
from oauth_helper.events import (
    Captured,
    Event,
    Failed,
    Guidance,
    Ignored,
    OpenedTwice,
    Outcome,
    Progress,
    Refused,
    RejectedRequest,
    Visited,
    Way,
)
from oauth_helper.models import RepoType
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.secret import Secret

MOMENTS: Final = (15.0, 30.0, 60.0)
"""Seconds of waiting, after which advice is given."""

_MEANS: Final = {
    RejectedRequest.HTTPS: Guidance.HTTPS,
    RejectedRequest.LOCALHOST: Guidance.LOCALHOST,
    RejectedRequest.OTHER_USER: Guidance.OTHER_USER,
    "foreign-state": Guidance.OTHER_ATTEMPT,
    "wrong-repo-type": Guidance.OTHER_ATTEMPT,
    "wrong-issuer": Guidance.OTHER_ATTEMPT,
    "missing-code": Guidance.NOT_WHOLE,
    "repeated-parameter": Guidance.NOT_WHOLE,
}
"""What stands in the way if a request of this kind was the user's, the most telling first."""


class Diagnosis:
    """What is known of one wait."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._is_reached = False
        self._given: set[Guidance] = set()

    def reached(self, reason: str | None = None) -> None:
        """Know that something has reached us; where it was ignored, for what ``reason``."""
        self._is_reached = True
        if reason:
            self._reasons.add(reason)

    def guidance(self, *, is_last: bool) -> Guidance | None:
        """Return what to say now that was not said before, if anything; ``is_last``: there will be no more of it."""
        candidates = [guidance for reason, guidance in _MEANS.items() if reason in self._reasons]
        if not self._is_reached:
            candidates.append(Guidance.UNREACHED)
        elif is_last:
            candidates.append(Guidance.UNDECIDED)
        guidance = next((one for one in candidates if one not in self._given), None)
        if guidance:
            self._given.add(guidance)
        return guidance


_TOLD_AT_ONCE: Final = 10
"""Of each reason. Who floods us shall not flood the terminal, nor a script that reads slowly."""
_PAUSE: Final = 1.0
"""Seconds between two tellings of more."""


class RejectedRequestCounter:
    """Counts what is ignored, and tells of it."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._counts: Counter[str] = Counter()
        self._untold: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reason: str) -> None:
        """Count one more."""
        self._counts[reason] += 1
        if self._counts[reason] <= _TOLD_AT_ONCE:
            self._tell(Ignored(reason, self._counts[reason]))
            return
        self._untold[reason] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self.tell_rest)

    def tell_rest(self) -> None:
        """Tell now what was counted since."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        untold, self._untold = self._untold, {}
        for reason in untold:
            self._tell(Ignored(reason, self._counts[reason]))


class Ending:
    """Tells the events of a link, and its end once: before anything is closed, and with what it means."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self.progress: Progress = Progress()

    def watch(self, event: Event) -> None:
        """Tell an event, and remember how far the link is."""
        self.progress.take(event)
        self._tell(event)

    def explain(self, error: OAuthHelperError) -> None:
        """Say in an error that nothing was created, if that is certain. Further calls change nothing."""
        if not self.progress.may_be_created:
            error.say_that_nothing_was_created()

    def tell(self, outcome: Outcome) -> None:
        """Tell the end, unless it is told."""
        if self.progress.is_over:
            return
        if isinstance(outcome, Failed):
            self.explain(outcome.error)
        self.watch(outcome)


class RedirectReceiver:
    """Where every way brings what it caught: one judge, one winner, one outcome for all."""

    def __init__(self, request: AuthorizationRequest, tell: Callable[[Event], None]) -> None:
        self._request = request
        self._tell = tell
        self._rejected = RejectedRequestCounter(tell)
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
    def state(self) -> Secret:
        """What the redirect has to bring back."""
        return self._request.state

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
            self._rejected.tell_rest()
            if not self._redirect.done():
                self._is_denied = True
                self._way = way
            self.give_up(denied)
        else:
            if not self._redirect.done():
                self._redirect.set_result(response)
                self._way = way
                self._rejected.tell_rest()
                self._tell(Captured(way))

    def ignore(self, rejected: RejectedRequest) -> None:
        """Count a request to the listener that got no further."""
        self._ignore(rejected)

    def _ignore(self, reason: str) -> None:
        if self._outcome.done():
            return  # The end is told, and nothing comes after it.
        self._diagnosis.reached(reason)
        self._rejected.add(reason)

    def visit(self) -> None:
        """Know that a browser that can reach us begins."""
        self._diagnosis.reached()
        if not self._redirect.done():
            self._tell(Visited())

    def warn_of_second_use(self, listener: str) -> None:
        """Have the user told that an address that is good once was used again, and of a new one."""
        if not self._redirect.done():
            self._tell(OpenedTwice(listener))

    def guidance(self, *, is_last: bool) -> Guidance | None:
        """Return what may keep the redirect from coming, unless that was said; see :class:`Diagnosis`."""
        return self._diagnosis.guidance(is_last=is_last)

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
        self._rejected.tell_rest()
        self._outcome.set_result(outcome)
        self._redirect.cancel()
