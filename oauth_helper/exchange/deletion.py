"""Deleting what is to be replaced, so that the name is free before anything is created."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from oauth_helper.authorization import Authorization
from oauth_helper.errors import NoSuchAuthorizationError, UnavailableError
from oauth_helper.events import Deleting, Event
from oauth_helper.exchange.lookout import Lookout
from oauth_helper.exchange.pace import OVER, Pace
from oauth_helper.exchange.seams import Service
from oauth_helper.exchange.statement import made_anew, no_answer_within
from oauth_helper.pending import Pending


class Deletion:
    """Deletes the authorization that a pending exchange is to replace."""

    def __init__(
        self,
        pending: Pending,
        service: Service,
        lookout: Lookout,
        tell: Callable[[Event], None],
        pace: Pace,
        pause: Callable[[float, UnavailableError, float], Awaitable[None]],
    ) -> None:
        self._pending = pending
        self._service = service
        self._lookout = lookout
        self._tell = tell
        self._pace = pace
        self._pause = pause
        self.trouble: UnavailableError | None = None
        """What went wrong last."""
        self._answered_at = 0.0
        self.is_kept: bool = False
        """Whether the redirect is in the journal."""
        self.may_have_happened: bool = False
        """Whether it was asked for, and it is not known what came of it."""

    async def check_what_stands(self) -> None:
        """See that what is to be deleted is what an earlier run was told to replace.

        Raises:
            NameTakenError: It is not: somebody has made another one of that name since.
        """
        name, since = self._pending.target.name, self._pending.stood_since
        listed = await self._lookout.look_now(lambda listed: listed)
        if any(one.name == name and one.create_time != since for one in listed or ()):
            raise made_anew(self._pending)

    async def carry_out(self) -> None:
        """Delete it, again and again until the name is free. The caller says how long.

        Raises:
            CannotLookError: It is not known what came of it, and this account may not list.
            CredentialsError: The credentials are refused.
            RefusedError: ServiceStage will not delete it.
        """
        pauses = self._pace.pauses()
        while not await self._is_done():
            if self.trouble:  # pragma: no branch - something went wrong, as it is not done
                await self._pause(next(pauses), self.trouble, self._answered_at)

    async def _is_done(self) -> bool:
        """Ask for it once; a deletion that came late would take the new authorization with it."""
        self._tell(Deleting(self._pending.target.name, self.is_kept))
        try:
            async with asyncio.timeout(self._pace.answer):
                await self._service.delete_authorization(self._pending.target.name)
        except NoSuchAuthorizationError:
            return True  # somebody else was faster, or the request had to be sent twice
        except TimeoutError:
            self.trouble = no_answer_within(self._pace.answer)
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
        look = self._lookout.look_now(self._is_free) if is_over else self._lookout.look_after_now(self._is_free)
        is_free = await look is not None
        self.may_have_happened = False
        return is_free

    def _is_free(self, listed: list[Authorization]) -> bool | None:
        return None if any(one.name == self._pending.target.name for one in listed) else True
