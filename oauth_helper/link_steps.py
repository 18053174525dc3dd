"""The eight steps of a link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    DeadlineError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    StoppedError,
)
from oauth_helper.events import (
    Advised,
    Checked,
    Failed,
    Linked,
    Progress,
    Warned,
    Way,
)
from oauth_helper.exchange import (
    CannotVerifyError,
    Exchange,
    Tell,
    find_existing,
    is_list_alone_refused,
    redirect_creation,
)
from oauth_helper.i18n import Text, _
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, Target
from oauth_helper.receiver import Ending, RedirectReceiver
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.resume import finish_earlier
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import Session
from oauth_helper.single_instance import SingleRun

_CLOCK_INTERVAL: Final = 1.0
"""Seconds between two interpretations of the wall clock, which may jump."""


async def link(
    request: LinkRequest, service: ServiceStageClient, session: Session, run: SingleRun, *, more_to_come: bool = False
) -> Linked:
    """Link a Git account.

    If an earlier run left a redirect for the same name, that link is finished first. Otherwise:

    1. *Check* before the browser opens: the name is valid and free, the credentials work, the endpoint answers.
    2. *Listen* on 127.0.0.1, and decide how to open a browser.
    3. *Ask* for the authorization URL, at the same time, and parse it.
    4. *Open* the browser, and report what happens.
    5. *Wait* for one redirect of ours until the deadline. A foreign request never ends the wait.
    6. *Save* the pending exchange before anything is sent.
    7. *Exchange* at once: one POST. What is to be replaced is deleted right before it. If the outcome is unclear,
       verify before sending again (:mod:`oauth_helper.exchange`).
    8. *Report*: the page and the caller learn the outcome after ServiceStage confirmed it.

    Args:
        request: What to link.
        service: An open client.
        session: The listener, the browser and the prompt.
        run: This link among the processes of this user, which holds the lock of the target.
        more_to_come: Whether another link follows in this session.

    Raises:
        OAuthHelperError: What failed: any class of :mod:`oauth_helper.errors` but RedirectRejectedError.
    """
    ending = Ending(session.tell)
    tell = ending.watch
    async with _failure_reported(ending):
        if finished := await finish_earlier(request, service, session.journal, tell, session.timing):
            ending.tell(finished)
            return finished
        existing, names = await check(request, service, tell)  # 1 Check
        if existing and request.if_exists is IfExists.KEEP:
            kept = Linked(existing, kept=True)
            ending.tell(kept)
            return kept
        async with _started(_ask(request, service)) as asking, session.listening():  # 2 Listen
            receiver = RedirectReceiver(await asking, tell)  # 3 Ask
            async with session.browsing(receiver, seconds=request.timeout, more_to_come=more_to_come):  # 4 Open
                async with _outcome_reported(receiver, ending, request, session.journal):
                    linked: Linked | None = None
                    earlier: Exchange | None = None
                    while linked is None:
                        if earlier:
                            receiver.start_over(await _ask(request, service))
                            await session.start_over(receiver)
                        with run.announced(session.new_address(), receiver.state):
                            redirect = await _wait(receiver, request, service, session, tell)  # 5 Wait
                            pending = _pending(redirect, request, service, existing, earlier)
                            exchange = Exchange(
                                *(pending, service, redirect_creation(pending, service), tell),
                                journal=session.journal,
                                timing=session.timing,
                                names_before=names if earlier is None else earlier.names_before,
                                may_list=names is not None if earlier is None else earlier.verifier.may_list,
                            )
                            try:
                                linked = await exchanged(exchange, request)  # 6 Save, 7 Exchange
                            except CodeOrStateInvalidError as refused:
                                receiver.refuse()
                                if not await session.may_start_over(refused):
                                    raise
                            earlier = exchange
                    receiver.end(linked)  # 8 Report
                ending.tell(linked)
                return linked


@asynccontextmanager
async def _failure_reported(ending: Ending) -> AsyncIterator[None]:
    try:
        yield
    except OAuthHelperError as error:
        ending.tell(Failed(error))
        raise


async def list_if_permitted(
    service: ServiceStageClient, tell: Tell, *, consequence: Text
) -> list[Authorization] | None:
    """Return all authorizations; None, after a warning with the ``consequence``, if this account may not list."""
    try:
        return await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
    tell(Warned(consequence))
    return None


async def check(
    request: LinkRequest, service: ServiceStageClient, tell: Tell
) -> tuple[Authorization | None, Collection[str] | None]:
    """Find the authorization that has the name, with one signed call.

    Returns:
        What may be kept or is to be replaced; and all names, or None if this account may not list them.

    Raises:
        NameTakenError: The authorization that has the name can be neither kept nor replaced.
        CredentialsError, UnavailableError: A link cannot succeed.
    """
    unknown = _(
        "This account may not list authorizations, so it is not known whether {name} is free.", name=request.name
    )
    listed = await list_if_permitted(service, tell, consequence=unknown)
    existing = find_existing(request, listed or [])
    tell(Checked(request.name, request.repo_type))
    return existing, None if listed is None else frozenset(one.name for one in listed)


async def _ask(request: LinkRequest, service: ServiceStageClient) -> AuthorizationRequest:
    url = await service.authorization_url(request.repo_type, tag=request.tag)
    return AuthorizationRequest.parse(url, request.repo_type)


@asynccontextmanager
async def _started(
    work: Coroutine[None, None, AuthorizationRequest],
) -> AsyncIterator[asyncio.Task[AuthorizationRequest]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _wait(
    receiver: RedirectReceiver, request: LinkRequest, service: ServiceStageClient, session: Session, tell: Tell
) -> AuthorizationResponse:
    """Wait for one redirect of ours until the deadline, by the clock of the loop and by the wall clock.

    The clock of the loop stops while the machine is suspended (on Linux), and the wall clock may be set back.

    Raises:
        DeadlineError: None came in time.
        OAuthHelperError: The user or the Git host refused, or the browser that the user demands did not open.
    """
    async with service.kept_ready():
        try:
            async with (
                asyncio.timeout(request.timeout) as limit,
                _running(_expire_at(session.expires_at, limit)),
                session.prompt(partial(receiver.judge, way=Way.TERMINAL)),
                _running(_give_guidance(receiver, session.guidance_after, tell)),
            ):
                return await receiver.redirect()
        except TimeoutError:
            raise DeadlineError(_("No redirect came within {seconds:g} s", seconds=request.timeout)) from None


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()  # without waiting for it, so that the exchange starts at once


async def _expire_at(moment: datetime, limit: asyncio.Timeout) -> None:
    while (left := moment.timestamp() - time.time()) > 0:  # noqa: ASYNC110 - a clock, and not an event
        await asyncio.sleep(min(left, _CLOCK_INTERVAL))
    limit.reschedule(asyncio.get_running_loop().time())


async def _give_guidance(receiver: RedirectReceiver, moments: Sequence[float], tell: Tell) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    for moment in moments:
        await asyncio.sleep(began + moment - clock())
        if guidance := receiver.guidance(is_last=moment == moments[-1]):
            tell(Advised(guidance))


def _pending(
    redirect: AuthorizationResponse,
    request: LinkRequest,
    service: ServiceStageClient,
    existing: Authorization | None,
    earlier: Exchange | None,
) -> Pending:
    stood_since = existing.create_time if existing else None
    return Pending(
        target=Target(service.endpoint, service.project_id, request.name),
        repo_type=request.repo_type,
        captured_at=datetime.now(UTC),
        code=redirect.code,
        state=redirect.state,
        tag=request.tag,
        stood_since=earlier.pending.stood_since if earlier else stood_since,
        is_deleted=earlier is not None and earlier.pending.is_deleted,
    )


async def exchanged(exchange: Exchange, request: LinkRequest) -> Linked:
    """Exchange; if the name was taken in the meantime, do with its authorization what the user wants.

    A refused name costs neither code nor state, so they can be sent again after a deletion. They stay in the journal
    until it is known that they will not be. What was created in place of a deleted authorization is not deleted too,
    nor what an earlier sending may have created.
    """
    try:
        return Linked(await exchange.run())
    except NameTakenError as taken:
        try:
            existing = await _what_took_the_name(taken, exchange, request)
        except OAuthHelperError:
            exchange.forget()
            raise
    if request.if_exists is IfExists.KEEP:
        exchange.forget()
        return Linked(existing, kept=True)
    try:
        return Linked(await exchange.run_again(replacing=existing))
    except NameTakenError:
        exchange.forget()
        raise


async def _what_took_the_name(taken: NameTakenError, exchange: Exchange, request: LinkRequest) -> Authorization:
    """Return the authorization that has the name, if it may be kept or replaced; raise ``taken`` otherwise."""
    if request.if_exists is IfExists.FAIL:
        raise taken
    try:
        listed = await exchange.verifier.list_once() or []
    except (CannotVerifyError, CredentialsError):
        raise taken from None
    existing = find_existing(request, listed)
    is_replaced = request.if_exists is IfExists.REPLACE
    if existing is None or (is_replaced and (exchange.may_be_used or exchange.pending.stood_since is not None)):
        raise taken
    return existing


@asynccontextmanager
async def _outcome_reported(
    receiver: RedirectReceiver, ending: Ending, request: LinkRequest, journal: Journal | None
) -> AsyncIterator[None]:
    """Report every failure to the page too."""
    try:
        yield
    except OAuthHelperError as error:
        ending.explain(error)
        receiver.end(Failed(error))
        ending.tell(Failed(error))
        raise
    except asyncio.CancelledError:
        receiver.end(Failed(_stopped(receiver, ending.progress, request, journal)))
        raise
    except BaseException as fault:
        receiver.end(Failed(OAuthHelperError(_("Unexpected {name__}", name__=type(fault).__name__))))
        raise


def _stopped(
    receiver: RedirectReceiver, progress: Progress, request: LinkRequest, journal: Journal | None
) -> OAuthHelperError:
    if receiver.is_refused:
        return StoppedError(
            _("oauth-helper was stopped after ServiceStage had refused the redirect. Nothing was created")
        )
    if not receiver.has_redirect:
        return StoppedError(_("oauth-helper was stopped before the redirect came. Nothing was created"))
    if journal is None:  # in the sandbox, which ends with this run
        hint = _("Run the command again when you are ready.")
    elif progress.is_kept:
        hint = _("The redirect is kept: `oauth-helper resume` finishes it within 10 minutes of its coming.")
    else:
        hint = _(
            "`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=request.name
        )
    return OutcomeUnknownError(
        _("oauth-helper was stopped while ServiceStage was asked to create the authorization"), hint=hint
    )
