"""The exchange: one POST creates an authorization from a redirect. An unclear outcome is verified before sending again.

A state is good for one use, so a second POST never creates a second authorization. But a code that is used twice may
revoke what its first use created (RFC 6749 section 4.1.2). Therefore the end of each POST decides what comes next:

==================================  =================================================================================
not sent (no connection, no TLS)    send again
408, 425, 429, 500, 503             verify; if it does not exist, send again, not before ``Retry-After``
no answer, any other 5xx, a 2xx     verify after 1, 3, 7 and 15 s; if it does not exist after 15 s, send again
that is not a record
401, 403                            the credentials are refused; the redirect is kept
any other 3xx or 4xx without        something else answered, and the redirect was not used; it is kept
an ``SVCSTG.`` code
0402, 0403 after an earlier POST    verify: the earlier POST may have created it
0402 on the first POST              the code or state is used or expired
==================================  =================================================================================

To verify is to list the authorizations. A list call that fails proves nothing: it is repeated, and nothing is sent. If
the account may not list, the outcome cannot be known. It exists if a record has our name and type and is not the one
that existed before (its ``create_time``). What is to be replaced is deleted right before the POST, by the same rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    MachineError,
    NameTakenError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.events import Deleted, Deleting, Event, Exchanging, Looking, Warned
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.journal import Journal
from oauth_helper.models import (
    CODE_LIFETIME,
    CONNECTING,
    Authorization,
    IfExists,
    LinkRequest,
    Pending,
    as_argument,
)
from oauth_helper.secret import safe_text
from oauth_helper.servicestage.client import ServiceStageClient

Answer = TypeVar("Answer")
Found = TypeVar("Found")
Tell = Callable[[Event], None]
"""Receives each event."""

ENDED: Final = frozenset({408, 425, 429, 500, 503})
"""HTTP statuses after which the server does not process the request any more."""
_WHOLE_SERVICE_REFUSED: Final = frozenset({"APIGW.0302", "APIGW.0402"})
"""A 403 with one of these codes refuses every call, not only the list."""


class Timing(Struct, frozen=True):
    """How long an exchange waits, in seconds."""

    total: float = 30.0
    """For everything, from the moment when the redirect came."""
    connecting: float = CONNECTING
    """For a connection, at most: a request may leave that late."""
    answer: float = 11.0
    """For one answer with its connection. It is longer than ``connecting``, so that it is known which one failed."""
    list_call: float = 5.0
    """For the answer to one list call."""
    verify_after: tuple[float, ...] = (1.0, 3.0, 7.0, 15.0)
    """When to verify after a request that may still be processed. At the last of them it counts as lost."""
    first_pause: float = 0.5
    """Before a request is sent again; each further pause is twice as long."""
    longest_pause: float = 4.0
    """Between two such requests, and between list calls after the last of ``verify_after``."""

    @property
    def lost_after(self) -> float:
        """When a request without an answer counts as lost."""
        return self.verify_after[-1]

    def pauses(self) -> Iterator[float]:
        """Return the pauses before a request is sent again, without end."""
        return (min(self.first_pause * 2**number, self.longest_pause) for number in count())

    def verify_times(self, since: float, now: float) -> Iterator[float]:
        """Return the times for list calls, without end; one call, now, for all times that have passed.

        Args:
            since: When the request had certainly left, by the clock of ``now``.
            now: The time.
        """
        due = [since + after for after in self.verify_after]
        ahead = [moment for moment in due if moment > now]
        if len(ahead) < len(due):
            yield now
        yield from ahead
        last = max(now, due[-1])
        yield from (last + self.longest_pause * number for number in count(1))


TIMING: Final = Timing()
"""The usual one."""


class CannotVerifyError(Exception):
    """This account may not list, so the outcome cannot be known. Callers replace it by an error for users."""


def is_list_alone_refused(error: NotPermittedError) -> bool:
    """Return whether this 403 refuses the list call only, so that other calls may be permitted."""
    return error.code not in _WHOLE_SERVICE_REFUSED


def find_existing(request: LinkRequest, listed: list[Authorization]) -> Authorization | None:
    """Return the authorization that has the name already, if there is one and it may be kept or replaced.

    Raises:
        NameTakenError: It exists, and may be neither kept nor replaced.
    """
    existing = next((one for one in listed if one.name == request.name), None)
    if existing:
        check_existing(request, existing)
    return existing


def find_made(pending: Pending, listed: list[Authorization]) -> Authorization | None:
    """Return what a pending exchange created: its name and type, and not the record that existed before."""
    for one in listed:
        # If the server leaves create_time out, only the deletion of the old record tells them apart.
        is_old = one.create_time == pending.stood_since and (one.create_time != 0 or not pending.is_deleted)
        if one.name == pending.target.name and one.is_of(pending.repo_type) and not is_old:
            return one
    return None


def check_existing(request: LinkRequest, existing: Authorization) -> None:
    """Check that this authorization, which has the requested name, may be kept or replaced.

    Raises:
        NameTakenError: It exists, and may be neither kept nor replaced.
    """
    if request.if_exists is IfExists.REPLACE:
        return
    if request.if_exists is IfExists.FAIL:
        raise NameTakenError(_("An authorization named {name} exists already", name=request.name))
    if not existing.is_of(request.repo_type):
        found = safe_text(existing.repo_type, limit=32)
        raise NameTakenError(
            _(
                "An authorization named {name} exists already, and it is of type {found}",
                name=request.name,
                found=found,
            )
        )
    if not existing.works:
        raise NameTakenError(
            _(
                "An authorization named {name} exists already, but it does not work (status {status})",
                name=request.name,
                status=existing.status,
            ),
            hint=_("Give --if-exists replace to put a working one in its place."),
        )


def redirect_creation(pending: Pending, service: ServiceStageClient) -> Callable[[], Awaitable[Authorization]]:
    """Return the POST for a captured redirect.

    Raises:
        ValueError: The pending exchange has no code or state.
    """
    if pending.code is None or pending.state is None:
        raise ValueError("a pending exchange without code and state cannot be sent")
    return partial(
        service.create_oauth,
        pending.repo_type,
        name=pending.target.name,
        code=pending.code,
        state=pending.state,
        tag=pending.tag,
    )


class Verifier:
    """Lists authorizations until the outcome of a request is known."""

    def __init__(self, service: ServiceStageClient, name: str, tell: Tell, timing: Timing, *, may_list: bool) -> None:
        self._service = service
        self._name = name
        self._tell = tell
        self._timing = timing
        self.may_list: bool = may_list
        """False after ServiceStage has refused to list (403)."""

    async def list_once(self) -> list[Authorization] | None:
        """Send one list call; None: its failure proves nothing.

        Raises:
            CannotVerifyError: This account may not list.
            CredentialsError: The credentials are refused, so further calls would fail too.
        """
        if not self.may_list:
            raise CannotVerifyError
        self._tell(Looking(self._name))
        try:
            async with asyncio.timeout(self._timing.list_call):
                return await self._service.list_authorizations(retry=False)
        except NotPermittedError as error:
            if not is_list_alone_refused(error):
                raise
            self.may_list = False
            raise CannotVerifyError from error
        except CredentialsError:
            raise
        except (OAuthHelperError, TimeoutError):
            return None

    async def find(
        self, read: Callable[[list[Authorization]], Found | None], *, since: float | None = None
    ) -> Found | None:
        """List until ``read`` finds something, or until the request counts as lost. Raises as :meth:`list_once`.

        Args:
            read: Returns what it finds in the list, or None.
            since: When the request had left, by the loop's clock; None: the server does not process it any more.
        """
        lost_at = _now() if since is None else since + self._timing.lost_after
        for moment in self._timing.verify_times(lost_at - self._timing.lost_after, _now()):
            await asyncio.sleep(moment - _now())
            # A loop that counts whole milliseconds (uvloop) may wake early; then the planned moment counts.
            is_lost = max(moment, _now()) >= lost_at
            listed = await self.list_once()
            if listed is not None and ((found := read(listed)) is not None or is_lost):
                return found
        raise AssertionError("the times have no end")  # pragma: no cover - for mypy


class Exchange:
    """Creates one authorization from a pending exchange, or reports what became of it.

    Args:
        pending: What is exchanged.
        service: Lists and deletes authorizations.
        create: Sends the POST.
        tell: Receives the events.
        journal: Where each step is saved before it happens; None: nowhere.
        timing: How long to wait.
        names_before: The names that existed before the redirect came; None: they are not known.
        may_list: Whether this account may list, as far as is known.
        is_resumed: Whether ``pending`` comes from the journal, where an earlier process has left it.
    """

    def __init__(
        self,
        pending: Pending,
        service: ServiceStageClient,
        create: Callable[[], Awaitable[Authorization]],
        tell: Tell,
        *,
        journal: Journal | None = None,
        timing: Timing = TIMING,
        names_before: Collection[str] | None = None,
        may_list: bool = True,
        is_resumed: bool = False,
    ) -> None:
        self.pending: Pending = pending
        self.names_before: Collection[str] | None = names_before
        self.verifier: Verifier = Verifier(service, pending.target.name, tell, timing, may_list=may_list)
        self.may_be_used: bool = False
        """Whether an earlier POST than the one that was refused may have used the code."""
        self._service = service
        self._create = create
        self._tell = tell
        self._journal = journal
        self._timing = timing
        self._is_kept = self._is_resumed = is_resumed
        self._attempts = 0
        self._ends_at = 0.0
        self._last_error: OAuthHelperError | None = None
        self._is_absent = False
        """Whether the list call after the last failure showed that nothing was created."""
        self._deletion_failed_at = 0.0
        self._may_be_deleted = False
        """Whether a deletion was requested and its outcome is not known."""

    async def run(self) -> Authorization:
        """Create the authorization, and return it.

        Raises:
            NameTakenError: The name is taken. The redirect is still good, and is kept until :meth:`forget`.
            RefusedError: ServiceStage refused. Nothing is kept.
            CredentialsError: The credentials are refused. The redirect is kept.
            OutcomeUnknownError: It is not known whether it was created. The redirect is kept.
        """
        time_left = self._time_left()
        self._ends_at = _now() + time_left
        try:
            async with asyncio.timeout(time_left):
                authorization = await self._created_earlier() or await self._create_until_known()
        except (TimeoutError, CannotVerifyError):
            raise self._unknown(self._last_error) from self._last_error
        except NameTakenError:
            raise
        except OAuthHelperError as error:
            if error.is_foreign_refusal:
                raise self._unknown(error) from error
            if isinstance(error, RefusedError) and error.is_foreign_denial:
                raise self._with_redirect_kept(_not_permitted(error)) from error
            if isinstance(error, CredentialsError):
                self._with_redirect_kept(error)
            elif isinstance(error, RefusedError):
                self.forget()
            raise
        self.forget()
        return authorization

    async def run_again(self, *, replacing: Authorization) -> Authorization:
        """Send the redirect again after its name was refused, which used neither code nor state.

        The authorization that has the name is deleted first. Raises as :meth:`run`.
        """
        self.pending = replace(self.pending, stood_since=replacing.create_time, sent_at=None)
        self._last_error, self._is_absent, self._attempts = None, False, 0
        return await self.run()

    def forget(self) -> None:
        """Remove the pending exchange from the journal: it is of no use any more."""
        if self._journal and self._is_kept:
            self._is_kept = False
            try:
                self._journal.remove(self.pending)
            except MachineError as error:
                self._tell(Warned(error.message))

    def _time_left(self) -> float:
        since_capture = (datetime.now(UTC) - self.pending.captured_at).total_seconds()
        # An exchange of an earlier process has the whole time from when this process takes it up.
        spent = 0.0 if self._is_resumed else max(0.0, since_capture)
        return min(self._timing.total - spent, CODE_LIFETIME.total_seconds() - since_capture)

    async def _created_earlier(self) -> Authorization | None:
        """Return what an earlier process has created, once its POST cannot create anything any more."""
        if self.pending.sent_at is None:
            return None
        # If the clock was set back, the times prove nothing. And the connection may have taken its time.
        is_sound = self.pending.sent_at >= self.pending.captured_at
        ago = (datetime.now(UTC) - self.pending.sent_at).total_seconds() if is_sound else 0.0
        return await self.verifier.find(self._find_made, since=_now() - max(0.0, ago - self._timing.connecting))

    async def _create_until_known(self) -> Authorization:
        if self.pending.stood_since is not None and not self.pending.is_deleted:
            await self._delete_existing()
        pauses = self._timing.pauses()
        while True:
            was_sent = self.pending.sent_at is not None
            try:
                return await self._send()
            except RefusedError as error:
                return await self._created_despite(error, was_sent=was_sent)
            except UnavailableError as error:
                if error.is_foreign_refusal:
                    raise
                failure, failed_at = error, _now()
            self._last_error = failure
            if failure.sent and (found := await self._verify(failure, self._find_made)):
                return found
            self._is_absent = failure.status in ENDED
            await self._pause(next(pauses), failure, failed_at)

    async def _send(self) -> Authorization:
        """Send the POST; the journal says before that it may have been sent."""
        sent_before, was_absent = self.pending.sent_at, self._is_absent
        self._save(replace(self.pending, sent_at=datetime.now(UTC)))
        self._attempts += 1
        self._is_absent = False
        self._tell(Exchanging(self._attempts, self.pending.is_deleted, self._is_kept))
        try:
            made = await self._answer(self._create)
        except OAuthHelperError as error:
            is_unused = error.is_foreign_refusal or error.is_foreign_denial
            is_unsent = isinstance(error, UnavailableError) and not error.sent
            if is_unused or is_unsent or isinstance(error, CredentialsError | NameTakenError):
                self._save(replace(self.pending, sent_at=sent_before))
                self._is_absent = was_absent
            raise
        if made.name != self.pending.target.name:
            raise UnusableAnswerError(_("the answer tells of an authorization of another name"), sent=True)
        return made

    async def _created_despite(self, error: RefusedError, *, was_sent: bool) -> Authorization:
        """Return what an earlier POST created before this one was refused; else raise ``error`` with what is known."""
        self.may_be_used = was_sent
        if isinstance(error, CodeOrStateInvalidError | NameTakenError) and was_sent:
            self._last_error = error
            if found := await self.verifier.find(self._find_made):
                return found
        elif isinstance(error, CodeOrStateInvalidError):
            await self._name_what_appeared(error)
        elif isinstance(error, NameTakenError) and not self.verifier.may_list:
            delete = f"`oauth-helper delete {as_argument(self.pending.target.name)}`"
            error.hint = _(
                "Choose another --name, or run {delete} first: what may not be listed is not replaced.", delete=delete
            )
        error.message += what_is_gone(self.pending)
        raise error

    async def _name_what_appeared(self, error: CodeOrStateInvalidError) -> None:
        """Add to the refusal what exists now and did not before: a signed-in console may have used the redirect."""
        before, self.names_before = self.names_before, None
        if before is None:
            return
        with suppress(CannotVerifyError, CredentialsError):  # the refusal is the error to report
            if (listed := await self.verifier.list_once()) is None:
                return
            self.names_before = frozenset(one.name for one in listed)
            appeared = [one.name for one in listed if one.is_of(self.pending.repo_type) and one.name not in before]
            if appeared:
                names = ", ".join(f'"{safe_text(name, limit=63)}"' for name in appeared)
                error.message += _(
                    ". In the meantime {names} appeared, perhaps from this redirect: a console with a signed-in user "
                    "creates one",
                    names=names,
                )
                error.hint = _("If {names} is yours, use it. If not, run the command again.", names=names)

    async def _delete_existing(self) -> None:
        """Delete what is to be replaced until the name is free. A late deletion would delete the new authorization."""
        name, existing_since = self.pending.target.name, self.pending.stood_since
        if self._is_resumed:
            listed = await self.verifier.find(lambda listed: listed)
            if any(one.name == name and one.create_time != existing_since for one in listed or ()):
                raise _created_since(self.pending)
        self._save(self.pending)
        pauses = self._timing.pauses()
        while not await self._is_deleted():
            failure = self._last_error
            if isinstance(failure, UnavailableError):  # pragma: no branch - for mypy
                await self._pause(next(pauses), failure, self._deletion_failed_at)
        self._save(replace(self.pending, is_deleted=True))
        self._tell(Deleted(name))

    async def _is_deleted(self) -> bool:
        name = self.pending.target.name
        self._tell(Deleting(name, self._is_kept))
        try:
            await self._answer(lambda: self._service.delete_authorization(name))
        except NoSuchAuthorizationError:
            return True  # someone else deleted it, or an earlier request did
        except UnavailableError as error:
            if error.is_foreign_refusal:
                raise
            self._last_error, self._deletion_failed_at = error, _now()
            if not error.sent:
                return False
            self._may_be_deleted = True
            is_free = await self._verify(error, self._name_is_free)
            self._may_be_deleted = False
            return is_free is not None
        return True

    def _name_is_free(self, listed: list[Authorization]) -> bool | None:
        return None if any(one.name == self.pending.target.name for one in listed) else True

    def _find_made(self, listed: list[Authorization]) -> Authorization | None:
        return find_made(self.pending, listed)

    async def _verify(
        self, failure: UnavailableError, read: Callable[[list[Authorization]], Found | None]
    ) -> Found | None:
        # When a request without an answer left is not known, as its connection may have taken a while.
        return await self.verifier.find(read, since=None if failure.status in ENDED else _now())

    async def _answer(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        seconds = self._timing.answer
        try:
            async with asyncio.timeout(seconds):
                return await call()
        except TimeoutError:
            raise UnreachableError(
                _("there was no answer within {seconds:g} seconds", seconds=seconds), sent=True
            ) from None

    async def _pause(self, seconds: float, failure: UnavailableError, failed_at: float) -> None:
        """Wait before a request is sent again: ``seconds``, or as long as the answer asks.

        Raises:
            OutcomeUnknownError: The answer asks for more time than is left.
        """
        wait, now = failure.retry_after or 0.0, _now()
        until = max(now + seconds, failed_at + wait)
        if wait and until >= self._ends_at:
            raise self._unknown(failure, wait=wait)
        await asyncio.sleep(until - now)

    def _save(self, pending: Pending) -> None:
        self.pending = pending
        if self._journal is None:
            return
        try:
            self._journal.write(pending)
            self._is_kept = True
        except MachineError as error:
            self._tell(Warned(error.message))
            # The earlier entry is not true any more: another process that reads it might send twice.
            self.forget()
            self._journal = None

    def _unknown(self, failure: OAuthHelperError | None, *, wait: float = 0.0) -> OutcomeUnknownError:
        """Return the error for an outcome that is not known; ``wait``: the last answer asks for these seconds."""
        happened = self._what_happened()
        if failure:
            happened = _("{happened}: {why}", happened=happened, why=failure.message)
        hint = self._next_step()
        if failure and failure.is_foreign_refusal:
            happened += _who_answered(failure)
            then = hint if self._is_kept or self.pending.sent_at else _("Then run the command again.")
            hint = _("Check the proxy, the firewall and the endpoint. {then}", then=then)
        elif failure and wait:
            is_too_long = datetime.now(UTC) + timedelta(seconds=wait) >= self.pending.captured_at + CODE_LIFETIME
            if self._is_kept and is_too_long:
                hint = _("{wait} The redirect expires before that: run the command again.", wait=failure.hint)
            elif self._is_absent and not self._is_kept:
                hint = failure.hint
            else:
                hint = _("{wait} {then}", wait=failure.hint, then=hint)
        return OutcomeUnknownError(
            happened + what_is_gone(self.pending),
            hint=hint,
            code=failure.code if failure else None,
            request_id=failure.request_id if failure else None,
            status=failure.status if failure else None,
        )

    def _what_happened(self) -> Text:
        name = self.pending.target.name
        if self._may_be_deleted:
            return _(
                "ServiceStage was asked to delete the authorization named {name}, but whether it did is not known, so "
                "none was created in its place",
                name=name,
            )
        if self.pending.stood_since is not None and not self.pending.is_deleted:
            return _("The authorization named {name} could not be deleted, so none was created in its place", name=name)
        if self.pending.sent_at is None:
            return _("ServiceStage could not be asked to create {name}", name=name)
        if self._is_absent:
            return _("ServiceStage did not create {name}", name=name)
        if self.verifier.may_list:
            return _("ServiceStage was asked to create {name}, but whether it did is not known", name=name)
        return _(
            "ServiceStage was asked to create {name}; whether it did cannot be known, as it may not be listed",
            name=name,
        )

    def _next_step(self) -> Text:
        """Return what the user can do after an exchange without a known outcome."""
        name, may_list = self.pending.target.name, self.verifier.may_list
        if self._is_kept and (may_list or self.pending.sent_at is None):
            return self._resume_hint()
        if may_list:
            return _(
                "`oauth-helper show {name}` tells whether it exists. If not, run the command again.",
                name=as_argument(name),
            )
        if self._is_kept:
            return _(
                "See in the console, or ask who may list, whether {name} exists. If not, run the command again, or, "
                "once you may list, `oauth-helper resume` until {until}.",
                name=name,
                until=self._expiry(),
            )
        return _(
            "See in the console, or ask who may list, whether {name} exists. If not, run the command again.", name=name
        )

    def _resume_hint(self) -> Text:
        return _("The redirect is kept: `oauth-helper resume` finishes it, until {until}.", until=self._expiry())

    def _expiry(self) -> str:
        return f"{(self.pending.captured_at + CODE_LIFETIME).astimezone(UTC):%H:%M:%S} UTC"

    def _with_redirect_kept(self, error: CredentialsError) -> CredentialsError:
        """Add to an error about the credentials that the redirect is not lost."""
        if error.is_foreign_denial and error.code == str(error.status):  # a page, without a code of the gateway or IAM
            error.message += _who_answered(error)
        error.message += what_is_gone(self.pending)
        if self._is_kept:
            error.hint += _(" {more}", more=self._resume_hint())
        return error


def _now() -> float:
    return asyncio.get_running_loop().time()


def _who_answered(error: OAuthHelperError) -> Text:
    return _(". This is not an answer of ServiceStage but of {who}", who=error.answered_by)


def what_is_gone(pending: Pending) -> Text:
    """Return the sentence about what was deleted, to append to another one; empty if nothing was deleted."""
    if not pending.is_deleted:
        return NO_TEXT
    return _(". The authorization that was named {name} is deleted", name=pending.target.name)


def _created_since(pending: Pending) -> NameTakenError:
    name = pending.target.name
    again = f"`oauth-helper link {pending.repo_type} --name {name} --if-exists replace`"
    return NameTakenError(
        _(
            "The authorization named {name} was made anew since it was to be replaced, so it was left as it is",
            name=name,
        ),
        hint=_("To replace it all the same, run {again}.", again=again),
    )


def _not_permitted(error: RefusedError) -> NotPermittedError:
    return NotPermittedError(
        error.message,
        hint=error.hint,
        code=error.code,
        request_id=error.request_id,
        status=error.status,
        answered_by=error.answered_by,
    )
