"""Every way delivers its redirect here: one winner, one outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from oauth_helper.errors import (
    AuthorizationDeniedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    StoppedError,
)
from oauth_helper.events import (
    AnyOutcome,
    Captured,
    Event,
    Failed,
    Guidance,
    Ignored,
    OpenedTwice,
    Outcome,
    PageOpened,
    Progress,
    Refused,
    RejectedRequest,
    Way,
)
from oauth_helper.i18n import _
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse

OutcomeT = TypeVar("OutcomeT", bound=Outcome)

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


class RedirectReceiver:
    """Validates the redirects of all ways; the first valid one wins, and all ways learn the same outcome."""

    def __init__(self, request: AuthorizationRequest, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._counts: Counter[str] = Counter()
        self._unreported: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.outcome: asyncio.Future[AnyOutcome] = asyncio.get_running_loop().create_future()
        self.way: Way | None = None
        """How the last valid redirect came, a denial included."""
        self.start_over(request)

    def start_over(self, request: AuthorizationRequest) -> None:
        """Wait for the redirect of this request; the one before, if any, was refused."""
        self.request: AuthorizationRequest = request
        self._redirect: asyncio.Future[AuthorizationResponse] = asyncio.get_running_loop().create_future()
        self._reasons: set[str] = set()
        self._is_reached = False
        self._given: set[Guidance] = set()
        self.is_refused: bool = False
        """Whether ServiceStage has refused the redirect that came."""

    def judge(self, text: str, way: Way) -> None:
        """Take the redirect from a pasted text; raise RedirectRejectedError if it is not ours, and go on waiting."""
        self._take(self.request.judge, text, way)

    def judge_query(self, query: str, way: Way) -> None:
        """Take the redirect from the raw query of a request, as :meth:`judge`."""
        self._take(self.request.judge_query, query, way)

    def _take(self, judge: Callable[[str], AuthorizationResponse], offered: str, way: Way) -> None:
        try:
            response = judge(offered)
        except RedirectRejectedError as rejected:
            self.ignore(rejected.reason)
            raise
        except AuthorizationDeniedError as denied:
            self._report_rejected()
            if not self._redirect.done():
                self.way = way
                self._redirect.set_exception(denied)
        else:
            if not self._redirect.done():
                self._redirect.set_result(response)
                self.way = way
                self._report_rejected()
                self._tell(Captured(way, None if self.request.repo_type else response.redirect))

    def ignore(self, reason: str) -> None:
        """Count a rejected request or redirect, and report it: the first ones at once, the others once per second."""
        if self.outcome.done():  # the outcome is the last event
            return
        self._is_reached = True
        self._reasons.add(reason)
        self._counts[reason] += 1
        if self._counts[reason] <= _TOLD_AT_ONCE:
            self._tell(Ignored(reason, self._counts[reason]))
            return
        self._unreported[reason] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_REPORT_EVERY, self._report_rejected)

    def _report_rejected(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        unreported, self._unreported = self._unreported, {}
        for reason in unreported:
            self._tell(Ignored(reason, self._counts[reason]))

    def page_opened(self) -> None:
        """Note that a browser has reached the listener."""
        self._is_reached = True
        if not self._redirect.done():
            self._tell(PageOpened())

    def warn_of_second_use(self, listener: str) -> None:
        """Report that an address that is good once was used again, and a new address."""
        if not self._redirect.done():
            self._tell(OpenedTwice(listener))

    def guidance(self, *, is_last: bool) -> Guidance | None:
        """Return what may keep the redirect away, unless that was given before; ``is_last``: this is the last call."""
        candidates = [guidance for reason, guidance in _GUIDANCE.items() if reason in self._reasons]
        if not self._is_reached:
            candidates.append(Guidance.UNREACHED)
        elif is_last:
            candidates.append(Guidance.UNDECIDED)
        guidance = next((one for one in candidates if one not in self._given), None)
        if guidance:
            self._given.add(guidance)
        return guidance

    @property
    def has_redirect(self) -> bool:
        """Whether the redirect came."""
        return self.was_answered and self._redirect.exception() is None

    @property
    def was_answered(self) -> bool:
        """Whether the redirect or a denial came."""
        is_done = self._redirect.done() and not self._redirect.cancelled()
        return is_done and isinstance(self._redirect.exception(), AuthorizationDeniedError | None)

    def refuse(self) -> None:
        """Note that ServiceStage has refused the redirect."""
        self.is_refused = True
        self._tell(Refused())

    def give_up(self, error: BaseException) -> None:
        """End the wait with ``error``, unless the redirect came."""
        if not self._redirect.done():
            self._redirect.set_exception(error)

    async def redirect(self) -> AuthorizationResponse:
        """Wait for the first valid redirect; raise AuthorizationDeniedError if it is a denial."""
        return await asyncio.shield(self._redirect)

    def end(self, outcome: AnyOutcome) -> None:
        """Give the outcome to all that wait for it, unless there was one before."""
        if not self.outcome.done():
            self._report_rejected()
            self.outcome.set_result(outcome)
            self._redirect.cancel()


class Report:
    """Passes the events of a link or a capture on, and gives its outcome to the caller and to the page, once."""

    def __init__(self, tell: Callable[[Event], None], *, is_link: bool = True) -> None:
        self._tell, self._is_link, self._progress = tell, is_link, Progress()
        self.receiver: RedirectReceiver | None = None
        """What gives the outcome to the page, once it exists."""

    def tell(self, event: Event) -> None:
        """Pass an event on, and note the progress."""
        self._progress.take(event)
        self._tell(event)

    def end(self, outcome: OutcomeT) -> OutcomeT:
        """Report the outcome, unless there was one before; return it."""
        if not self._progress.is_over:
            if isinstance(outcome, Failed) and self._is_link and not self._progress.may_be_created:
                outcome.error.say_that_nothing_was_created()
            if self.receiver:
                self.receiver.end(outcome)
            self.tell(outcome)
        return outcome

    @asynccontextmanager
    async def failures(self) -> AsyncIterator[None]:
        """Report the error that ends the context. A stop and a fault of ours are reported to the page only."""
        try:
            yield
        except OAuthHelperError as error:
            self.end(Failed(error))
            raise
        except BaseException as error:
            if self.receiver:
                fault = OAuthHelperError(_("Unexpected {name__}", name__=type(error).__name__))
                is_stop = isinstance(error, asyncio.CancelledError)
                self.receiver.end(Failed(self._stopped(self.receiver) if is_stop else fault))
            raise

    def _stopped(self, receiver: RedirectReceiver) -> OAuthHelperError:
        if not self._is_link:
            return StoppedError(_("oauth-helper was stopped"))
        if receiver.is_refused or not receiver.has_redirect:
            return StoppedError(_("oauth-helper was stopped. Nothing was created"))
        hint = _("Run the command again: it keeps the authorization if that was created.")
        if self._progress.is_kept:
            hint = _("The redirect is kept: `oauth-helper resume` finishes it within 10 minutes of its coming.")
        return OutcomeUnknownError(
            _("oauth-helper was stopped while ServiceStage was asked to create the authorization"), hint=hint
        )
