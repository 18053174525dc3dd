"""A login of each tool as a process: started, waiting for its redirect, and brought it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from torture.callback import Callback
from torture.programs import Program
from torture.wire import connect, read_answer

from benchmarks.environments import OURS, PROGRAMS, TESTS, our_command, program, python_of, surroundings
from benchmarks.other_side import OtherSide, redirect_of
from benchmarks.rows import GOOGLE, MSAL, SDK

_PATIENCE = 30.0
_numbers = count()


class Dialogue(Protocol):
    """How a tool tells that it waits, and how its redirect is brought."""

    async def waits(self, program: Program) -> None:
        """Read until it waits for the redirect."""

    async def bring(self, program: Program) -> float:
        """Bring the redirect, and read until the tool says that it is done; return when it was sent."""


@dataclass
class Took:
    """Milliseconds since the redirect was there."""

    posted: float
    """Until the POST, or the token request, was whole at the server."""
    done: float
    """Until the tool said that it was done."""


@dataclass
class Login:
    """One process."""

    who: str
    program: Program
    began: float
    side: OtherSide
    dialogue: Dialogue
    waits_since: float = 0.0

    async def waits(self) -> None:
        """Wait until it waits."""
        async with asyncio.timeout(_PATIENCE):
            await self.dialogue.waits(self.program)
        self.waits_since = time.perf_counter()

    @property
    def asked_after(self) -> float:
        """Milliseconds from its start until the request for the authorization URL was at the server."""
        return (self.side.moments[self.who, "url"] - self.began) * 1000

    async def bring(self) -> Took:
        """Bring it its redirect."""
        async with asyncio.timeout(_PATIENCE):
            captured = await self.dialogue.bring(self.program)
        done = time.perf_counter()
        return Took((self.side.moments[self.who, "post"] - captured) * 1000, (done - captured) * 1000)


@dataclass(frozen=True)
class Tool:
    """How to start one that is measured."""

    name: str
    package: str
    command: Callable[[str, str, OtherSide], list[str]]
    """Of an endpoint, who it is there, and the other side."""
    dialogue: Callable[[], Dialogue]

    @asynccontextmanager
    async def login(self, side: OtherSide, port: int, home: Path, **environ: str) -> AsyncIterator[Login]:
        """Start it, against the other side at ``port``."""
        who, endpoint = f"{self.package}-{next(_numbers)}", f"https://127.0.0.1:{port}"
        settings = {
            "OAUTH_HELPER_ENDPOINT": endpoint,
            "OAUTH_HELPER_PROJECT_ID": who,
            "OAUTH_HELPER_CA_BUNDLE": str(side.ca_bundle),
            "REQUESTS_CA_BUNDLE": str(side.ca_bundle),
            "HUAWEICLOUD_SDK_AK": "A" * 20,
            "HUAWEICLOUD_SDK_SK": "s" * 40,
        }
        if self.package not in {OURS, "huaweicloudsdkservicestage"}:
            settings["PYTHONPATH"] = str(TESTS)
        command = self.command(endpoint, who, side)
        began = time.perf_counter()
        async with program(*command, environ=surroundings(home, **settings, **environ)) as running:
            yield Login(who, running, began, side, self.dialogue())

    @property
    def is_installed(self) -> bool:
        """Whether it can be measured here."""
        return python_of(self.package) is not None


class _Silence:
    async def waits(self, program: Program) -> None:
        raise NotImplementedError

    async def bring(self, program: Program) -> float:
        raise NotImplementedError


def silent() -> Dialogue:
    """For a tool that needs nobody to bring it anything."""
    return _Silence()


class _OurDialogue:
    async def waits(self, program: Program) -> None:
        while (told := await program.told("event"))["event"] != "waiting":
            pass
        self._callback = Callback.at(
            f"{told['listener'].partition('/start')[0]}/servicestage/oauth",
            urlsplit(redirect_of(told["authorization_url"])).query,
        )

    async def bring(self, program: Program) -> float:
        _, writer = await connect(self._callback.port)
        captured = time.perf_counter()
        writer.write(self._callback.genuine)
        while (told := await program.told("event"))["event"] != "linked":
            if told["event"] == "failed":
                raise RuntimeError(f"it failed: {told}")
        writer.close()
        return captured


class _VendorDialogue:
    async def waits(self, program: Program) -> None:
        self._redirect = redirect_of((await program.told("url"))["url"])

    async def bring(self, program: Program) -> float:
        captured = time.perf_counter()
        program.ask(self._redirect)
        await program.told("linked")
        return captured


class _PeerDialogue:
    """google-auth-oauthlib and MSAL; MSAL opens a page of its own that goes on to the provider."""

    def __init__(self, method: str) -> None:
        self._method = method

    async def waits(self, program: Program) -> None:
        url = str((await program.told("opened"))["opened"])
        while "/authorize?" not in url:
            url = await _onward(url)
        redirect = urlsplit(redirect_of(url))
        self._callback = Callback.at(redirect._replace(query="").geturl(), redirect.query, self._method)

    async def bring(self, program: Program) -> float:
        _, writer = await connect(self._callback.port)
        captured = time.perf_counter()
        writer.write(self._callback.genuine)
        if problem := (await program.told("ended"))["ended"]:
            raise RuntimeError(f"it failed: {problem}")
        writer.close()
        return captured


async def _onward(url: str) -> str:
    callback = Callback.at(url, "")
    reader, writer = await connect(callback.port)
    writer.write(callback.raw("GET", callback.path))
    answer = await read_answer(reader)
    writer.close()
    return (answer and answer.header("location")) or ""


def _our_link(_endpoint: str, _who: str, _side: OtherSide) -> list[str]:
    return [*our_command(), "link", "github", "--name", "my-auth", "--events", "--no-browser"]


def _vendor_script(endpoint: str, who: str, side: OtherSide) -> list[str]:
    script = PROGRAMS / "vendor_sdk_link.py"
    return [python_of("huaweicloudsdkservicestage") or "", str(script), endpoint, who, str(side.ca_bundle)]


def _victim(package: str, module: str) -> Callable[[str, str, OtherSide], list[str]]:
    """The torture suite's program for a peer."""
    return lambda endpoint, who, _: [python_of(package) or "", "-m", f"torture.victims.{module}", f"{endpoint}/{who}"]


OUR_LINK = Tool(OURS, OURS, _our_link, _OurDialogue)
VENDOR_SCRIPT = Tool(SDK, "huaweicloudsdkservicestage", _vendor_script, _VendorDialogue)
GOOGLE_LOGIN = Tool(GOOGLE, GOOGLE, _victim(GOOGLE, "google_auth_oauthlib_login"), lambda: _PeerDialogue("GET"))
MSAL_LOGIN = Tool(MSAL, MSAL, _victim(MSAL, "msal_login"), lambda: _PeerDialogue("POST"))
