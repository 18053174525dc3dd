"""Open the doors, introduce them to the story, close them: the public ``link()``."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from oauth_helper.authorization import Authorization, RepoType, default_name
from oauth_helper.credential_chain import FoundCredentials
from oauth_helper.credentials import IamUser
from oauth_helper.errors import SettingsError, UsageError
from oauth_helper.events import Event, Linked
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking import Doors
from oauth_helper.linking import link as tell_the_story
from oauth_helper.listener import Listener
from oauth_helper.servicestage import ServiceStageClient, fetch_token, find_project_id
from oauth_helper.settings import DEFAULT_TIMEOUT, Settings
from oauth_helper.terminal import TerminalPrompt
from oauth_helper.wiring.opening import Opening
from oauth_helper.wiring.plan import plan_opening
from oauth_helper.wiring.ways import Ways

__all__ = ["Ways", "link", "name_for", "open_sandbox", "open_service", "plan_opening", "run_link"]

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
    except ValueError as error:
        raise UsageError(str(error)) from error
    linked = await run_link(request, service, Ways(browser=browser, port=port), tell)
    return linked.authorization


async def run_link(
    request: LinkRequest, service: ServiceStageClient, ways: Ways, tell: Callable[[Event], None]
) -> Linked:
    """Link, and tell whether the authorization stood already.

    Raises:
        OAuthHelperError: As :func:`link`.
    """
    listener = Listener(ways.port)
    async with Opening(ways, listener, tell) as opening:
        doors = Doors(listener, opening.prepare, opening.open, _prompt(ways, opening), tell)
        return await tell_the_story(request, service, doors)


@asynccontextmanager
async def open_service(settings: Settings, credentials: FoundCredentials) -> AsyncIterator[ServiceStageClient]:
    """Open a client for what the settings say; ask IAM for a token or the project's id where they are not given.

    Raises:
        SettingsError: Something that is needed is set nowhere.
        CredentialsError: IAM refused them.
        UnavailableError: IAM gave no usable answer.
    """
    endpoint = settings.required_endpoint()
    region, project_id, ca_bundle = settings.region.value, settings.project_id.value, settings.ca_bundle.value
    identity = credentials.value
    if isinstance(identity, IamUser):
        iam = settings.required_iam_endpoint("a token for the IAM user")
        _require_region_or_project(region or project_id)
        issued = await fetch_token(iam, identity, region=region, project_id=project_id, ca_bundle=ca_bundle)
        identity, project_id = issued.token, project_id or issued.project_id
    elif project_id is None:
        iam = settings.required_iam_endpoint("the project's id")
        region = _require_region_or_project(region)
        project_id = await find_project_id(iam, region, identity, ca_bundle=ca_bundle)
    async with ServiceStageClient(
        endpoint, project_id=project_id, credentials=identity, ca_bundle=ca_bundle
    ) as service:
        yield service


@asynccontextmanager
async def open_sandbox() -> AsyncIterator[tuple[ServiceStageClient, Callable[[str], Awaitable[None]]]]:
    """Start a sandbox; give a client for it, and the visitor who plays the user where there is no browser."""
    from oauth_helper.sandbox import Sandbox  # noqa: PLC0415 - only who asks for the sandbox pays for it
    from oauth_helper.sandbox.visitor import play_user  # noqa: PLC0415

    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        yield service, play_user


def name_for(repo_type: RepoType) -> str:
    """Return the name for an authorization that the user gave none."""
    try:
        login_name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        login_name = ""
    return default_name(RepoType(repo_type), login_name)


def _require_region_or_project(value: str | None) -> str:
    if value is None:
        raise SettingsError(
            "The project's id is not known, and without a region IAM cannot be asked for it",
            hint="Give --project-id, or --region.",
        )
    return value


def _prompt(ways: Ways, opening: Opening) -> Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]:
    say = ways.say
    if say is None or not ways.has_prompt:
        return lambda _offer: nullcontext()

    def prompt(offer: Callable[[str], None]) -> TerminalPrompt:
        # A Git host or a single sign-on may refuse a window that is driven.
        keys = {_OWN_BROWSER_KEY: opening.go_on_in_the_default_browser} if opening.has_window else {}
        return TerminalPrompt(offer=offer, say=say, keys=keys)

    return prompt
