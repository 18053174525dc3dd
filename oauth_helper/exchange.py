"""When an exchange looks, and how long it waits for what. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final, Protocol, TypeVar

from msgspec import structs

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
from oauth_helper.models import (
    CODE_LIFETIME,
    CONNECTING,
    Authorization,
    IfExists,
    LinkRequest,
    Pending,
    RepoType,
    as_argument,
)
from oauth_helper.secret import Secret, safe_text


@dataclass(frozen=True, slots=True)
class Timing:
    """How an exchange paces itself, in seconds."""

    total: float = 30.0
    """For everything, from the moment the redirect is in hand."""
    connecting: float = CONNECTING
    """For a connection to come about, at most: so late may a request leave."""
    answer: float = 11.0
    """For one answer, its connection included; more than that, so that it is known which of the two did not come."""
    look: float = 5.0
    """For the answer to one look."""
    looks: tuple[float, ...] = (1.0, 3.0, 7.0, 15.0)
    """When to look after a request came to nothing of which it is not known whether it is still being carried out. At
    the last of them it may be taken for lost."""
    first_pause: float = 0.5
    """Before a request of which nothing came is sent again; each further pause is twice as long."""
    longest_pause: float = 4.0
    """Between two such requests, and between looks after the last of ``looks``."""

    @property
    def settled_after(self) -> float:
        """When a request that was not answered may be taken for lost."""
        return self.looks[-1]

    def pauses(self) -> Iterator[float]:
        """Give the pauses before a request is sent again, without end."""
        return (min(self.first_pause * 2**number, self.longest_pause) for number in count())

    def moments(self, since: float, now: float) -> Iterator[float]:
        """Give the moments to look at, without end; for those that are past already, one look, now.

        Args:
            since: When the request had left for certain, by the clock of ``now``.
            now: The time.
        """
        due = [since + after for after in self.looks]
        ahead = [moment for moment in due if moment > now]
        if len(ahead) < len(due):
            yield now
        yield from ahead
        last = max(now, due[-1])
        yield from (last + self.longest_pause * number for number in count(1))


OVER: Final = frozenset({408, 425, 429, 500, 503})
"""HTTP statuses after which a request is not being carried out any more."""

TIMING: Final = Timing()
"""The usual one."""


class Lists(Protocol):
    """The one call of ServiceStage that a look needs."""

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        """Return all authorizations of the project; without ``retry``, send one request only."""


class Service(Lists, Protocol):
    """The three calls of ServiceStage that an exchange needs."""

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        """Have ServiceStage turn code and state into an authorization of that name."""

    async def delete_authorization(self, name: str) -> None:
        """Delete the one of that name."""


class Journal(Protocol):
    """Where a pending exchange is written down; MachineError says that it cannot be."""

    def write(self, pending: Pending) -> None:
        """Write it down; it is on the disk when this returns."""

    def remove(self, pending: Pending) -> None:
        """Forget it: its outcome is known."""


_WHOLE_SERVICE_REFUSED: Final = frozenset({"APIGW.0302", "APIGW.0402"})
"""A 403 with these codes stands before every call, not only before the list: nothing would come of going on."""


def is_list_alone_refused(error: NotPermittedError) -> bool:
    """Whether an account that may not list may still do the rest."""
    return error.code not in _WHOLE_SERVICE_REFUSED


def find_existing(request: LinkRequest, listed: list[Authorization]) -> Authorization | None:
    """Return the authorization that bears the name already, if there is one and it may be kept or replaced.

    Raises:
        NameTakenError: It stands in the way.
    """
    existing = next((one for one in listed if one.name == request.name), None)
    if existing:
        check_existing(request, existing)
    return existing


def find_made(pending: Pending, listed: list[Authorization]) -> Authorization | None:
    """Return what came of a pending exchange: its name and type, and not the record that bore the name before."""
    for one in listed:
        # A server that leaves create_time out gives no other way to tell than that the old one was deleted.
        is_old = one.create_time == pending.stood_since and (one.create_time != 0 or not pending.is_deleted)
        if one.name == pending.target.name and one.is_of(pending.repo_type) and not is_old:
            return one
    return None


def check_existing(request: LinkRequest, existing: Authorization) -> None:
    """Return where the authorization that bears the name may be kept or replaced.

    Raises:
        NameTakenError: It stands in the way.
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


