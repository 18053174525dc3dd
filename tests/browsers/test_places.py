"""The real command in odd places: over SSH, in a codespace, in WSL, and on a build service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.command_runner import commands, error_of, records
from support.fake_servicestage import PROJECT, FakeServiceStage, answering
from support.link_script import PatientUser, until
from support.screen import terminal

from oauth_helper.sandbox import Sandbox

SSH = {"SSH_CONNECTION": "203.0.113.5 40000 203.0.113.9 22", "LOGNAME": "ada"}
IN_CI = {"CI": "true", "BROWSER": ""}
TOKEN_AND_OAUTH = """
[[authorization]]
name = "by-token"
repo_type = "github"
method = "token"
secret = "THE_TOKEN"

[[authorization]]
name = "in-browser"
repo_type = "gitlab"
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def display(tmp_path: Path) -> dict[str, str]:
    """A machine on which a browser would start, and tell of it."""
    browser = tmp_path / "firefox"
    browser.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    browser.chmod(0o755)
    return {"DISPLAY": "localhost:10.0", "PATH": str(tmp_path), "BROWSER": ""}


async def test_over_ssh_nothing_is_opened_and_the_steps_stand_in_their_order(
    sandbox: Sandbox, display: dict[str, str], tmp_path: Path
) -> None:
    environ = commands.environ(sandbox, **SSH) | display
    async with terminal("link", "github", environ=environ) as screen:
        await screen.until("/login/oauth/authorize")
        order = ["No browser is opened: over SSH", "On your own machine, run this", "ssh -L ", "Then open"]
        places = [screen.shown.index(words) for words in [*order, "/start?k=", "Or authorize in any browser"]]
        assert places == sorted(places)
        assert "ada@203.0.113.9" in screen.shown
        screen.type("\x03")
        assert await screen.ended() == 130
    assert not (tmp_path / "started").exists()


async def test_over_ssh_a_browser_that_was_demanded_is_opened(sandbox: Sandbox, tmp_path: Path) -> None:
    user = PatientUser(tmp_path)
    async with terminal("link", "github", environ=commands.environ(sandbox, **SSH) | user.browser) as screen:
        await screen.until("Opened your browser")
        await until(lambda: user.opened)
        user.go_on()
        assert await screen.ended() == 0, screen.shown


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"WSL_DISTRO_NAME": "Ubuntu"}, "WSL's localhost forwarding"),
        ({"CODESPACES": "true"}, "Your editor forwards the page's port"),
        ({"REMOTE_CONTAINERS": "true"}, "Your editor forwards the page's port"),
    ],
)
async def test_where_something_stands_between_the_browser_and_us_it_is_told(
    sandbox: Sandbox, tmp_path: Path, place: dict[str, str], words: str
) -> None:
    user = PatientUser(tmp_path)
    async with terminal("link", "github", environ=commands.environ(sandbox, **place) | user.browser) as screen:
        await screen.until(words)
        await screen.until("type a and press Enter")
        user.go_on()
        assert await screen.ended() == 0, screen.shown


async def test_in_a_codespace_without_its_helper_the_command_that_forwards_is_shown(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, BROWSER="", CODESPACES="true", CODESPACE_NAME="fluffy-disco")
    async with terminal("link", "github", environ=environ) as screen:
        command = await screen.line_with("gh codespace ports forward")
        page = await screen.line_with("/start?k=")
        assert command.endswith(f"{page.split(':')[2].split('/')[0]} -c fluffy-disco")
        screen.type("\x03")
        assert await screen.ended() == 130


@pytest.mark.parametrize("keys", [{}, {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}], ids=["keys", "no keys"])
async def test_on_a_build_service_nobody_is_asked_for_anything(
    display: dict[str, str], keys: dict[str, str], tmp_path: Path
) -> None:
    async with FakeServiceStage(answering({})) as server:
        service = {"OAUTH_HELPER_ENDPOINT": server.endpoint, "OAUTH_HELPER_PROJECT_ID": PROJECT}
        service |= {"HUAWEICLOUD_SDK_AK": "AccessKey", "HUAWEICLOUD_SDK_SK": "SecretKey"}
        environ = commands.environ(None, **IN_CI) | display | service | keys
        async with terminal("link", "github", environ=environ) as screen:
            assert await screen.ended() == 9, screen.shown
        assert not server.received
    assert "CI is set, so no one can authorize in a browser" in screen.shown
    assert all(way in screen.shown for way in ("--with-token", "--events", "--browser none"))
    assert not (tmp_path / "started").exists()


async def test_on_a_build_service_credentials_are_not_asked_for_either() -> None:
    environ = commands.environ(None, **IN_CI, OAUTH_HELPER_ENDPOINT="http://127.0.0.1:9")
    async with terminal("list", environ=environ) as screen:
        assert await screen.ended() == 3
    assert "No credentials were found" in screen.shown


async def test_on_a_build_service_every_other_way_goes_on(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, **IN_CI)
    token = sandbox.personal_token.reveal()
    took = await commands.run("link", "github", "--with-token", "--name", "by-token", environ=environ, given=token)
    assert took.status == 0, took.err
    played = await commands.run("link", "github", "--sandbox", environ=commands.environ(None, **IN_CI))
    assert played.status == 0, played.err
    late = await commands.run("link", "gitee", "--browser", "none", "--timeout", "1", environ=environ)
    assert late.status == 5, late.err


async def test_on_a_build_service_apply_creates_nothing_where_an_entry_needs_a_browser(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (file := tmp_path / "team.toml").write_text(TOKEN_AND_OAUTH)
    environ = commands.environ(sandbox, **IN_CI, THE_TOKEN=sandbox.personal_token.reveal())
    for options in ((), ("--dry-run",)):
        refused = await commands.run("apply", str(file), "--json", *options, environ=environ)
        assert refused.status == 9
        assert error_of(refused.err)["kind"] == "no-browser"
        assert "in-browser must be authorized in one. Nothing was done" in refused.err
    assert await records(sandbox) == []
    file.write_text(TOKEN_AND_OAUTH.partition("\n\n")[0])
    took = await commands.run("apply", str(file), environ=environ)
    assert took.status == 0, took.err
    assert [one["name"] for one in await records(sandbox)] == ["by-token"]
