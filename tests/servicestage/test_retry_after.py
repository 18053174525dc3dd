"""How long a busy ServiceStage asks its clients to wait, and what the user reads about it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from command import run_command, surroundings
from fake_servicestage import AUTHS, KEY, PROJECT, FakeServiceStage, answering

from oauth_helper import ServiceStageClient, UnavailableError

THROTTLED = "The throttling threshold has been reached: policy api over ratelimit,limit:50,"


def in_an_hour() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


def of_this_server(endpoint: str) -> dict[str, str]:
    key = {"HUAWEICLOUD_SDK_AK": "AccessKey", "HUAWEICLOUD_SDK_SK": "SecretKey"}
    return surroundings(OAUTH_HELPER_ENDPOINT=endpoint, OAUTH_HELPER_PROJECT_ID=PROJECT, **key)


@pytest.mark.parametrize(
    ("header", "text", "code", "hint"),
    [
        ("7200", "", "APIGW.0308", "Try again in 2 hours."),
        ("5400", "", "APIGW.0308", "Try again in 90 minutes."),
        ("45", "", "APIGW.0308", "Try again in 45 seconds."),
        (in_an_hour(), "", "APIGW.0308", "Try again in 1 hour."),
        ("9" * 5000, "", "APIGW.0308", "Try again in 24 hours."),
        ("11", f"{THROTTLED}time:1 hour", "APIGW.0308", "Try again in 11 seconds."),
        (None, f"{THROTTLED}time:3 minute", "APIGW.0308", "Try again in 3 minutes."),
        (None, f"{THROTTLED}time:1 day", "APIG.0308", "Try again in 24 hours."),
    ],
)
async def test_the_hint_says_how_long_to_wait(header: str | None, text: str, code: str, hint: str) -> None:
    busy = answering({"error_code": code, "error_msg": text}, 429, {"Retry-After": header} if header else {})
    async with FakeServiceStage(busy) as server:
        end = await run_command("list", environ=of_this_server(server.endpoint))
    assert (end.status, end.err.splitlines()[-1]) == (7, f"hint: {hint}")
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
