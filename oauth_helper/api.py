"""The functions that Python programs and the commands call."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from oauth_helper.credentials import CredentialSource, IamToken, PersonalToken, UserPassword
from oauth_helper.errors import MachineError, OutcomeUnknownError, RedirectRejectedError, SettingsError, UsageError
from oauth_helper.events import AnyOutcome, Captured, Way
from oauth_helper.exchange import Tell
from oauth_helper.i18n import Language, _, enumerated, listed
from oauth_helper.journal import Journal
from oauth_helper.link_steps import link_directly, link_in_browser
from oauth_helper.listener.handlers import is_served
from oauth_helper.listener.request_policy import Route
from oauth_helper.models import Authorization, IfExists, LinkRequest, Namespace, Project, RepoType, Target, name_for
from oauth_helper.pasted_text import interpretations, parse_query
from oauth_helper.receiver import RedirectReceiver, Report
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.iam import Iam
from oauth_helper.session import BrowserOptions, Session
from oauth_helper.settings import DEFAULT_TIMEOUT, Settings, UnreadableFileError, read_bytes
from oauth_helper.single_instance import (
    InstanceInfo,
    RunGoneError,
    SingleRun,
    digest_of_state,
    outcome_of,
    runtime_folder,
    waiting_instances,
)
from oauth_helper.values import Sourced, parse_address

CONCURRENCY: Final = 4
"""Requests at a time. ServiceStage limits the rate of a whole account, and each Git host limits ServiceStage's."""


@asynccontextmanager
async def open_service(
    settings: Settings, credentials: CredentialSource, *, target: Target | None = None
) -> AsyncIterator[ServiceStageClient]:
    """Open a client with these settings; fetch what must be fetched: credentials, the id of the project.

    With ``target``, endpoint and project are those of an earlier run.

    Raises:
        SettingsError: A setting is missing.
        CredentialsError: IAM refused the credentials.
        UnavailableError: IAM gave no usable answer.
    """
    endpoint = target.endpoint if target else settings.required_endpoint()
    _check_ca_bundle(settings.ca_bundle)
    credentials.iam = replace(settings.iam, project_id=target.project_id) if target else settings.iam
    iam = Iam(credentials.iam)
    identity = await credentials.current(iam)
    project_id = credentials.iam.project_id or (identity.project_id if isinstance(identity, IamToken) else None)
    async with ServiceStageClient(
        endpoint,
        project_id=project_id or await iam.find_project_id(identity),
        credentials=credentials,
        ca_bundle=settings.ca_bundle.value,
    ) as service:
        yield service


def _check_ca_bundle(ca_bundle: Sourced[str | None]) -> None:
    """Refuse what OpenSSL would read without end; it reports itself what is wrong with a plain file or a folder."""
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


@asynccontextmanager
async def open_sandbox() -> AsyncIterator[tuple[ServiceStageClient, Callable[[str], Awaitable[None]]]]:
    """Start a sandbox; return a client for it, and what acts as the user if there is no browser."""
    from oauth_helper.sandbox import Sandbox, play_user  # noqa: PLC0415 - only --sandbox needs it

    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        yield service, play_user


async def capture(
    url: str,
    *,
    redirect_uri: str | None = None,
    browser: str = "auto",
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the user's deadline, which has an error of its own
) -> AuthorizationResponse:
    """Capture the redirect of any OAuth authorization URL. Nothing is saved, and no settings are read.

    ``redirect_uri`` is for a URL that does not contain it; ``browser`` and ``timeout`` are those of :func:`link`.

    Raises:
        UsageError: The URL cannot be used, or its redirect cannot be captured.
        AuthorizationDeniedError: The provider or the user refused.
        OAuthHelperError: What else failed; its ``hint`` says what to do next.
    """
    request = AuthorizationRequest.parse(url, redirect_uri=redirect_uri)
    return await capture_redirect(request, BrowserOptions(browser=browser), lambda _event: None, seconds=timeout)


async def capture_redirect(
    request: AuthorizationRequest, options: BrowserOptions, tell: Tell, *, seconds: float
) -> AuthorizationResponse:
    """Capture the redirect of an authorization request, like steps 2 to 5 of a link. Raises as :func:`capture`."""
    callback = parse_address(request.redirect_uri or "")
    port = callback.port if is_served(callback) else options.port
    if options.port not in {None, port} or (is_served(callback) and callback.raw_path in set(Route)):
        raise UsageError(
            _("{redirect_uri} is the redirect URI, so the listener needs its port and path", redirect_uri=callback),
            hint=_("Leave out --port, and use a path other than {paths}.", paths=enumerated(list(Route))),
        )
    options = replace(options, port=port, redirect_uri=request.redirect_uri)
    report = Report(tell, is_link=False)
    with SingleRun.of_a_capture(request.host, report.tell) as run:
        async with report.failures(), Session(options, report.tell) as session, session.listening():
            receiver = report.receiver = RedirectReceiver(request, report.tell)
            async with session.browsing(receiver, seconds=seconds), report.failures():
                with run.announced(session.new_address(), request.state):
                    response = await session.wait(receiver)
                receiver.end(Captured(receiver.way or Way.DIRECT))
                return response


