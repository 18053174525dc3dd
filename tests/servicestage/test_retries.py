"""Calls without side effects are sent again; a busy ServiceStage says when, and the user reads how long to wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from support.command_runner import commands
from support.fake_servicestage import (
    AUTHS,
    CODE,
    KEY,
    PROJECT,
    RECORD,
    STATE,
    FakeServiceStage,
    RawServer,
    Received,
    answering,
    json_answer,
    reset,
)

from oauth_helper import RepoType, ServiceStageClient, UnavailableError
from oauth_helper.errors import CredentialsError
from oauth_helper.servicestage.transport import Retries

THROTTLED = "The throttling threshold has been reached: policy api over ratelimit,limit:50,"
IAM_USER = {"HW_USER_NAME": "ada", "HW_USER_PASSWORD": "planted-password", "HW_DOMAIN_NAME": "lovelace"}


def of_this_server(endpoint: str, **more: str) -> dict[str, str]:
    key = {"HUAWEICLOUD_SDK_AK": "AccessKey", "HUAWEICLOUD_SDK_SK": "SecretKey", "OAUTH_HELPER_PROJECT_ID": PROJECT}
    return (
        commands.environ(OAUTH_HELPER_ENDPOINT=endpoint, OAUTH_HELPER_IAM_ENDPOINT=endpoint, OAUTH_HELPER_TOKEN="")
        | key
        | more
    )


@dataclass
class Hours:
    """A clock that only sleeping moves."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def retries(self) -> Retries:
        return Retries(sleep=self.sleep, clock=lambda: self.now)


def client(endpoint: str, retries: Retries) -> ServiceStageClient:
    return ServiceStageClient(endpoint, project_id=PROJECT, credentials=KEY, retries=retries)


BUSY = {
    "429": answering({}, 429),
    "500": answering({}, 500),
    "502": lambda _request: web.Response(text="<html>Bad Gateway", status=502, content_type="text/html"),
    "503": answering({}, 503, {"Retry-After": "0"}),
    "504": answering({}, 504),
}


@pytest.mark.parametrize(
    ("status", "command", "environ", "answers"),
    [
        ("429", ["list"], {}, {f"{AUTHS}": {"authorizations": [RECORD]}}),
        (
            "500",
            ["list"],
            {"OAUTH_HELPER_PROJECT_ID": "", "OAUTH_HELPER_REGION": "xx-north-1"},
            {"/v3/projects?name=xx-north-1": {"projects": [{"id": PROJECT}]}, AUTHS: {"authorizations": []}},
        ),
        (
            "502",
            ["list"],
            {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": "", **IAM_USER},
            {"/v3/auth/tokens?nocatalog=true": {"token": {"project": {"id": PROJECT}}}, AUTHS: {"authorizations": []}},
        ),
        ("503", ["repos", "my-auth", "octo"], {}, {f"/v1/{PROJECT}/git/repos/octo/projects": {"projects": []}}),
        ("504", ["repos", "my-auth", "octo", "x"], {}, {f"/v1/{PROJECT}/git/repos/octo/x/branches": {"branches": []}}),
    ],
    ids=["list", "project", "token", "projects", "branches"],
)
async def test_a_call_that_is_answered_at_the_second_time_succeeds(
    status: str, command: list[str], environ: dict[str, str], answers: dict[str, object]
) -> None:
    def answer(request: Received) -> web.Response:
        if sum(one.target == request.target for one in server.received) == 1:
            return BUSY[status](request)
        return web.json_response(answers[request.target], headers={"X-Subject-Token": "MIIE"})

    async with FakeServiceStage(answer) as server:
        end = await commands.run(*command, environ=of_this_server(server.endpoint, **environ))
    assert end.status == 0, end.err
    assert Counter(one.target for one in server.received) == dict.fromkeys(answers, 2)


@pytest.mark.parametrize("failure", ["end", "reset", "half", "stalled body"])
async def test_a_connection_that_breaks_is_no_reason_to_give_up(failure: str) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await server.read_request(reader)
        # aiohttp itself repeats a GET whose connection ends before the answer.
        if connections > 4:
            writer.write(json_answer(b'{"url": "https://github.com/"}'))
        elif failure == "half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{")
        elif failure == "reset":
            reset(writer)
        elif failure == "stalled body":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{")
        await writer.drain()

    async with RawServer(script) as server, client(server.endpoint, Retries(pauses=(0,) * 5)) as service:
        assert await service.authorization_url(RepoType.GITHUB) == "https://github.com/"


@pytest.mark.parametrize(
    ("asked_for", "slept"),
    [
        ([None, None, None, None], [0.5, 1.0, 2.0]),
        (["0", "0", "0", "0"], [0.5, 1.0, 2.0]),
        (["4", "5", "3", "0"], [4.0, 5.0]),
        (["10", "1", "1", "1"], [10.0]),
        (["11"], []),
        ([None, "86400"], [0.5]),
    ],
)
async def test_retries_end_after_three_or_ten_seconds(asked_for: list[str | None], slept: list[float]) -> None:
    def answer(_request: Received) -> web.Response:
        wait = asked_for[len(server.received) - 1]
        return web.json_response({}, status=503, headers={"Retry-After": wait} if wait else {})

    hours = Hours()
    async with FakeServiceStage(answer) as server, client(server.endpoint, hours.retries()) as service:
        with pytest.raises(UnavailableError):
            await service.list_namespaces("my-auth")
    assert hours.slept == slept
    assert len(server.received) == len(slept) + 1


async def post(service: ServiceStageClient) -> object:
    return await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (post, 503),
        (post, 429),
        (lambda service: service.create_personal(RepoType.GITHUB, name="my-auth", token=CODE), 500),
        (lambda service: service.delete_authorization("my-auth"), 503),
        (lambda service: service.list_authorizations(retry=False), 503),
        (lambda service: service.list_authorizations(), 401),
    ],
    ids=["create 503", "create 429", "token 500", "delete 503", "verify 503", "list 401"],
)
async def test_what_must_not_be_repeated_is_sent_once(
    call: Callable[[ServiceStageClient], Awaitable[object]], status: int
) -> None:
    hours = Hours()
    async with (
        FakeServiceStage(answering({}, status, {"Retry-After": "1"})) as server,
        client(server.endpoint, hours.retries()) as service,
    ):
        with pytest.raises(CredentialsError if status == 401 else UnavailableError):
            await call(service)
    assert (hours.slept, len(server.received)) == ([], 1)