Found = TypeVar("Found")


class CannotVerifyError(Exception):
    """This account may not list, so nothing can be known. The story makes words of it; no user meets it."""


class Verifier:
    """Looks, and looks again where a look tells nothing."""

    def __init__(self, service: Lists, name: str, tell: Callable[[Event], None], timing: Timing) -> None:
        self._service = service
        self._name = name
        self._tell = tell
        self._timing = timing
        self.may_list: bool = True
        """False once ServiceStage has refused to list (403), or where it is known that it will."""

    async def verify_after(
        self, sent_since: float, read: Callable[[list[Authorization]], Found | None]
    ) -> Found | None:
        """Look after a request that may still be carried out, until ``read`` finds something or it must be lost.

        Raises:
            CannotLookError: This account may not list.
            CredentialsError: The credentials are refused, so looking again would not help.
        """
        loop = asyncio.get_running_loop()
        settled = sent_since + self._timing.settled_after
        moments = self._timing.moments(sent_since, loop.time())
        while True:
            moment = next(moments)
            await asyncio.sleep(moment - loop.time())
            # A loop that counts whole milliseconds (uvloop) may wake a moment early: then what was due counts.
            is_settled = max(moment, loop.time()) >= settled
            listed = await self.look()
            if listed is None:
                continue
            if (found := read(listed)) is not None or is_settled:
                return found

    async def verify_once(self, read: Callable[[list[Authorization]], Found | None]) -> Found | None:
        """Look at once what ``read`` finds, again and again until a look tells; raises as :meth:`look_after`."""
        return await self.verify_after(asyncio.get_running_loop().time() - self._timing.settled_after, read)

    async def verify_now(self, read: Callable[[list[Authorization]], Found | None]) -> Found | None:
        """Look after a request of which it has just been learnt that it may still be carried out.

        When it left is not known, as its connection may have taken a while to come about. Raises as
        :meth:`look_after`.
        """
        return await self.verify_after(asyncio.get_running_loop().time(), read)

    async def look(self) -> list[Authorization] | None:
        """Look once; None tells nothing. Raises as :meth:`look_after`."""
        if not self.may_list:
            raise CannotVerifyError
        self._tell(Looking(self._name))
        try:
            async with asyncio.timeout(self._timing.look):
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


def outcome_unknown(
    pending: Pending,
    trouble: OAuthHelperError | None,
    *,
    is_kept: bool,
    may_list: bool,
    is_absent: bool,
    may_be_deleted: bool,
    wait: float = 0.0,
) -> OutcomeUnknownError:
    """Return the error for an exchange of which it is not known whether it came about, or that was not delivered.

    With ``is_absent`` a look after the last refusal to answer found that it did not; with ``may_be_deleted`` it is not
    known whether what was to be replaced still stands. ``wait`` is how many seconds the last answer asks to wait, if
    that is too long.
    """
    happened = _what_happened(pending, may_list=may_list, is_absent=is_absent, may_be_deleted=may_be_deleted)
    if trouble:
        happened = _("{happened}: {why}", happened=happened, why=trouble.message)
    hint = way_on(pending, is_kept=is_kept, may_list=may_list)
    if trouble and trouble.is_foreign_refusal:
        happened += _who_answered(trouble)
        again = hint if is_kept or pending.sent_at else _("Then run the command again.")
        hint = _("Check the proxy, the firewall and the endpoint. {then}", then=again)
    elif trouble and wait:
        is_too_long = datetime.now(UTC) + timedelta(seconds=wait) >= pending.captured_at + CODE_LIFETIME
        if is_kept and is_too_long:
            hint = _("{wait} The redirect expires before that: run the command again.", wait=trouble.hint)
        elif is_absent and not is_kept:
            hint = trouble.hint
        else:
            hint = _("{wait} {then}", wait=trouble.hint, then=hint)
    return OutcomeUnknownError(
        happened + what_is_gone(pending),
        hint=hint,
        code=trouble.code if trouble else None,
        request_id=trouble.request_id if trouble else None,
        status=trouble.status if trouble else None,
    )


