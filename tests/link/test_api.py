"""The package as a library: what the README's example promises."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import surroundings

from oauth_helper import (
    AuthorizationDeniedError,
    DeadlineError,
    IllegalNameError,
    NameTakenError,
    NoBrowserError,
    PortTakenError,
    RepoType,
    ServiceStageClient,
    UsageError,
    link,
)
from oauth_helper.apply_file import Entry, Method, apply
from oauth_helper.events import Captured, Event, Failed, Linked, NotOpened, Opened, Waiting, Warned
from oauth_helper.listener.handlers import Listener
from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def service() -> AsyncIterator[ServiceStageClient]:
    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        yield service


@pytest.fixture(autouse=True)
def browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", surroundings()["BROWSER"])


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


async def test_errors_are_raised_as_they_are(service: ServiceStageClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IllegalNameError):
        await link(service, RepoType.GITHUB, name="?")
    monkeypatch.setenv("SCRIPTED_USER", "deny")
    with pytest.raises(AuthorizationDeniedError) as denied:
        await link(service, RepoType.GITHUB)
    assert denied.value.error == "access_denied"
    async with Listener() as taken:
        with pytest.raises(PortTakenError):
            await link(service, RepoType.GITHUB, port=int(taken.address.rpartition(":")[2]))


async def test_a_browser_that_fails_at_once_is_an_error_where_it_was_demanded(
    service: ServiceStageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "false")
    with pytest.raises(NoBrowserError):
        await link(service, RepoType.GITHUB, browser="default")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows knows its users by name")
async def test_the_default_name_is_legal_even_where_the_user_has_none(service: ServiceStageClient) -> None:
    authorization = await link(service, RepoType.GITEE)
    assert authorization.name.startswith("gitee-")


async def test_it_is_told_whether_a_browser_was_opened(
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


async def test_what_is_no_repository_type_or_choice_is_wrong_usage(service: ServiceStageClient) -> None:
    with pytest.raises(UsageError, match="Unknown repo_type: 'svn'") as refused:
        await link(service, "svn")  # type: ignore[arg-type]  # what a program without types may do
    assert refused.value.hint == "Use one of github, gitlab, gitee, bitbucket, devcloud."
    with pytest.raises(UsageError, match="Unknown if_exists: 'perhaps'"):
        await link(service, RepoType.GITHUB, if_exists="perhaps")


async def test_a_declaration_is_brought_about_and_what_came_of_each_entry_returned(service: ServiceStageClient) -> None:
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


async def test_of_what_needs_no_browser_only_what_the_user_should_know_is_told(service: ServiceStageClient) -> None:
    (Path(os.environ["XDG_RUNTIME_DIR"]) / "oauth-helper").touch()
    told: list[Event] = []
    declared = Entry("my-github", RepoType.GITHUB, Method.TOKEN, secret="GIT_TOKEN")
    [applied] = await apply(service, [declared], environ={"GIT_TOKEN": "planted"}, tell=told.append)
    assert isinstance(applied.outcome, Failed), "the Git host knows no such token"
    [warned] = told
    assert isinstance(warned, Warned)
    assert "other runs will not find this one" in warned.message
