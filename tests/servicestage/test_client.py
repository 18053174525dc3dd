"""The calls of the API: the requests, byte for byte, and what the answers mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from aiohttp import web
from support.fake_servicestage import (
    AUTHS,
    CODE,
    KEY,
    PROJECT,
    RECORD,
    STATE,
    FakeServiceStage,
    Received,
    answering,
)

from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.errors import (
    IllegalNameError,
    NoSuchAuthorizationError,
    RefusedError,
    UnusableAnswerError,
    UsageError,
)
from oauth_helper.models import Namespace, Project, RepoType
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient


def client(fake: FakeServiceStage, credentials: AccessKey | IamToken = KEY, prefix: str = "") -> ServiceStageClient:
    return ServiceStageClient(fake.endpoint + prefix, project_id=PROJECT, credentials=credentials)


async def test_the_list_is_read_and_the_request_is_signed() -> None:
    listed = answering({"authorizations": [{**RECORD, "tag": None}], "count": 1})
    async with FakeServiceStage(listed) as fake, client(fake) as service:
        authorizations = await service.list_authorizations()
    assert [one.to_json() for one in authorizations] == [{**RECORD, "tag": None}]
    request = fake.received[0]
    assert (request.method, request.target, request.body) == ("GET", AUTHS, b"")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Project-Id"] == PROJECT
    assert request.headers["Host"] == f"127.0.0.1:{fake.port}"
    assert "SignedHeaders=content-type;host;x-project-id;x-sdk-date," in request.headers["Authorization"]
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


async def test_a_temporary_key_sends_and_signs_its_token() -> None:
    key = AccessKey("AK", "SK", "tok/en+=")
    async with FakeServiceStage(answering({"authorizations": []})) as fake, client(fake, key) as service:
        assert await service.list_authorizations() == []
    request = fake.received[0]
    assert request.headers["X-Security-Token"] == "tok/en+="
    assert "x-security-token," in request.headers["Authorization"]
    assert request.headers["Authorization"] == request.vendor_authorization("AK", "SK")


async def test_an_endpoints_prefix_is_sent_and_signed() -> None:
    empty = answering({"authorizations": []})
    async with FakeServiceStage(empty) as fake, client(fake, prefix="/gate%20way/") as service:
        await service.list_authorizations()
    request = fake.received[0]
    assert request.target == f"/gate%20way{AUTHS}"
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


async def test_an_absent_list_that_counts_nothing_is_empty() -> None:
    async with FakeServiceStage(answering({"authorizations": None, "count": 0})) as fake, client(fake) as service:
        assert await service.list_authorizations() == []


@pytest.mark.parametrize(
    "document",
    [
        {"count": 1},
        {"authorizations": None},
        {"authorizations": {}},
        [],
        "text",
    ],
)
async def test_a_list_that_cannot_be_trusted_is_no_list(document: object) -> None:
    async with FakeServiceStage(answering(document)) as fake, client(fake) as service:
        with pytest.raises(UnusableAnswerError) as caught:
            await service.list_authorizations()
    assert caught.value.sent


async def test_a_record_with_a_name_and_little_else_is_listed_because_it_holds_its_name() -> None:
    records = {"authorizations": [{"name": "taken"}, {"name": None}, "odd"], "count": 3}
    async with FakeServiceStage(answering(records)) as fake, client(fake) as service:
        assert [one.to_json() for one in await service.list_authorizations()] == [{"name": "taken"}]


@pytest.mark.parametrize(("tag", "query"), [(None, ""), ("", ""), ("intl", "?tag=intl"), ("a b&é~*+", None)])
async def test_the_authorization_url_comes_back_exactly_as_it_came(tag: str | None, query: str | None) -> None:
    url = "https://github.com/login/oauth/authorize?state=%242a%2410%24.u&scope=read%3Auser+repo"
    async with FakeServiceStage(answering({"url": url})) as fake, client(fake) as service:
        assert await service.authorization_url(RepoType.GITHUB, tag=tag) == url
    request = fake.received[0]
    expected = f"?tag={quote(tag or '', safe='')}" if query is None else query
    assert (request.method, request.target) == ("GET", f"{AUTHS}/github/redirect{expected}")
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


@pytest.mark.parametrize("document", [{}, {"url": None}, {"url": ""}, {"url": 1}, {"URL": "https://x"}])
async def test_an_answer_without_an_authorization_url_is_unusable(document: object) -> None:
    async with FakeServiceStage(answering(document)) as fake, client(fake) as service:
        with pytest.raises(UnusableAnswerError, match="has no authorization URL"):
            await service.authorization_url(RepoType.GITLAB)


@pytest.mark.parametrize("status", [200, 201])
async def test_code_and_state_are_posted_once(status: int) -> None:
    async with FakeServiceStage(answering({"authorization": RECORD}, status)) as fake, client(fake) as service:
        made = await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE, tag="intl")
    assert made.to_json() == RECORD
    (request,) = fake.received
    assert (request.method, request.target) == ("POST", f"{AUTHS}/github/oauth?tag=intl")
    assert request.body == (
        b'{"name": "my-auth", "code": "fb32b45c3513bc3267f5", '
        b'"state": "$2a$10$.uQYThj5yKFs51w9s9ajeuQ0NSGshPH7IUfXoZLPlz7J/oAJ8Babc"}'
    )
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


@pytest.mark.parametrize("document", [{}, {"authorization": None}, {"authorization": {"repo_type": "github"}}, [], 1])
async def test_a_creation_without_the_record_may_have_happened(document: object) -> None:
    async with FakeServiceStage(answering(document)) as fake, client(fake) as service:
        with pytest.raises(UnusableAnswerError) as caught:
            await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)
    assert caught.value.sent
    assert "Nothing was created" not in caught.value.hint
    assert len(fake.received) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "is empty"),
        (b" <html>", 'is the web page "…", so it does not come from ServiceStage'),
        (b"<!DOCTYPE html><title> Sign in</title>", 'is the web page "Sign in", so it does not come from ServiceStage'),
        *((body, "is not the JSON") for body in (b'{"authorization": {"na', b"\xff\xfe{", b"[" * 100_000)),
    ],
)
async def test_an_answer_that_is_not_json_is_unusable(body: bytes, told: str) -> None:
    def answer(_request: Received) -> web.Response:
        return web.Response(body=body, headers={"x-request-id": "abc\t123"})

    async with FakeServiceStage(answer) as fake, client(fake) as service:
        with pytest.raises(UnusableAnswerError, match=told) as caught:
            await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)
    assert caught.value.request_id == "abc 123"


@pytest.mark.parametrize("name", ["abc", "x" * 64, "with space", "名字-1234", "a/b-cd", ""])
async def test_a_name_that_would_be_refused_costs_no_state(name: str) -> None:
    async with FakeServiceStage(answering({"authorization": RECORD})) as fake, client(fake) as service:
        with pytest.raises(IllegalNameError):
            await service.create_oauth(RepoType.GITHUB, name=name, code=CODE, state=STATE)
    assert fake.received == []


async def test_a_tag_with_control_characters_is_refused() -> None:
    async with FakeServiceStage(answering({"url": "https://x"})) as fake, client(fake) as service:
        with pytest.raises(UsageError):
            await service.authorization_url(RepoType.GITHUB, tag="in\ntl")
    assert fake.received == []


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_deleting_needs_no_body_in_the_answer(status: int) -> None:
    async with FakeServiceStage(lambda _request: web.Response(status=status)) as fake, client(fake) as service:
        await service.delete_authorization("my-auth.1_2-3")
    request = fake.received[0]
    assert (request.method, request.target) == ("DELETE", f"{AUTHS}/my-auth.1_2-3")


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "a b?c#d", "名字", "x"])
async def test_any_name_a_server_gave_can_be_deleted(name: str) -> None:
    async with FakeServiceStage(lambda _request: web.Response(status=204)) as fake, client(fake) as service:
        await service.delete_authorization(name)
    request = fake.received[0]
    assert request.target == f"{AUTHS}/{quote(name, safe='')}"
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "a\udcffb"])
async def test_a_name_that_would_reach_something_else_is_not_deleted(name: str) -> None:
    async with FakeServiceStage(lambda _request: web.Response(status=204)) as fake, client(fake) as service:
        with pytest.raises(IllegalNameError):
            await service.delete_authorization(name)
    assert fake.received == []


REPOS = f"/v1/{PROJECT}/git/repos"

SECRET = Secret("pl@nted-sécret/1")

TOGETHER = "c29tZW9uZTpwbEBudGVkLXPDqWNyZXQvMQ=="


def refusing(*codes: str) -> Callable[[Received], web.Response]:
    """Refuse the first requests with these codes, and accept the next."""
    left = list(codes)

    def respond(_request: Received) -> web.Response:
        if left:
            return web.json_response({"error_code": f"SVCSTG.REPO.{left.pop(0)}", "error_msg": TOGETHER}, status=400)
        return web.json_response({"authorization": RECORD})

    return respond


@pytest.mark.parametrize("host", [None, "https://192.168.1.1:8080/gitlab"])
async def test_a_token_is_posted_once_and_signed(host: str | None) -> None:
    async with FakeServiceStage(answering({"authorization": RECORD})) as fake, client(fake) as service:
        made = await service.create_personal(RepoType.GITLAB, name="my-auth", token=SECRET, host=host)
    assert made.to_json() == RECORD
    (request,) = fake.received
    assert (request.method, request.target) == ("POST", f"{AUTHS}/gitlab/personal")
    expected = {"name": "my-auth", "token": SECRET.reveal()} | ({"host": host} if host else {})
    assert json.loads(request.body) == expected
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


@pytest.mark.parametrize("codes", [(), ("0400",)])
async def test_a_password_is_posted_as_documented_and_only_if_that_is_refused_as_terraform_does(
    codes: tuple[str, ...],
) -> None:
    async with FakeServiceStage(refusing(*codes)) as fake, client(fake) as service:
        await service.create_password(RepoType.DEVCLOUD, name="my-auth", user="someone", password=SECRET)
    documented = {"name": "my-auth", "user": "someone", "password": SECRET.reveal()}
    other = {"name": "my-auth", "token": TOGETHER}
    assert [json.loads(request.body) for request in fake.received] == [documented, other][: len(codes) + 1]
    assert {request.target for request in fake.received} == {f"{AUTHS}/devcloud/password"}


@pytest.mark.parametrize(
    ("codes", "told"),
    [(("0451",), "0451"), (("0403",), "0403"), (("0400", "0451"), "0451"), (("0400", "0400"), "0400")],
)
async def test_a_refusal_is_told_without_the_secret(codes: tuple[str, ...], told: str) -> None:
    async with FakeServiceStage(refusing(*codes)) as fake, client(fake) as service:
        with pytest.raises(RefusedError) as caught:
            await service.create_password(RepoType.BITBUCKET, name="my-auth", user="someone", password=SECRET)
    assert caught.value.code == f"SVCSTG.REPO.{told}"
    assert TOGETHER not in caught.value.message
    assert "********" in caught.value.message
    assert len(fake.received) == len(codes)


async def test_what_cannot_be_sent_is_not_sent_and_not_shown() -> None:
    odd = Secret("planted\udcff")
    async with FakeServiceStage(answering({})) as fake, client(fake) as service:
        with pytest.raises(UsageError) as token:
            await service.create_personal(RepoType.GITHUB, name="my-auth", token=odd)
        with pytest.raises(UsageError) as password:
            await service.create_password(RepoType.BITBUCKET, name="my-auth", user="someone", password=odd)
        for name in ("abc", "a b c"):
            with pytest.raises(IllegalNameError):
                await service.create_personal(RepoType.GITHUB, name=name, token=SECRET)
    assert fake.received == []
    assert token.value.__context__ is None
    assert "planted" not in token.value.message + password.value.message


async def test_namespaces_projects_and_branches_are_asked_for_by_the_authorizations_name() -> None:
    async with FakeServiceStage(answering({"namespaces": [{"id": 7, "name": "a/b"}]})) as fake, client(fake) as service:
        assert await service.list_namespaces("my-auth") == [Namespace("7", "a/b")]
    (request,) = fake.received
    assert (request.method, request.target, request.body) == ("GET", f"{REPOS}/namespaces", b"")
    assert request.headers["X-Repo-Auth"] == "my-auth"
    assert "x-repo-auth;" in request.headers["Authorization"]
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


async def test_a_slash_in_a_namespace_is_escaped_and_in_a_project_a_colon() -> None:
    project = {"id": "1", "name": "c/d", "clone_url": "https://x/a/b/c/d.git", "new": True}
    answer = answering({"projects": [project], "branches": ["main", "a/b"]})
    async with FakeServiceStage(answer) as fake, client(fake) as service:
        (found,) = await service.list_projects("my-auth", "a/b c")
        assert await service.list_branches("my-auth", "a/b c", "c/d") == ["main", "a/b"]
    assert found == Project("1", "c/d", "https://x/a/b/c/d.git")
    assert found.to_json() == project
    assert [request.target for request in fake.received] == [
        f"{REPOS}/a%2Fb%20c/projects",
        f"{REPOS}/a%2Fb%20c/c%3Ad/branches",
    ]
    for request in fake.received:
        assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


@pytest.mark.parametrize("document", [{"namespaces": None}, {"namespaces": []}, {"namespaces": [{}, None, "x"]}])
async def test_a_list_with_nothing_usable_in_it_is_empty(document: dict[str, object]) -> None:
    async with FakeServiceStage(answering(document)) as fake, client(fake) as service:
        assert await service.list_namespaces("my-auth") == []


@pytest.mark.parametrize("projects", [[], [{}, None, "x"], [{"id": 7, "clone_url": "https://x/a/b.git"}]])
async def test_a_project_without_a_name_is_none(projects: list[object]) -> None:
    named = {"id": 8, "name": "c"}
    async with FakeServiceStage(answering({"projects": [*projects, named]})) as fake, client(fake) as service:
        assert await service.list_projects("my-auth", "a") == [Project("8", "c", "")]


@pytest.mark.parametrize("document", [{}, {"branches": "main"}, {"branches": {"main": 1}}])
async def test_a_list_that_is_none_is_unusable(document: dict[str, object]) -> None:
    async with FakeServiceStage(answering(document)) as fake, client(fake) as service:
        with pytest.raises(UnusableAnswerError, match="has no list of branches"):
            await service.list_branches("my-auth", "a", "b")


@pytest.mark.parametrize("name", ["", "a b", "naïve", "a\r\nX-Other: b"])
async def test_a_name_that_cannot_be_a_header_is_the_name_of_none(name: str) -> None:
    async with FakeServiceStage(answering({})) as fake, client(fake) as service:
        with pytest.raises(NoSuchAuthorizationError):
            await service.list_namespaces(name)
    assert fake.received == []


@pytest.mark.parametrize("text", ["", ".", "..", "a\nb"])
async def test_what_would_reach_something_else_is_not_asked_for(text: str) -> None:
    async with FakeServiceStage(answering({})) as fake, client(fake) as service:
        with pytest.raises(UsageError):
            await service.list_projects("my-auth", text)
        with pytest.raises(UsageError):
            await service.list_branches("my-auth", "a", text)
    assert fake.received == []
