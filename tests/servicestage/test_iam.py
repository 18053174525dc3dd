"""IAM: the project's ID by the region's name, and a token for a user."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from support.fake_servicestage import KEY, FakeServiceStage, Received, answering

from oauth_helper.credentials import IamSettings, IamToken, IamUser
from oauth_helper.errors import (
    CredentialsError,
    NotPermittedError,
    OAuthHelperError,
    RefusedError,
    SettingsError,
    UnusableAnswerError,
)
from oauth_helper.secret import Secret
from oauth_helper.servicestage.iam import Iam

ISSUED_TOKEN = "MIIE-token"

USER = IamUser("björn", Secret("pa55 wörd"), "account")

ISSUED = {"token": {"expires_at": "2023-02-13T06:52:13.855000Z", "project": {"id": "p-1", "name": "cn-north-4"}}}


def of(iam: FakeServiceStage, project_name: str | None, project_id: str | None = None) -> Iam:
    return Iam(IamSettings(iam.endpoint, project_id=project_id, project_name=project_name))


def issuing(
    document: object, token: str | None = ISSUED_TOKEN, status: int = 201
) -> Callable[[Received], web.Response]:
    return answering(document, status, {"X-Subject-Token": token} if token is not None else None)


async def test_the_project_is_asked_for_by_the_regions_name() -> None:
    async with FakeServiceStage(answering({"projects": [{"id": "p-1", "name": "cn-north-4"}]})) as iam:
        assert await of(iam, "cn-north-4").find_project_id(KEY) == "p-1"
    request = iam.received[0]
    assert (request.method, request.target) == ("GET", "/v3/projects?name=cn-north-4")
    assert "SignedHeaders=content-type;host;x-sdk-date," in request.headers["Authorization"]
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


async def test_the_project_can_be_asked_for_with_a_token() -> None:
    async with FakeServiceStage(answering({"projects": [{"id": "p-1"}]})) as iam:
        assert await of(iam, "cn-north-4").find_project_id(IamToken("MIIE-token")) == "p-1"
    assert iam.received[0].headers["X-Auth-Token"] == "MIIE-token"


@pytest.mark.parametrize(
    ("projects", "words"), [([], "no project"), ([{"id": "p-1"}, {"id": "p-2"}], "more than one project")]
)
async def test_the_user_is_asked_which_project_where_it_is_not_plain(projects: list[object], words: str) -> None:
    async with FakeServiceStage(answering({"projects": projects})) as iam:
        with pytest.raises(SettingsError, match=f'{words} named "cn-north-4"') as caught:
            await of(iam, "cn-north-4").find_project_id(KEY)
    assert "--project-id" in caught.value.hint


@pytest.mark.parametrize("document", [{}, {"projects": None}, {"projects": [{}]}, {"projects": [{"id": ""}]}, []])
async def test_projects_that_cannot_be_read_are_unusable(document: object) -> None:
    async with FakeServiceStage(answering(document)) as iam:
        with pytest.raises(UnusableAnswerError):
            await of(iam, "cn-north-4").find_project_id(KEY)


@pytest.mark.parametrize("region", ["", "cn\nnorth", "cn\udcff"])
async def test_a_region_that_is_no_name_is_not_asked_for(region: str) -> None:
    async with FakeServiceStage(answering({})) as iam:
        with pytest.raises(SettingsError, match="region"):
            await of(iam, region).find_project_id(KEY)
    assert iam.received == []


async def test_who_may_not_ask_iam_is_told_to_give_the_project() -> None:
    body = {"error": {"code": 403, "message": "You are not authorized", "title": "Forbidden"}}
    async with FakeServiceStage(answering(body, 403)) as iam:
        with pytest.raises(NotPermittedError, match="You are not authorized") as caught:
            await of(iam, "cn-north-4").find_project_id(KEY)
    assert "--project-id" in caught.value.hint


@pytest.mark.parametrize(
    ("region", "project_id", "scope"),
    [
        ("cn-north-4", None, {"project": {"name": "cn-north-4"}}),
        (None, "p-1", {"project": {"id": "p-1"}}),
        ("cn-north-4", "p-1", {"project": {"id": "p-1"}}),
    ],
)
async def test_a_token_is_fetched_for_a_project(
    region: str | None, project_id: str | None, scope: dict[str, object]
) -> None:
    async with FakeServiceStage(issuing(ISSUED)) as iam:
        issued = await of(iam, region, project_id).token_of_user(USER)
    assert issued == IamToken("MIIE-token")
    assert issued.project_id == "p-1"
    request = iam.received[0]
    assert (request.method, request.target) == ("POST", "/v3/auth/tokens?nocatalog=true")
    assert not {"Authorization", "X-Auth-Token"} & set(request.headers)
    user = {"name": "björn", "password": "pa55 wörd", "domain": {"name": "account"}}
    assert json.loads(request.body) == {
        "auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
    }


async def test_a_token_of_the_largest_size_is_taken_and_used() -> None:
    token = "M" * 100_000

    def answer(request: Received) -> web.Response:
        if request.method == "POST":
            return issuing(ISSUED, token)(request)
        return web.json_response({"projects": [{"id": str(len(request.headers["X-Auth-Token"]))}]})

    async with FakeServiceStage(answer) as iam:
        issued = await of(iam, "cn-north-4").token_of_user(USER)
        assert await of(iam, "cn-north-4").find_project_id(issued) == "100000"
    assert "MMMM" not in repr(issued)


async def test_an_answer_without_a_project_gives_the_one_that_was_asked_for() -> None:
    async with FakeServiceStage(issuing({"token": {"project": {"id": ""}}})) as iam:
        issued = await of(iam, None, "p-2").token_of_user(USER)
    assert issued.project_id == "p-2"


@pytest.mark.parametrize(
    ("document", "token"),
    [(ISSUED, None), (ISSUED, ""), ({}, "MIIE"), ({"token": {"project": {"id": 7}}}, "MIIE"), ([], "MIIE")],
)
async def test_an_answer_without_token_or_project_is_unusable(document: object, token: str | None) -> None:
    async with FakeServiceStage(issuing(document, token)) as iam:
        with pytest.raises(UnusableAnswerError) as caught:
            await of(iam, "cn-north-4").token_of_user(USER)
    assert "MIIE" not in str(caught.value)


@pytest.mark.parametrize(("status", "error_class"), [(401, CredentialsError), (400, RefusedError)])
async def test_a_refused_user_is_told_without_the_password(status: int, error_class: type[OAuthHelperError]) -> None:
    body = {"error": {"code": status, "message": "pa55 wörd is wrong", "title": "Unauthorized"}}
    async with FakeServiceStage(answering(body, status)) as iam:
        with pytest.raises(error_class) as caught:
            await of(iam, "cn-north-4").token_of_user(USER)
    assert "******** is wrong" in caught.value.message
    assert "pa55" not in caught.value.message
    assert ("HUAWEI ID" in caught.value.hint) == (status == 401)


async def test_a_token_for_no_project_is_not_asked_for() -> None:
    async with FakeServiceStage(issuing(ISSUED)) as iam:
        with pytest.raises(SettingsError, match="--project-id"):
            await of(iam, None).token_of_user(USER)
    assert iam.received == []


async def test_an_unusable_iam_endpoint_or_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="The IAM endpoint"):
        await Iam(IamSettings("http://iam.example", project_name="x")).find_project_id(KEY)
    settings = IamSettings("https://iam.example", project_name="r", ca_bundle=str(tmp_path / "missing.pem"))
    with pytest.raises(SettingsError, match=r"missing\.pem"):
        await Iam(settings).token_of_user(USER)
