"""A user of the sandbox who makes each of its calls, by the client of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from aiohttp import ClientSession

from oauth_helper.credentials import AccessKey
from oauth_helper.models import RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Call, Fault
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.iam import fetch_token, find_project_id
from oauth_helper.servicestage.transport import Retries

NAME = "my-auth"
NONE = Retries(pauses=())
"""Each call is one request."""
OF_SERVICESTAGE = tuple(call for call in Call if not call.startswith("iam-"))


@dataclass
class SandboxUser:
    """Holds at most one redirect at a time."""

    sandbox: Sandbox
    service: ServiceStageClient
    session: ClientSession
    code: Secret = field(default_factory=lambda: Secret(""))
    state: Secret = field(default_factory=lambda: Secret(""))

    async def consent(self) -> None:
        """Ask for an authorization URL, press Authorize, and keep code and state."""
        url = await self.service.authorization_url(RepoType.GITHUB)
        async with self.session.post(url, data={"decision": "authorize"}, allow_redirects=False) as response:
            query = parse_qs(urlsplit(response.headers["Location"]).query)
        self.code, self.state = Secret(query["code"][0]), Secret(query["state"][0])

    async def exchange(self) -> None:
        await self.service.create_oauth(RepoType.GITHUB, name=NAME, code=self.code, state=self.state)

    async def names(self) -> list[str]:
        return [one.name for one in await self.service.list_authorizations()]

    async def prepare(self, call: Call) -> None:
        """Do what comes before ``call`` in a link."""
        if call in {Call.EXCHANGE, Call.LOOK, Call.DELETE}:
            await self.consent()
        if call in {Call.LOOK, Call.DELETE}:
            await self.exchange()

    async def make(self, call: Call) -> None:
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
                await fetch_token(
                    self.sandbox.iam_endpoint, self.sandbox.user, region=self.sandbox.region, retries=NONE
                )
            case Call.IAM_PROJECT:
                key = self.sandbox.access_key
                assert await find_project_id(self.sandbox.iam_endpoint, self.sandbox.region, key, retries=NONE)


@asynccontextmanager
async def sandbox_user(*faults: str, duration: float = 60, key: AccessKey | None = None) -> AsyncIterator[SandboxUser]:
    """Open a sandbox with these faults; what takes time in them takes ``duration`` seconds."""
    async with (
        Sandbox(faults=map(Fault.parse, faults), fault_duration=duration) as sandbox,
        ServiceStageClient(
            sandbox.endpoint, project_id=sandbox.project_id, credentials=key or sandbox.access_key, retries=NONE
        ) as service,
        ClientSession() as session,
    ):
        yield SandboxUser(sandbox, service, session)
