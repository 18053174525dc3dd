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
    OAuthHelperError,
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
    cannot_be_replaced,
    is_the_consoles,
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
        self._loop = asyncio.get_running_loop()
        self._sendings = 0
        self.may_be_spent: bool = False
        """Whether an earlier sending than the one that was refused may have used the code."""
        self._is_absent = False
        self._deletion = Deletion(pending, service, self._lookout, tell, pace)
        self._trouble: OAuthHelperError | None = None

    @property
    def may_look(self) -> bool:
        """Whether this account may list, as far as is known by now."""
        return self._lookout.may_look

    @property
    def pending(self) -> Pending:
        """Where it stands."""
        return self._pending

    async def carry_out(self) -> Authorization:
        """Bring it about; return the authorization that stands then.

        Raises:
            RefusedError: ServiceStage will not have it. Nothing is kept.
            CredentialsError: The credentials are refused. The redirect is kept.
            OutcomeUnknownError: What can be done was done; it is not known to have come about. The redirect is kept.
        """
        try:
            async with asyncio.timeout(self._time_left()):
                authorization = await self._earlier_work() or await self._new_work()
        except (TimeoutError, CannotLookError):
            raise outcome_unknown(
                self._pending,
                self._deletion.trouble if self._trouble is None else self._trouble,
                is_kept=self._is_kept,
                may_look=self._lookout.may_look,
                is_absent=self._is_absent,
                may_be_deleted=self._deletion.may_have_happened,
            ) from self._trouble
        except CredentialsError as error:
            keep_in_hand(error, self._pending, is_kept=self._is_kept)
            raise
        except RefusedError:
            self._forget()
            raise
        self._forget()
        return authorization

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
                self._trouble = error
            if found := await self._what_came_of(self._trouble):
                return found
            self._is_absent = self._trouble.status in OVER
            await asyncio.sleep(next(pauses))

    async def _send(self) -> Authorization:
        """Send the one POST; while that is under way, the journal says that it may have been."""
        pending, before = self._pending, self._pending.sent_at
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
        except (CredentialsError, UnavailableError) as error:
            if not (isinstance(error, UnavailableError) and error.sent):
                self._note(replace(self._pending, sent_at=before))
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
            await self._look_for_the_consoles_work(error)
        elif isinstance(error, NameTakenError) and not self._lookout.may_look:
            cannot_be_replaced(error, self._pending)
        error.message += what_is_gone(self._pending)
        raise error

    async def _look_for_the_consoles_work(self, error: CodeOrStateInvalidError) -> None:
        if self._known is None:
            return
        # What was refused is refused, whether or not it can be said why.
        with suppress(CannotLookError, CredentialsError):
            listed = await self._lookout.look() or []
            if made := [one for one in listed if self._is_new(one)]:
                is_the_consoles(error, made)

    def _is_new(self, one: Authorization) -> bool:
        return one.is_of(self._pending.repo_type) and one.name not in (self._known or ())

    def _made(self, listed: list[Authorization]) -> Authorization | None:
        return find_made(self._pending, listed)

    async def _make_room(self) -> None:
        """Delete what is to be replaced, with the redirect written down before."""
        self._note(self._pending)
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
            self._forget()
            self._journal = None

    def _forget(self) -> None:
        if self._journal and self._is_kept:
            self._is_kept = False
            try:
                self._journal.remove(self._pending)
            except MachineError as error:
                self._tell(Warned(error.message))
