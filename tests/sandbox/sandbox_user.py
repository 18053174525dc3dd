"""Users of a sandbox: one who uses our client of the API, and one who sends plain HTTP requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import ClientResponse, ClientSession, CookieJar
from sandbox.page_reader import Form, forms_of
from yarl import URL

from oauth_helper.credentials import IamSettings
from oauth_helper.i18n import Text
from oauth_helper.models import Authorization, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Call, Fault
from oauth_helper.sandbox.oidc import Registration
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.iam import Iam
from oauth_helper.servicestage.transport import Retries

NAME = "my-auth"
NONE = Retries(pauses=())
"""Each call is one request."""
OF_SERVICESTAGE = tuple(call for call in Call if not call.startswith("iam-"))


class Clock:
    def __init__(self, seconds: float = 1_700_000_000.25) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@dataclass
class RawUser:
    """Sends plain requests: to ServiceStage with a token, and as a browser without JavaScript."""

    sandbox: Sandbox
    session: ClientSession

    async def ask(self, method: str, path: str, **request: Any) -> tuple[int, Any]:
        """Send a request to ServiceStage; ``path`` is below ``/git/``. Return status and body."""
        url = URL(f"{self.sandbox.endpoint}/v1/{self.sandbox.project_id}/git/{path}", encoded=True)
        headers = {"X-Auth-Token": self.sandbox.token.token.reveal(), **request.pop("headers", {})}
        async with self.session.request(method, url, headers=headers, **request) as response:
            text = await response.text()
            assert response.headers["X-Request-Id"]
            return response.status, json.loads(text) if text else None

    async def refusal(self, method: str, path: str, **request: Any) -> str:
        """Return the error code of a request, or an empty string."""
        _, body = await self.ask(method, path, **request)
        return str((body or {}).get("error_code", "")).removeprefix("SVCSTG.REPO.")

    async def authorization_url(self, repo_type: str = "github", **query: str) -> str:
        _, body = await self.ask("GET", f"auths/{repo_type}/redirect", params=query)
        assert set(body) == {"url"}
        return str(body["url"])

    async def get(self, url: str) -> tuple[ClientResponse, str]:
        # Encoded as given, like a browser: yarl would write `%24` as `$`.
        async with self.session.get(URL(url, encoded=True), allow_redirects=False) as response:
            return response, await response.text()

    async def post(self, url: str, fields: dict[str, str]) -> tuple[ClientResponse, str]:
        async with self.session.post(URL(url, encoded=True), data=fields, allow_redirects=False) as response:
            return response, await response.text()

    async def decide(self, repo_type: str, decision: str, **query: str) -> tuple[str, str]:
        """Press the button ``authorize`` or ``deny``; return the authorization URL and the redirect."""
        url = await self.authorization_url(repo_type, **query)
        form = only_form((await self.get(url))[1])
        assert form.buttons == [("decision", "authorize"), ("decision", "deny")]
        response, _ = await self.post(origin(url) + form.action, {**form.fields, "decision": decision})
        assert response.status == 302
        return url, response.headers["Location"]

    async def granted(self, repo_type: str = "github", **query: str) -> dict[str, str]:
        """Authorize; return code and state."""
        _, redirect = await self.decide(repo_type, "authorize", **query)
        return {name: value for name, value in query_of(redirect).items() if name in {"code", "state"}}

    async def exchange(self, body: object, repo_type: str = "github", **query: str) -> tuple[int, Any]:
        return await self.ask("POST", f"auths/{repo_type}/oauth", params=query, json=body)

    async def names(self) -> list[str]:
        _, body = await self.ask("GET", "auths")
        assert body["count"] == len(body["authorizations"])
        return [record["name"] for record in body["authorizations"]]


@asynccontextmanager
async def open_raw_user(**options: Any) -> AsyncIterator[RawUser]:
    async with Sandbox(**options) as sandbox, ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield RawUser(sandbox, session)


def only_form(html: str) -> Form:
    (form,) = forms_of(html)
    return form


def origin(url: str) -> str:
    return str(URL(url).origin())


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def changed(url: str, **parameters: str | None) -> str:
    """Return ``url`` with other parameters; None removes one."""
    query = {key: value for key, value in {**query_of(url), **parameters}.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(query)}"


@dataclass
class SandboxUser:
    """Makes each call of the sandbox with our client; has at most one redirect at a time."""

    sandbox: Sandbox
    service: ServiceStageClient
    session: ClientSession
    warnings: list[Text] = field(default_factory=list)
    """What the sandbox has warned of."""
    code: Secret = field(default_factory=lambda: Secret(""))
    state: Secret = field(default_factory=lambda: Secret(""))

    async def request(self) -> str:
        """Request an authorization URL; keep its state."""
        url = await self.service.authorization_url(RepoType.GITHUB)
        self.state = Secret(query_of(url)["state"])
        return url

    async def consent(self) -> None:
        """Request an authorization URL and authorize; keep code and state."""
        url = await self.request()
        async with self.session.post(url, data={"decision": "authorize"}, allow_redirects=False) as response:
            self.code = Secret(query_of(response.headers["Location"])["code"])

    async def exchange(self) -> Authorization:
        return await self.service.create_oauth(RepoType.GITHUB, name=NAME, code=self.code, state=self.state)

    async def names(self) -> list[str]:
        return [one.name for one in await self.service.list_authorizations()]

    async def prepare(self, call: Call) -> None:
        """Do what comes before ``call`` in a link."""
        if call in {Call.EXCHANGE, Call.LOOK, Call.DELETE}:
            await self.consent()
        if call in {Call.LOOK, Call.DELETE}:
            await self.exchange()

    async def make(self, call: Call) -> None:
        settings = IamSettings(self.sandbox.iam_endpoint, project_name=self.sandbox.region)
        iam, key = Iam(settings, retries=NONE), self.sandbox.access_key
        match call:
            case Call.LIST | Call.LOOK:
                await self.names()
            case Call.REDIRECT_URL:
                await self.service.authorization_url(RepoType.GITHUB)
            case Call.EXCHANGE:
                await self.exchange()
            case Call.DELETE:
                await self.service.delete_authorization(NAME)
            case Call.IAM_TOKEN:
                await iam.token_of_user(self.sandbox.user)
            case Call.IAM_PROJECT:
                assert await iam.find_project_id(key)


@asynccontextmanager
async def sandbox_user(
    *faults: str, duration: float = 60, registration: Registration | None = None
) -> AsyncIterator[SandboxUser]:
    """Open a sandbox with these faults; those that take time take ``duration`` seconds."""
    warnings: list[Text] = []
    async with (
        Sandbox(
            faults=map(Fault.parse, faults),
            fault_duration=duration,
            registration=registration,
            warn=warnings.append,
        ) as sandbox,
        ServiceStageClient(
            sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key, retries=NONE
        ) as service,
        ClientSession() as session,
    ):
        yield SandboxUser(sandbox, service, session, warnings)