def _what_happened(pending: Pending, *, may_list: bool, is_absent: bool, may_be_deleted: bool) -> Text:
    name = pending.target.name
    if may_be_deleted:
        return _(
            "ServiceStage was asked to delete the authorization named {name}, but whether it did is not known, so none "
            "was created in its place",
            name=name,
        )
    if pending.stood_since is not None and not pending.is_deleted:
        return _("The authorization named {name} could not be deleted, so none was created in its place", name=name)
    if pending.sent_at is None:
        return _("ServiceStage could not be asked to create {name}", name=name)
    if is_absent:
        return _("ServiceStage did not create {name}", name=name)
    if may_list:
        return _("ServiceStage was asked to create {name}, but whether it did is not known", name=name)
    return _(
        "ServiceStage was asked to create {name}; whether it did cannot be known, as it may not be listed", name=name
    )


def _who_answered(error: OAuthHelperError) -> Text:
    return _(". This is not an answer of ServiceStage but of {who}", who=error.answered_by)


def no_answer_within(seconds: float) -> UnreachableError:
    """Return the error for a request of which nothing was heard in that time."""
    return UnreachableError(_("there was no answer within {seconds:g} seconds", seconds=seconds), sent=True)


def what_is_gone(pending: Pending) -> Text:
    """Return the sentence that says what was deleted, to be put behind another; nothing where nothing was."""
    return (
        _(". The authorization that was named {name} is deleted", name=pending.target.name)
        if pending.is_deleted
        else NO_TEXT
    )


def way_on(pending: Pending, *, is_kept: bool, may_list: bool) -> Text:
    """Return what to do about an exchange that has not ended."""
    name = pending.target.name
    until = f"{(pending.captured_at + CODE_LIFETIME).astimezone(UTC):%H:%M:%S} UTC"
    if is_kept and (may_list or pending.sent_at is None):
        return _("The redirect is kept: `oauth-helper resume` finishes it, until {until}.", until=until)
    if may_list:
        return _(
            "`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=as_argument(name)
        )
    if is_kept:
        return _(
            "See in the console, or ask who may list, whether {name} exists. If not, run the command again, or, once "
            "you may list, `oauth-helper resume` until {until}.",
            name=name,
            until=until,
        )
    return _(
        "See in the console, or ask who may list, whether {name} exists. If not, run the command again.", name=name
    )


def keep_in_hand(error: CredentialsError, pending: Pending, *, is_kept: bool) -> None:
    """Add to an error of the credentials that the redirect is not lost by it."""
    if error.is_foreign_denial and error.code == str(error.status):  # a page, without a code of the gateway or IAM
        error.message += _who_answered(error)
    error.message += what_is_gone(pending)
    if is_kept:
        error.hint += _(" {more}", more=way_on(pending, is_kept=True, may_list=True))


def add_what_appeared(error: CodeOrStateInvalidError, appeared: Sequence[Authorization]) -> None:
    """Add to a refusal of code and state what appeared in the project meanwhile."""
    names = ", ".join(f'"{safe_text(one.name, limit=63)}"' for one in appeared)
    error.message += _(
        ". In the meantime {names} appeared, perhaps from this redirect: a console with a signed-in user creates one",
        names=names,
    )
    error.hint = _("If {names} is yours, use it. If not, run the command again.", names=names)


def cannot_be_replaced(error: NameTakenError, pending: Pending) -> None:
    """Add to the refusal of a name that what may not be listed was not seen, so it could not be replaced either."""
    delete = f"`oauth-helper delete {as_argument(pending.target.name)}`"
    error.hint = _(
        "Choose another --name, or run {delete} first: what may not be listed is not replaced.", delete=delete
    )


def made_anew(pending: Pending) -> NameTakenError:
    """Return the error for a name that another authorization bears than the one that was to be replaced."""
    name = pending.target.name
    again = f"`oauth-helper link {pending.repo_type} --name {name} --if-exists replace`"
    return NameTakenError(
        _(
            "The authorization named {name} was made anew since it was to be replaced, so it was left as it is",
            name=name,
        ),
        hint=_("To replace it all the same, run {again}.", again=again),
    )


