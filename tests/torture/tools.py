"""The tools that are attacked: how each is started, and how it is known what it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from command import surroundings
from link_script import consent

from oauth_helper.sandbox import Sandbox
from torture.callback import STOLEN, Callback
from torture.programs import Program, program
from torture.token_endpoint import TokenEndpoint
from torture.wire import connect, read_answer

_GENUINE = "genuine-code"


class Victim(Protocol):
    """A tool that waits for its redirect."""

    callback: Callback
    program: Program

    async def ended(self) -> str:
        """Wait for the end; return what went wrong, or nothing."""

    @property
    def codes(self) -> Sequence[str]:
        """The codes it has brought to the token endpoint."""


@dataclass
class Peer:
    """Another tool; its provider is ours."""

    callback: Callback
    program: Program
    codes: Sequence[str]

    async def ended(self) -> str:
        return str((await self.program.told("ended"))["ended"])


@dataclass
class OurCommand:
    """``oauth-helper link``."""

    callback: Callback
    program: Program
    _codes: tuple[str, ...] = ()

    async def ended(self) -> str:
        captured = False
        while (told := await self.program.told("event"))["event"] not in {"linked", "failed"}:
            captured |= told["event"] == "captured"
        if told["event"] == "linked":
            self._codes = (self.callback.code,)
            return ""
        # The sandbox refuses every code but the one it gave out.
        self._codes = (STOLEN,) if captured else ()
        return str(told["error"]["message"])

    @property
    def codes(self) -> Sequence[str]:
        return self._codes


@dataclass
class OurListener:
    """Our listener, desk and judge without a ServiceStage."""

    callback: Callback
    program: Program
    _codes: tuple[str, ...] = ()

    async def ended(self) -> str:
        self._codes = (str((await self.program.told("code"))["code"]),)
        return str((await self.program.told("ended"))["ended"])

    @property
    def codes(self) -> Sequence[str]:
        return self._codes


@asynccontextmanager
async def our_command(_: TokenEndpoint | None = None) -> AsyncIterator[Victim]:
    """Link with a sandbox, for a script that brings the user to the Git host."""
    with TemporaryDirectory() as home:
        folders = {"HOME": home, "XDG_RUNTIME_DIR": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home}
        Path(home).chmod(0o700)
        async with Sandbox() as sandbox:
            environ = surroundings(sandbox, **folders, CI="true", BROWSER="")
            link = ("link", "github", "--name", "my-auth", "--events", "--no-browser")
            async with program("oauth_helper", *link, environ=environ) as running:
                waiting = await running.told("authorization_url")
                query = urlsplit(await consent(waiting["authorization_url"])).query
                origin = waiting["listener"].partition("/start")[0]
                yield OurCommand(Callback.at(f"{origin}/servicestage/oauth", query), running)


@asynccontextmanager
async def our_listener(_: TokenEndpoint | None = None) -> AsyncIterator[Victim]:
    """Open the listener for one story."""
    async with program("torture.victims.oauth_helper_waiting") as running:
        yield await next_story(running)


async def next_story(running: Program) -> OurListener:
    """Begin the next story of a process that has one after the other."""
    running.ask("next")
    query = parse_qs(urlsplit((await running.told("opened"))["opened"]).query)
    response = urlencode({"repo_type": "github", "code": _GENUINE, "state": query["state"][0]})
    return OurListener(Callback.at(query["redirect_uri"][0], response), running)


def _peer(module: str, method: str = "GET") -> Callable[[TokenEndpoint], AbstractAsyncContextManager[Victim]]:
    @asynccontextmanager
    async def waiting(endpoint: TokenEndpoint) -> AsyncIterator[Victim]:
        client = endpoint.register()
        provider = f"{endpoint.origin}/{client}"
        async with program(f"torture.victims.{module}", provider) as running:
            url = str((await running.told("opened"))["opened"])
            while not url.startswith(provider):
                url = await _onward(url)
            query = parse_qs(urlsplit(url).query)
            response = urlencode({"code": _GENUINE, "state": query["state"][0]})
            yield Peer(Callback.at(query["redirect_uri"][0], response, method), running, endpoint.codes[client])

    return waiting


async def _onward(url: str) -> str:
    """Go where the tool's own page leads, as the browser does that it opens there."""
    callback = Callback.at(url, "")
    async with asyncio.timeout(5):
        reader, writer = await connect(callback.port)
        writer.write(callback.raw("GET", callback.path))
        answer = await read_answer(reader)
    writer.close()
    return (answer and answer.header("location")) or ""


@dataclass(frozen=True)
class Tool:
    """One column of the table."""

    package: str
    waiting: Callable[[TokenEndpoint], AbstractAsyncContextManager[Victim]]

    @property
    def version(self) -> str:
        """The version that is attacked."""
        return version(self.package)


OURS = Tool("oauth-helper", our_command)
TOOLS = (
    OURS,
    Tool("google-auth-oauthlib", _peer("google_auth_oauthlib_login")),
    Tool("msal", _peer("msal_login", "POST")),
    Tool("sigstore", _peer("sigstore_login")),
)
