"""A name that was taken after it had been found free."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from oauth_helper.authorization import Authorization
from oauth_helper.errors import CredentialsError, NameTakenError
from oauth_helper.events import Linked
from oauth_helper.exchange import CannotLookError, Exchange, Lookout
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.pending import Pending
from oauth_helper.standing import find_standing


async def where_taken(
    taken: NameTakenError,
    exchange: Exchange,
    request: LinkRequest,
    lookout: Lookout,
    carry_out: Callable[[Pending], Awaitable[Authorization]],
) -> Linked:
    """Do about it what the user wants done about a taken name.

    A refused name costs neither code nor state, so they are good for ``carry_out``, the exchange that comes after a
    deletion. But what was made in the place of what was deleted already is not deleted too, nor what may be the work of
    an earlier sending.
    """
    if request.if_exists is IfExists.FAIL:
        raise taken
    try:
        listed = await lookout.look() or []
    except (CannotLookError, CredentialsError):
        raise taken from None
    standing = find_standing(request, listed)
    if standing is None:
        raise taken
    if request.if_exists is IfExists.KEEP:
        return Linked(standing, kept=True)
    if exchange.may_be_spent or exchange.pending.stood_since is not None:
        raise taken
    # What was refused for its name has left nothing behind that would have to be looked after.
    return Linked(await carry_out(replace(exchange.pending, stood_since=standing.create_time, sent_at=None)))
