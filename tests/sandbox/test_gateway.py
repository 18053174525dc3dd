"""The sandbox's gateway and IAM: tokens, signatures, clocks, permissions, unknown paths, projects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from sandbox.sandbox_user import Clock

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox

NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
DAY = 24 * 3600


class Client:
    """Requests with the credentials that a test chooses."""

    def __init__(self, sandbox: Sandbox, session: ClientSession) -> None:
        self.sandbox = sandbox
        self._session = session

    @property
    def list_url(self) -> str:
        return f"{self.sandbox.endpoint}/v1/{self.sandbox.project_id}/git/auths"

    async def send(self, method: str, url: str, **request: Any) -> tuple[int, Any, Any]:
        async with self._session.request(method, url, **request) as response:
            return response.status, await response.json() if method != "HEAD" else None, response.headers

    async def list(self, **headers: str) -> tuple[int, Any, Any]:
        return await self.send("GET", self.list_url, headers=headers)

    async def list_with_token(self, token: str) -> int:
        return (await self.list(**{"X-Auth-Token": token}))[0]

    async def list_signed(self, key: AccessKey, at: float = NOW, path: str = "") -> tuple[int, Any, Any]:
        """Sign with the vendor's signer."""
        url = urlsplit(self.list_url + path)
        headers = {"X-Sdk-Date": f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}", "Host": url.netloc}
        request = SdkRequest("GET", "http", url.netloc, url.path, url.path, [], headers, "", False)
        signer = Signer(SimpleNamespace(ak=key.access_key, sk=key.secret_key.reveal()))
        return await self.send("GET", self.list_url + path, headers=signer.sign(request).header_params)

    async def token(self, body: object = None, **changed: Any) -> tuple[int, Any, Any]:
        """Request a token of IAM, with a body or parts of it changed."""
        ours = self.sandbox.user
        user = {"name": ours.name, "password": ours.password.reveal(), "domain": {"name": ours.domain_name}}
        user |= {key: value for key, value in changed.items() if key in user}
        scope = changed.get("scope", {"project": {"name": self.sandbox.region}})
        identity = {"methods": changed.get("methods", ["password"]), "password": {"user": user}}
        body = body if body is not None else {"auth": {"identity": identity, "scope": scope}}
        return await self.send("POST", f"{self.sandbox.iam_endpoint}/v3/auth/tokens", json=body)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
async def client(clock: Clock) -> AsyncIterator[Client]:
    async with Sandbox(now=clock) as sandbox, ClientSession() as session:
        yield Client(sandbox, session)


async def test_a_request_without_credentials_is_refused(client: Client) -> None:
    status, body, headers = await client.list()
    assert (status, len(headers["X-Request-Id"])) == (401, 32)
    assert body == {
        "error_code": "APIGW.0301",
        "error_msg": "Incorrect IAM authentication information: x-auth-token not found",
        "request_id": headers["X-Request-Id"],
    }


async def test_only_the_right_token_is_accepted(client: Client) -> None:
    assert await client.list_with_token(client.sandbox.token.token.reveal()) == 200
    status, body, _ = await client.list(**{"X-Auth-Token": "other"})
    assert (status, body["error_code"]) == (401, "APIGW.0301")
    assert body["error_msg"].endswith("decrypt token fail")


async def test_a_signed_request_is_answered_with_the_sandboxs_date(client: Client) -> None:
    status, body, headers = await client.list_signed(client.sandbox.access_key)
    assert (status, body["count"]) == (200, 0)
    assert parsedate_to_datetime(headers["Date"]).timestamp() == NOW


@pytest.mark.parametrize(
    "authorization",
    ["Basic abc", f"SDK-HMAC-SHA256 Access=nobody, SignedHeaders=x-sdk-date, Signature={'0' * 64}"],
)
@pytest.mark.parametrize("date", ["20240102T030405Z", "yesterday"])
async def test_an_unreadable_signature_and_an_unknown_key_fail_alike(
    client: Client, authorization: str, date: str
) -> None:
    status, body, _ = await client.list(**{"Authorization": authorization, "X-Sdk-Date": date})
    assert (status, body["error_code"]) == (401, "APIGW.0301")
    assert body["error_msg"].endswith(": verify aksk signature fail")


