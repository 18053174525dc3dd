"""ServiceStage, IAM, a Git host and the console on loopback, to try everything without an account.

The sandbox reads the API's contract independently: it shares no code with ``oauth_helper.servicestage``.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape
from typing import ClassVar, Final, Self

from aiohttp import ClientError, ClientSession, CookieJar, web
from yarl import URL

from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.errors import MachineError
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.models import RepoType
from oauth_helper.sandbox.faults import DURATION, Exchange, Fault, FaultInjector, Server
from oauth_helper.sandbox.gateway import Gateway, Iam
from oauth_helper.sandbox.git_host import LOGIN, REPO_TYPES, Console, GitHost
from oauth_helper.sandbox.oidc import OidcProvider, Registration, Warn, open_oidc_provider
from oauth_helper.sandbox.servicestage import PasswordBody, ServiceStage
from oauth_helper.secret import Secret

TIME_LIMIT: Final = 90.0
"""Seconds for the simulated user: the listener answers the last form after the exchange, which may take 30 s."""

_CONSENT: Final = re.compile(r'<a\b[^>]*\bid="authorize"[^>]*?\bhref="([^"]*)"')
_FORM: Final = re.compile(r'<form\b[^>]*\baction="([^"]*)"')


async def play_user(start_url: str, *, time_limit: float = TIME_LIMIT) -> None:
    """Simulate a user who opens the listener's ``/start?k=KEY``, authorizes, and pastes the redirect on the page.

    Returns when the listener has accepted the redirect; the listener reports the outcome of the exchange.

    Raises:
        MachineError: A page lacks what a user needs, or it took more than ``time_limit`` seconds.
    """
    try:
        # A jar keeps cookies of IP addresses only on request.
        async with asyncio.timeout(time_limit), ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            reason = await _authorize_and_paste(session, URL(start_url))
    except TimeoutError:
        reason = _("it was not done after {time_limit:g} s", time_limit=time_limit)
    except (ClientError, ValueError) as error:
        # Without the exception's text, which may contain an address with KEY, code or state.
        reason = _("unexpected {error}", error=type(error).__name__)
    if reason:
        message = _("The simulated user cannot continue: {reason}", reason=reason)
        raise MachineError(message, hint=_("Open the address in a browser instead."))


async def _authorize_and_paste(session: ClientSession, start: URL) -> Text:
    """Return why that is not possible, if it is not."""
    async with session.get(start) as response:
        page, page_url = await response.text(), response.real_url
    consent, form = _CONSENT.search(page), _FORM.search(page)
    if not consent or not form:
        return _("the page has no link to the Git host, or no form for the redirect")
    url = URL(unescape(consent[1]), encoded=True)
    async with session.post(url, data={"decision": "authorize"}, allow_redirects=False) as response:
        redirect = response.headers.get("Location")
    if redirect is None:
        return _("the Git host did not redirect (HTTP {status})", status=response.status)
    async with session.post(page_url.join(URL(unescape(form[1]))), data={"redirect": redirect}) as response:
        if not response.ok:
            return _("the listener refused the redirect (HTTP {status})", status=response.status)
    return NO_TEXT


@dataclass(eq=False, kw_only=True)
class Sandbox:
    """An async context manager that serves all four, each on a port of 127.0.0.1.

    Keys, tokens and the project ID are new with every instance. ``now`` is the clock of all servers, in seconds since
    the epoch; a code is valid for ``code_lifetime`` seconds. With ``decision`` (``authorize`` or ``deny``) the Git host
    does not ask its user. ServiceStage and IAM fail with ``faults``; those that take time (``504``, ``refuse``) take
    ``fault_duration`` seconds. ``password_body`` is the body that ServiceStage accepts for a password.

    With ``registration`` users consent at an OpenID provider, which must run when the context is entered; ``warn``
    receives the reason if it refuses a code. Token, password and repositories remain those of the sandbox's own Git
    host. ``console_port`` keeps the redirect URIs that are registered with that provider.
    """

    now: Callable[[], float] = time.time
    code_lifetime: float = 600.0
    decision: str | None = None
    faults: Iterable[Fault] = ()
    fault_duration: float = DURATION
    password_body: PasswordBody = "documented"  # noqa: S105 - a kind of body, not a password
    registration: Registration | None = None
    console_port: int | None = None
    warn: Warn = lambda _text: None

    region: ClassVar[str] = "sandbox-1"
    """The name under which IAM knows the project."""
    git_user: ClassVar[str] = LOGIN
    """The Git host's user, for links with a password."""

    def __post_init__(self) -> None:
        self._stack = AsyncExitStack()
        self._injector = FaultInjector(self.faults, self.fault_duration)
        self.calls: Counter[str] = self._injector.calls
        """How many requests arrived completely, by the name of the call; failed ones count as well."""
        self.exchanges: list[Exchange] = self._injector.exchanges
        """The requests for an exchange that arrived, in order."""
        self.project_id: str = secrets.token_hex(16)
        # The three may do everything, but one key may not list the authorizations. The token does not expire.
        self.access_key: AccessKey = _new_access_key()
        self.access_key_without_list: AccessKey = _new_access_key()
        self.token: IamToken = IamToken(secrets.token_urlsafe(48))
        self.endpoint: str
        self.iam_endpoint: str
        self.console: Console
        self.personal_token: Secret
        self.git_password: Secret
        self.expire: Callable[[str], None]
        self.user: IamUser = IamUser("sandbox-user", Secret(secrets.token_urlsafe(18)), "sandbox-account")

    @property
    def redirect_uris(self) -> dict[RepoType, str]:
        """The redirect URIs that an OpenID provider must have registered."""
        return {repo_type: self.console.redirect_uri(repo_type) for repo_type in REPO_TYPES}

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make oauth-helper use this sandbox, with secrets in clear text."""
        return {
            "OAUTH_HELPER_ENDPOINT": self.endpoint,
            "OAUTH_HELPER_PROJECT_ID": self.project_id,
            "OAUTH_HELPER_IAM_ENDPOINT": self.iam_endpoint,
            "HUAWEICLOUD_SDK_AK": self.access_key.access_key,
            "HUAWEICLOUD_SDK_SK": self.access_key.secret_key.reveal(),
            "OAUTH_HELPER_TOKEN": self.token.token.reveal(),
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._injector.close)
            numbers = (None, None, None, self.console_port)
            servers = [await stack.enter_async_context(Server(number)) for number in numbers]
            self.endpoint, self.iam_endpoint, git_address, console_address = (each.address for each in servers)
            self.console = Console(console_address)
            git_host = GitHost(git_address, self.now, self.code_lifetime, self.decision)
            self.personal_token, self.git_password = git_host.personal_token, git_host.password
            authorization_server: GitHost | OidcProvider = git_host
            if self.registration:
                provider = open_oidc_provider(self.registration, self.warn)
                authorization_server = await stack.enter_async_context(provider)
            for server, application in zip(servers, self._applications(authorization_server, git_host), strict=True):
                await server.serve(application)
            await self._injector.attach(servers[0])
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    def _applications(self, server: GitHost | OidcProvider, git_host: GitHost) -> list[web.Application]:
        gateway = Gateway(self.project_id, self.now)
        gateway.accept_key(self.access_key)
        gateway.accept_key(self.access_key_without_list, denied="list")
        gateway.accept_token(self.token)
        registered = {str(each): server.register(each, uri) for each, uri in self.redirect_uris.items()}
        servicestage = ServiceStage(registered, server, git_host, self.now, self.password_body)
        self.expire = servicestage.expire
        iam = Iam(self.user, {"id": self.project_id, "name": self.region}, gateway, self.now)
        # Errors are responses to the fault injector too.
        api = (gateway.answer_errors, self._injector.middleware, gateway.answer_errors, gateway.check)
        applications = [web.Application(middlewares=each) for each in (api, api, (), (self.console.count,))]
        routes = servicestage.routes(), iam.routes(), git_host.routes(), self.console.routes()
        for application, each in zip(applications, routes, strict=True):
            application.add_routes(each)
        return applications


def _new_access_key() -> AccessKey:
    """Return a key as long as the vendor's: 20 and 40 characters."""
    return AccessKey(secrets.token_hex(10).upper(), secrets.token_hex(20))
