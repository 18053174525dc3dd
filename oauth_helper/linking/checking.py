"""What is checked before anything else is done: the name, the credentials, the endpoint."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from oauth_helper.authorization import Authorization
from oauth_helper.errors import NotPermittedError
from oauth_helper.events import Checked, Event, Warned
from oauth_helper.exchange.seams import Lists
from oauth_helper.link_request import LinkRequest
from oauth_helper.phrase import phrase
from oauth_helper.standing import find_standing, is_list_alone_refused


@dataclass(frozen=True, slots=True)
class Found:
    """What the check found."""

    standing: Authorization | None
    """What bears the name already, and may be kept or is to be replaced."""
    known: Collection[str] | None
    """The names that are taken; None: this account may not list them."""


async def list_if_permitted(
    request: LinkRequest, service: Lists, tell: Callable[[Event], None]
) -> list[Authorization] | None:
    """Return what stands; None, after a warning, where this account may not list."""
    try:
        return await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
    tell(
        Warned(
            phrase(
                "This account may not list authorizations, so it is not known whether {name} is free.",
                name=request.name,
            )
        )
    )
    return None


async def check(request: LinkRequest, service: Lists, tell: Callable[[Event], None]) -> Found:
    """Look what bears the name, with one signed call.

    Raises:
        NameTakenError: What bears the name stands in the way.
        CredentialsError, UnavailableError: Nothing can come of a link.
    """
    listed = await list_if_permitted(request, service, tell)
    standing = find_standing(request, listed or [])
    tell(Checked(request.name, request.repo_type))
    return Found(standing, None if listed is None else frozenset(one.name for one in listed))
