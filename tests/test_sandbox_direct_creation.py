"""The sandbox's authorizations of tokens and passwords, and what they can see: every refusal, over real sockets."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from repo_type_contract import TYPES, types_with
from yarl import URL

from oauth_helper.sandbox import Sandbox


class Caller:
    """Asks ServiceStage with a token of IAM's."""

    def __init__(self, sandbox: Sandbox, session: ClientSession) -> None:
        self.sandbox = sandbox
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        address = URL(f"{self.sandbox.endpoint}/v1/{self.sandbox.project_id}/git/{path}", encoded=True)
        headers["X-Auth-Token"] = self.sandbox.token.token.reveal()
        async with self._session.request(method, address, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def with_token(self, repo_type: str = "github", **fields: object) -> tuple[int, Any]:
        body = {"name": "my-auth", "token": self.sandbox.personal_token.reveal()} | fields
        return await self.ask("POST", f"auths/{repo_type}/personal", body)

    async def code_of(self, method: str, path: str, **headers: str) -> str:
        status, body = await self.ask(method, path, **headers)
        return "" if status == 200 else str(body["error_code"])


@pytest.fixture(params=["documented"])
async def caller(request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    async with Sandbox(password_body=request.param) as sandbox, ClientSession() as session:
        yield Caller(sandbox, session)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
async def test_what_is_no_json_is_refused(caller: Caller, body: bytes) -> None:
    address = f"{caller.sandbox.endpoint}/v1/{caller.sandbox.project_id}/git/auths/github/personal"
    token = {"X-Auth-Token": caller.sandbox.token.token.reveal()}
    async with ClientSession(headers=token) as session, session.post(address, data=body) as answer:
        assert (answer.status, (await answer.json())["error_code"]) == (400, "SVCSTG.REPO.0400")


def together(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_the_record_is_the_documented_one(caller: Caller) -> None:
    status, body = await caller.with_token(host="https://git.example/gitlab")
    assert (status, list(body)) == (200, ["authorization"])
    record = body["authorization"]
    assert set(record) == {
        *("name", "repo_type", "repo_host", "repo_home", "repo_user"),
        *("avartar", "token_type", "create_time", "update_time", "status"),
    }
    assert record["repo_host"] == "https://git.example/gitlab"
    _, listed = await caller.ask("GET", "auths")
    assert listed == {"authorizations": [record | {"tag": None}], "count": 1}
    assert (await caller.with_token())[1]["error_code"] == "SVCSTG.REPO.0403"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"token": "ghp_wrong"}, "0451"),
        ({"token": ""}, "0400"),
        ({"token": 1}, "0400"),
        ({"name": "abc"}, "0400"),
        ({"host": "git.example"}, "0400"),
        ({"user": "octocat"}, "0400"),
    ],
)
async def test_a_token_is_refused(caller: Caller, fields: dict[str, Any], code: str) -> None:
    status, body = await caller.with_token(**fields)
    assert (status, body["error_code"]) == (400, f"SVCSTG.REPO.{code}")
    assert (await caller.ask("GET", "auths"))[1]["count"] == 0


@pytest.mark.parametrize("kind", ["personal", "password"])
async def test_each_type_has_the_proofs_that_the_manual_gives_it(caller: Caller, kind: str) -> None:
    types = types_with(kind)
    for repo_type in (*TYPES, "GitHub", "svn"):
        _, body = await caller.ask("POST", f"auths/{repo_type}/{kind}", {})
        assert body["error_code"] == f"SVCSTG.REPO.{'0400' if repo_type in types else '0401'}"


@pytest.mark.parametrize("caller", ["documented", "terraform"], indirect=True)
async def test_one_of_the_two_bodies_of_a_password_is_understood(
    caller: Caller, request: pytest.FixtureRequest
) -> None:
    password = caller.sandbox.git_password.reveal()
    bodies = {
        "documented": {"name": "my-auth", "user": "octocat", "password": password},
        "terraform": {"name": "my-auth", "token": together("octocat", password)},
    }
    understood = bodies.pop(request.node.callspec.params["caller"])
    (other,) = bodies.values()
    _, refused = await caller.ask("POST", "auths/bitbucket/password", other)
    assert refused["error_code"] == "SVCSTG.REPO.0400"
    status, _ = await caller.ask("POST", "auths/bitbucket/password", understood)
    assert status == 200


@pytest.mark.parametrize("caller", ["terraform"], indirect=True)
@pytest.mark.parametrize(
    ("token", "code"),
    [("no base64!", "0400"), (together("octocat", "wrong"), "0451"), ("b2N0b2NhdA==", "0400"), ("/w==", "0400")],
)
async def test_a_user_and_password_in_one_are_refused(caller: Caller, token: str, code: str) -> None:
    _, body = await caller.ask("POST", "auths/devcloud/password", {"name": "my-auth", "token": token})
    assert body["error_code"] == f"SVCSTG.REPO.{code}"


async def test_who_has_no_authorization_sees_nothing(caller: Caller) -> None:
    await caller.with_token()
    assert await caller.code_of("GET", "repos/namespaces") == "SVCSTG.REPO.0450"
    assert await caller.code_of("GET", "repos/namespaces", **{"X-Repo-Auth": "other"}) == "SVCSTG.REPO.0450"
    ours = {"X-Repo-Auth": "my-auth"}
    assert await caller.code_of("GET", "repos/namespaces", **ours) == ""
    assert await caller.code_of("GET", "repos/sandbox-group%2Ftools/projects", **ours) == ""
    assert await caller.code_of("GET", "repos/nobody/projects", **ours) == "SVCSTG.REPO.0400"
    assert await caller.code_of("GET", "repos/octocat/nothing/branches", **ours) == "SVCSTG.REPO.0400"
    assert await caller.code_of("GET", "repos/sandbox-group/tools/projects", **ours) == "APIGW.0101"
    caller.sandbox.expire("my-auth")
    assert await caller.code_of("GET", "repos/namespaces", **ours) == "SVCSTG.REPO.0451"


async def test_another_project_is_not_ours(caller: Caller) -> None:
    caller.sandbox.project_id = "0" * 32
    assert (await caller.with_token())[1]["error_code"] == "IAM.0002"
    assert await caller.code_of("GET", "repos/namespaces") == "IAM.0002"