async def walk_repositories(
    service: ServiceStageClient, authorization_name: str
) -> list[tuple[Namespace, list[Project]]]:
    """Return each namespace that an authorization can see, in the API's order, with its projects.

    Raises:
        OAuthHelperError: The first error; no further request is sent then.
    """
    limit = asyncio.Semaphore(CONCURRENCY)

    async def projects_of(namespace: Namespace) -> list[Project]:
        async with limit:
            return await service.list_projects(authorization_name, namespace.key)

    namespaces = await service.list_namespaces(authorization_name)
    tasks = [asyncio.create_task(projects_of(namespace)) for namespace in namespaces]
    try:
        return list(zip(namespaces, await asyncio.gather(*tasks), strict=True))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def link(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    tag: str | None = None,
    if_exists: IfExists | str = IfExists.KEEP,
    browser: str = "auto",
    port: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the user's deadline, which has an error of its own
    tell: Tell = lambda _event: None,
) -> Authorization:
    """Link a Git account to ServiceStage; return the authorization that exists afterwards.

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
        tell: Called with each event of the link.

    Raises:
        OAuthHelperError: What failed; its ``hint`` says what to do next.
    """
    request = _link_request(repo_type, name, if_exists, tag=tag, timeout=timeout)
    async with Session(BrowserOptions(browser=browser, port=port), tell, journal=Journal.of_the_user()) as session:
        return (await link_in_browser(request, service, session)).authorization


def _link_request(
    repo_type: RepoType,
    name: str | None,
    if_exists: IfExists | str,
    *,
    tag: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> LinkRequest:
    for parameter, value, choices in (("repo_type", repo_type, RepoType), ("if_exists", if_exists, IfExists)):
        if value not in list(choices):
            raise UsageError(
                _("Unknown {name}: {value!r}", name=parameter, value=str(value)),
                hint=_("Use one of {choices}.", choices=enumerated([one.value for one in choices])),
            )
    return LinkRequest(RepoType(repo_type), name or name_for(repo_type), tag, IfExists(if_exists), timeout)


def _secret(value: Secret | str) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


async def link_with_token(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    token: Secret | str,
    host: str | None = None,
    if_exists: IfExists | str = IfExists.KEEP,
    tell: Tell = lambda _event: None,
) -> Authorization:
    """Link a GitHub, GitLab or Gitee account with a personal access token; return the authorization.

    ``host`` is a private Git server, ``https://HOST[:PORT][/PATH]``; by default the official one. The other arguments
    and the errors are those of :func:`link`.
    """
    credential = PersonalToken(_secret(token), host)
    linked = await link_directly(_link_request(repo_type, name, if_exists), credential, service, tell)
    return linked.authorization


async def link_with_password(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    user: str,
    password: Secret | str,
    if_exists: IfExists | str = IfExists.KEEP,
    tell: Tell = lambda _event: None,
) -> Authorization:
    """Link a Bitbucket or CodeArts account with user name and password; return the authorization.

    ``user`` is the name at the Git host: of Bitbucket the email address, of CodeArts ``ACCOUNT/USER``. The password of
    Bitbucket is an API token.
    The other arguments and the errors are those of :func:`link`.
    """
    credential = UserPassword(user, _secret(password))
    linked = await link_directly(_link_request(repo_type, name, if_exists), credential, service, tell)
    return linked.authorization


def waiting_links() -> list[InstanceInfo]:
    """Return the links of this user on this machine that wait for their redirect."""
    waiting = waiting_instances(runtime_folder())
    if not waiting:
        raise MachineError(
            _("No link of yours is waiting on this machine"),
            hint=_(
                "Start `oauth-helper link REPO_TYPE` as the same user on the same machine, and deliver while it waits."
            ),
        )
    return waiting


async def deliver_to_waiting(
    waiting: Sequence[InstanceInfo], text: str, *, language: Language = Language.ENGLISH
) -> tuple[InstanceInfo, AnyOutcome]:
    """Deliver a pasted redirect to the link or capture that waits for its state; return that and its outcome.

    Only this one gets it: to the others it would look like a mistake of their users. ``waiting`` is not empty.
    """
    states = {
        digest_of_state(state)
        for queries in interpretations(text)
        for query in queries
        for state in parse_query(query).getall("state", ())
    }
    addressed = [one for one in waiting if one.state in states]
    addressed = addressed or [one for one in waiting if one.state is None or len(waiting) == 1]
    names = listed([instance.name for instance in waiting])
    try:
        if not addressed:  # reject it as each of them would
            AuthorizationRequest(Secret(""), "", Secret(secrets.token_urlsafe()), None).judge(text)
        return addressed[0], await outcome_of(addressed[0], text, language=language)
    except RedirectRejectedError as rejected:
        raise RedirectRejectedError(
            rejected.reason,
            rejected.message,
            hint=_("Still waiting: {names}. {hint}", names=names, hint=rejected.hint),
        ) from None
    except RunGoneError:
        raise OutcomeUnknownError(
            _("{name} ended without answering", name=addressed[0].name),
            hint=_("If it took the address, `oauth-helper resume` finishes it. If not, run `link` again."),
        ) from None
