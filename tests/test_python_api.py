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
    link,
)
from oauth_helper.events import Event, NotOpened, Opened, Waiting
from oauth_helper.listener import Listener
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
