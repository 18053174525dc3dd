"""What Python callers and the commands use."""

from __future__ import annotations

import asyncio
import getpass
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from oauth_helper.credential_sources import FoundCredentials
from oauth_helper.credentials import (
    GitCredential,
    IamUser,
    PersonalToken,
    UserPassword,
    check_type,
)
from oauth_helper.errors import (
    MachineError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    SettingsError,
    UsageError,
)
from oauth_helper.events import Event, Failed, Joined, Linked, Outcome, Visited, Warned, warning_once
from oauth_helper.exchange import TIMING, Timing, find_existing
from oauth_helper.i18n import _, enumerated, listed, ngettext
from oauth_helper.journal import Journal
from oauth_helper.link_steps import Doors, Service, Settled, link_directly, list_if_permitted, resume
from oauth_helper.link_steps import link as link_steps
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import (
    Authorization,
    IfExists,
    LinkRequest,
    Namespace,
    Pending,
    Project,
    RepoType,
    Target,
    default_name,
)
from oauth_helper.pasted_text import Query, readings
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.iam import fetch_token, find_project_id
from oauth_helper.session import BrowserOptions, ListenerForOne, Opening, SharedSession, SingleRun, of_being_alone
from oauth_helper.settings import DEFAULT_TIMEOUT, Settings, UnreadableFileError, read_bytes
from oauth_helper.single_instance import (
    InstanceInfo,
    RunGoneError,
    claim_when_free,
    deliver,
    digest_of_state,
    read_notices,
    runtime_folder,
)
from oauth_helper.values import Sourced


@asynccontextmanager
async def open_service(
    settings: Settings, credentials: FoundCredentials, *, target: Target | None = None
) -> AsyncIterator[ServiceStageClient]:
    """Open a client for what the settings say; ask IAM for a token or the project's id where they are not given.

    With ``target``, endpoint and project are those of an earlier run.

    Raises:
        SettingsError: Something that is needed is set nowhere.
        CredentialsError: IAM refused them.
        UnavailableError: IAM gave no usable answer.
    """
    endpoint = target.endpoint if target else settings.required_endpoint()
    project_id = target.project_id if target else settings.usable_project_id()
    region, ca_bundle = settings.region.value, settings.ca_bundle.value
    _require_plain_file(settings.ca_bundle)
    identity = credentials.value
    if isinstance(identity, IamUser):
        iam = settings.required_iam_endpoint(_("a token for the IAM user"))
        _require_region_or_project(region or project_id)
        issued = await fetch_token(iam, identity, region=region, project_id=project_id, ca_bundle=ca_bundle)
        identity, project_id = issued.token, project_id or issued.project_id
    elif project_id is None:
        iam = settings.required_iam_endpoint(_("the project's id"))
        project_id = await find_project_id(iam, _require_region_or_project(region), identity, ca_bundle=ca_bundle)
    async with ServiceStageClient(endpoint, project_id=project_id, credentials=identity, ca_bundle=ca_bundle) as client:
        yield client


@asynccontextmanager
async def open_sandbox() -> AsyncIterator[tuple[ServiceStageClient, Callable[[str], Awaitable[None]]]]:
    """Start a sandbox; give a client for it, and the visitor who plays the user where there is no browser."""
    from oauth_helper.sandbox import (  # noqa: PLC0415 - only --sandbox needs it
        Sandbox,
        play_user,
    )

    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        yield service, play_user


def _require_plain_file(ca_bundle: Sourced[str | None]) -> None:
    """Refuse what OpenSSL would read without end; it says itself what is wrong with a plain file or a folder."""
    path = Path(ca_bundle.value or "")
    if ca_bundle.value is None or path.is_dir():
        return
    try:
        read_bytes(path)
    except FileNotFoundError:
        return
    except UnreadableFileError as error:
        raise SettingsError(
            _('{origin}: "{path}" {reason}', origin=ca_bundle.origin, path=path, reason=error.reason),
            hint=_("Name a file of certificates in PEM form."),
        ) from None


def _require_region_or_project(value: str | None) -> str:
    if value is None:
        raise SettingsError(
            _("The project's id is not known, and without a region IAM cannot be asked for it"),
            hint=_("Give --project-id, or --region."),
        )
    return value


def name_for(repo_type: RepoType) -> str:
    """Return the name for an authorization that the user gave none."""
    try:
        login_name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        login_name = ""
    return default_name(RepoType(repo_type), login_name)


def unknown_choice(repo_type: str, if_exists: str) -> UsageError:
    """Return the error for a Python caller who gave a word that is none of ours."""
    name, value, choices = "repo_type", repo_type, [one.value for one in RepoType]
    if repo_type in choices:
        name, value, choices = "if_exists", if_exists, [one.value for one in IfExists]
    return UsageError(
        _("Unknown {name}: {value!r}", name=name, value=str(value)),
        hint=_("Use one of {choices}.", choices=enumerated(choices)),
    )


