"""What stands under a name already, and whether it is in the way. No I/O."""

from __future__ import annotations

from typing import Final

from oauth_helper.authorization import Authorization
from oauth_helper.errors import NameTakenError, NotPermittedError
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.pending import Pending
from oauth_helper.phrase import phrase
from oauth_helper.presentable import presentable

_WHOLE_SERVICE_REFUSED: Final = frozenset({"APIGW.0302", "APIGW.0402"})
"""A 403 with these codes stands before every call, not only before the list: nothing would come of going on."""


def is_list_alone_refused(error: NotPermittedError) -> bool:
    """Whether an account that may not list may still do the rest."""
    return error.code not in _WHOLE_SERVICE_REFUSED


def find_standing(request: LinkRequest, listed: list[Authorization]) -> Authorization | None:
    """Return the authorization that bears the name already, if there is one and it may be kept or replaced.

    Raises:
        NameTakenError: It stands in the way.
    """
    standing = next((one for one in listed if one.name == request.name), None)
    if standing:
        check_standing(request, standing)
    return standing


def find_made(pending: Pending, listed: list[Authorization]) -> Authorization | None:
    """Return what came of a pending exchange: its name and type, and not the record that bore the name before."""
    for one in listed:
        # A server that leaves create_time out gives no other way to tell than that the old one was deleted.
        is_old = one.create_time == pending.stood_since and (one.create_time != 0 or not pending.is_deleted)
        if one.name == pending.target.name and one.is_of(pending.repo_type) and not is_old:
            return one
    return None


def check_standing(request: LinkRequest, standing: Authorization) -> None:
    """Return where the authorization that bears the name may be kept or replaced.

    Raises:
        NameTakenError: It stands in the way.
    """
    if request.if_exists is IfExists.REPLACE:
        return
    if request.if_exists is IfExists.FAIL:
        raise NameTakenError(phrase("An authorization named {name} exists already", name=request.name))
    if not standing.is_of(request.repo_type):
        found = presentable(standing.repo_type, limit=32)
        raise NameTakenError(
            phrase(
                "An authorization named {name} exists already, and it is of type {found}",
                name=request.name,
                found=found,
            )
        )
    if not standing.works:
        raise NameTakenError(
            phrase(
                "An authorization named {name} exists already, but it does not work (status {status})",
                name=request.name,
                status=standing.status,
            ),
            hint=phrase("Give --if-exists replace to put a working one in its place."),
        )
