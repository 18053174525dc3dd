"""The story: how a Git account is linked, told in eight steps, and the seams the story needs of the doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Protocol

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.desk import Desk, Ending
from oauth_helper.errors import (
    DeadlineError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    StoppedError,
    UnavailableError,
)
from oauth_helper.events import Checked, Deleted, Event, Exchanging, Failed, Linked, Waiting, Warned, Way
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.secret import Secret
from oauth_helper.standing import find_standing, is_list_alone_refused

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
    """The loopback listener; entering its context binds it."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def serve(self, desk: Desk) -> str:
        """Bring every redirect that comes to ``desk``; return the address to open, KEY included."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What the story is handed; it knows none of them by name."""

    listener: Listening
    prepare: Callable[[], Awaitable[None]]
    """Find out how a browser will be opened; an error says that none can be where one must."""
    open_browser: Callable[[str, Desk], Awaitable[None]]
    """Bring the listener's address before the user, tell how, and end when no more is to be done. It is stopped when
    the story ends; an error of it ends the wait."""
    prompt: Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]
    """Offer what is pasted into the terminal, while the context is open."""
    tell: Callable[[Event], None]


async def link(request: LinkRequest, service: Service, doors: Doors) -> Linked:
    """Link a Git account.

    1. *Check before the browser opens*: the name is free (a request's name is legal), credentials and endpoint good.
    2. *Listen* on 127.0.0.1, and find out how a browser will be opened.
    3. *Ask* for the authorization URL, and read it.
    4. *Open* the browser, and say what is happening.
    5. *Wait* for one redirect that is ours, until the deadline. A stranger's request never ends the wait.
    6. *Write it down*, so that nothing is lost if we are stopped. (The journal is not built yet; it belongs here.)
    7. *Exchange* at once: one POST. What stood under the name is deleted right before it, if it is to be replaced.
    8. *Tell the truth*: the page and the caller learn the outcome after ServiceStage gave it.

    Raises:
        OAuthHelperError: What went wrong; every class in :mod:`oauth_helper.errors` but RedirectRejectedError.
    """
    ending = Ending(doors.tell)
    try:
        standing = await _check(request, service, doors.tell)  # 1
        if standing and request.if_exists is IfExists.KEEP:
            kept = Linked(standing, kept=True)
            ending.tell(kept)
            return kept
        await doors.prepare()  # 2
        async with doors.listener:
            return await _link_afresh(request, standing, service, doors, ending)
    except OAuthHelperError as error:
        ending.tell(Failed(error))
        raise


async def _link_afresh(
    request: LinkRequest, standing: Authorization | None, service: Service, doors: Doors, ending: Ending
) -> Linked:
    url = await service.authorization_url(request.repo_type, tag=request.tag)  # 3
    desk = Desk(AuthorizationRequest.parse(url, request.repo_type), doors.tell)
    start = await doors.listener.serve(desk)
    async with _browser_opened(start, desk, request, doors):  # 4
        async with _truth_told(desk, ending):  # 8
            redirect = await _wait(desk, request, doors)  # 5
            outcome = Linked(await _exchange(request, redirect, standing, service, doors.tell))  # 6, 7
            desk.end(outcome)
        ending.tell(outcome)
    return outcome


async def _check(request: LinkRequest, service: Service, tell: Callable[[Event], None]) -> Authorization | None:
    try:
        listed = await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
        listed = []
        tell(Warned(f"This account may not list authorizations, so it is not known whether {request.name} is free."))
    standing = find_standing(request, listed)
    tell(Checked(request.name, request.repo_type))
    return standing


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
        try:
            yield
        finally:
            # Whoever brought the redirect has a page coming that tells what became of it.
            if desk.was_answered:
                await asyncio.wait({opening}, timeout=_FAREWELL)
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


@asynccontextmanager
async def _truth_told(desk: Desk, ending: Ending) -> AsyncIterator[None]:
    try:
        yield
    except OAuthHelperError as error:
        desk.end(Failed(error))
        ending.tell(Failed(error))
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
    if standing:
        await _delete(request.name, service)
        tell(Deleted(request.name))
    try:
        return await service.create_oauth(
            request.repo_type, name=request.name, code=redirect.code, state=redirect.state, tag=request.tag
        )
    except UnavailableError as error:
        raise _undelivered(error, request.name, replaced=bool(standing)) from error
    except OAuthHelperError as error:
        if standing:
            error.message += f". The authorization that was named {request.name} is deleted"
        raise


async def _delete(name: str, service: Service) -> None:
    try:
        await service.delete_authorization(name)
    except NoSuchAuthorizationError:
        return  # somebody else was faster, or the request had to be sent twice: the name is free
    except UnavailableError as error:
        raise OutcomeUnknownError(
            f"The authorization named {name} could not be deleted, so none was created in its place: {error.message}",
            hint=f"`oauth-helper show {name}` tells whether it still stands. Then run the command again.",
            code=error.code,
            request_id=error.request_id,
        ) from error


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
