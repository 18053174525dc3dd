"""The package as a library."""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support.at_once import AtOnce
from support.command_runner import commands
from support.fake_servicestage import AUTHS, KEY, PROJECT, RECORD, FakeServiceStage, Received

from oauth_helper import (
    AuthorizationDeniedError,
    DeadlineError,
    IllegalNameError,
    NameTakenError,
    NoBrowserError,
    PortTakenError,
    RefusedError,
    RepoType,
    Secret,
    ServiceStageClient,
    UnavailableError,
    UsageError,
    link,
    link_with_password,
    link_with_token,
    walk_repositories,
)
from oauth_helper.apply_file import Entry, Method, apply
from oauth_helper.credentials import UserPassword
from oauth_helper.events import Captured, Event, Failed, Linked, NotOpened, Opened, Waiting, Warned
from oauth_helper.listener.handlers import Listener
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.transport import Retries


@pytest.fixture
async def service() -> AsyncIterator[ServiceStageClient]:
    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        yield service


@pytest.fixture(autouse=True)
def browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", commands.environ()["BROWSER"])


async def test_link_returns_the_authorization_and_prints_nothing(
    service: ServiceStageClient, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[Event] = []
    authorization = await link(service, RepoType.GITHUB, name="my-auth", tell=told.append)
    assert authorization.repo_user == "octocat"
    assert Waiting in {type(event) for event in told}
    assert capfd.readouterr() == ("", "")
    again = await link(service, RepoType("github"), name="my-auth")
    assert again.create_time == authorization.create_time
    with pytest.raises(NameTakenError):
        await link(service, RepoType.GITHUB, name="my-auth", if_exists="fail")


async def test_errors_are_raised(service: ServiceStageClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IllegalNameError):
        await link(service, RepoType.GITHUB, name="?")
    monkeypatch.setenv("SCRIPTED_USER", "deny")
    with pytest.raises(AuthorizationDeniedError) as denied:
        await link(service, RepoType.GITHUB)
    assert denied.value.error == "access_denied"
    async with Listener() as taken:
        with pytest.raises(PortTakenError):
            await link(service, RepoType.GITHUB, port=int(taken.address.rpartition(":")[2]))


async def test_a_demanded_browser_that_fails_at_once_is_an_error(
    service: ServiceStageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "false")
    with pytest.raises(NoBrowserError):
        await link(service, RepoType.GITHUB, browser="default")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows knows its users by name")
async def test_there_is_a_default_name(service: ServiceStageClient) -> None:
    authorization = await link(service, RepoType.GITEE)
    assert authorization.name.startswith("gitee-")


async def test_an_event_says_whether_a_browser_was_opened(
    service: ServiceStageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Event] = []
    monkeypatch.setenv("SCRIPTED_USER", "nothing")
    with pytest.raises(DeadlineError):
        await link(service, RepoType.GITHUB, timeout=1, tell=told.append)
    assert Opened(Path(sys.executable).name) in told
    monkeypatch.setenv("BROWSER", "false")
    with pytest.raises(DeadlineError):
        await link(service, RepoType.GITHUB, timeout=1, tell=told.append)
    assert NotOpened() in told


async def test_an_unknown_repository_type_or_choice_is_a_usage_error(service: ServiceStageClient) -> None:
    with pytest.raises(UsageError, match="Unknown repo_type: 'svn'") as refused:
        await link(service, "svn")  # type: ignore[arg-type]  # what a program without types may do
    assert refused.value.hint == f"Use one of {', '.join(RepoType)}."
    with pytest.raises(UsageError, match="Unknown if_exists: 'perhaps'"):
        await link(service, RepoType.GITHUB, if_exists="perhaps")


async def test_apply_creates_the_entries_and_returns_their_outcomes(service: ServiceStageClient) -> None:
    declared = [Entry("my-github", RepoType.GITHUB), Entry("my-gitee", RepoType.GITEE)]
    told: list[Event] = []
    applied = await apply(service, declared, tell=told.append)
    assert [one.entry for one in applied] == declared
    linked = [one.outcome for one in applied if isinstance(one.outcome, Linked)]
    assert [outcome.authorization.name for outcome in linked] == ["my-github", "my-gitee"]
    assert {type(event) for event in told} >= {Waiting, Captured, Linked}
    told.clear()
    again = [one.outcome for one in await apply(service, declared, tell=told.append)]
    assert [outcome.kept for outcome in again if isinstance(outcome, Linked)] == [True, True]
    assert told == []


async def test_apply_reports_only_warnings_of_links_without_a_browser(service: ServiceStageClient) -> None:
    (Path(os.environ["XDG_RUNTIME_DIR"]) / "oauth-helper").touch()
    told: list[Event] = []
    declared = Entry("my-github", RepoType.GITHUB, Method.TOKEN, secret="GIT_TOKEN")
    [applied] = await apply(service, [declared], environ={"GIT_TOKEN": "planted"}, tell=told.append)
    assert isinstance(applied.outcome, Failed), "the Git host knows no such token"
    [warned] = told
    assert isinstance(warned, Warned)
    assert "other runs will not find this one" in warned.message


NAMESPACES = 25


async def test_a_walk_sends_four_requests_at_a_time_and_keeps_the_order() -> None:
    at_once = AtOnce(NAMESPACES)

    async def respond(request: Received) -> web.Response:
        if request.target.endswith("/namespaces"):
            return web.json_response({"namespaces": [{"id": str(n), "name": f"n{n}"} for n in range(NAMESPACES)]})
        await at_once.meet()
        name = request.target.split("/")[-2]
        return web.json_response({"projects": [{"id": "1", "name": f"of-{name}", "clone_url": "https://x"}]})

    async with (
        FakeServiceStage(respond) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY, retries=Retries(pauses=())) as service,
    ):
        tree = await walk_repositories(service, "my-auth")
    assert [namespace.name for namespace, _ in tree] == [f"n{number}" for number in range(NAMESPACES)]
    assert [projects[0].name for _, projects in tree] == [f"of-n{number}" for number in range(NAMESPACES)]
    assert at_once.most == 4