AT_ONCE: Final = 4
"""Requests. Behind each, ServiceStage asks the Git host, which limits how often it may."""


class RepositoryService(Protocol):
    """The two calls that a walk needs."""

    async def list_namespaces(self, authorization_name: str) -> list[Namespace]:
        """Return the namespaces that an authorization can see."""

    async def list_projects(self, authorization_name: str, namespace: str) -> list[Project]:
        """Return the projects in one of them."""


async def walk_repositories(
    service: RepositoryService, authorization_name: str
) -> list[tuple[Namespace, list[Project]]]:
    """Return each namespace that an authorization can see, in the API's order, with its projects.

    Raises:
        OAuthHelperError: What went wrong first; nothing more is asked after that.
    """
    policy = asyncio.Semaphore(AT_ONCE)

    async def projects_of(namespace: Namespace) -> list[Project]:
        async with policy:
            return await service.list_projects(authorization_name, namespace.key)

    namespaces = await service.list_namespaces(authorization_name)
    asking = [asyncio.create_task(projects_of(namespace)) for namespace in namespaces]
    try:
        return list(zip(namespaces, await asyncio.gather(*asking), strict=True))
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


_OWN_BROWSER_KEY: Final = "b"


async def link(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    tag: str | None = None,
    if_exists: IfExists | str = IfExists.KEEP,
    browser: str = "auto",
    port: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the user's deadline, told with an error of its own
    tell: Callable[[Event], None] = lambda _event: None,
) -> Authorization:
    """Link a Git account to ServiceStage; return the authorization that stands afterwards.

    Args:
        service: An open client.
        repo_type: The kind of Git host.
        name: 4 to 63 characters of ``A-Za-z0-9._-``; by default ``REPO_TYPE-<login name>``.
        tag: Site tag, ``intl`` for the international site.
        if_exists: What to do about an authorization of that name: ``keep``, ``replace`` or ``fail``.
        browser: ``auto``, ``default``, ``chromium``, ``firefox``, a browser's path, or ``none``; with ``none`` the
            addresses are in the event ``Waiting``.
        port: The listener's port on 127.0.0.1; any free one by default.
        timeout: Seconds to wait for the user.
        tell: Called with each event of the story.

    Raises:
        OAuthHelperError: What went wrong; its ``hint`` says what to do next.
    """
    try:
        request = LinkRequest(RepoType(repo_type), name or name_for(repo_type), tag, IfExists(if_exists), timeout)
    except ValueError:
        raise unknown_choice(repo_type, if_exists) from None
    browser_options = BrowserOptions(browser=browser, port=port)
    linked = await run_link(request, service, browser_options, tell, journal=Journal.of_the_user())
    return linked.authorization


async def run_link(
    request: LinkRequest,
    service: ServiceStageClient,
    browser_options: BrowserOptions,
    tell: Callable[[Event], None],
    *,
    journal: Journal | None,
    timing: Timing = TIMING,
    session: SharedSession | None = None,
    more_to_come: bool = False,
) -> Linked:
    """Link, and tell whether the authorization stood already; where another run links the same name, end as it does.

    With ``sitting`` its listener and window are used, and left to the next link if there is ``more_to_come``.

    Raises:
        OAuthHelperError: As :func:`link`.
    """
    target = Target(service.endpoint, service.project_id, request.name)
    place = SingleRun.of_the_user(target, request.repo_type, tell)
    async with place.claimed_or_joined(request, browser_options) as joined:
        if joined:
            return joined
        async with _seated(session, browser_options, tell, service) as (listener, opening):
            doors = Doors(
                listener=ListenerForOne(listener, more_to_come=more_to_come) if session else listener,
                prepare=opening.prepare,
                open_browser=opening.open,
                prompt=_prompt(browser_options, opening),
                may_start_over=partial(_may_start_over, browser_options),
                announced=lambda receiver: place.announced(listener.start(good_once=False).address, receiver.state),
                journal=journal,
                tell=_with_an_eye_on_visits(tell, service),
                timing=timing,
                kept_ready=service.kept_ready,
            )
            return await link_steps(request, service, doors)


async def _may_start_over(browser_options: BrowserOptions, error: OAuthHelperError) -> bool:
    from oauth_helper.session import ask_to_start_over  # noqa: PLC0415 - most runs never ask

    return await ask_to_start_over(error, browser_options)


@asynccontextmanager
async def _seated(
    session: SharedSession | None,
    browser_options: BrowserOptions,
    tell: Callable[[Event], None],
    service: ServiceStageClient,
) -> AsyncIterator[tuple[Listener, Opening]]:
    if session:
        yield session.listener, session.opening
        return
    listener = Listener(browser_options.port, preference=browser_options.preference)
    async with Opening(browser_options, listener, tell, stirs=service.expect_request) as opening:
        yield listener, opening


