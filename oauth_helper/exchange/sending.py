"""Sending, and sending again where that can do no harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from oauth_helper.authorization import Authorization
from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    MachineError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
    UnusableAnswerError,
)
from oauth_helper.events import Deleted, Event, Exchanging, Warned
from oauth_helper.exchange.deletion import Deletion
from oauth_helper.exchange.lookout import CannotLookError, Lookout
from oauth_helper.exchange.pace import OVER, Pace
from oauth_helper.exchange.seams import Journal, Service
from oauth_helper.exchange.statement import (
    add_what_appeared,
    cannot_be_replaced,
    keep_in_hand,
    no_answer_within,
    outcome_unknown,
    what_is_gone,
)
from oauth_helper.pending import CODE_LIFETIME, Pending
from oauth_helper.phrase import phrase
from oauth_helper.standing import find_made


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
        pace: Pace,
        known: Collection[str] | None = None,
        may_look: bool = True,
        is_resumed: bool = False,
    ) -> None:
        self._pending = pending
        self._service = service
        self._journal = journal
        self._tell = tell
        self._pace = pace
        self._known = known
        self._lookout = Lookout(service, pending.target.name, tell, pace)
        self._lookout.may_look = may_look
        self._is_kept = self._is_resumed = is_resumed
        self._ends_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._sendings = 0
        self.may_be_spent: bool = False
        """Whether an earlier sending than the one that was refused may have used the code."""
        self._is_absent = False
        self._deletion = Deletion(pending, service, self._lookout, tell, pace, self._pause)
        self._trouble: OAuthHelperError | None = None

    @property
    def may_look(self) -> bool:
        """Whether this account may list, as far as is known by now."""
        return self._lookout.may_look

    @property
    def pending(self) -> Pending:
        """Where it stands."""
        return self._pending

    @property
    def lookout(self) -> Lookout:
        """What this exchange looks with; it knows whether the account may list."""
        return self._lookout

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
        except (TimeoutError, CannotLookError):
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
        self._pending = replace(self._pending, stood_since=in_place_of.create_time, sent_at=None)
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
            may_look=self._lookout.may_look,
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
        return min(self._pace.total - spent, CODE_LIFETIME.total_seconds() - since_capture)

    async def _earlier_work(self) -> Authorization | None:
        """Return what an earlier run had brought about before it ended, once nothing more will come of it."""
        if self._pending.sent_at is None:
            return None
        # A clock that was moved meanwhile says nothing of when that was; and a connection may have taken its time.
        is_sound = self._pending.sent_at >= self._pending.captured_at
        ago = (datetime.now(UTC) - self._pending.sent_at).total_seconds() if is_sound else 0.0
        return await self._lookout.look_after(self._loop.time() - max(0.0, ago - self._pace.connecting), self._made)

    async def _new_work(self) -> Authorization:
        if self._pending.stood_since is not None and not self._pending.is_deleted:
            if self._is_resumed:
                await self._deletion.check_what_stands()
            await self._make_room()
        pauses = self._pace.pauses()
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
        self._note(replace(pending, sent_at=datetime.now(UTC)))
        self._sendings += 1
        self._is_absent = False
        self._tell(Exchanging(self._sendings, pending.is_deleted, self._is_kept))
        try:
            async with asyncio.timeout(self._pace.answer):
                made = await self._service.create_oauth(
                    pending.repo_type, name=pending.target.name, code=pending.code, state=pending.state, tag=pending.tag
                )
        except TimeoutError:
            raise no_answer_within(self._pace.answer) from None
        except OAuthHelperError as error:
            is_unused = error.is_foreign_refusal or error.is_foreign_denial
            is_unsent = isinstance(error, UnavailableError) and not error.sent
            if is_unused or is_unsent or isinstance(error, CredentialsError | NameTakenError):
                self._note(replace(self._pending, sent_at=before))
                self._is_absent = was_absent
            raise
        if made.name != pending.target.name:
            raise UnusableAnswerError(phrase("the answer tells of an authorization of another name"), sent=True)
        return made

    async def _what_came_of(self, trouble: UnavailableError) -> Authorization | None:
        if not trouble.sent:
            return None
        if trouble.status in OVER:
            return await self._lookout.look_now(self._made)
        return await self._lookout.look_after_now(self._made)

    async def _after_refusal(self, error: RefusedError, *, was_sent: bool) -> Authorization:
        self.may_be_spent = was_sent
        if isinstance(error, CodeOrStateInvalidError | NameTakenError) and was_sent:
            self._trouble = error
            if found := await self._lookout.look_now(self._made):
                return found
        elif isinstance(error, CodeOrStateInvalidError):
            await self._look_what_appeared(error)
        elif isinstance(error, NameTakenError) and not self._lookout.may_look:
            cannot_be_replaced(error, self._pending)
        error.message += what_is_gone(self._pending)
        raise error

    async def _look_what_appeared(self, error: CodeOrStateInvalidError) -> None:
        """Add to the refusal what exists now and did not before: a signed-in console may have used the redirect."""
        known, self._known = self._known, None
        if known is None:
            return
        # What was refused is refused, whether or not it can be said why.
        with suppress(CannotLookError, CredentialsError):
            if (listed := await self._lookout.look()) is None:
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
        self._note(replace(self._pending, is_deleted=True))
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
