"""Who may ask the sandbox, over real sockets: tokens, signatures, clocks, locks, permissions, unknown paths."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox

LONG_AGO = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


class Clock:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock(LONG_AGO)


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(now=clock) as sandbox:
        yield sandbox


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def sign(key: AccessKey, address: str, at: float) -> dict[str, str]:
    """Sign a GET with the vendor's own signer."""
    url = urlsplit(address)
    headers = {"X-Sdk-Date": f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}", "Host": url.netloc}
    request = SdkRequest("GET", "http", url.netloc, url.path, url.path, [], headers, "", False)
    signed: dict[str, str] = (
        Signer(SimpleNamespace(ak=key.access_key, sk=key.secret_key.reveal())).sign(request).header_params
    )
    return signed


async def ask(session: ClientSession, address: str, headers: dict[str, str]) -> tuple[int, Any, Any]:
    async with session.get(address, headers=headers) as response:
        return response.status, await response.json(), response.headers


def auths(sandbox: Sandbox, project_id: str | None = None) -> str:
    return f"{sandbox.endpoint}/v1/{project_id or sandbox.project_id}/git/auths"


def wrong(key: AccessKey) -> AccessKey:
    return AccessKey(key.access_key, "0" * 40)


async def test_a_request_without_credentials_is_refused_in_the_gateways_words(
    sandbox: Sandbox, session: ClientSession
) -> None:
    status, body, headers = await ask(session, auths(sandbox), {})
    assert status == 401
    assert body == {
        "error_code": "APIGW.0301",
        "error_msg": "Incorrect IAM authentication information: x-auth-token not found",
        "request_id": headers["X-Request-Id"],
    }


async def test_the_token_is_good_and_any_other_is_not(sandbox: Sandbox, session: ClientSession) -> None:
    status, body, headers = await ask(session, auths(sandbox), {"X-Auth-Token": sandbox.token.token.reveal()})
    assert (status, body) == (200, {"authorizations": [], "count": 0})
    assert len(headers["X-Request-Id"]) == 32
    status, body, _ = await ask(session, auths(sandbox), {"X-Auth-Token": "other"})
    assert (status, body["error_code"]) == (401, "APIGW.0301")
    assert body["error_msg"].endswith("decrypt token fail")


async def test_a_signed_request_is_answered_with_the_sandboxes_own_date(
    sandbox: Sandbox, session: ClientSession
) -> None:
    address = auths(sandbox)
    status, body, headers = await ask(session, address, sign(sandbox.access_key, address, LONG_AGO))
    assert (status, body["count"]) == (200, 0)
    assert parsedate_to_datetime(headers["Date"]).timestamp() == LONG_AGO


@pytest.mark.parametrize(
    "authorization",
    ["Basic abc", f"SDK-HMAC-SHA256 Access=nobody, SignedHeaders=x-sdk-date, Signature={'0' * 64}"],
)
@pytest.mark.parametrize("date", ["20240102T030405Z", "yesterday"])
async def test_an_unreadable_signature_and_an_unknown_key_fail_alike(
    sandbox: Sandbox, session: ClientSession, authorization: str, date: str
) -> None:
    headers = {"Authorization": authorization, "X-Sdk-Date": date}
    status, body, _ = await ask(session, auths(sandbox), headers)
    assert (status, body["error_code"]) == (401, "APIGW.0301")
    assert body["error_msg"].endswith(": verify aksk signature fail")


@pytest.mark.parametrize(("seconds", "status"), [(900, 200), (-900, 200), (901, 401), (-901, 401)])
async def test_clocks_may_differ_by_fifteen_minutes(
    sandbox: Sandbox, session: ClientSession, seconds: int, status: int
) -> None:
    address = auths(sandbox)
    answered, _, _ = await ask(session, address, sign(sandbox.access_key, address, LONG_AGO + seconds))
    assert answered == status


async def test_an_expired_signature_is_told_with_both_times(sandbox: Sandbox, session: ClientSession) -> None:
    address = auths(sandbox)
    _, body, _ = await ask(session, address, sign(sandbox.access_key, address, LONG_AGO - 3600))
    assert body["error_code"] == "APIGW.0301"
    for part in ("signature expired", "20240102T020405Z", "20240102T030405Z"):
        assert part in body["error_msg"]


