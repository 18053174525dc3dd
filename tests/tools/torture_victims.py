"""The tools that the torture attacks: ours in a sandbox, and others with a provider of the tests."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web
from security.attacks import STOLEN, Callback, connect, read_answer
from support.command_runner import commands
from support.link_script import consent
from tools.json_process import JsonProcess, json_process

from oauth_helper.sandbox import Sandbox

OURS = "oauth-helper"
PEERS = {"google-auth-oauthlib": "GET", "msal": "POST", "sigstore": "GET"}
"""Other tools, and how their genuine redirect comes."""


@dataclass
class Victim:
    """A tool that waits for its redirect."""

    callback: Callback
    process: JsonProcess
    codes: list[str] = field(default_factory=list)
    """The codes that it has exchanged."""

    async def ended(self) -> str:
        """Wait for the end; return what went wrong, or nothing."""
        return str((await self.process.told("ended"))["ended"])


class OurLink(Victim):
    """``oauth-helper link``; the sandbox refuses every code but the one that it has given out."""

    async def ended(self) -> str:
        is_captured = False
        while (told := await self.process.told("event"))["event"] not in {"linked", "failed"}:
            is_captured |= told["event"] == "captured"
        if told["event"] == "linked":
            self.codes.append(self.callback.code)
            return ""
        self.codes += [STOLEN] * is_captured
        return str(told["error"]["message"])


Waiting = Callable[[], AbstractAsyncContextManager[Victim]]


@asynccontextmanager
async def our_link() -> AsyncIterator[Victim]:
    """Start a link in a sandbox, with the page as the only way."""
    with TemporaryDirectory() as home:
        folders = {"HOME": home, "XDG_RUNTIME_DIR": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home}
        async with Sandbox() as sandbox:
            environ = commands.environ(sandbox, **folders, CI="true", BROWSER="")
            link = ("link", "github", "--name", "my-auth", "--events", "--browser", "none")
            async with json_process(sys.executable, "-m", "oauth_helper", *link, environ=environ) as process:
                waiting = await process.told("authorization_url")
                query = urlsplit(await consent(waiting["authorization_url"])).query
                origin = waiting["listener"].partition("/start")[0]
                yield OurLink(Callback.at(f"{origin}/servicestage/oauth", query), process)


class OurCapture(Victim):
    """``oauth-helper capture``, whose last event has the code."""

    async def ended(self) -> str:
        while (told := await self.process.told("event"))["event"] not in {"captured", "failed"}:
            pass
        if told["event"] == "captured":
            self.codes += parse_qs(urlsplit(told["redirect"]).query)["code"]
            return ""
        return str(told["error"]["message"])


@asynccontextmanager
async def our_capture() -> AsyncIterator[Victim]:
    """Start a capture, with the page as the only way."""
    state = secrets.token_urlsafe()
    query = {"response_type": "code", "redirect_uri": "https://tool.invalid/callback", "state": state}
    with TemporaryDirectory() as home:
        environ = commands.environ(HOME=home, XDG_RUNTIME_DIR=home, XDG_STATE_HOME=home, CI="true", BROWSER="")
        command = ("capture", f"https://id.invalid/authorize?{urlencode(query)}", "--events", "--browser", "none")
        async with json_process(sys.executable, "-m", "oauth_helper", *command, environ=environ) as process:
            origin = (await process.told("authorization_url"))["listener"].partition("/start")[0]
            genuine = urlencode({"code": secrets.token_urlsafe(), "state": state})
            yield OurCapture(Callback.at(f"{origin}/callback", genuine), process)


@dataclass
class Provider:
    """A provider for the other tools: its configuration, and a token endpoint that notes the codes of each client."""

    origin: str = ""
    codes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def configuration(self, request: web.Request) -> web.Response:
        """OpenID discovery, with a folder for each client."""
        folder = f"{self.origin}/{request.match_info['client']}"
        addresses = {"authorization_endpoint": f"{folder}/authorize", "token_endpoint": f"{folder}/token"}
        return web.json_response(addresses | {"issuer": folder})

    async def token(self, request: web.Request) -> web.Response:
        """Take any code; the identity token is one that sigstore can read."""
        self.codes[request.match_info["client"]] += map(str, (await request.post()).getall("code", []))
        now = int(time.time())
        payload = {"iss": "http://127.0.0.1", "sub": "ada", "aud": "sigstore", "iat": now, "exp": now + 600}
        parts = (json.dumps(part).encode() for part in ({"alg": "none"}, payload))
        identity = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (*parts, b"none")).decode()
        return web.json_response({"access_token": identity, "token_type": "Bearer", "expires_in": 600})


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Serve on a free port of 127.0.0.1."""
    serving, application = Provider(), web.Application()
    application.router.add_get("/{client}/.well-known/openid-configuration", serving.configuration)
    application.router.add_post("/{client}/token", serving.token)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    serving.origin = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield serving
    finally:
        await runner.cleanup()


def peer(name: str, serving: Provider, method: str = "GET") -> Waiting:
    """How to start another tool."""

    @asynccontextmanager
    async def waiting() -> AsyncIterator[Victim]:
        client = f"client-{time.monotonic_ns()}"
        script = str(Path(__file__).with_name("torture_peers.py"))
        async with json_process(sys.executable, script, name, f"{serving.origin}/{client}") as process:
            url = str((await process.told("opened"))["opened"])
            while not url.startswith(serving.origin):  # the tool's own page, which leads to the provider
                callback = Callback.at(url, "")
                reader, writer = await connect(callback.port, callback.raw("GET", callback.path))
                answer = await read_answer(reader)
                writer.close()
                url = answer.header("location") if answer else ""
            query = parse_qs(urlsplit(url).query)
            response = urlencode({"code": "genuine-code", "state": query["state"][0]})
            yield Victim(Callback.at(query["redirect_uri"][0], response, method), process, serving.codes[client])

    return waiting