@pytest.mark.parametrize(("seconds", "status"), [(900, 200), (-900, 200), (901, 401), (-901, 401)])
async def test_clocks_may_differ_by_fifteen_minutes(client: Client, seconds: int, status: int) -> None:
    answered, body, _ = await client.list_signed(client.sandbox.access_key, NOW + seconds)
    assert answered == status
    if status == 401:
        assert "signature expired, signature time: 2024" in body["error_msg"]
        assert "server time: 20240102T030405Z" in body["error_msg"]


async def test_a_key_without_list_may_do_everything_else(client: Client) -> None:
    key = client.sandbox.access_key_without_list
    status, body, _ = await client.list_signed(key)
    assert (status, body["error_code"]) == (403, "IAM.0003")
    assert "servicestage:repositoryAuth:list" in body["error_msg"]
    assert (await client.list_signed(key, path="/github/redirect"))[0] == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/nothing"), ("PUT", ""), ("HEAD", "")])
async def test_an_unknown_path_or_method_does_not_exist(client: Client, method: str, path: str) -> None:
    url = client.sandbox.endpoint + path if path else client.list_url
    status, body, headers = await client.send(method, url)
    assert status == 404
    if body:
        assert (body["error_code"], body["request_id"]) == ("APIGW.0101", headers["X-Request-Id"])


async def test_a_sandbox_closes_at_once_even_with_open_connections() -> None:
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


@pytest.mark.parametrize("by", ["name", "id", "both"])
async def test_a_token_for_the_project_is_valid_for_a_day(client: Client, clock: Clock, by: str) -> None:
    names = {"name": client.sandbox.region, "id": client.sandbox.project_id}
    status, body, headers = await client.token(scope={"project": names if by == "both" else {by: names[by]}})
    assert (status, body["token"]["project"]["id"]) == (201, client.sandbox.project_id)
    expires_at = datetime.strptime(body["token"]["expires_at"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert expires_at.timestamp() == clock.seconds + DAY
    token = headers["X-Subject-Token"]
    clock.seconds += DAY - 1
    assert await client.list_with_token(token) == 200
    clock.seconds += 1
    status, body, _ = await client.list(**{"X-Auth-Token": token})
    assert (status, body["error_code"]) == (401, "APIGW.0301")
    assert body["error_msg"].endswith("token expires, expires_at: 2024-01-03T03:04:05.000000Z")
    assert await client.list_with_token(client.sandbox.token.token.reveal()) == 200


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"name": "someone"}, 401),
        ({"password": "wrong"}, 401),
        ({"password": 1}, 401),
        ({"domain": {"name": "another"}}, 401),
        ({"methods": ["password", "totp"]}, 401),
        ({"scope": {"project": {"name": "cn-north-4"}}}, 401),
        ({"scope": {"project": {"id": "0" * 32}}}, 401),
        ({"scope": {"project": {"name": ["sandbox-1"]}}}, 401),
        ({"scope": {"project": {}}}, 401),
        ({"scope": {"domain": {"name": "sandbox-account"}}}, 400),
        ({"body": {}}, 400),
        ({"body": []}, 400),
        ({"body": "text"}, 400),
        ({"body": {"auth": 1}}, 400),
    ],
    ids=str,
)
async def test_a_wrong_token_request_gets_an_error_of_keystone(
    client: Client, changed: dict[str, Any], expected: int
) -> None:
    status, body, headers = await client.token(**changed)
    assert (status, body["error"]["code"]) == (expected, expected)
    assert body["error"]["title"] == {400: "Bad Request", 401: "Unauthorized"}[expected]
    assert body["error"]["message"]
    assert "X-Subject-Token" not in headers


@pytest.mark.parametrize(("query", "count"), [("?name=sandbox-1", 1), ("", 1), ("?name=cn-north-4", 0)])
async def test_a_project_is_found_by_the_name_of_its_region(client: Client, query: str, count: int) -> None:
    url = f"{client.sandbox.iam_endpoint}/v3/projects{query}"
    token = {"X-Auth-Token": client.sandbox.token.token.reveal()}
    status, body, _ = await client.send("GET", url, headers=token)
    assert status == 200
    assert [project["id"] for project in body["projects"]] == [client.sandbox.project_id] * count
    status, body, _ = await client.send("GET", url)
    assert (status, body["error_code"]) == (401, "APIGW.0301")
