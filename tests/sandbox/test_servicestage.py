"""The sandbox's ServiceStage: authorization URLs, exchanges, tokens, passwords, lists, repositories, every refusal."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from sandbox.sandbox_user import NAME, Clock, RawUser, open_raw_user
from support.repo_type_contract import IN_BROWSER, TYPES, types_with

FIELDS = {
    *("name", "repo_type", "repo_host", "repo_home", "repo_user"),
    *("avartar", "token_type", "create_time", "update_time", "status"),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["documented"])
async def user(clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[RawUser]:
    async with open_raw_user(now=clock, code_lifetime=60, password_body=request.param) as user:
        yield user


def assert_refused(answer: tuple[int, Any], code: str) -> None:
    status, body = answer
    assert (status, set(body)) == (400, {"error_code", "error_msg"})
    assert body["error_code"] == f"SVCSTG.REPO.{code}"


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_the_authorization_url_has_the_form_of_the_real_ones(user: RawUser, repo_type: str) -> None:
    text = await user.authorization_url(repo_type)
    url = urlsplit(text)
    assert url.path == TYPES[repo_type].authorization_path
    query = dict(parse_qsl(url.query, strict_parsing=True))
    assert re.fullmatch(r"[0-9a-f]{20}", query["client_id"])
    callback = urlsplit(query["redirect_uri"])
    assert (callback.hostname, callback.path) == ("127.0.0.1", "/servicestage/oauth")
    assert callback.query == f"repo_type={repo_type}"
    assert re.fullmatch(r"\$2a\$10\$[./A-Za-z0-9]{53}", query["state"])
    assert query["scope"]
    assert query.get("response_type") == (None if repo_type == "github" else "code")
    assert "state=%242a%2410%24" in url.query
    assert not set(url.query) & set("$/ +:")
    assert text != await user.authorization_url(repo_type), "each has its own state"


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_an_exchange_returns_the_documented_record(user: RawUser, repo_type: str, clock: Clock) -> None:
    status, body = await user.exchange(
        {"name": "my-auth.1_2", **await user.granted(repo_type, tag="intl")}, repo_type, tag="intl"
    )
    record = body["authorization"]
    assert (status, list(body), set(record)) == (200, ["authorization"], FIELDS)
    assert (record["name"], record["repo_type"], record["repo_user"]) == ("my-auth.1_2", repo_type, "octocat")
    assert (record["token_type"], record["status"]) == ("oauth", 0)
    assert record["create_time"] == record["update_time"] == int(clock.seconds * 1000)
    assert (await user.ask("GET", "auths"))[1] == {"authorizations": [{**record, "tag": "intl"}], "count": 1}
    assert record["repo_home"].startswith(record["repo_host"])
    assert record["avartar"].startswith(record["repo_host"])


@pytest.mark.parametrize("repo_type", ["devcloud", "GitHub", "svn"])
async def test_a_type_without_oauth_is_not_implemented(user: RawUser, repo_type: str) -> None:
    assert_refused(await user.ask("GET", f"auths/{repo_type}/redirect"), "0401")
    assert_refused(await user.exchange({"name": NAME, "code": "c", "state": "s"}, repo_type), "0401")


@pytest.mark.parametrize(
    "change",
    [
        *({"name": name} for name in ("abc", "a" * 64, "with space", "näme", "a/bc", "abcd\n", "\ud800abcd", "", 1)),
        {"code": ""},
        {"code": None},
        {"state": ""},
        {"state": ["s"]},
    ],
    ids=repr,
)
async def test_an_invalid_parameter_costs_neither_code_nor_state(user: RawUser, change: dict[str, object]) -> None:
    granted = await user.granted()
    assert_refused(await user.exchange({"name": NAME, **granted, **change}), "0400")
    assert (await user.exchange({"name": NAME, **granted, "more": 1}))[0] == 200


@pytest.mark.parametrize("call", ["oauth", "personal"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b'"text"', b'{"name": "my-auth", "code": "c"}', b"[" * 100_000]
)
async def test_an_unreadable_or_incomplete_body_is_refused(user: RawUser, call: str, body: bytes) -> None:
    assert_refused(await user.ask("POST", f"auths/github/{call}", data=body), "0400")


async def test_a_taken_name_costs_neither_code_nor_state(user: RawUser) -> None:
    await user.exchange({"name": NAME, **await user.granted("gitlab")}, "gitlab")
    granted = await user.granted()
    assert_refused(await user.exchange({"name": NAME, **granted}), "0403")
    assert (await user.exchange({"name": "other-auth", **granted}))[0] == 200
    assert await user.names() == [NAME, "other-auth"]


async def test_state_and_code_are_valid_once(user: RawUser) -> None:
    first, second, third = [await user.granted() for _ in range(3)]
    assert (await user.exchange({"name": NAME, **first}))[0] == 200
    assert_refused(await user.exchange({"name": "other-auth", **second, "state": first["state"]}), "0402")
    assert (await user.exchange({"name": "other-auth", **second}))[0] == 200, "a wrong state does not cost the code"
    assert_refused(await user.exchange({"name": "third-auth", **third, "code": first["code"]}), "0402")
    assert_refused(await user.exchange({"name": "third-auth", **third}), "0402")


@pytest.mark.parametrize(("later", "status"), [(59.9, 200), (60, 400)])
async def test_a_code_is_valid_for_its_lifetime(user: RawUser, clock: Clock, later: float, status: int) -> None:
    granted = await user.granted()
    clock.seconds += later
    assert (await user.exchange({"name": NAME, **granted}))[0] == status


@pytest.mark.parametrize(
    ("requested", "repo_type", "tag"),
    [({}, "gitlab", None), ({"tag": "intl"}, "github", None), ({}, "github", "intl"), ({"tag": "a"}, "github", "b")],
)
async def test_a_state_is_valid_for_its_type_and_tag_only(
    user: RawUser, requested: dict[str, str], repo_type: str, tag: str | None
) -> None:
    granted = await user.granted(**requested)
    assert_refused(await user.exchange({"name": NAME, **granted}, repo_type, **({"tag": tag} if tag else {})), "0402")


async def test_a_deleted_authorization_frees_its_name(user: RawUser) -> None:
    await user.exchange({"name": NAME, **await user.granted()})
    assert await user.ask("DELETE", f"auths/{NAME}") == (204, None)
    assert await user.names() == []
    assert (await user.exchange({"name": NAME, **await user.granted()}))[0] == 200


@pytest.mark.parametrize("name", ["no-such", "a%2Fb"])
async def test_a_missing_authorization_cannot_be_deleted(user: RawUser, name: str) -> None:
    assert_refused(await user.ask("DELETE", f"auths/{name}"), "0450")


async def with_token(user: RawUser, /, **fields: object) -> tuple[int, Any]:
    body = {"name": NAME, "token": user.sandbox.personal_token.reveal()} | fields
    return await user.ask("POST", "auths/github/personal", json=body)


async def test_a_token_creates_the_documented_record(user: RawUser) -> None:
    status, body = await with_token(user, host="https://git.example/gitlab")
    record = body["authorization"]
    assert (status, list(body), set(record)) == (200, ["authorization"], FIELDS)
    assert record["repo_host"] == "https://git.example/gitlab"
    assert (await user.ask("GET", "auths"))[1] == {"authorizations": [record | {"tag": None}], "count": 1}
    assert_refused(await with_token(user), "0403")


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
async def test_a_wrong_token_or_body_is_refused(user: RawUser, fields: dict[str, Any], code: str) -> None:
    assert_refused(await with_token(user, **fields), code)
    assert await user.names() == []


@pytest.mark.parametrize("kind", ["personal", "password"])
async def test_each_type_accepts_the_credentials_that_the_manual_names(user: RawUser, kind: str) -> None:
    for repo_type in (*TYPES, "GitHub", "svn"):
        expected = "0400" if repo_type in types_with(kind) else "0401"
        assert_refused(await user.ask("POST", f"auths/{repo_type}/{kind}", json={}), expected)


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("user", ["documented", "terraform"], indirect=True)
async def test_one_of_two_bodies_is_accepted_for_a_password(user: RawUser, request: pytest.FixtureRequest) -> None:
    password = user.sandbox.git_password.reveal()
    bodies = {
        "documented": {"name": NAME, "user": "octocat", "password": password},
        "terraform": {"name": NAME, "token": basic("octocat", password)},
    }
    accepted = bodies.pop(request.node.callspec.params["user"])
    (other,) = bodies.values()
    assert_refused(await user.ask("POST", "auths/bitbucket/password", json=other), "0400")
    assert (await user.ask("POST", "auths/bitbucket/password", json=accepted))[0] == 200


@pytest.mark.parametrize("user", ["terraform"], indirect=True)
@pytest.mark.parametrize(
    ("token", "code"),
    [("no base64!", "0400"), (basic("octocat", "wrong"), "0451"), ("b2N0b2NhdA==", "0400"), ("/w==", "0400")],
)
async def test_a_wrong_basic_value_is_refused(user: RawUser, token: str, code: str) -> None:
    assert_refused(await user.ask("POST", "auths/devcloud/password", json={"name": NAME, "token": token}), code)


async def test_repositories_need_a_valid_authorization(user: RawUser) -> None:
    await with_token(user)
    ours = {"X-Repo-Auth": NAME}
    assert await user.refusal("GET", "repos/namespaces") == "0450"
    assert await user.refusal("GET", "repos/namespaces", headers={"X-Repo-Auth": "other"}) == "0450"
    assert await user.refusal("GET", "repos/namespaces", headers=ours) == ""
    assert await user.refusal("GET", "repos/sandbox-group%2Ftools/projects", headers=ours) == ""
    assert await user.refusal("GET", "repos/nobody/projects", headers=ours) == "0400"
    assert await user.refusal("GET", "repos/octocat/nothing/branches", headers=ours) == "0400"
    assert await user.refusal("GET", "repos/sandbox-group/tools/projects", headers=ours) == "APIGW.0101"
    user.sandbox.expire(NAME)
    assert await user.refusal("GET", "repos/namespaces", headers=ours) == "0451"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "auths"),
        ("DELETE", "auths/my-auth"),
        ("GET", "repos/namespaces"),
    ],
)
async def test_another_project_is_forbidden(user: RawUser, method: str, path: str) -> None:
    user.sandbox.project_id = "0" * 32
    status, body = await user.ask(method, path)
    assert (status, body["error_code"]) == (403, "IAM.0002")