class Deletion:
    """Deletes the authorization that a pending exchange is to replace."""

    def __init__(
        self,
        pending: Pending,
        service: Service,
        verifier: Verifier,
        tell: Callable[[Event], None],
        timing: Timing,
        pause: Callable[[float, UnavailableError, float], Awaitable[None]],
    ) -> None:
        self._pending = pending
        self._service = service
        self._verifier = verifier
        self._tell = tell
        self._timing = timing
        self._pause = pause
        self.trouble: UnavailableError | None = None
        """What went wrong last."""
        self._answered_at = 0.0
        self.is_kept: bool = False
        """Whether the redirect is in the journal."""
        self.may_have_happened: bool = False
        """Whether it was asked for, and it is not known what came of it."""

    async def check_existing_entries(self) -> None:
        """See that what is to be deleted is what an earlier run was told to replace.

        Raises:
            NameTakenError: It is not: somebody has made another one of that name since.
        """
        name, since = self._pending.target.name, self._pending.stood_since
        listed = await self._verifier.verify_once(lambda listed: listed)
        if any(one.name == name and one.create_time != since for one in listed or ()):
            raise made_anew(self._pending)

    async def carry_out(self) -> None:
        """Delete it, again and again until the name is free. The caller says how long.

        Raises:
            CannotLookError: It is not known what came of it, and this account may not list.
            CredentialsError: The credentials are refused.
            RefusedError: ServiceStage will not delete it.
        """
        pauses = self._timing.pauses()
        while not await self._is_done():
            if self.trouble:  # pragma: no branch - something went wrong, as it is not done
                await self._pause(next(pauses), self.trouble, self._answered_at)

    async def _is_done(self) -> bool:
        """Ask for it once; a deletion that came late would take the new authorization with it."""
        self._tell(Deleting(self._pending.target.name, self.is_kept))
        try:
            async with asyncio.timeout(self._timing.answer):
                await self._service.delete_authorization(self._pending.target.name)
        except NoSuchAuthorizationError:
            return True  # somebody else was faster, or the request had to be sent twice
        except TimeoutError:
            self.trouble = no_answer_within(self._timing.answer)
        except UnavailableError as error:
            if error.is_foreign_refusal:
                raise
            self.trouble = error
            self._answered_at = asyncio.get_running_loop().time()
            if not error.sent:
                return False
        else:
            return True
        return await self._look_whether_it_is_gone(is_over=self.trouble.status in OVER)

    async def _look_whether_it_is_gone(self, *, is_over: bool) -> bool:
        self.may_have_happened = True
        look = self._verifier.verify_once(self._is_free) if is_over else self._verifier.verify_now(self._is_free)
        is_free = await look is not None
        self.may_have_happened = False
        return is_free

    def _is_free(self, listed: list[Authorization]) -> bool | None:
        return None if any(one.name == self._pending.target.name for one in listed) else True