def _with_an_eye_on_visits(tell: Callable[[Event], None], service: ServiceStageClient) -> Callable[[Event], None]:
    def tell_and_expect(event: Event) -> None:
        if isinstance(event, Visited):
            service.expect_request()
        tell(event)

    return tell_and_expect


def _prompt(
    browser_options: BrowserOptions, opening: Opening
) -> Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]:
    say = browser_options.say
    if say is None or not browser_options.has_prompt:
        return lambda _offer: nullcontext()

    from oauth_helper.terminal_prompt import TerminalPrompt  # noqa: PLC0415 - the URL is asked for meanwhile

    def prompt(offer: Callable[[str], None]) -> TerminalPrompt:
        # A Git host or a single sign-on may refuse a window that is driven.
        more = {_OWN_BROWSER_KEY: opening.go_on_in_the_default_browser} if opening.has_window else {}
        return TerminalPrompt(offer=offer, say=say, keys={**browser_options.keys, **more})

    return prompt


async def link_with_token(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    token: Secret | str,
    host: str | None = None,
    if_exists: IfExists | str = IfExists.KEEP,
    tell: Callable[[Event], None] = lambda _event: None,
) -> Authorization:
    """Link a GitHub, GitLab or Gitee account by a personal access token; return the authorization that stands then.

    Args:
        service: An open client.
        repo_type: The kind of Git host.
        name: 4 to 63 characters of ``A-Za-z0-9._-``; by default ``REPO_TYPE-<login name>``.
        token: The token.
        host: A private Git server, ``https://HOST[:PORT][/PATH]``; by default the official one.
        if_exists: What to do about an authorization of that name: ``keep``, ``replace`` or ``fail``.
        tell: Called with each event of the story.

    Raises:
        OAuthHelperError: What went wrong; its ``hint`` says what to do next.
    """
    git_credential = PersonalToken(token if isinstance(token, Secret) else Secret(token), host)
    linked = await run_direct_link(_request(repo_type, name, if_exists), git_credential, service, tell)
    return linked.authorization


async def link_with_password(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    user: str,
    password: Secret | str,
    if_exists: IfExists | str = IfExists.KEEP,
    tell: Callable[[Event], None] = lambda _event: None,
) -> Authorization:
    """Link a Bitbucket or CodeArts account by user and password; return the authorization that stands then.

    Args:
        service: An open client.
        repo_type: The kind of Git host.
        name: 4 to 63 characters of ``A-Za-z0-9._-``; by default ``REPO_TYPE-<login name>``.
        user: The user's name at the Git host; of CodeArts ``ACCOUNT/USER``.
        password: The password; of Bitbucket an app password.
        if_exists: What to do about an authorization of that name: ``keep``, ``replace`` or ``fail``.
        tell: Called with each event of the story.

    Raises:
        OAuthHelperError: What went wrong; its ``hint`` says what to do next.
    """
    git_credential = UserPassword(user, password if isinstance(password, Secret) else Secret(password))
    linked = await run_direct_link(_request(repo_type, name, if_exists), git_credential, service, tell)
    return linked.authorization


async def run_direct_link(
    request: LinkRequest,
    git_credential: GitCredential,
    service: ServiceStageClient,
    tell: Callable[[Event], None],
    *,
    timing: Timing = TIMING,
    is_checked: bool = False,
    may_list: bool = True,
) -> Linked:
    """Link, and tell whether the authorization stood already; while another run links the name, wait for its end.

    With ``is_checked`` the caller has just seen that the name is free, or, without ``may_look``, that this account may
    not list.

    Raises:
        OAuthHelperError: As :func:`link_with_token`.
    """
    check_type(request.repo_type, type(git_credential))
    target = Target(service.endpoint, service.project_id, request.name)
    place = SingleRun.of_the_user(target, request.repo_type, tell)
    # Nobody can speak to this run: whoever would link the same name waits until it is over, and then looks.
    async with place.claimed_or_joined(request, BrowserOptions()) as joined:
        return joined or await link_directly(
            *(request, git_credential, service, tell), timing=timing, is_checked=is_checked, may_list=may_list
        )


async def what_is_kept(
    request: LinkRequest, service: ServiceStageClient, tell: Callable[[Event], None]
) -> Linked | None:
    """Return the authorization that would be kept, so that nobody is asked for a secret that is not needed.

    Raises:
        NameTakenError: What bears the name stands in the way.
    """
    if request.if_exists is IfExists.REPLACE:
        return None
    existing = find_existing(request, await list_if_permitted(request, service, tell) or [])
    return Linked(existing, kept=True) if existing else None