@pytest.mark.parametrize(
    ("header", "text", "code", "hint"),
    [
        ("7200", "", "APIGW.0308", "Try again in 2 hours."),
        ("5400", "", "APIGW.0308", "Try again in 90 minutes."),
        ("45", "", "APIGW.0308", "Try again in 45 seconds."),
        ("in an hour", "", "APIGW.0308", "Try again in 1 hour."),
        ("9" * 5000, "", "APIGW.0308", "Try again in 24 hours."),
        ("11", f"{THROTTLED}time:1 hour", "APIGW.0308", "Try again in 11 seconds."),
        (None, f"{THROTTLED}time:3 minute", "APIGW.0308", "Try again in 3 minutes."),
        (None, f"{THROTTLED}time:1 day", "APIG.0308", "Try again in 24 hours."),
    ],
)
async def test_the_hint_says_how_long_to_wait(header: str | None, text: str, code: str, hint: str) -> None:
    if header == "in an hour":
        header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    busy = answering({"error_code": code, "error_msg": text}, 429, {"Retry-After": header} if header else {})
    async with FakeServiceStage(busy) as server:
        end = await commands.run("list", environ=of_this_server(server.endpoint))
    assert end.status == 7
    assert f"hint: {hint}" in end.err.splitlines()
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "15", 15.0),
        (503, " 0 ", 0.0),
        (500, "Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        (408, "Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        (425, "1e9", None),
        (429, "-5", None),
        (429, "\u0665", None),
        (503, "soon", None),
        (503, None, None),
    ],
)
async def test_python_callers_read_the_seconds(status: int, header: str | None, seconds: float | None) -> None:
    headers = {"Retry-After": header} if header else {}
    async with (
        FakeServiceStage(answering({}, status, headers)) as server,
        ServiceStageClient(server.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        with pytest.raises(UnavailableError) as caught:
            await service.delete_authorization("busy")
    assert caught.value.retry_after == seconds
    assert [one.target for one in server.received] == [f"{AUTHS}/busy"]


async def test_a_date_is_read_by_the_servers_clock() -> None:
    theirs = datetime(2011, 5, 6, 7, 8, 9, tzinfo=UTC)
    dates = {"Date": format_datetime(theirs, usegmt=True)}
    dates["Retry-After"] = format_datetime(theirs + timedelta(seconds=90), usegmt=True)
    async with (
        FakeServiceStage(answering({}, 503, dates)) as server,
        ServiceStageClient(server.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        with pytest.raises(UnavailableError) as caught:
            await service.delete_authorization("busy")
    assert caught.value.retry_after == 90
