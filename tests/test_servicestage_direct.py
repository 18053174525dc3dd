"""The calls that need no browser: what is sent, byte for byte, and what is made of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from aiohttp import web
from fake_servicestage import AUTHS, KEY, PROJECT, RECORD, FakeServiceStage, Received, answering

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

REPOS = f"/v1/{PROJECT}/git/repos"
SECRET = Secret("pl@nted-sécret/1")
TOGETHER = "c29tZW9uZTpwbEBudGVkLXPDqWNyZXQvMQ=="


def client(fake: FakeServiceStage) -> ServiceStageClient:
    return ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY)


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


@pytest.mark.parametrize(("code", "words"), [("0450", "found no such authorization"), ("0451", "is no longer valid")])
async def test_an_authorization_that_is_missing_or_not_good_has_words_of_its_own(code: str, words: str) -> None:
    answer = answering({"error_code": f"SVCSTG.REPO.{code}", "error_msg": "Bad Request"}, status=400)
    async with FakeServiceStage(answer) as fake, client(fake) as service:
        with pytest.raises(RefusedError, match=words) as caught:
            await service.list_namespaces("my-auth")
    assert caught.value.exit_status == 6
    assert "oauth-helper" in caught.value.hint


def test_what_was_not_read_from_an_answer_is_given_in_the_apis_spelling() -> None:
    assert Namespace("1", "a").to_json() == {"id": "1", "name": "a"}
    assert Namespace("1", "").key == "1"
    assert Project("1", "b", "https://x").to_json() == {"id": "1", "name": "b", "clone_url": "https://x"}