def _request(repo_type: RepoType, name: str | None, if_exists: IfExists | str) -> LinkRequest:
    try:
        return LinkRequest(RepoType(repo_type), name or name_for(repo_type), if_exists=IfExists(if_exists))
    except ValueError:
        raise unknown_choice(repo_type, if_exists) from None


async def resume_all(
    pendings: Sequence[Pending],
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[Service]],
    tell: Callable[[Event], None],
    timing: Timing = TIMING,
) -> list[Settled]:
    """Finish these exchanges, one after the other; what another run finishes meanwhile is left out."""
    settled = []
    tell = warning_once(tell)
    for pending in pendings:
        async with _claimed(pending.target, tell, timing) as is_ours:
            if current := _still_there(pending, journal, tell):
                one = await resume(current, journal, connected, tell, timing) if is_ours else _left_to_another(current)
                settled.append(one)
    return settled


def waiting_links() -> list[InstanceInfo]:
    """Return the links of this user that wait for their redirect.

    Raises:
        MachineError: There is none, or they cannot be looked for.
    """
    waiting = read_notices(runtime_folder())
    if not waiting:
        raise MachineError(
            _("No link of yours is waiting on this machine"),
            hint=_(
                "Start `oauth-helper link REPO_TYPE` as the same user on the same machine, and deliver while it waits."
            ),
        )
    return waiting


async def deliver_to_waiting(waiting: Sequence[InstanceInfo], text: str) -> tuple[InstanceInfo, Outcome]:
    """Hand a pasted redirect to the one of these links, of which there is one at least, that waits for its state.

    If there are several, the others are not given it: a foreign redirect would look like a mistake of their users.

    Returns which did, and how it ended.

    Raises:
        RedirectRejectedError: None of them takes it.
        OutcomeUnknownError: One of them has gone, and it is not known whether it took it.
    """
    rejections: list[RedirectRejectedError] = []
    gone: InstanceInfo | None = None
    states = _states_in(text)
    addressed = [one for one in waiting if one.state in states] or [
        one for one in waiting if one.state is None or len(waiting) == 1
    ]
    if not addressed:
        rejections.append(_rejection(text, waiting[0].repo_type))
    for notice in addressed:
        try:
            return notice, await deliver(notice, text)
        except RedirectRejectedError as error:
            rejections.append(error)
        except RunGoneError:
            gone = notice
    if gone:
        raise OutcomeUnknownError(
            _("The link of {name} has gone without a word", name=gone.name),
            hint=_("If it had taken the address, `oauth-helper resume` finishes it. If not, run `link` again."),
        )
    # What the one that it belongs to says, rather than all the others.
    known = [error for error in rejections if error.reason not in {"no-redirect", "foreign-state"}]
    rejected = (known or rejections)[0]
    raise RedirectRejectedError(
        rejected.reason,
        rejected.message,
        hint=ngettext(
            "{names} still waits. {hint}",
            "{names} still wait. {hint}",
            len(waiting),
            hint=rejected.hint,
            names=listed([notice.name for notice in waiting]),
        ),
    )


def _states_in(text: str) -> set[str]:
    queries = (Query(query) for queries in readings(text) for query in queries)
    return {digest_of_state(state) for query in queries for state in query.all_of("state")}


def _rejection(text: str, repo_type: RepoType) -> RedirectRejectedError:
    """Return what a link says to a text in which its state is not."""
    unguessable = Secret(secrets.token_urlsafe())
    try:
        AuthorizationRequest(Secret(""), repo_type, "", unguessable, None).judge(text)
    except RedirectRejectedError as rejected:
        return rejected
    raise RuntimeError("a redirect for a state that did not exist")


@asynccontextmanager
async def _claimed(target: Target, tell: Callable[[Event], None], timing: Timing) -> AsyncIterator[bool]:
    """Hold the right to the target within the context; tell whether it was to be had."""
    with ExitStack() as stack:
        try:
            async with asyncio.timeout(timing.total):
                joined = Joined(target.name, can_deliver=False)
                stack.enter_context(await claim_when_free(runtime_folder(), target, lambda: tell(joined)))
        except TimeoutError:
            yield False
            return
        except MachineError as error:
            tell(of_being_alone(error))
        yield True


def _left_to_another(pending: Pending) -> Settled:
    error = OutcomeUnknownError(
        _("Another oauth-helper is linking {name}", name=pending.target.name),
        hint=_("The redirect is kept. Run `oauth-helper resume` again when the other one has ended."),
    )
    return Settled(pending, Failed(error))


def _still_there(pending: Pending, journal: Journal, tell: Callable[[Event], None]) -> Pending | None:
    try:
        return journal.find(pending.target, pending.repo_type)
    except MachineError as error:
        tell(Warned(error.message))
        return None
