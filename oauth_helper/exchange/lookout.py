"""Looking what stands at ServiceStage, until it can be told what came of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from oauth_helper.authorization import Authorization
from oauth_helper.errors import CredentialsError, NotPermittedError, OAuthHelperError
from oauth_helper.events import Event, Looking
from oauth_helper.exchange.pace import Pace
from oauth_helper.exchange.seams import Lists
from oauth_helper.standing import is_list_alone_refused

Found = TypeVar("Found")


class CannotLookError(Exception):
    """This account may not list, so nothing can be known. The story makes words of it; no user meets it."""


class Lookout:
    """Looks, and looks again where a look tells nothing."""

    def __init__(self, service: Lists, name: str, tell: Callable[[Event], None], pace: Pace) -> None:
        self._service = service
        self._name = name
        self._tell = tell
        self._pace = pace
        self.may_look: bool = True
        """False once ServiceStage has refused to list (403), or where it is known that it will."""

    async def look_after(self, sent_since: float, read: Callable[[list[Authorization]], Found | None]) -> Found | None:
        """Look after a request that may still be carried out, until ``read`` finds something or it must be lost.

        Raises:
            CannotLookError: This account may not list.
            CredentialsError: The credentials are refused, so looking again would not help.
        """
        loop = asyncio.get_running_loop()
        settled = sent_since + self._pace.settled_after
        moments = self._pace.moments(sent_since, loop.time())
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

    async def look_now(self, read: Callable[[list[Authorization]], Found | None]) -> Found | None:
        """Look at once what ``read`` finds, again and again until a look tells; raises as :meth:`look_after`."""
        return await self.look_after(asyncio.get_running_loop().time() - self._pace.settled_after, read)

    async def look_after_now(self, read: Callable[[list[Authorization]], Found | None]) -> Found | None:
        """Look after a request of which it has just been learnt that it may still be carried out.

        When it left is not known, as its connection may have taken a while to come about. Raises as
        :meth:`look_after`.
        """
        return await self.look_after(asyncio.get_running_loop().time(), read)

    async def look(self) -> list[Authorization] | None:
        """Look once; None tells nothing. Raises as :meth:`look_after`."""
        if not self.may_look:
            raise CannotLookError
        self._tell(Looking(self._name))
        try:
            async with asyncio.timeout(self._pace.look):
                return await self._service.list_authorizations(retry=False)
        except NotPermittedError as error:
            if not is_list_alone_refused(error):
                raise
            self.may_look = False
            raise CannotLookError from error
        except CredentialsError:
            raise
        except (OAuthHelperError, TimeoutError):
            return None
