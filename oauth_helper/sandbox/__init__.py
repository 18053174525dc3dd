"""A ServiceStage, IAM, Git host and console of our own on loopback, to try everything on.

It uses the words and nothing else of it. What it checks, it checks by its own reading of the
contract.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, closing
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from oauth_helper.authorization import RepoType
from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.faults import DURATION, Call, Fault
from oauth_helper.sandbox.authorization_server import AuthorizationServer
from oauth_helper.sandbox.console import Console
from oauth_helper.sandbox.direct_creation import PasswordBody
from oauth_helper.sandbox.gateway import EVERY_ACTION, Action, Gateway
from oauth_helper.sandbox.git_host import LOGIN, REPO_TYPES, GitHost
from oauth_helper.sandbox.iam import Iam, Project
from oauth_helper.sandbox.misbehaving import Exchange, Front
from oauth_helper.sandbox.outside_git_host import Registration, Warn, open_git_host
from oauth_helper.sandbox.servicestage import ServiceStage
from oauth_helper.sandbox.serving import address_of, open_port, serving
from oauth_helper.secret import Secret

__all__ = ["Call", "Exchange", "Fault", "Registration", "Sandbox"]


class Sandbox:
    """Serve all four for the time of an ``async with``, each on a free port of 127.0.0.1.

    ``console_port`` is the console's port where it is not to be any: who has registered its redirect URIs wants the
    same ones again.

    Keys, tokens and the project's id are new with every instance. ``now`` is the clock of them all, in seconds
    since the epoch; a Git host's code is good for ``code_lifetime`` seconds, and where its user has decided before
    (``decision``, ``authorize`` or ``deny``) it asks nothing. ServiceStage and IAM go wrong with ``faults``; those that
    take time (``504``, ``refuse``) take ``fault_duration`` seconds. Of the two bodies that are told of for a password
    (``documented``, ``terraform``), ServiceStage understands ``password_body``.

    With ``registration`` users consent at a Git host outside, an OpenID provider, which must be there when the context
    is entered; ``warn`` is told why it refuses a code. The sandbox's own keeps what needs no consent: the token and the
    password of its user, and the repositories.
    """

    region: Final = "sandbox-1"
    """The name under which IAM knows the project."""

    endpoint: str
    """ServiceStage's address, once the context is entered; so the two below."""
    iam_endpoint: str
    console: Console
    """Counts the requests that reached it."""
    git_user: Final = LOGIN
    """The Git host's one user, for a link with a password; with ``ACCOUNT/`` before it at CodeArts."""
    git_password: Secret
    personal_token: Secret
    """Of that user."""
    expire: Callable[[str], None]
    """Have the authorization of that name no longer be good."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        code_lifetime: float = 600.0,
        decision: str | None = None,
        faults: Iterable[Fault] = (),
        fault_duration: float = DURATION,
        password_body: PasswordBody = "documented",  # noqa: S107 - a kind of body, not a password
        registration: Registration | None = None,
        console_port: int | None = None,
        warn: Warn = lambda _: None,
    ) -> None:
        self._now = now
        self._front = Front(faults, now=now, duration=fault_duration)
        self._decision = decision
        self._code_lifetime = code_lifetime
        self._password_body = password_body
        self._registration = registration
        self._console_port = console_port
        self._warn = warn
        self._outside: AuthorizationServer | None = None
        self._stack = AsyncExitStack()
        self.project_id: str = secrets.token_hex(16)
        self.access_key: AccessKey = _new_access_key()
        """May do everything."""
        self.access_key_without_list: AccessKey = _new_access_key()
        """May do everything but list the authorizations (403)."""
        self.token: IamToken = IamToken(secrets.token_urlsafe(48))
        """May do everything, and does not expire."""
        self.user: IamUser = IamUser("sandbox-user", Secret(secrets.token_urlsafe(18)), "sandbox-account")
        """For whom IAM issues tokens."""

    @property
    def calls(self) -> Counter[str]:
        """How many requests arrived whole, by the call's name, those that went wrong included."""
        return self._front.calls

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests for an exchange that arrived, in order."""
        return self._front.exchanges

    @property
    def redirect_uris(self) -> dict[RepoType, str]:
        """Where the Git host's answers go, for each of the types; what an outside host is to have registered."""
        return {repo_type: self.console.redirect_uri(repo_type) for repo_type in REPO_TYPES}

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make oauth-helper use this sandbox, secrets in the clear."""
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
            numbers = (None, None, None, self._console_port)
            ports = [stack.enter_context(closing(open_port(number))) for number in numbers]
            servicestage, iam, git_host, console = (address_of(port) for port in ports)
            self.endpoint, self.iam_endpoint = servicestage, iam
            self.console = Console(console)
            if self._registration:
                self._outside = await stack.enter_async_context(open_git_host(self._registration, self._warn))
            await stack.enter_async_context(self._front)
            doors = [
                await stack.enter_async_context(serving(application, port))
                for application, port in zip(self._applications(git_host), ports, strict=True)
            ]
            await self._front.attend(doors[0])
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _applications(self, git_address: str) -> tuple[web.Application, ...]:
        gateway = Gateway(self._now)
        gateway.accept_key(self.access_key)
        gateway.accept_key(self.access_key_without_list, EVERY_ACTION - {Action.LIST})
        gateway.accept_token(self.token)
        git_host = GitHost(git_address, now=self._now, code_lifetime=self._code_lifetime, decision=self._decision)
        server: AuthorizationServer = self._outside or git_host
        servicestage = ServiceStage(
            project_id=self.project_id,
            applications={
                repo_type: server.register(repo_type, redirect_uri=address)
                for repo_type, address in self.redirect_uris.items()
            },
            authorization_server=server,
            git_host=git_host,
            gateway=gateway,
            front=self._front,
            now=self._now,
            password_body=self._password_body,
        )
        self.personal_token, self.git_password = git_host.personal_token, git_host.password
        self.expire = servicestage.expire
        project = Project(self.project_id, self.region)
        iam = Iam(user=self.user, project=project, gateway=gateway, front=self._front, now=self._now)
        return (
            servicestage.application(),
            iam.application(),
            git_host.application(),
            self.console.application(),
        )


def _new_access_key() -> AccessKey:
    """Return a key as long as the vendor's: 20 and 40 characters."""
    return AccessKey(secrets.token_hex(10).upper(), secrets.token_hex(20))
