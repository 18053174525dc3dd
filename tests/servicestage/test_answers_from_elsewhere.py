"""A firewall, proxy or gateway answers instead of ServiceStage: the redirect is kept, and ``resume`` finishes it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from aiohttp import web
from command import Ended, error_of, run_command
from fake_servicestage import AUTHS, PROJECT, FakeServiceStage, Received
from link_script import NAME, bring, entries, scripted

STATE = "$2a$10$Kq3vExampleExampleExampleOeSxQ7Yw1bT5uV9cZ2mJ4hN6pRk8Li"
PAGE = "<!doctype html><title>Access \x1b[31mdenied</title><p>by the gateway"
CREATED = {"name": NAME, "repo_type": "github", "repo_user": "octo", "create_time": 7, "status": 0}
EARLIER = CREATED | {"create_time": 3}


def page(status: int, **headers: str) -> Callable[[], web.Response]:
    return lambda: web.Response(status=status, text=PAGE, content_type="text/html", headers=headers)


def gateway(status: int, code: str, **headers: str) -> Callable[[], web.Response]:
    body = {"error_code": code, "error_msg": "said by a gateway", "request_id": "4711"}
    return lambda: web.json_response(body, status=status, headers=headers)


@dataclass
class Cloud:
    """ServiceStage, behind something that answers the calls in ``blocked`` itself."""

    blocked: dict[str, Callable[[], web.Response]] = field(default_factory=dict)
    records: list[dict[str, object]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def respond(self, request: Received) -> web.Response:
        path = request.target.partition("?")[0]
        creations = {f"{AUTHS}/github/oauth", f"{AUTHS}/github/personal"}
        call = "create" if path in creations else "url" if path.endswith("/redirect") else request.method.lower()
        self.calls.append(call)
        if call in self.blocked:
            return self.blocked[call]()
        if call == "create":
            self.records.append(CREATED)
            return web.json_response({"authorization": CREATED})
        if call == "url":
            query = urlencode({"client_id": "c", "state": STATE, "redirect_uri": "https://console.example/oauth"})
            return web.json_response({"url": f"https://github.com/login/oauth/authorize?{query}"})
        if call == "delete":
            self.records.clear()
            return web.Response(status=204)
        return web.json_response({"authorizations": self.records, "count": len(self.records)})


@asynccontextmanager
async def behind(cloud: Cloud) -> AsyncIterator[Mapping[str, str]]:
    async with FakeServiceStage(cloud.respond) as fake:
        yield dict(os.environ) | {
            "OAUTH_HELPER_ENDPOINT": fake.endpoint,
            "OAUTH_HELPER_PROJECT_ID": PROJECT,
            "OAUTH_HELPER_TOKEN": "MIIplanted-iam-token",
        }


async def linked(environ: Mapping[str, str], *options: str) -> tuple[Ended, list[str]]:
    async with scripted("link", "github", "--name", NAME, *options, environ=environ) as script:
        url = (await script.event("waiting"))["authorization_url"]
        state = parse_qs(urlsplit(url).query)["state"][0]
        await bring(script.listener, f"https://console.example/oauth?{urlencode({'code': 'planted', 'state': state})}")
        end = await script.ended()
        assert script.events[-1].get("error", error_of(end.err) if end.status else None) == (
            error_of(end.err) if end.status else None
        )
        return end, script.names


async def assert_resumes(cloud: Cloud, environ: Mapping[str, str]) -> None:
    cloud.blocked.clear()
    cloud.calls.clear()
    end = await run_command("resume", "--json", environ=environ)
    assert end.status == 0, end.err
    assert [one["create_time"] for one in json.loads(end.out)] == [7]
    assert cloud.calls.count("create") == 1
    assert entries() == []


FOREIGN = [
    (page(418, Server="ExampleWAF"), 8, "denied. This is not an answer of ServiceStage but of a firewall"),
    (page(404, Server="nginx", Via="1.1 gw"), 8, 'gateway (server "nginx", via "1.1 gw")'),
    (page(405), 8, "a firewall, proxy or gateway"),
    (page(410), 8, "HTTP 410"),
    (page(422), 8, "HTTP 422"),
    (page(431), 8, "HTTP 431"),
    (page(307, Location="https://login.example/?next=1"), 8, "redirects to login.example (HTTP 307)"),
    (gateway(404, "APIGW.0101"), 8, "API Gateway (APIGW.0101)"),
    (gateway(400, "APIG.0201"), 8, "API Gateway (APIG.0201)"),
    (lambda: web.json_response({"code": 40001, "msg": "no"}, status=400), 8, "40001"),
    (page(403), 3, "HTTP 403"),
    (gateway(401, "APIGW.0301"), 3, "APIGW.0301"),
    (gateway(403, "APIGW.0101"), 3, "APIGW.0101"),
]


@pytest.mark.parametrize(("answer", "status", "words"), FOREIGN, ids=lambda each: each if isinstance(each, str) else "")
async def test_the_redirect_is_kept_and_it_is_said_who_answered(
    answer: Callable[[], web.Response], status: int, words: str
) -> None:
    cloud = Cloud({"create": answer})
    async with behind(cloud) as environ:
        end, events = await linked(environ)
        assert end.status == status, end.err
        assert cloud.calls.count("create") == 1, "nothing is sent again"
        assert "looking" not in events
        message, hint = end.err.splitlines()[-3:-1]
        assert words in message
        assert "\x1b" not in end.err
        assert "The redirect is kept: `oauth-helper resume` finishes it" in hint
        assert len(entries()) == 1
        again = await run_command("resume", environ=environ)
        assert again.status == status, again.err
        assert len(entries()) == 1, "resume meets the same answer, and keeps it too"
        await assert_resumes(cloud, environ)


@pytest.mark.parametrize(
    "answer", [page(418), page(302, Location="https://login.example/"), gateway(404, "APIGW.0101")]
)
async def test_a_deletion_that_something_else_answers_costs_nothing(answer: Callable[[], web.Response]) -> None:
    cloud = Cloud({"delete": answer}, [EARLIER])
    async with behind(cloud) as environ:
        end, _ = await linked(environ, "--if-exists", "replace")
        assert end.status == 8, end.err
        assert f"The authorization named {NAME} could not be deleted" in end.err
        assert cloud.calls.count("delete") == 1
        assert "create" not in cloud.calls
        assert cloud.records == [EARLIER]
        await assert_resumes(cloud, environ)


async def test_a_page_that_says_success_deletes_nothing() -> None:
    cloud = Cloud({"delete": page(200)}, [EARLIER])
    async with behind(cloud) as environ:
        end = await run_command("delete", NAME, "--yes", environ=environ)
        assert end.status == 7, end.err
        assert "is not the JSON that was promised" in end.err


async def test_a_page_that_says_success_is_looked_after() -> None:
    cloud = Cloud()

    def hides() -> web.Response:
        cloud.records.append(CREATED)
        return page(200)()

    cloud.blocked["create"] = hides
    async with behind(cloud) as environ:
        end, events = await linked(environ)
    assert end.status == 0, end.err
    assert (cloud.calls.count("create"), events.count("looking")) == (1, 1)


async def test_without_a_browser_nothing_is_kept_and_it_is_said_what_to_do() -> None:
    cloud = Cloud({"create": page(451)})
    async with behind(cloud) as environ:
        end = await run_command(
            "link", "github", "--name", NAME, "--with-token", environ=environ, given="ghp_planted\n"
        )
    assert end.status == 8, end.err
    assert "This is not an answer of ServiceStage but of a firewall, proxy or gateway" in end.err
    assert "Then run the command again." in end.err
    assert "kept" not in end.err


@pytest.mark.parametrize("code", ["SVCSTG.REPO.0400", "SVCSTG.REPO.9999", "SVCSTG.REPO.0402"])
async def test_what_servicestage_itself_refuses_is_not_kept(code: str) -> None:
    cloud = Cloud({"create": gateway(400, code)})
    async with behind(cloud) as environ:
        end, _ = await linked(environ)
    assert end.status == 6, end.err
    assert entries() == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (gateway(429, "APIGW.0308", **{"Retry-After": "40"}), "Try again in 40 seconds. The redirect is kept:"),
        (page(503, **{"Retry-After": "7200"}), "Try again in 2 hours. The redirect expires before that"),
    ],
)
async def test_who_asks_for_more_time_than_there_is_ends_it_at_once(
    answer: Callable[[], web.Response], words: str
) -> None:
    cloud = Cloud({"create": answer})
    async with behind(cloud) as environ:
        async with asyncio.timeout(15):
            end, events = await linked(environ)
        assert end.status == 8, end.err
        assert words in end.err
        assert (cloud.calls.count("create"), events.count("looking")) == (1, 1)
        assert len(entries()) == 1


@pytest.mark.parametrize("with_token", [False, True], ids=["redirect", "token"])
async def test_who_asks_for_a_few_seconds_gets_them(with_token: bool) -> None:
    at: list[float] = []
    cloud = Cloud()

    def answer() -> web.Response:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 1:
            return web.Response(status=503, text=PAGE, headers={"Retry-After": "3"})
        return web.json_response({"authorization": CREATED})

    cloud.blocked["create"] = answer
    async with behind(cloud) as environ:
        if with_token:
            given = ("link", "github", "--name", NAME, "--with-token")
            end = await run_command(*given, environ=environ, given="ghp_planted\n")
        else:
            end, _ = await linked(environ)
    assert end.status == 0, end.err
    assert len(at) == 2
    assert at[1] - at[0] >= 3
