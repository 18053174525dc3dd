"""The sandbox's IAM over real sockets: the project of a region, tokens, refusals in Keystone's form."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from aiohttp import ClientSession

from oauth_helper.sandbox import Sandbox

DAY = 24 * 3600


class Clock:
    seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(now=clock) as sandbox:
        yield sandbox


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def token_request(sandbox: Sandbox, **changed: Any) -> dict[str, Any]:
    user = {
        "name": sandbox.user.name,
        "password": sandbox.user.password.reveal(),
        "domain": {"name": sandbox.user.domain_name},
    } | {key: value for key, value in changed.items() if key in {"name", "password", "domain"}}
    scope = changed.get("scope", {"project": {"name": sandbox.region}})
    identity = {"methods": changed.get("methods", ["password"]), "password": {"user": user}}
    return {"auth": {"identity": identity, "scope": scope}}


async def issue(sandbox: Sandbox, session: ClientSession, body: object, query: str = "") -> tuple[int, Any, Any]:
    async with session.post(f"{sandbox.iam_endpoint}/v3/auth/tokens{query}", json=body) as response:
        return response.status, await response.json(), response.headers


async def list_status(sandbox: Sandbox, session: ClientSession, token: str) -> tuple[int, Any]:
    address = f"{sandbox.endpoint}/v1/{sandbox.project_id}/git/auths"
    async with session.get(address, headers={"X-Auth-Token": token}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("by", ["name", "id", "both"])
async def test_a_token_for_the_project_is_good_for_a_day(
    sandbox: Sandbox, session: ClientSession, clock: Clock, by: str
) -> None:
    names = {"name": sandbox.region, "id": sandbox.project_id}
    project = names if by == "both" else {by: names[by]}
    status, body, headers = await issue(sandbox, session, token_request(sandbox, scope={"project": project}))
    assert status == 201
    assert body["token"]["project"]["id"] == sandbox.project_id
    assert body["token"]["catalog"] == []
    expires_at = datetime.strptime(body["token"]["expires_at"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert expires_at.timestamp() == clock.seconds + DAY
    token = headers["X-Subject-Token"]
    clock.seconds += DAY - 1
    assert (await list_status(sandbox, session, token))[0] == 200
    clock.seconds += 1
    status, body = await list_status(sandbox, session, token)
    assert (status, body["error_code"]) == (401, "APIGW.0301")
    assert body["error_msg"].endswith("token expires, expires_at: 2023-11-15T22:13:20Z")
    assert (await list_status(sandbox, session, sandbox.token.token.reveal()))[0] == 200


async def test_the_catalog_can_be_left_out_and_a_second_token_leaves_the_first_good(
    sandbox: Sandbox, session: ClientSession
) -> None:
    tokens = []
    for _ in range(2):
        _, body, headers = await issue(sandbox, session, token_request(sandbox), "?nocatalog=1")
        assert "catalog" not in body["token"]
        tokens.append(headers["X-Subject-Token"])
    assert len(set(tokens)) == 2
    for token in tokens:
        assert (await list_status(sandbox, session, token))[0] == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "someone"},
        {"password": "wrong"},
        {"password": 1},
        {"domain": {"name": "another"}},
        {"methods": ["password", "totp"]},
        {"scope": {"project": {"name": "cn-north-4"}}},
        {"scope": {"project": {"id": "0" * 32}}},
        {"scope": {"project": {"name": ["sandbox-1"]}}},
        {"scope": {"project": {}}},
    ],
    ids=str,
)
async def test_who_is_not_the_user_or_asks_for_another_project_gets_keystones_401(
    sandbox: Sandbox, session: ClientSession, changed: dict[str, Any]
) -> None:
    status, body, headers = await issue(sandbox, session, token_request(sandbox, **changed))
    assert status == 401
    assert body["error"]["code"] == 401
    assert body["error"]["title"] == "Unauthorized"
    assert body["error"]["message"]
    assert "X-Subject-Token" not in headers


@pytest.mark.parametrize("body", [{}, [], None, {"auth": 1}])
async def test_what_is_no_token_request_gets_keystones_400(
    sandbox: Sandbox, session: ClientSession, body: object
) -> None:
    status, answer, _ = await issue(sandbox, session, body)
    assert (status, answer["error"]["code"], answer["error"]["title"]) == (400, 400, "Bad Request")


async def test_a_domains_scope_is_not_offered(sandbox: Sandbox, session: ClientSession) -> None:
    scope = {"domain": {"name": sandbox.user.domain_name}}
    assert (await issue(sandbox, session, token_request(sandbox, scope=scope)))[0] == 400


@pytest.mark.parametrize(("query", "count"), [("?name=sandbox-1", 1), ("", 1), ("?name=cn-north-4", 0)])
async def test_a_project_is_found_by_the_name_of_its_region(
    sandbox: Sandbox, session: ClientSession, query: str, count: int
) -> None:
    address = f"{sandbox.iam_endpoint}/v3/projects{query}"
    async with session.get(address, headers={"X-Auth-Token": sandbox.token.token.reveal()}) as response:
        assert response.status == 200
        projects = (await response.json())["projects"]
    assert [project["id"] for project in projects] == [sandbox.project_id] * count


async def test_projects_are_told_to_those_alone_who_say_who_they_are(sandbox: Sandbox, session: ClientSession) -> None:
    async with session.get(f"{sandbox.iam_endpoint}/v3/projects?name=sandbox-1") as response:
        assert (response.status, (await response.json())["error_code"]) == (401, "APIGW.0301")
