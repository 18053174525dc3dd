"""Open the doors, introduce them to the story, close them: the public ``link()``."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from oauth_helper.authorization import Authorization, RepoType, default_name
from oauth_helper.browsers.default import open_default_browser, why_no_browser
from oauth_helper.credential_chain import FoundCredentials
from oauth_helper.credentials import IamUser
from oauth_helper.errors import NoBrowserError, SettingsError
from oauth_helper.events import Event, Linked, Warned
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking import Doors
from oauth_helper.linking import link as tell_the_story
from oauth_helper.listener import Listener
from oauth_helper.servicestage import ServiceStageClient, fetch_token, find_project_id
from oauth_helper.settings import DEFAULT_TIMEOUT, Settings
from oauth_helper.terminal import TerminalPrompt, can_prompt

_Opener = Callable[[str], Awaitable[str | None]]

_NOBODY_WATCHES: Final = "CI"
"""Set by the common build services; nobody reads what is printed there before it is over."""


@dataclass(frozen=True, slots=True)
class Ways:
    """By which ways the redirect may come."""

    browser: str = "auto"
    """``auto``, ``default`` or ``none``."""
    port: int | None = None
    """The listener's; None: any free one."""
    say: Callable[[str], None] | None = None
    """Shows the terminal prompt's words; None: no prompt, standard input is left alone."""
    visitor: Callable[[str], Awaitable[None]] | None = None
    """Plays the user where there is no browser, in the sandbox."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def has_prompt(self) -> bool:
        """Whether the user can paste into the terminal."""
        return self.say is not None and can_prompt()


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
        browser: ``auto``, ``default`` or ``none``; with ``none`` the addresses are in the event ``Waiting``.
        port: The listener's port on 127.0.0.1; any free one by default.
        timeout: Seconds to wait for the user.
        tell: Called with each event of the story.

    Raises:
        OAuthHelperError: What went wrong; its ``hint`` says what to do next.
    """
    request = LinkRequest(RepoType(repo_type), name or name_for(repo_type), tag, IfExists(if_exists), timeout)
    linked = await run_link(request, service, Ways(browser=browser, port=port), tell)
    return linked.authorization


async def run_link(
    request: LinkRequest, service: ServiceStageClient, ways: Ways, tell: Callable[[Event], None]
) -> Linked:
    """Link, and tell whether the authorization stood already.

    Raises:
        OAuthHelperError: As :func:`link`.
    """
    open_browser = _opener(ways, tell)
    async with Listener(ways.port) as listener:
        return await tell_the_story(request, service, Doors(listener, open_browser, _prompt(ways), tell))


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


def _prompt(ways: Ways) -> Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]:
    say = ways.say
    if say is None or not ways.has_prompt:
        return lambda _offer: nullcontext()
    return lambda offer: TerminalPrompt(offer=offer, say=say)


def _opener(ways: Ways, tell: Callable[[Event], None]) -> _Opener:
    if ways.browser == "none":
        return _open_nothing
    reason = why_no_browser(ways.environ, sys.platform)
    if reason is None:
        return _default_browser(ways, tell)
    if ways.visitor and not ways.environ.get("BROWSER"):
        tell(Warned(f"No browser ({reason}): the sandbox's own visitor plays the user."))
        return _visiting(ways.visitor)
    if ways.browser == "default":
        raise NoBrowserError(f"The default browser was demanded, but there is none: {reason}")
    if ways.environ.get(_NOBODY_WATCHES) and not ways.has_prompt:
        raise NoBrowserError(
            f"No browser ({reason}), no terminal, and {_NOBODY_WATCHES} is set: nobody could authorize",
            hint="Run it where somebody can, or give --browser none if a program opens the printed address.",
        )
    tell(Warned(f"No browser could be opened here: {reason}."))
    return _open_nothing


async def _open_nothing(_address: str) -> None:
    return None


def _default_browser(ways: Ways, tell: Callable[[Event], None]) -> _Opener:
    async def open_browser(address: str) -> str | None:
        try:
            return await open_default_browser(address, environ=ways.environ)
        except NoBrowserError as error:
            if ways.browser == "default":
                raise
            tell(Warned(f"{error.message}."))
            return None

    return open_browser


def _visiting(visitor: Callable[[str], Awaitable[None]]) -> _Opener:
    async def open_browser(address: str) -> str:
        await visitor(address)
        return "the sandbox's visitor"

    return open_browser
