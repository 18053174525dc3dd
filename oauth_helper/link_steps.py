"""The eight steps of a link, those of a link without a browser, and how interrupted links are finished."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from oauth_helper.credentials import TOKEN_GUIDES, GitCredential, PersonalToken, UserPassword, check_type, check_user
from oauth_helper.errors import (
    CodeOrStateInvalidError,
    MachineError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
)
from oauth_helper.events import Checked, Failed, Linked, Outcome, Refused, Resumed, Warned, warning_once
from oauth_helper.exchange import (
    TIMING,
    CannotVerifyError,
    Exchange,
    Tell,
    Timing,
    find_existing,
    find_made,
    is_list_alone_refused,
    what_is_gone,
)
from oauth_helper.i18n import Language, Text, _
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, RepoType, Target
from oauth_helper.receiver import RedirectReceiver, Report
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import Session
from oauth_helper.single_instance import SingleRun

_NOT_ACCEPTED: Final = frozenset({"SVCSTG.REPO.0400", "SVCSTG.REPO.0402", "SVCSTG.REPO.0450", "SVCSTG.REPO.0451"})
"""The codes with which ServiceStage may refuse a token or password; its documentation names none."""


def _single_run(
    request: LinkRequest, service: ServiceStageClient, tell: Tell, language: Language = Language.ENGLISH
) -> SingleRun:
    target = Target(service.endpoint, service.project_id, request.name)
    return SingleRun(target, request.repo_type, tell, language=language)


async def link_in_browser(
    request: LinkRequest, service: ServiceStageClient, session: Session, *, more_to_come: bool = False
) -> Linked:
    """Link a Git account.

    If another process links the same name, end as it does. If an earlier run left a redirect for that name, that link
    is finished first. Otherwise:

    1. *Check* before the browser opens: the name is valid and free, the credentials work, the endpoint answers.
    2. *Listen* on 127.0.0.1, and decide how to open a browser.
    3. *Ask* for the authorization URL, and parse it.
    4. *Open* the browser, and report what happens.
    5. *Wait* for one redirect of ours until the deadline. A foreign request never ends the wait.
    6. *Save* the pending exchange before anything is sent.
    7. *Exchange* at once: one POST. What is to be replaced is deleted right before it. If the outcome is unclear,
       verify before sending again (:mod:`oauth_helper.exchange`).
    8. *Report*: the page and the caller learn the outcome after ServiceStage confirmed it.

    ``more_to_come``: another link follows in this session, whose window then stays open if it is shared.

    Raises:
        OAuthHelperError: What failed: any class of :mod:`oauth_helper.errors` but RedirectRejectedError.
    """
    report = Report(session.tell)
    run = _single_run(request, service, session.tell, session.outcome_language)
    paste = session.deliver_pasted if session.has_prompt else None
    async with run.acquired_or_joined(request, paste) as joined, report.failures():
        if joined:
            return joined
        if finished := await _finish_earlier(request, service, session, report.tell):
            return report.end(finished)
        existing, names = await check(request, service, report.tell)  # 1 Check
        if existing and request.if_exists is IfExists.KEEP:
            return report.end(Linked(existing, kept=True))
        async with session.listening():  # 2 Listen
            receiver = report.receiver = RedirectReceiver(await _ask(request, service), report.tell)  # 3 Ask
            browsing = session.browsing(receiver, seconds=request.timeout, more_to_come=more_to_come)
            async with browsing, report.failures():  # 4 Open
                earlier: Exchange | None = None
                while True:
                    with run.announced(session.new_address(), receiver.request.state):
                        async with service.kept_open(until=session.expires_at):
                            redirect = await session.wait(receiver)  # 5 Wait
                    pending = _pending(request, service, redirect, existing, earlier)
                    exchange = Exchange(pending, service, report.tell, journal=session.journal, timing=session.timing)
                    exchange.names_before = earlier.names_before if earlier else names
                    exchange.may_list = earlier.may_list if earlier else names is not None
                    try:
                        return report.end(await _exchanged(exchange, request))  # 6 Save, 7 Exchange, 8 Report
                    except CodeOrStateInvalidError as refused:
                        receiver.refuse()
                        if not await session.may_start_over(refused):
                            raise
                    earlier = exchange
                    receiver.start_over(await _ask(request, service))
                    await session.start_over(receiver)


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
    """Find with one signed call what has the name and may be kept or replaced, and all names (None: not known)."""
    unknown = _(
        "This account may not list authorizations, so it is not known whether {name} is free.", name=request.name
    )
    listed = await list_if_permitted(service, tell, consequence=unknown)
    existing = find_existing(request, listed or [])
    tell(Checked(request.name, request.repo_type))
    return existing, None if listed is None else frozenset(one.name for one in listed)


async def what_is_kept(request: LinkRequest, service: ServiceStageClient) -> Linked | None:
    """Return what would be kept, before the user is asked for a secret that is not needed. Raises NameTakenError."""
    if request.if_exists is IfExists.REPLACE:
        return None
    existing, _names = await check(request, service, lambda _event: None)
    return Linked(existing, kept=True) if existing else None


async def _ask(request: LinkRequest, service: ServiceStageClient) -> AuthorizationRequest:
    url = await service.authorization_url(request.repo_type, tag=request.tag)
    return AuthorizationRequest.parse(url, request.repo_type)


def _pending(
    request: LinkRequest,
    service: ServiceStageClient,
    redirect: AuthorizationResponse,
    existing: Authorization | None,
    earlier: Exchange | None = None,
) -> Pending:
    existing_since = existing.create_time if existing else None
    return Pending(
        target=Target(service.endpoint, service.project_id, request.name),
        repo_type=request.repo_type,
        captured_at=datetime.now(UTC),
        code=redirect.code,
        state=redirect.state,
        tag=request.tag,
        existing_since=earlier.pending.existing_since if earlier else existing_since,
        is_deleted=earlier is not None and earlier.pending.is_deleted,
    )


async def _exchanged(exchange: Exchange, request: LinkRequest) -> Linked:
    """Exchange; if the name was taken in the meantime, do with its authorization what the user wants.

    A refused name costs neither code nor state, so they can be sent again after a deletion. They stay in the journal
    until it is known that they will not be. What was created in place of a deleted authorization is not deleted too,
    nor what an earlier sending may have created.
    """
    try:
        return Linked(await exchange.run())
    except NameTakenError as taken:
        may_not_delete = exchange.may_be_used or exchange.pending.existing_since is not None
        try:
            listed = [] if request.if_exists is IfExists.FAIL else await exchange.list_once()
            existing = find_existing(request, listed or [])
            if existing is None or (request.if_exists is IfExists.REPLACE and may_not_delete):
                raise
        except (CannotVerifyError, OAuthHelperError) as error:
            exchange.forget()
            raise (error if isinstance(error, NameTakenError) else taken) from None
    if request.if_exists is IfExists.KEEP:
        exchange.forget()
        return Linked(existing, kept=True)
    try:
        return Linked(await exchange.run_again(replacing=existing))
    except NameTakenError:
        exchange.forget()
        raise


async def link_directly(
    request: LinkRequest,
    credential: GitCredential,
    service: ServiceStageClient,
    tell: Tell,
    *,
    timing: Timing = TIMING,
    may_list: bool | None = None,
) -> Linked:
    """Link with a credential of the Git host: steps 1, 7 and 8 of a link. Nothing is saved: it can be run again.

    While another process links the same name, wait for its end. If the caller has just checked the name, ``may_list``
    says whether this account may list.
    """
    check_type(request.repo_type, type(credential))
    if isinstance(credential, UserPassword):
        check_user(request.repo_type, credential.user)
    report = Report(tell)
    existing: Authorization | None = None
    async with _single_run(request, service, tell).acquired_or_joined(request) as joined, report.failures():
        if joined:
            return joined
        if may_list is None:
            existing, names = await check(request, service, report.tell)
            may_list = names is not None
        if existing and request.if_exists is IfExists.KEEP:
            return report.end(Linked(existing, kept=True))
        pending = _pending(request, service, AuthorizationResponse(Secret(""), Secret("")), existing)
        exchange = Exchange(pending, service, report.tell, timing=timing)
        exchange.may_list = may_list
        repo_type, name = request.repo_type, request.name
        if isinstance(credential, PersonalToken):
            exchange.create = partial(
                service.create_personal, repo_type, name=name, token=credential.token, host=credential.host
            )
        else:
            exchange.create = partial(
                service.create_password, repo_type, name=name, user=credential.user, password=credential.password
            )
        try:
            return report.end(await _exchanged(exchange, request))
        except RefusedError as error:
            if error.code in _NOT_ACCEPTED:
                what = _("the token") if isinstance(credential, PersonalToken) else _("the user name and password")
                error.message = _("{host} did not accept {what}", host=request.repo_type.display_name, what=what)
                error.hint = _what_to_check(request, credential)
            raise


def _what_to_check(request: LinkRequest, credential: GitCredential) -> Text:
    host = request.repo_type.display_name
    if isinstance(credential, UserPassword):
        if request.repo_type is RepoType.BITBUCKET:
            return _(
                "Bitbucket accepts an API token only, with the account's email address as --user; passwords and app "
                "passwords no longer work. Or link it in the browser: leave out --with-password."
            )
        return _("Check that you can sign in to {host} with them over Git's HTTPS.", host=host)
    guide = TOKEN_GUIDES[request.repo_type]
    hint = _("The token may have expired, or lack a scope. Create one: {guide}.", guide=guide)
    return hint + _(" Check that ServiceStage can reach --host.") if credential.host else hint


async def _finish_earlier(
    request: LinkRequest, service: ServiceStageClient, session: Session, tell: Tell
) -> Linked | None:
    """Finish the exchange that an earlier link of that name left pending; None if there is none, or it failed."""
    name, journal = request.name, session.journal
    if journal is None:
        return None
    try:
        pending = journal.find(Target(service.endpoint, service.project_id, name), request.repo_type)
    except MachineError as error:
        tell(Warned(_("What an earlier run left cannot be read: {message}.", message=error.message)))
        return None
    if pending is None:
        return None
    would_delete = pending.existing_since is not None and not pending.is_deleted
    if would_delete and request.if_exists is not IfExists.REPLACE:
        return None  # it must not delete what this run is told to keep
    exchange = Exchange(pending, service, tell, journal=journal, timing=session.timing, is_resumed=True)
    if not pending.is_fresh(datetime.now(UTC)):
        expired = _("An earlier redirect for {name} expired before it was known to be exchanged", name=name)
        tell(Warned(expired + what_is_gone(pending) + _(".")))
        exchange.forget()
        return None
    tell(Resumed(name, pending.captured_at))
    try:
        return Linked(await exchange.run())
    except OutcomeUnknownError as error:
        if exchange.may_list:
            raise
        # Asking again would not tell either, and the user, who runs the command again, has been told so.
        tell(Refused(may_be_created=True))
        tell(Warned(_("{message}. Linking it again.", message=error.message)))
    except RefusedError as error:
        exchange.forget()
        tell(Refused())
        tell(Warned(_("The earlier redirect for {name} was refused: {why}.", name=name, why=error.message)))
    return None


async def resume_all(
    pendings: Sequence[Pending],
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[ServiceStageClient]],
    tell: Tell,
    timing: Timing = TIMING,
) -> list[tuple[Pending, Outcome]]:
    """Finish these pending exchanges, one after the other; omit those that another process finishes meanwhile.

    Each is reported like a link that begins with step 7. Errors are not raised: see the outcomes.
    """
    resumed: list[tuple[Pending, Outcome]] = []
    tell = warning_once(tell)
    for pending in pendings:
        run = SingleRun(pending.target, pending.repo_type, tell)
        async with run.acquired(timing.total) as is_acquired:
            try:
                current = journal.find(pending.target, pending.repo_type)
            except MachineError as error:
                tell(Warned(error.message))
                continue
            if current and is_acquired:
                tell(Resumed(current.target.name, current.captured_at))
                outcome = await _resume(current, journal, connected, tell, timing)
                tell(outcome)
                resumed.append((current, outcome))
            elif current:
                busy = OutcomeUnknownError(
                    _("Another oauth-helper is linking {name}", name=pending.target.name),
                    hint=_("The redirect is kept. Run `oauth-helper resume` again when the other one has ended."),
                )
                resumed.append((current, Failed(busy)))
    return resumed


async def _resume(
    pending: Pending,
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[ServiceStageClient]],
    tell: Tell,
    timing: Timing,
) -> Outcome:
    name, is_fresh = pending.target.name, pending.is_fresh(datetime.now(UTC))
    failure: OAuthHelperError
    try:
        async with connected(pending.target) as service:
            exchange = Exchange(pending, service, tell, journal=journal, timing=timing, is_resumed=True)
            if is_fresh:
                try:
                    return Linked(await exchange.run())
                except RefusedError as error:
                    exchange.forget()
                    return Failed(error)
            again = _(
                "Run `oauth-helper link {repo_type} --name {name}` again.",
                repo_type=pending.repo_type.value,
                name=name,
            )
            try:
                made = find_made(pending, await service.list_authorizations())
                nothing = _("The redirect for {name} has expired, and no authorization was created from it", name=name)
                failure = CodeOrStateInvalidError(nothing + what_is_gone(pending), hint=again)
            except NotPermittedError as error:
                unknown = _(
                    "The redirect for {name} has expired, and whether it was created cannot be known: {why}",
                    name=name,
                    why=error.message,
                )
                made, failure = None, OutcomeUnknownError(unknown, hint=again)
            exchange.forget()
            return Linked(made) if made else Failed(failure)
    except (UnavailableError, RefusedError) as error:  # of IAM, or of the list call
        again = _("Run `oauth-helper resume` again in a moment.")
        failure = OutcomeUnknownError(
            _("ServiceStage could not be asked about {name}: {message}", name=name, message=error.message),
            hint=_("The redirect is kept. {again}", again=again) if is_fresh else again,
            code=error.code,
            request_id=error.request_id,
        )
        return Failed(failure)
    except OAuthHelperError as error:
        return Failed(error)
