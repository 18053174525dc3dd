"""The story: how a Git account is linked, told in eight steps, and the seams the story needs of the doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.desk import Desk
from oauth_helper.errors import (
    DeadlineError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    StoppedError,
    UnavailableError,
)
from oauth_helper.events import Checked, Deleted, Event, Exchanging, Failed, Linked, Waiting, Warned, Way
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.presentable import presentable
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.secret import Secret

_WHOLE_SERVICE_REFUSED: Final = frozenset({"APIGW.0302", "APIGW.0402"})
"""A 403 with these codes stands before every call, not only before the list: nothing would come of going on."""

_FAREWELL: Final = 1.0
"""Seconds that whoever opened the browser gets to see the final page."""


class Service(Protocol):
    """The four calls of ServiceStage that a link needs."""

    async def list_authorizations(self) -> list[Authorization]: ...  # noqa: D102

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str: ...  # noqa: D102

    async def create_oauth(  # noqa: D102
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization: ...

    async def delete_authorization(self, name: str) -> None: ...  # noqa: D102


class Listening(Protocol):
    """The loopback listener, bound already."""

    async def serve(self, desk: Desk) -> str:
        """Bring every redirect that comes to ``desk``; return the address to open, KEY included."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What the story is handed; it knows none of them by name."""

    listener: Listening
    open_browser: Callable[[str, Desk], Awaitable[None]]
    """Bring the listener's address before the user, tell how, and end when no more is to be done. It is stopped when
    the story ends; an error of it ends the wait."""
    prompt: Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]
    """Offer what is pasted into the terminal, while the context is open."""
    tell: Callable[[Event], None]


async def link(request: LinkRequest, service: Service, doors: Doors) -> Linked:
    """Link a Git account.

    1. *Check before the browser opens*: the name is free (a request's name is legal), credentials and endpoint good.
    2. *Listen* on 127.0.0.1; the listener is bound when it is handed in.
    3. *Ask* for the authorization URL, and read it.
    4. *Open* the browser, and say what is happening.
    5. *Wait* for one redirect that is ours, until the deadline. A stranger's request never ends the wait.
    6. *Write it down*, so that nothing is lost if we are stopped. (The journal is not built yet; it belongs here.)
    7. *Exchange* at once: one POST. What stood under the name is deleted right before it, if it is to be replaced.
    8. *Tell the truth*: the page and the caller learn the outcome after ServiceStage gave it.

    Raises:
        OAuthHelperError: What went wrong; every class in :mod:`oauth_helper.errors` but RedirectRejectedError.
    """
    try:
        standing = await _check(request, service, doors.tell)  # 1
        if standing and request.if_exists is IfExists.KEEP:
            outcome = Linked(standing, kept=True)
        else:
            outcome = await _link_afresh(request, standing, service, doors)
    except OAuthHelperError as error:
        doors.tell(Failed(error))
        raise
    doors.tell(outcome)
    return outcome


async def _link_afresh(request: LinkRequest, standing: Authorization | None, service: Service, doors: Doors) -> Linked:
    url = await service.authorization_url(request.repo_type, tag=request.tag)  # 3
    desk = Desk(AuthorizationRequest.parse(url, request.repo_type), doors.tell)
    start = await doors.listener.serve(desk)  # 2: bound before the story began, it answers from now on
    async with _browser_opened(start, desk, request, doors), _truth_told(desk):  # 4, 8
        redirect = await _wait(desk, request, doors)  # 5
        outcome = Linked(await _exchange(request, redirect, standing, service, doors.tell))  # 6, 7
        desk.end(outcome)
    return outcome


async def _check(request: LinkRequest, service: Service, tell: Callable[[Event], None]) -> Authorization | None:
    try:
        listed = await service.list_authorizations()
    except NotPermittedError as error:
        if error.code in _WHOLE_SERVICE_REFUSED:
            raise
        listed = []
        tell(Warned(f"This account may not list authorizations, so it is not known whether {request.name} is free."))
    standing = find_standing(request, listed)
    tell(Checked(request.name, request.repo_type))
    return standing


