"""The eight steps of a link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from oauth_helper.authorization import Authorization
from oauth_helper.desk import Desk, Ending
from oauth_helper.errors import (
    CodeOrStateInvalidError,
    NameTakenError,
    OAuthHelperError,
)
from oauth_helper.events import Failed, Linked
from oauth_helper.exchange import Exchange, Lookout
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking.checking import Found, check
from oauth_helper.linking.doors import Doors, Service
from oauth_helper.linking.taken import where_taken
from oauth_helper.linking.unfinished import finish_earlier
from oauth_helper.linking.waiting import Browsing, redirect_of, truth_told
from oauth_helper.pending import Pending, Target
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse


async def link(request: LinkRequest, service: Service, doors: Doors) -> Linked:
    """Link a Git account.

    What an earlier run has left unfinished under the same name is finished first. Else:

    1. *Check before the browser opens*: the name is free (a request's name is legal), credentials and endpoint good.
    2. *Ask* for the authorization URL, and read it.
    3. *Listen* on 127.0.0.1, and find out how a browser will be opened, while that is under way.
    4. *Open* the browser, and say what is happening.
    5. *Wait* for one redirect that is ours, until the deadline. A stranger's request never ends the wait.
    6. *Write it down*, so that nothing is lost if we are stopped.
    7. *Exchange* at once: one POST. What stood under the name is deleted right before it, if it is to be replaced.
       Where the outcome is not plain, look before anything is sent again (:mod:`oauth_helper.exchange`).
    8. *Tell the truth*: the page and the caller learn the outcome after ServiceStage gave it.

    Raises:
        OAuthHelperError: What went wrong; every class in :mod:`oauth_helper.errors` but RedirectRejectedError.
    """
    ending = Ending(doors.tell)
    try:
        if finished := await finish_earlier(request, service, doors):
            ending.tell(finished)
            return finished
        found = await check(request, service, doors.tell)  # 1
        if found.standing and request.if_exists is IfExists.KEEP:
            kept = Linked(found.standing, kept=True)
            ending.tell(kept)
            return kept
        async with _asked(request, service) as asking, doors.listener:  # 2, 3
            await doors.prepare()
            return await _link_afresh(request, found, service, doors, asking, ending)
    except OAuthHelperError as error:
        ending.tell(Failed(error))
        raise


@asynccontextmanager
async def _asked(request: LinkRequest, service: Service) -> AsyncIterator[asyncio.Task[AuthorizationRequest]]:
    asking = asyncio.create_task(_ask(request, service))
    try:
        yield asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _link_afresh(
    request: LinkRequest,
    found: Found,
    service: Service,
    doors: Doors,
    asking: asyncio.Task[AuthorizationRequest],
    ending: Ending,
) -> Linked:
    desk = Desk(await asking, doors.tell)
    start = await doors.listener.serve(desk)
    with doors.announced():
        async with Browsing.begun(start, desk, request, doors) as browsing:  # 4
            async with truth_told(desk, ending):  # 8
                linked = await _until_exchanged(request, found, service, doors, desk, browsing)
                desk.end(linked)
            ending.tell(linked)
    return linked


async def _ask(request: LinkRequest, service: Service) -> AuthorizationRequest:
    url = await service.authorization_url(request.repo_type, tag=request.tag)
    return AuthorizationRequest.parse(url, request.repo_type)


async def _until_exchanged(
    request: LinkRequest, found: Found, service: Service, doors: Doors, desk: Desk, browsing: Browsing
) -> Linked:
    earlier: Pending | None = None
    while True:
        redirect = await redirect_of(desk, request, doors)  # 5
        pending = _captured(redirect, request, found.standing, service)
        if earlier:
            pending = replace(pending, is_deleted=earlier.is_deleted)
        exchange = Exchange(
            pending,
            service,
            doors.journal,
            doors.tell,
            pace=doors.pace,
            known=found.known,
            may_look=found.known is not None,
        )
        try:
            return Linked(await exchange.carry_out())  # 6, 7
        except NameTakenError as taken:
            lookout = Lookout(service, request.name, doors.tell, doors.pace)
            again = partial(_exchanged_again, service=service, doors=doors)
            return await where_taken(taken, exchange, request, lookout, again)
        except CodeOrStateInvalidError as refused:
            desk.refuse()
            if not await doors.may_start_over(refused):
                raise
        earlier = exchange.pending
        desk.start_over(await _ask(request, service))
        await browsing.start_over()


async def _exchanged_again(pending: Pending, *, service: Service, doors: Doors) -> Authorization:
    return await Exchange(pending, service, doors.journal, doors.tell, pace=doors.pace).carry_out()


def _captured(
    redirect: AuthorizationResponse, request: LinkRequest, standing: Authorization | None, service: Service
) -> Pending:
    return Pending(
        target=Target(service.endpoint, service.project_id, request.name),
        repo_type=request.repo_type,
        captured_at=datetime.now(UTC),
        code=redirect.code,
        state=redirect.state,
        tag=request.tag,
        stood_since=standing.create_time if standing else None,
    )
