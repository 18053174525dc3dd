"""A ServiceStage behind something that answers in its place, and a link through it as a script runs it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web
from support.command_runner import Ended, commands, error_of
from support.fake_servicestage import AUTHS, PROJECT, FakeServiceStage, Received
from support.link_script import NAME, bring, entries, scripted

STATE = "$2a$10$Kq3vExampleExampleExampleOeSxQ7Yw1bT5uV9cZ2mJ4hN6pRk8Li"
PAGE = "<!doctype html><title>Access \x1b[31mdenied</title><p>by the gateway"
CREATED = {"name": NAME, "repo_type": "github", "repo_user": "octo", "create_time": 7, "status": 0}
EARLIER = CREATED | {"create_time": 3}


Answer = Callable[[], web.Response | Awaitable[web.Response]]


def page(status: int, **headers: str) -> Callable[[], web.Response]:
    return lambda: web.Response(status=status, text=PAGE, content_type="text/html", headers=headers)


def gateway(status: int, code: str, **headers: str) -> Callable[[], web.Response]:
    body = {"error_code": code, "error_msg": "said by a gateway", "request_id": "4711"}
    return lambda: web.json_response(body, status=status, headers=headers)


@dataclass
class Cloud:
    """ServiceStage, behind something that answers the calls in ``blocked`` itself."""

    blocked: dict[str, Answer] = field(default_factory=dict)
    records: list[dict[str, object]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def never(self) -> web.Response:
        """Answer only when the test is over."""
        await self.over.wait()
        return web.Response(status=500)

    def respond(self, request: Received) -> web.Response | Awaitable[web.Response]:
        path = request.target.partition("?")[0]
        creations = {f"{AUTHS}/github/oauth", f"{AUTHS}/github/personal"}
        call = "create" if path in creations else "url" if path.endswith("/redirect") else request.method.lower()
        self.calls.append(call)
        if call in self.blocked:
            return self.blocked[call]()
        if call == "create":
            self.records.append(CREATED | {"name": json.loads(request.body)["name"]})
            return web.json_response({"authorization": self.records[-1]})
        if call == "url":
            state = f"{STATE}{len(self.calls)}"
            query = urlencode({"client_id": "c", "state": state, "redirect_uri": "https://console.example/oauth"})
            return web.json_response({"url": f"https://github.com/login/oauth/authorize?{query}"})
        if call == "delete":
            self.records.clear()
            return web.Response(status=204)
        return web.json_response({"authorizations": self.records, "count": len(self.records)})


@asynccontextmanager
async def behind(cloud: Cloud) -> AsyncIterator[Mapping[str, str]]:
    async with FakeServiceStage(cloud.respond) as fake:
        try:
            yield dict(os.environ) | {
                "OAUTH_HELPER_ENDPOINT": fake.endpoint,
                "OAUTH_HELPER_PROJECT_ID": PROJECT,
                "OAUTH_HELPER_TOKEN": "MIIplanted-iam-token",
            }
        finally:
            cloud.over.set()


def redirect_for(authorization_url: str) -> str:
    state = parse_qs(urlsplit(authorization_url).query)["state"][0]
    return f"https://console.example/oauth?{urlencode({'code': 'planted', 'state': state})}"


async def linked(environ: Mapping[str, str], *options: str) -> tuple[Ended, list[str]]:
    async with scripted("link", "github", "--name", NAME, *options, environ=environ) as script:
        redirect = redirect_for((await script.event("waiting"))["authorization_url"])
        await bring(script.listener, redirect)
        end = await script.ended()
        assert end.status == 0 or script.events[-1]["error"] == error_of(end.err)
        return end, script.names


async def assert_resumes(cloud: Cloud, environ: Mapping[str, str]) -> None:
    cloud.blocked.clear()
    cloud.calls.clear()
    end = await commands.run("resume", "--json", environ=environ)
    assert end.status == 0, end.err
    assert [one["create_time"] for one in json.loads(end.out)] == [7]
    assert cloud.calls.count("create") == 1
    assert entries() == []
