"""The eight steps of a link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from oauth_helper.authorization import Authorization
from oauth_helper.desk import Desk, Ending
from oauth_helper.errors import CodeOrStateInvalidError, NameTakenError, OAuthHelperError
from oauth_helper.events import Failed, Linked
from oauth_helper.exchange import Exchange
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking.checking import Found, check
from oauth_helper.linking.doors import Doors, Service
from oauth_helper.linking.taken import link_in_spite_of_name
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
    doors = replace(doors, tell=ending.watch)
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
    with ExitStack() as announced:
        announced.enter_context(doors.announced(desk))
        async with Browsing.begun(start, desk, request, doors) as browsing:  # 4
            async with truth_told(desk, ending, request, doors):  # 8
                linked = await _until_exchanged(request, found, service, doors, desk, browsing, announced)
                desk.end(linked)
            ending.tell(linked)
    return linked


async def _ask(request: LinkRequest, service: Service) -> AuthorizationRequest:
    url = await service.authorization_url(request.repo_type, tag=request.tag)
    return AuthorizationRequest.parse(url, request.repo_type)


async def _until_exchanged(
    request: LinkRequest,
    found: Found,
    service: Service,
    doors: Doors,
    desk: Desk,
    browsing: Browsing,
    announced: ExitStack,
) -> Linked:
    known, may_look = found.known, found.known is not None
    earlier: Pending | None = None
    while True:
        redirect = await redirect_of(desk, request, doors, browsing.expires_at)  # 5
        pending = _captured(redirect, request, found.standing, service)
        if earlier:
            pending = replace(pending, stood_since=earlier.stood_since, is_deleted=earlier.is_deleted)
        exchange = Exchange(
            pending, service, doors.journal, doors.tell, pace=doors.pace, known=known, may_look=may_look
        )
        try:
            return await _exchanged(exchange, request)  # 6, 7
        except CodeOrStateInvalidError as refused:
            desk.refuse()
            if not await doors.may_start_over(refused):
                raise
        earlier, known, may_look = exchange.pending, exchange.known, exchange.may_look
        desk.start_over(await _ask(request, service))
        announced.close()
        announced.enter_context(doors.announced(desk))
        await browsing.start_over()


async def _exchanged(exchange: Exchange, request: LinkRequest) -> Linked:
    try:
        return Linked(await exchange.carry_out())
    except NameTakenError as taken:
        return await link_in_spite_of_name(taken, exchange, request)


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
