"""What a connection takes and refuses, what it tells about itself, and how it is opened and closed."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version

import pytest
from aiohttp import web
from fake_servicestage import AUTHS, CODE, KEY, PROJECT, RECORD, STATE, TOKEN, FakeServiceStage, Received, answering

from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.models import RepoType
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import Connection
from oauth_helper.version import VERSION


def client(fake: FakeServiceStage, credentials: AccessKey | IamToken = KEY, prefix: str = "") -> ServiceStageClient:
    return ServiceStageClient(fake.endpoint + prefix, project_id=PROJECT, credentials=credentials)


async def test_the_servers_clock_is_noted() -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    dates = iter([{"Date": ahead}, {"Date": "yesterday"}, {"Date": ahead.replace("GMT", "-0000")}])
    skews: list[float | None] = []

    def answer(_request: Received) -> web.Response:
        return web.json_response({"authorizations": []}, headers=next(dates))

    async with FakeServiceStage(answer) as fake, client(fake) as service:
        assert service.last_clock_skew is None
        for _ in range(3):
            await service.list_authorizations()
            skews.append(service.last_clock_skew)
    assert skews == [pytest.approx(3600, abs=5), None, pytest.approx(3600, abs=5)]


async def test_the_program_names_itself_and_its_version() -> None:
    async with FakeServiceStage(answering({"authorizations": []})) as fake, client(fake) as service:
        await service.list_authorizations()
    assert [request.headers["User-Agent"] for request in fake.received] == [f"oauth-helper/{VERSION}"]
    assert version("oauth-helper") == VERSION, "the build reads it too"


async def test_a_debug_log_tells_the_call_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeServiceStage(answering({"authorization": RECORD})) as fake:
        async with client(fake, AccessKey("AK", "SecretKey", "tok/en")) as service:
            await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE, tag="intl")
        async with client(fake, TOKEN) as service:
            await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)
    assert caplog.text.count(f"POST 127.0.0.1:{fake.port}{AUTHS}/github/oauth: 200") == 2
    for secret in ("SecretKey", "tok/en", "MIIE", CODE.reveal(), STATE.reveal(), "Signature"):
        assert secret not in caplog.text


async def test_many_calls_at_once_do_not_disturb_each_other() -> None:
    def echo(request: Received) -> web.Response:
        return web.json_response({"url": request.target})

    async with FakeServiceStage(echo) as fake, client(fake) as service:
        urls = await asyncio.gather(*(service.authorization_url(RepoType.GITHUB, tag=str(n)) for n in range(20)))
    assert urls == [f"{AUTHS}/github/redirect?tag={n}" for n in range(20)]


@pytest.mark.parametrize(
    "endpoint", ["http://servicestage.example.com", "ftp://x", "https://u:p@x.example", "https://x.example/?a=b", ""]
)
def test_an_endpoint_that_would_not_be_safe_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError):
        ServiceStageClient(endpoint, project_id=PROJECT, credentials=KEY)


@pytest.mark.parametrize("project_id", ["", "a b", "a\r\nX-Evil: 1", "a\n", "é"])
def test_a_project_id_that_cannot_stand_in_a_header_is_refused(project_id: str) -> None:
    with pytest.raises(SettingsError, match="project ID") as caught:
        ServiceStageClient("https://x.example", project_id=project_id, credentials=KEY)
    assert not isinstance(caught.value, CredentialsError)


@pytest.mark.parametrize(
    "credentials",
    [
        AccessKey("", "SecretKey"),
        AccessKey("A\nK", "SecretKey"),
        AccessKey("AK", ""),
        AccessKey("AK", "Secret\nKey"),
        AccessKey("AK", "SecretKey", "tok\r\nen"),
        IamToken(""),
        IamToken("to ken"),
        IamToken("tokén"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_unseen(credentials: AccessKey | IamToken) -> None:
    with pytest.raises(CredentialsError) as caught:
        ServiceStageClient("https://x.example", project_id=PROJECT, credentials=credentials)
    assert "Key" not in str(caught.value)
    assert "en" not in str(caught.value).replace("token", "")


async def test_a_connection_that_is_not_open_says_so() -> None:
    connection = Connection("http://127.0.0.1:1", credentials=KEY)
    with pytest.raises(RuntimeError, match="async with"):
        await connection.request("GET", "/")


async def test_a_closed_client_can_be_opened_again() -> None:
    async with FakeServiceStage(answering({"authorizations": [RECORD]})) as fake:
        service = client(fake)
        for _ in range(2):
            async with service:
                assert len(await service.list_authorizations()) == 1
