"""A firewall, proxy or gateway answers instead of ServiceStage: the redirect is kept, and ``resume`` finishes it."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web
from end_to_end.blocked_cloud import CREATED, EARLIER, PAGE, Cloud, assert_resumes, behind, gateway, linked, page
from support.command_runner import commands
from support.link_script import NAME, entries

FOREIGN = [
    (page(418, Server="ExampleWAF"), 8, "denied. This is not an answer of ServiceStage but of a firewall"),
    (page(404, Server="nginx", Via="1.1 gw"), 8, 'gateway (server "nginx", via "1.1 gw")'),
    (page(410), 8, "HTTP 410"),
    (page(307, Location="https://login.example/?next=1"), 8, "(HTTP 307) redirects to login.example"),
    (gateway(404, "APIGW.0101"), 8, "API Gateway (APIGW.0101)"),
    (lambda: web.json_response({"code": 40001, "msg": "no"}, status=400), 8, "40001"),
    (page(403, Server="squid"), 3, '(server "squid")'),
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
        again = await commands.run("resume", environ=environ)
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
        assert f'The authorization "{NAME}" could not be deleted' in end.err
        assert cloud.calls.count("delete") == 1
        assert "create" not in cloud.calls
        assert cloud.records == [EARLIER]
        await assert_resumes(cloud, environ)


@pytest.mark.parametrize(("seconds", "status"), [(2, 0), (600, 8)])
async def test_a_deletion_waits_as_long_as_it_is_asked_to_if_there_is_time(seconds: int, status: int) -> None:
    cloud = Cloud(records=[EARLIER])
    at: list[float] = []

    def busy() -> web.Response:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 2:
            cloud.records.clear()
            return web.Response(status=204)
        return gateway(429, "APIGW.0308", **{"Retry-After": str(seconds)})()

    cloud.blocked["delete"] = busy
    async with behind(cloud) as environ:
        end, _ = await linked(environ, "--if-exists", "replace")
    assert end.status == status, end.err
    assert ("Try again in 10 minutes." in end.err) == (len(at) == 1) == (status == 8)
    assert status or at[1] - at[0] >= seconds


async def test_a_page_that_says_success_deletes_nothing() -> None:
    cloud = Cloud({"delete": page(200)}, [EARLIER])
    async with behind(cloud) as environ:
        end = await commands.run("delete", NAME, "--yes", environ=environ)
        assert end.status == 7, end.err
        assert "does not come from ServiceStage" in end.err


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
        end = await commands.run(
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


async def test_who_asks_for_a_few_seconds_gets_them() -> None:
    at: list[float] = []
    cloud = Cloud()

    def answer() -> web.Response:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 1:
            return web.Response(status=503, text=PAGE, headers={"Retry-After": "3"})
        return web.json_response({"authorization": CREATED})

    cloud.blocked["create"] = answer
    async with behind(cloud) as environ:
        end, _ = await linked(environ)
    assert end.status == 0, end.err
    assert len(at) == 2
    assert at[1] - at[0] >= 3