async def test_the_sixth_failure_in_a_row_locks_the_key_for_five_minutes(
    sandbox: Sandbox, session: ClientSession, clock: Clock
) -> None:
    address, good = auths(sandbox), sandbox.access_key
    for _ in range(6):
        _, body, _ = await ask(session, address, sign(wrong(good), address, clock.seconds))
        assert body["error_msg"].endswith("verify aksk signature fail")
    clock.seconds += 299
    status, body, _ = await ask(session, address, sign(good, address, clock.seconds))
    assert (status, body["error_code"]) == (401, "APIGW.0301")
    assert body["error_msg"].endswith("AK access failed to reach the limit, forbidden")
    other = sandbox.access_key_without_list
    status, _, _ = await ask(session, address, sign(other, address, clock.seconds))
    assert status == 403, "the lock is one key's"
    clock.seconds += 1
    status, _, _ = await ask(session, address, sign(good, address, clock.seconds))
    assert status == 200


async def test_a_success_between_failures_starts_the_count_anew(sandbox: Sandbox, session: ClientSession) -> None:
    address, good = auths(sandbox), sandbox.access_key
    for _ in range(2):
        for _ in range(5):
            status, _, _ = await ask(session, address, sign(wrong(good), address, LONG_AGO))
            assert status == 401
        status, _, _ = await ask(session, address, sign(good, address, LONG_AGO))
        assert status == 200


async def test_a_key_without_list_may_do_all_but_list(sandbox: Sandbox, session: ClientSession) -> None:
    key, address = sandbox.access_key_without_list, auths(sandbox)
    status, body, _ = await ask(session, address, sign(key, address, LONG_AGO))
    assert status == 403
    assert body["error_code"] == "IAM.0003"
    assert "servicestage:repositoryAuth:list" in body["error_msg"]
    address = f"{auths(sandbox)}/github/redirect"
    status, _, _ = await ask(session, address, sign(key, address, LONG_AGO))
    assert status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/github/redirect"), ("POST", "/github/oauth"), ("DELETE", "/my-auth")],
)
async def test_another_project_is_not_ours_to_ask_about(
    sandbox: Sandbox, session: ClientSession, method: str, path: str
) -> None:
    address, headers = auths(sandbox, "0" * 32) + path, {"X-Auth-Token": sandbox.token.token.reveal()}
    async with session.request(method, address, headers=headers) as response:
        assert (response.status, (await response.json())["error_code"]) == (403, "IAM.0002")


async def test_an_unknown_path_or_method_is_an_api_that_does_not_exist(
    sandbox: Sandbox, session: ClientSession
) -> None:
    status, body, headers = await ask(session, f"{sandbox.endpoint}/v2/nothing", {})
    assert (status, body["error_code"]) == (404, "APIGW.0101")
    assert body["request_id"] == headers["X-Request-Id"]
    async with session.put(auths(sandbox)) as response:
        assert (response.status, (await response.json())["error_code"]) == (404, "APIGW.0101")
    async with session.head(auths(sandbox)) as response:
        assert response.status == 404


async def test_a_body_beyond_all_measure_is_not_read(sandbox: Sandbox, session: ClientSession) -> None:
    async with session.post(f"{auths(sandbox)}/github/oauth", data=BytesIO(b" " * (2**20 + 1))) as response:
        assert (response.status, (await response.json())["error_code"]) == (413, "APIGW.0201")


async def test_every_sandbox_has_secrets_of_its_own(sandbox: Sandbox) -> None:
    async with Sandbox() as other:
        for name, value in sandbox.environment().items():
            assert other.environment()[name] != value
        assert other.user.password != sandbox.user.password


async def test_a_closed_sandbox_is_gone_at_once_even_with_connections_open() -> None:
    async with Sandbox() as sandbox:
        addresses = (sandbox.endpoint, sandbox.iam_endpoint, sandbox.console.redirect_uri("github"))
        ports = [urlsplit(address).port for address in addresses]
        idle = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
        half = idle[0][1]
        half.write(b"POST /v3 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf")
        await half.drain()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1
    for _, writer in idle:
        writer.close()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
