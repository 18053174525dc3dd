"""A name that was taken after it had been found free."""

from __future__ import annotations

from oauth_helper.authorization import Authorization
from oauth_helper.errors import CredentialsError, NameTakenError, OAuthHelperError
from oauth_helper.events import Linked
from oauth_helper.exchange import CannotLookError, Exchange
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.standing import find_standing


async def link_in_spite_of_name(taken: NameTakenError, exchange: Exchange, request: LinkRequest) -> Linked:
    """Do about it what the user wants done about a taken name.

    A refused name costs neither code nor state, so they are good for a second exchange, which comes after a deletion.
    They stay in the journal until it is known that there will be none. But what was made in the place of what was
    deleted already is not deleted too, nor what may be the work of an earlier sending.
    """
    try:
        existing = await _existing(taken, exchange, request)
    except OAuthHelperError:
        exchange.forget()
        raise
    if request.if_exists is IfExists.KEEP:
        exchange.forget()
        return Linked(existing, kept=True)
    try:
        return Linked(await exchange.carry_out_again(in_place_of=existing))
    except NameTakenError:
        exchange.forget()
        raise


async def _existing(taken: NameTakenError, exchange: Exchange, request: LinkRequest) -> Authorization:
    """Return the authorization that has the name, and is to be kept or may be replaced."""
    if request.if_exists is IfExists.FAIL:
        raise taken
    try:
        listed = await exchange.lookout.look() or []
    except (CannotLookError, CredentialsError):
        raise taken from None
    existing = find_standing(request, listed)
    is_replaced = request.if_exists is IfExists.REPLACE
    if existing is None or (is_replaced and (exchange.may_be_spent or exchange.pending.stood_since is not None)):
        raise taken
    return existing
