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
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, count
from typing import Any, Final, TypeVar

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
from oauth_helper.models import CODE_LIFETIME, CONNECTING, Authorization, IfExists, LinkRequest, Pending, as_argument
from oauth_helper.secret import safe_text
from oauth_helper.servicestage.client import ServiceStageClient

Found = TypeVar("Found")
Tell = Callable[[Event], None]
"""Receives each event."""

ENDED: Final = frozenset({408, 425, 429, 500, 503})
"""HTTP statuses after which the server does not process the request any more."""


class Timing(Struct, frozen=True):
    """How long an exchange waits, in seconds."""

    total: float = 30.0  # for everything, from the moment when the redirect came
    connecting: float = CONNECTING  # for a connection, at most: a request may leave that late
    answer: float = 11.0  # for one answer; longer than ``connecting``, so that it is known which one failed
    list_call: float = 5.0  # for the answer to one list call
    verify_after: tuple[float, ...] = (1.0, 3.0, 7.0, 15.0)  # after a request that may still be processed
    first_pause: float = 0.5  # before a request is sent again; each further pause is twice as long
    longest_pause: float = 4.0  # between two such requests, and between list calls after the last of ``verify_after``

    @property
    def lost_after(self) -> float:
        """When a request without an answer counts as lost."""
        return self.verify_after[-1]


TIMING: Final = Timing()
"""The usual one."""


class CannotVerifyError(Exception):
    """This account may not list, so the outcome cannot be known."""


def is_list_alone_refused(error: NotPermittedError) -> bool:
    """Return whether this 403 refuses the list call only, so that other calls may be permitted."""
    return error.code not in {"APIGW.0302", "APIGW.0402"}


def find_existing(request: LinkRequest, listed: Collection[Authorization]) -> Authorization | None:
    """Return the authorization that has the name already, if there is one and it may be kept or replaced."""
    name, existing = request.name, next((one for one in listed if one.name == request.name), None)
    if existing is None or request.if_exists is IfExists.REPLACE:
        return existing
    exists, hint = _('An authorization named "{name}" already exists', name=name), None
    if request.if_exists is IfExists.FAIL:
        raise NameTakenError(exists)
    if not existing.is_of(request.repo_type):
        found = safe_text(existing.repo_type, limit=32)
        exists = _('An authorization named "{name}" already exists, of type {found}', name=name, found=found)
    elif not existing.works:
        exists = _(
            'An authorization named "{name}" already exists, but it does not work (status {status})',
            name=name,
            status=existing.status,
        )
        hint = _("Pass --if-exists replace to create a working one in its place.")
    else:
        return existing
    raise NameTakenError(exists, hint=hint)


def find_made(pending: Pending, listed: list[Authorization]) -> Authorization | None:
    """Return what a pending exchange created: its name and type, and not the record that existed before."""
    for one in listed:
        # If the server leaves create_time out, only the deletion of the old record tells them apart.
        is_old = one.create_time == pending.existing_since and (one.create_time != 0 or not pending.is_deleted)
        if one.name == pending.target.name and one.is_of(pending.repo_type) and not is_old:
            return one
    return None