def find_standing(request: LinkRequest, listed: list[Authorization]) -> Authorization | None:
    """Return the authorization that bears the name already, if there is one and it may be kept or replaced.

    Raises:
        NameTakenError: It stands in the way.
    """
    standing = next((one for one in listed if one.name == request.name), None)
    if standing:
        _check_standing(request, standing)
    return standing


def _check_standing(request: LinkRequest, standing: Authorization) -> None:
    if request.if_exists is IfExists.REPLACE:
        return
    if request.if_exists is IfExists.FAIL:
        raise NameTakenError(f"An authorization named {request.name} exists already")
    if not standing.is_of(request.repo_type):
        found = presentable(standing.repo_type, limit=32)
        raise NameTakenError(f"An authorization named {request.name} exists already, and it is of type {found}")
    if not standing.works:
        raise NameTakenError(
            f"An authorization named {request.name} exists already, but it does not work (status {standing.status})",
            hint="Give --if-exists replace to put a working one in its place.",
        )


@asynccontextmanager
async def _browser_opened(start: str, desk: Desk, request: LinkRequest, doors: Doors) -> AsyncIterator[None]:
    deadline = datetime.now(UTC) + timedelta(seconds=request.timeout)
    doors.tell(Waiting(start, desk.authorization_url, deadline))

    async def open_browser() -> None:
        try:
            await doors.open_browser(start, desk)
        except Exception as error:  # noqa: BLE001 - whatever it is, the story is to end with it, not to wait on
            desk.give_up(error)

    opening = asyncio.create_task(open_browser())
    try:
        yield
        await asyncio.wait({opening}, timeout=_FAREWELL)
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


@asynccontextmanager
async def _truth_told(desk: Desk) -> AsyncIterator[None]:
    try:
        yield
    except OAuthHelperError as error:
        desk.end(Failed(error))
        raise
    except asyncio.CancelledError:
        desk.end(Failed(_stopped(desk)))
        raise
    except BaseException as fault:
        desk.end(Failed(OAuthHelperError(f"A fault of oauth-helper: {type(fault).__name__}")))
        raise


def _stopped(desk: Desk) -> OAuthHelperError:
    if desk.has_redirect:
        return OutcomeUnknownError("oauth-helper was stopped while ServiceStage was asked to create the authorization")
    return StoppedError("oauth-helper was stopped before the redirect came. Nothing was created")


async def _wait(desk: Desk, request: LinkRequest, doors: Doors) -> AuthorizationResponse:
    def offer_pasted(text: str) -> None:
        desk.judge(text, Way.TERMINAL)

    try:
        async with asyncio.timeout(request.timeout), doors.prompt(offer_pasted):
            return await desk.redirect()
    except TimeoutError:
        raise DeadlineError(f"No redirect came within {_duration(request.timeout)}") from None


def _duration(seconds: float) -> str:
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


async def _exchange(
    request: LinkRequest,
    redirect: AuthorizationResponse,
    standing: Authorization | None,
    service: Service,
    tell: Callable[[Event], None],
) -> Authorization:
    tell(Exchanging())
    replaced = False
    try:
        if standing:
            await service.delete_authorization(request.name)
            replaced = True
            tell(Deleted(request.name))
        return await service.create_oauth(
            request.repo_type, name=request.name, code=redirect.code, state=redirect.state, tag=request.tag
        )
    except UnavailableError as error:
        raise _undelivered(error, request.name, replaced=replaced) from error
    except OAuthHelperError as error:
        if replaced:
            error.message += f". The authorization that was named {request.name} is deleted"
        raise


def _undelivered(error: UnavailableError, name: str, *, replaced: bool) -> OutcomeUnknownError:
    if error.sent:
        happened = f"ServiceStage was asked to create {name}, but gave no usable answer: {error.message}"
    else:
        happened = f"ServiceStage could not be asked to create {name}: {error.message}"
    if replaced:
        happened += f". The authorization that was named {name} is deleted"
    return OutcomeUnknownError(
        happened,
        hint=f"`oauth-helper show {name}` tells whether it exists. If not, run the command again.",
        code=error.code,
        request_id=error.request_id,
    )
