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
"""Seconds of waiting after which guidance is given."""

_GUIDANCE: Final = {
    RejectedRequest.HTTPS: Guidance.HTTPS,
    RejectedRequest.LOCALHOST: Guidance.LOCALHOST,
    RejectedRequest.OTHER_USER: Guidance.OTHER_USER,
    "foreign-state": Guidance.OTHER_ATTEMPT,
    "wrong-repo-type": Guidance.OTHER_ATTEMPT,
    "wrong-issuer": Guidance.OTHER_ATTEMPT,
    "missing-code": Guidance.NOT_WHOLE,
    "repeated-parameter": Guidance.NOT_WHOLE,
}
"""What is probably wrong if a request was rejected for this reason, the most telling reason first."""
_TOLD_AT_ONCE: Final = 10
"""Of each reason. A flood of requests must not flood the terminal, or a script that reads slowly."""
_REPORT_EVERY: Final = 1.0
"""Seconds between two reports of further rejected requests."""


class Diagnosis:
    """What has reached this process during one wait, and what may keep the redirect away."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._is_reached = False
        self._given: set[Guidance] = set()

    def reached(self, reason: str | None = None) -> None:
        """Note a request; ``reason`` is why it was rejected."""
        self._is_reached = True
        if reason:
            self._reasons.add(reason)

    def guidance(self, *, is_last: bool) -> Guidance | None:
        """Return the next guidance that was not given before; ``is_last``: this is the last call."""
        candidates = [guidance for reason, guidance in _GUIDANCE.items() if reason in self._reasons]
        if not self._is_reached:
            candidates.append(Guidance.UNREACHED)
        elif is_last:
            candidates.append(Guidance.UNDECIDED)
        guidance = next((one for one in candidates if one not in self._given), None)
        if guidance:
            self._given.add(guidance)
        return guidance


class RejectedRequestCounter:
    """Counts rejected requests by reason, and reports them: the first ones at once, the others once per second."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._counts: Counter[str] = Counter()
        self._unreported: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reason: str) -> None:
        """Count one more."""
        self._counts[reason] += 1
        if self._counts[reason] <= _TOLD_AT_ONCE:
            self._tell(Ignored(reason, self._counts[reason]))
            return
        self._unreported[reason] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_REPORT_EVERY, self.report)

    def report(self) -> None:
        """Report now what was counted since the last report."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        unreported, self._unreported = self._unreported, {}
        for reason in unreported:
            self._tell(Ignored(reason, self._counts[reason]))


class Ending:
    """Passes the events of a link on, and its outcome exactly once."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self.progress: Progress = Progress()

    def watch(self, event: Event) -> None:
        """Pass an event on, and note the progress."""
        self.progress.take(event)
        self._tell(event)

    def explain(self, error: OAuthHelperError) -> None:
        """Add to an error that nothing was created, if that is certain. Further calls change nothing."""
        if not self.progress.may_be_created:
            error.say_that_nothing_was_created()

    def tell(self, outcome: Outcome) -> None:
        """Pass the outcome on, unless there was one before."""
        if self.progress.is_over:
            return
        if isinstance(outcome, Failed):
            self.explain(outcome.error)
        self.watch(outcome)


class RedirectReceiver:
    """Validates the redirects of all ways; the first valid one wins, and all ways learn the same outcome."""

    def __init__(self, request: AuthorizationRequest, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._rejected = RejectedRequestCounter(tell)
        self._is_denied = False
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.way: Way | None = None
        """How the last valid redirect came, a denial included."""
        self.start_over(request)

    def start_over(self, request: AuthorizationRequest) -> None:
        """Wait for the redirect of this request; the one before, if any, was refused."""
        self._request = request
        self._diagnosis = Diagnosis()
        self._redirect: asyncio.Future[AuthorizationResponse] = asyncio.get_running_loop().create_future()
        self.is_refused: bool = False
        """Whether ServiceStage has refused the redirect that came."""

    @property
    def authorization_url(self) -> str:
        """The authorization URL, which contains the state."""
        return self._request.url.reveal()

    @property
    def printed_url(self) -> str:
        """The authorization URL for people and scripts: terminals and chats recognize it as one link."""
        return self._request.printed_url.reveal()

    @property
    def repo_type(self) -> RepoType:
        """What is being linked."""
        return self._request.repo_type

    @property
    def state(self) -> Secret:
        """The state that a redirect must have."""
        return self._request.state

    @property
    def redirect_uri(self) -> str | None:
        """Where the Git host will redirect to, if that is known."""
        return self._request.redirect_uri

    def judge(self, text: str, way: Way) -> None:
        """Take the redirect from a pasted text.

        Raises:
            RedirectRejectedError: It is not the redirect of this link, or not complete; the wait goes on.
        """
        self._take(self._request.judge, text, way)

    def judge_query(self, query: str, way: Way) -> None:
        """Take the redirect from the raw query of a request. Raises as :meth:`judge`."""
        self._take(self._request.judge_query, query, way)

    def _take(self, judge: Callable[[str], AuthorizationResponse], offered: str, way: Way) -> None:
        try:
            response = judge(offered)
        except RedirectRejectedError as rejected:
            self.ignore(rejected.reason)
            raise
        except AuthorizationDeniedError as denied:
            self._rejected.report()
            if not self._redirect.done():
                self._is_denied, self.way = True, way
            self.give_up(denied)
        else:
            if not self._redirect.done():
                self._redirect.set_result(response)
                self.way = way
                self._rejected.report()
                self._tell(Captured(way))

    def ignore(self, reason: str) -> None:
        """Count a rejected request, or a rejected redirect."""
        if not self._outcome.done():  # the outcome is the last event
            self._diagnosis.reached(reason)
            self._rejected.add(reason)

    def visit(self) -> None:
        """Note that a browser has reached the listener."""
        self._diagnosis.reached()
        if not self._redirect.done():
            self._tell(Visited())

    def warn_of_second_use(self, listener: str) -> None:
        """Report that an address that is good once was used again, and a new address."""
        if not self._redirect.done():
            self._tell(OpenedTwice(listener))

    def guidance(self, *, is_last: bool) -> Guidance | None:
        """Return what may keep the redirect away, unless that was given before; see :class:`Diagnosis`."""
        return self._diagnosis.guidance(is_last=is_last)

    @property
    def has_redirect(self) -> bool:
        """Whether the redirect came."""
        return self._redirect.done() and not self._redirect.cancelled() and self._redirect.exception() is None

    @property
    def was_answered(self) -> bool:
        """Whether the redirect or a denial came."""
        return self.has_redirect or self._is_denied

    def refuse(self) -> None:
        """Note that ServiceStage has refused the redirect."""
        self.is_refused = True
        self._tell(Refused())

    def give_up(self, error: BaseException) -> None:
        """End the wait with ``error``, unless the redirect came."""
        if not self._redirect.done():
            self._redirect.set_exception(error)

    async def redirect(self) -> AuthorizationResponse:
        """Wait for the first valid redirect.

        Raises:
            AuthorizationDeniedError: It says that the Git host or the user refused.
        """
        return await asyncio.shield(self._redirect)

    async def outcome(self) -> Outcome:
        """Wait for the outcome of the link."""
        return await asyncio.shield(self._outcome)

    def end(self, outcome: Outcome) -> None:
        """Give the outcome to all that wait for it."""
        self._rejected.report()
        self._outcome.set_result(outcome)
        self._redirect.cancel()