@pytest.mark.parametrize(("status", "error"), [(400, RefusedError), (503, UnavailableError)])
async def test_a_walk_ends_at_the_first_error(status: int, error: type[Exception]) -> None:
    def respond(request: Received) -> web.Response:
        if request.target.endswith("/namespaces"):
            return web.json_response({"namespaces": [{"id": str(n), "name": f"n{n}"} for n in range(NAMESPACES)]})
        return web.json_response({"error_code": "SVCSTG.REPO.0400"}, status=status)

    async with (
        FakeServiceStage(respond) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY, retries=Retries(pauses=())) as service,
    ):
        with pytest.raises(error):
            await walk_repositories(service, "my-auth")
    assert len(fake.received) <= 1 + 2 * 4


@pytest.mark.parametrize("as_secret", [True, False])
async def test_the_secret_may_be_a_str_or_a_secret(as_secret: bool) -> None:
    token = Secret("planted") if as_secret else "planted"

    def respond(request: Received) -> web.Response:
        if request.method == "POST":
            return web.json_response({"authorization": RECORD | {"create_time": 2}})
        return web.json_response({"authorizations": [], "count": 0})

    async with (
        FakeServiceStage(respond) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        made = await link_with_token(service, RepoType.GITHUB, name="my-auth", token=token, host="https://git.example")
        assert made.create_time == 2
        await link_with_password(service, RepoType.BITBUCKET, name="my-auth", user="octocat", password=token)
        with pytest.raises(UsageError, match="Bitbucket cannot be linked with a token"):
            await link_with_token(service, RepoType.BITBUCKET, token=token)
        with pytest.raises(UsageError, match="GitHub cannot be linked with a password"):
            await link_with_password(service, RepoType.GITHUB, user="octocat", password=token)
        with pytest.raises(UsageError, match="Unknown if_exists"):
            await link_with_token(service, RepoType.GITHUB, token=token, if_exists="perhaps")
    posted = [(request.target, json.loads(request.body)) for request in fake.received if request.method == "POST"]
    assert posted == [
        (f"{AUTHS}/github/personal", {"name": "my-auth", "token": "planted", "host": "https://git.example"}),
        (f"{AUTHS}/bitbucket/password", {"name": "my-auth", "user": "octocat", "password": "planted"}),
    ]


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "is empty"),
        ("planted\n", "contains U"),
        ("plan\x1bted", "contains U"),
        ('"planted"', "has quotes around it"),
    ],
)
def test_an_impossible_password_is_refused_before_anything_is_sent(password: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"The password {words}") as refused:
        UserPassword("octocat", Secret(password))
    assert "planted" not in refused.value.message + refused.value.hint
