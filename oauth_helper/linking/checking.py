"""What is checked before anything else is done: the name, the credentials, the endpoint."""

from __future__ import annotations

from collections.abc import Callable

from oauth_helper.authorization import Authorization
from oauth_helper.errors import NotPermittedError
from oauth_helper.events import Checked, Event, Warned
from oauth_helper.exchange.seams import Lists
from oauth_helper.link_request import LinkRequest
from oauth_helper.standing import find_standing, is_list_alone_refused


async def list_if_permitted(
    request: LinkRequest, service: Lists, tell: Callable[[Event], None]
) -> list[Authorization] | None:
    """Return what stands; None, after a warning, where this account may not list."""
    try:
        return await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
    tell(Warned(f"This account may not list authorizations, so it is not known whether {request.name} is free."))
    return None


async def check(
    request: LinkRequest, service: Lists, tell: Callable[[Event], None]
) -> tuple[Authorization | None, bool]:
    """Return what bears the name already, and may be kept or is to be replaced; and whether this account may list.

    Raises:
        NameTakenError: What bears the name stands in the way.
        CredentialsError, UnavailableError: Nothing can come of a link.
    """
    listed = await list_if_permitted(request, service, tell)
    standing = find_standing(request, listed or [])
    tell(Checked(request.name, request.repo_type))
    return standing, listed is not None