class Exchange:
    """Turns one captured redirect into an authorization, or says what became of it.

    Args:
        pending: The redirect, whose code and state are there.
        service: ServiceStage.
        journal: Where to write down what is done; None: nowhere.
        tell: Called with each step.
        pace: How long to wait for what.
        known: The names that stood before the redirect came; None: they are not known.
        may_look: Whether this account may list, as far as is known.
        is_resumed: Whether ``pending`` comes from the journal, where an earlier run has left it.
    """

    def __init__(
        self,
        pending: Pending,
        service: Service,
        journal: Journal | None,
        tell: Callable[[Event], None],
        *,
        timing: Timing,
        known: Collection[str] | None = None,
        may_list: bool = True,
        is_resumed: bool = False,
    ) -> None:
        self._pending = pending
        self._service = service
        self._journal = journal
        self._tell = tell
        self._timing = timing
        self._known = known
        self._verifier = Verifier(service, pending.target.name, tell, timing)
        self._verifier.may_list = may_list
        self._is_kept = self._is_resumed = is_resumed
        self._ends_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._sendings = 0
        self.may_be_spent: bool = False
        """Whether an earlier sending than the one that was refused may have used the code."""
        self._is_absent = False
        self._deletion = Deletion(pending, service, self._verifier, tell, timing, self._pause)
        self._trouble: OAuthHelperError | None = None

    @property
    def may_list(self) -> bool:
        """Whether this account may list, as far as is known by now."""
        return self._verifier.may_list

    @property
    def pending(self) -> Pending:
        """Where it stands."""
        return self._pending

    @property
    def verifier(self) -> Verifier:
        """What this exchange looks with; it knows whether the account may list."""
        return self._verifier

    @property
    def known(self) -> Collection[str] | None:
        """The names that existed at the last look, or before the redirect came; None: they are not known."""
        return self._known

    async def carry_out(self) -> Authorization:
        """Bring it about; return the authorization that stands then.

        Raises:
            NameTakenError: The name is taken. The redirect is still good, and is kept until :meth:`forget`.
            RefusedError: ServiceStage will not have it. Nothing is kept.
            CredentialsError: The credentials are refused. The redirect is kept.
            OutcomeUnknownError: What can be done was done; it is not known to have come about. The redirect is kept.
        """
        time_left = self._time_left()
        self._ends_at = self._loop.time() + time_left
        try:
            async with asyncio.timeout(time_left):
                authorization = await self._earlier_work() or await self._new_work()
        except (TimeoutError, CannotVerifyError):
            raise self._unknown(self._deletion.trouble if self._trouble is None else self._trouble) from self._trouble
        except NameTakenError:
            raise
        except OAuthHelperError as error:
            if error.is_foreign_refusal:
                raise self._unknown(error) from error
            if isinstance(error, RefusedError) and error.is_foreign_denial:
                denied = _not_permitted(error)
                keep_in_hand(denied, self._pending, is_kept=self._is_kept)
                raise denied from error
            if isinstance(error, CredentialsError):
                keep_in_hand(error, self._pending, is_kept=self._is_kept)
            elif isinstance(error, RefusedError):
                self.forget()
            raise
        self.forget()
        return authorization

    async def carry_out_again(self, *, in_place_of: Authorization) -> Authorization:
        """Send the redirect again after its name was refused, which costs neither code nor state.

        What has the name is deleted first. Raises as :meth:`carry_out`.
        """
        self._pending = structs.replace(self._pending, stood_since=in_place_of.create_time, sent_at=None)
        self._trouble, self._is_absent, self._sendings = None, False, 0
        return await self.carry_out()

    def forget(self) -> None:
        """Remove the redirect from the journal: it is of no use any more."""
        if self._journal and self._is_kept:
            self._is_kept = False
            try:
                self._journal.remove(self._pending)
            except MachineError as error:
                self._tell(Warned(error.message))

    def _unknown(self, trouble: OAuthHelperError | None, *, wait: float = 0.0) -> OutcomeUnknownError:
        return outcome_unknown(
            self._pending,
            trouble,
            is_kept=self._is_kept,
            may_list=self._verifier.may_list,
            is_absent=self._is_absent,
            may_be_deleted=self._deletion.may_have_happened,
            wait=wait,
        )

    async def _pause(self, seconds: float, trouble: UnavailableError, since: float) -> None:
        """Wait before a request is sent again: that long, or as long as the last answer, which came ``since``, says.

        Raises:
            OutcomeUnknownError: The answer asks for more time than there is.
        """
        wait, now = trouble.retry_after or 0.0, self._loop.time()
        until = max(now + seconds, since + wait)
        if wait and until >= self._ends_at:
            raise self._unknown(trouble, wait=wait)
        await asyncio.sleep(until - now)

    def _time_left(self) -> float:
        since_capture = (datetime.now(UTC) - self._pending.captured_at).total_seconds()
        # What another run has captured long ago has its time from when this one takes it up.
        spent = 0.0 if self._is_resumed else max(0.0, since_capture)
        return min(self._timing.total - spent, CODE_LIFETIME.total_seconds() - since_capture)

    async def _earlier_work(self) -> Authorization | None:
        """Return what an earlier run had brought about before it ended, once nothing more will come of it."""
        if self._pending.sent_at is None:
            return None
        # A clock that was moved meanwhile says nothing of when that was; and a connection may have taken its time.
        is_sound = self._pending.sent_at >= self._pending.captured_at
        ago = (datetime.now(UTC) - self._pending.sent_at).total_seconds() if is_sound else 0.0
        return await self._verifier.verify_after(
            self._loop.time() - max(0.0, ago - self._timing.connecting), self._made
        )

    async def _new_work(self) -> Authorization:
        if self._pending.stood_since is not None and not self._pending.is_deleted:
            if self._is_resumed:
                await self._deletion.check_existing_entries()
            await self._make_room()
        pauses = self._timing.pauses()
        while True:
            was_sent = self._pending.sent_at is not None
            try:
                return await self._send()
            except RefusedError as error:
                return await self._after_refusal(error, was_sent=was_sent)
            except UnavailableError as error:
                if error.is_foreign_refusal:
                    raise
                self._trouble, since = error, self._loop.time()
            if found := await self._what_came_of(self._trouble):
                return found
            self._is_absent = self._trouble.status in OVER
            await self._pause(next(pauses), self._trouble, since)

    async def _send(self) -> Authorization:
        """Send the one POST; while that is under way, the journal says that it may have been."""
        pending, before, was_absent = self._pending, self._pending.sent_at, self._is_absent
        if pending.code is None or pending.state is None:
            raise ValueError("a pending without code and state cannot be sent")
        self._note(structs.replace(pending, sent_at=datetime.now(UTC)))
        self._sendings += 1
        self._is_absent = False
        self._tell(Exchanging(self._sendings, pending.is_deleted, self._is_kept))
        try:
            async with asyncio.timeout(self._timing.answer):
                made = await self._service.create_oauth(
                    pending.repo_type, name=pending.target.name, code=pending.code, state=pending.state, tag=pending.tag
                )
        except TimeoutError:
            raise no_answer_within(self._timing.answer) from None
        except OAuthHelperError as error:
            is_unused = error.is_foreign_refusal or error.is_foreign_denial
            is_unsent = isinstance(error, UnavailableError) and not error.sent
            if is_unused or is_unsent or isinstance(error, CredentialsError | NameTakenError):
                self._note(structs.replace(self._pending, sent_at=before))
                self._is_absent = was_absent
            raise
        if made.name != pending.target.name:
            raise UnusableAnswerError(_("the answer tells of an authorization of another name"), sent=True)
        return made

    async def _what_came_of(self, trouble: UnavailableError) -> Authorization | None:
        if not trouble.sent:
            return None
        if trouble.status in OVER:
            return await self._verifier.verify_once(self._made)
        return await self._verifier.verify_now(self._made)

    async def _after_refusal(self, error: RefusedError, *, was_sent: bool) -> Authorization:
        self.may_be_spent = was_sent
        if isinstance(error, CodeOrStateInvalidError | NameTakenError) and was_sent:
            self._trouble = error
            if found := await self._verifier.verify_once(self._made):
                return found
        elif isinstance(error, CodeOrStateInvalidError):
            await self._look_what_appeared(error)
        elif isinstance(error, NameTakenError) and not self._verifier.may_list:
            cannot_be_replaced(error, self._pending)
        error.message += what_is_gone(self._pending)
        raise error

    async def _look_what_appeared(self, error: CodeOrStateInvalidError) -> None:
        """Add to the refusal what exists now and did not before: a signed-in console may have used the redirect."""
        known, self._known = self._known, None
        if known is None:
            return
        # What was refused is refused, whether or not it can be said why.
        with suppress(CannotVerifyError, CredentialsError):
            if (listed := await self._verifier.look()) is None:
                return
            self._known = frozenset(one.name for one in listed)
            appeared = [one for one in listed if one.is_of(self._pending.repo_type) and one.name not in known]
            if appeared:
                add_what_appeared(error, appeared)

    def _made(self, listed: list[Authorization]) -> Authorization | None:
        return find_made(self._pending, listed)

    async def _make_room(self) -> None:
        """Delete what is to be replaced, with the redirect written down before."""
        self._note(self._pending)
        self._deletion.is_kept = self._is_kept
        await self._deletion.carry_out()
        self._note(structs.replace(self._pending, is_deleted=True))
        self._tell(Deleted(self._pending.target.name))

    def _note(self, pending: Pending) -> None:
        self._pending = pending
        if self._journal is None:
            return
        try:
            self._journal.write(pending)
            self._is_kept = True
        except MachineError as error:
            self._tell(Warned(error.message))
            # What was written before is not true any more: who read it might send twice.
            self.forget()
            self._journal = None


def _not_permitted(error: RefusedError) -> NotPermittedError:
    return NotPermittedError(
        error.message,
        hint=error.hint,
        code=error.code,
        request_id=error.request_id,
        status=error.status,
        answered_by=error.answered_by,
    )