class Exchange:
    """Creates one authorization from a pending exchange, or reports what became of it.

    ``tell`` receives the events; each step is saved in ``journal``, if there is one, before it happens.
    ``is_resumed``: ``pending`` comes from the journal, where an earlier process has left it.
    """

    def __init__(
        self,
        pending: Pending,
        service: ServiceStageClient,
        tell: Tell,
        *,
        journal: Journal | None = None,
        timing: Timing = TIMING,
        is_resumed: bool = False,
    ) -> None:
        self.pending: Pending = pending
        self.names_before: Collection[str] | None = None
        """The names that existed before the redirect came; None: they are not known."""
        self.may_list: bool = True
        """Whether this account may list, as far as is known."""
        self.may_be_used: bool = False
        """Whether an earlier POST than the last one may have used the code."""
        self.create: Callable[[], Awaitable[Authorization]] = partial(
            service.create_oauth,
            pending.repo_type,
            name=pending.target.name,
            code=pending.code,
            state=pending.state,
            tag=pending.tag,
        )
        """Sends the POST."""
        self._service, self._tell, self._journal, self._timing = service, tell, journal, timing
        self._is_kept = self._is_resumed = is_resumed
        self._attempts = 0
        self._ends_at = 0.0
        self._last_error: OAuthHelperError | None = None
        self._is_unclear = pending.sent_at is not None
        """Whether it is not known what the last request that was sent has done."""

    async def run(self) -> Authorization:
        """Create the authorization, and return it.

        Raises:
            NameTakenError: The name is taken. The redirect is still good, and is kept until :meth:`forget`.
            RefusedError: ServiceStage refused. Nothing is kept.
            CredentialsError: The credentials are refused. The redirect is kept.
            OutcomeUnknownError: It is not known whether it was created. The redirect is kept.
        """
        since_capture = (datetime.now(UTC) - self.pending.captured_at).total_seconds()
        # An exchange of an earlier process has the whole time from when this process takes it up.
        spent = 0.0 if self._is_resumed else max(0.0, since_capture)
        time_left = min(self._timing.total - spent, CODE_LIFETIME.total_seconds() - since_capture)
        self._ends_at = _now() + time_left
        try:
            async with asyncio.timeout(time_left):
                made = await self._created_earlier() or await self._delete_and_create()
        except (TimeoutError, CannotVerifyError):
            raise self._unknown(self._last_error) from self._last_error
        except NameTakenError:
            raise
        except OAuthHelperError as error:
            if error.is_foreign_refusal:
                raise self._unknown(error) from error
            if isinstance(error, CredentialsError):
                if error.code == str(error.status):  # a page, without a code of the gateway or IAM
                    error.message += _who_answered(error)
                error.message += what_is_gone(self.pending)
                if self._is_kept:
                    error.hint += _(" {more}", more=self._resume_hint())
            elif isinstance(error, RefusedError):
                self.forget()
            raise
        self.forget()
        return made

    async def run_again(self, *, replacing: Authorization) -> Authorization:
        """Send the redirect again after its name was refused, which used neither code nor state.

        The authorization that has the name is deleted first. Raises as :meth:`run`.
        """
        self.pending = replace(self.pending, existing_since=replacing.create_time, sent_at=None)
        self._last_error, self._is_unclear, self._attempts = None, False, 0
        return await self.run()

    def forget(self) -> None:
        """Remove the pending exchange from the journal: it is of no use any more."""
        if self._journal and self._is_kept:
            self._is_kept = False
            try:
                self._journal.remove(self.pending)
            except MachineError as error:
                self._tell(Warned(error.message))

    async def list_once(self) -> list[Authorization] | None:
        """Send one list call; None: its failure proves nothing."""
        if not self.may_list:
            raise CannotVerifyError
        self._tell(Looking(self.pending.target.name))
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

    async def _created_earlier(self) -> Authorization | None:
        """Return what an earlier process has created, once its POST cannot create anything any more."""
        if self.pending.sent_at is None:
            return None
        # If the clock was set back, the times prove nothing. And the connection may have taken its time.
        is_sound = self.pending.sent_at >= self.pending.captured_at
        ago = (datetime.now(UTC) - self.pending.sent_at).total_seconds() if is_sound else 0.0
        return await self._verify(self._find_made, sent_at=_now() - max(0.0, ago - self._timing.connecting))

    async def _delete_and_create(self) -> Authorization:
        if self._service.must_renew_credentials:
            self._save(self.pending)
            await self._service.renew_credentials()
        if self.pending.existing_since is not None and not self.pending.is_deleted:
            await self._check_existing_again()
            self._save(self.pending)
            # A deletion that is carried out late would delete the new authorization.
            await self._send_until_known(self._delete, self._find_nothing)
            self._is_unclear = False
            self._save(replace(self.pending, is_deleted=True))
            self._tell(Deleted(self.pending.target.name))
        try:
            return await self._send_until_known(self._post, self._find_made)
        except RefusedError as error:
            if made := await self._created_despite(error):
                return made
            error.message += what_is_gone(self.pending)
            raise

    async def _send_until_known(
        self, send: Callable[[], Awaitable[Found]], find: Callable[[list[Authorization]], Found | None]
    ) -> Found:
        """Send until there is an answer, or until ``find`` finds in the list what was sent for."""
        pause = self._timing.first_pause
        while True:
            was_unclear, self._is_unclear = self._is_unclear, True
            try:
                async with asyncio.timeout(self._timing.answer):
                    return await send()
            except TimeoutError:
                message = _("there was no answer within {seconds:g} seconds", seconds=self._timing.answer)
                failure: UnavailableError = UnreachableError(message, sent=True)
            except OAuthHelperError as error:
                if not isinstance(error, UnavailableError) or error.is_foreign_refusal:
                    self._is_unclear = was_unclear
                    raise
                failure = error
            failed_at, has_ended = _now(), failure.status in ENDED
            self._last_error = failure
            if not failure.sent:
                self._is_unclear = was_unclear
            # When a request without an answer left is not known, as its connection may have taken a while.
            elif (found := await self._verify(find, sent_at=None if has_ended else failed_at)) is not None:
                return found
            else:
                self._is_unclear = not has_ended
            until = max(_now() + pause, failed_at + (failure.retry_after or 0.0))
            if failure.retry_after and until >= self._ends_at:
                raise self._unknown(failure)
            await asyncio.sleep(until - _now())
            pause = min(pause * 2, self._timing.longest_pause)

    async def _verify(
        self, find: Callable[[list[Authorization]], Found | None], *, sent_at: float | None = None
    ) -> Found | None:
        """List until ``find`` finds something, or until the request counts as lost. Raises as :meth:`list_once`.

        ``sent_at`` is when it had certainly left, by the loop's clock; None: the server does not process it any more.
        """
        lost_at = _now() if sent_at is None else sent_at + self._timing.lost_after
        since, now, step = lost_at - self._timing.lost_after, _now(), self._timing.longest_pause
        planned = sorted({max(since + after, now) for after in self._timing.verify_after})
        moments = chain(planned, count(planned[-1] + step, step))
        while True:
            moment = next(moments)
            await asyncio.sleep(moment - _now())
            # A loop that counts whole milliseconds (uvloop) may wake early; then the planned moment counts.
            is_lost = max(moment, _now()) >= lost_at
            listed = await self.list_once()
            if listed is not None and ((found := find(listed)) is not None or is_lost):
                return found

    async def _post(self) -> Authorization:
        """Send the POST; the journal says before that it may have been sent."""
        sent_before = self.pending.sent_at
        self.may_be_used = sent_before is not None
        self._save(replace(self.pending, sent_at=datetime.now(UTC)))
        self._attempts += 1
        self._tell(Exchanging(self._attempts, self.pending.is_deleted, self._is_kept))
        try:
            made = await self.create()
        except OAuthHelperError as error:
            is_unsent = isinstance(error, UnavailableError) and not error.sent
            if is_unsent or error.is_foreign_refusal or isinstance(error, CredentialsError | NameTakenError):
                self._save(replace(self.pending, sent_at=sent_before))
            raise
        if made.name != self.pending.target.name:
            raise UnusableAnswerError(_("the answer tells of an authorization of another name"), sent=True)
        return made

    def _find_made(self, listed: list[Authorization]) -> Authorization | None:
        return find_made(self.pending, listed)

    async def _delete(self) -> bool:
        self._tell(Deleting(self.pending.target.name, self._is_kept))
        with suppress(NoSuchAuthorizationError):  # someone else deleted it, or an earlier request did
            await self._service.delete_authorization(self.pending.target.name)
        return True

    def _find_nothing(self, listed: list[Authorization]) -> bool | None:
        return None if any(one.name == self.pending.target.name for one in listed) else True

    async def _check_existing_again(self) -> None:
        """Raise NameTakenError if what an earlier process was to replace was created again since."""
        name, existing_since = self.pending.target.name, self.pending.existing_since
        listed = await self._verify(lambda listed: listed) if self._is_resumed else None
        if any(one.name == name and one.create_time != existing_since for one in listed or ()):
            again = f"`oauth-helper link {self.pending.repo_type} --name {name} --if-exists replace`"
            raise NameTakenError(
                _(
                    "The authorization named {name} was created again in the meantime, so it was not replaced",
                    name=name,
                ),
                hint=_("To replace it all the same, run {again}.", again=again),
            )

    async def _created_despite(self, error: RefusedError) -> Authorization | None:
        """Return what an earlier POST created before this one was refused; else add to ``error`` what is known."""
        if isinstance(error, CodeOrStateInvalidError | NameTakenError) and self.may_be_used:
            self._last_error, self._is_unclear = error, True
            return await self._verify(self._find_made)
        if isinstance(error, CodeOrStateInvalidError):
            await self._name_what_appeared(error)
        elif isinstance(error, NameTakenError) and not self.may_list:
            delete = f"`oauth-helper delete {as_argument(self.pending.target.name)}`"
            error.hint = _(
                "Choose another --name, or run {delete} first: what may not be listed is not replaced.", delete=delete
            )
        return None

    async def _name_what_appeared(self, error: CodeOrStateInvalidError) -> None:
        """Add to the refusal what exists now and did not before: a signed-in console may have used the redirect."""
        before, self.names_before = self.names_before, None
        if before is None:
            return
        with suppress(CannotVerifyError, CredentialsError):  # the refusal is the error to report
            if (listed := await self.list_once()) is None:
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

    def _unknown(self, failure: OAuthHelperError | None) -> OutcomeUnknownError:
        happened, hint = self._what_happened(), self._next_step()
        about: dict[str, Any] = {}
        if failure:
            happened = _("{happened}: {why}", happened=happened, why=failure.message)
            about = {"code": failure.code, "request_id": failure.request_id, "status": failure.status}
            if failure.is_foreign_refusal:
                happened += _who_answered(failure)
                then = hint if self._is_kept or self.pending.sent_at else _("Then run the command again.")
                hint = _("Check the proxy, the firewall and the endpoint. {then}", then=then)
            elif isinstance(failure, UnavailableError) and failure.retry_after:
                again_at = datetime.now(UTC) + timedelta(seconds=failure.retry_after)
                if self._is_kept and again_at >= self.pending.captured_at + CODE_LIFETIME:
                    hint = _("The redirect expires before that: run the command again.")
                elif not self._is_kept and not self._is_unclear:
                    hint = NO_TEXT
                hint = _("{wait} {then}", wait=failure.hint, then=hint) if hint else failure.hint
        return OutcomeUnknownError(happened + what_is_gone(self.pending), hint=hint, **about)

    def _what_happened(self) -> Text:
        name = self.pending.target.name
        if self.pending.existing_since is not None and not self.pending.is_deleted:
            if self._is_unclear:
                return _('Couldn\'t tell whether "{name}" was deleted, so none was created in its place', name=name)
            return _('The authorization "{name}" could not be deleted, so none was created in its place', name=name)
        if self.pending.sent_at is None:
            return _('ServiceStage could not be asked to create "{name}"', name=name)
        if not self._is_unclear:
            return _('ServiceStage did not create "{name}"', name=name)
        if self.may_list:
            return _('Couldn\'t tell whether "{name}" was created', name=name)
        return _('Couldn\'t tell whether "{name}" was created: this account may not list authorizations', name=name)

    def _next_step(self) -> Text:
        name = as_argument(self.pending.target.name)
        if self._is_kept and (self.may_list or self.pending.sent_at is None):
            return self._resume_hint()
        if self.may_list:
            return _("`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=name)
        hint = _("Check in the console whether {name} exists. If not, run the command again.", name=name)
        if self._is_kept:
            hint += _(" Once you may list, `oauth-helper resume` finishes it, until {until}.", until=self._expiry())
        return hint

    def _resume_hint(self) -> Text:
        return _("The redirect is kept: `oauth-helper resume` finishes it, until {until}.", until=self._expiry())

    def _expiry(self) -> str:
        return f"{(self.pending.captured_at + CODE_LIFETIME).astimezone():%H:%M:%S}"


def _now() -> float:
    return asyncio.get_running_loop().time()


def _who_answered(error: OAuthHelperError) -> Text:
    return _(". This is not an answer of ServiceStage but of {who}", who=error.answered_by)


def what_is_gone(pending: Pending) -> Text:
    """Return the sentence about what was deleted, to append to another one; empty if nothing was deleted."""
    if not pending.is_deleted:
        return NO_TEXT
    return _(". The authorization that was named {name} is deleted", name=pending.target.name)
