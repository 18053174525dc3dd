"""The first minutes: questions on a terminal, help, suggestions, and printed commands that work."""

import json
import os
import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.chinese import CHINESE
from support.command_runner import commands
from support.journal_entries import NOW, pending
from support.screen import Screen, terminal

from oauth_helper.journal import Journal
from oauth_helper.models import RepoType
from oauth_helper.sandbox import Sandbox

ENDPOINT_OF_REGION = "HUAWEICLOUD_SDK_REGION_SERVICESTAGE_CN_NORTH_4"


def without_region(sandbox: Sandbox, **more: str) -> dict[str, str]:
    """The surroundings of a user who has set no region; in cn-north-4 there is the sandbox."""
    environ = commands.environ(sandbox, **{ENDPOINT_OF_REGION: sandbox.endpoint}, **more)
    del environ["OAUTH_HELPER_ENDPOINT"]
    return environ


async def answer(screen: Screen, question: str, text: str) -> None:
    await screen.until(question)
    screen.type(f"{text}\r")


async def test_the_region_is_asked_for_once_and_saved(sandbox: Sandbox, clean_environment: Path) -> None:
    config = clean_environment / ".config/oauth-helper/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("timeout = 100\n")
    environ = without_region(sandbox)
    async with terminal("list", environ=environ) as screen:
        await screen.until("10 cn-north-4")
        await answer(screen, "Region: ", "nonsense!")
        await answer(screen, "That is not a region", "10")
        await answer(screen, "Save region cn-north-4 in", "")
        assert await screen.ended() == 0, screen.everything
    assert screen.everything.index("No authorizations yet") < screen.everything.index("Save region")
    async with terminal("list", environ=environ) as screen:
        assert await screen.ended() == 0, screen.everything
    assert config.read_text() == 'region = "cn-north-4"\ntimeout = 100\n'
    assert config.stat().st_mode & 0o777 == 0o600
    assert "Region" not in screen.everything


async def test_an_answer_that_is_not_saved_is_in_the_next_command(sandbox: Sandbox, clean_environment: Path) -> None:
    environ = without_region(sandbox)
    token = sandbox.personal_token.reveal()
    async with terminal("link", "github", "--with-token", "--name", "mine", environ=environ) as screen:
        await answer(screen, "Region: ", "cn-north-4")
        await answer(screen, "Personal access token of GitHub: ", token)
        await answer(screen, "Save region cn-north-4", "n")
        assert await screen.ended() == 0, screen.everything
    printed = re.findall("`(oauth-helper repos [^`]*)`", screen.everything)
    assert printed == ["oauth-helper repos mine --region cn-north-4"]
    end = await commands.run(*shlex.split(printed[0])[1:], environ=environ)
    assert end.status == 0, end.err
    assert not list(clean_environment.rglob("config.toml"))


async def test_the_region_comes_before_any_password(sandbox: Sandbox) -> None:
    environ = without_region(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    async with terminal("link", "github", environ=environ) as screen:
        await answer(screen, "Region: ", "cn-north-4")
        await screen.until("Account name: ")
        screen.type("\x03")
        assert await screen.ended() == 130
    assert "Cancelled. Nothing was created" in screen.everything


@pytest.mark.parametrize(
    ("flags", "more"), [(("--json",), {}), (("-q",), {}), ((), {"CI": "1"})], ids=["json", "quiet", "ci"]
)
async def test_scripts_are_not_asked_on_a_terminal(
    sandbox: Sandbox, flags: tuple[str, ...], more: dict[str, str]
) -> None:
    async with terminal("list", *flags, environ=without_region(sandbox, **more)) as screen:
        assert await screen.ended() == 3
    assert "No region is set" in screen.everything
    async with terminal("link", *flags, environ=without_region(sandbox, **more)) as screen:
        assert await screen.ended() == 2
    assert "Missing argument REPO_TYPE" in screen.everything


def check_out(origin: str) -> None:
    for command in (["init", "-q"], ["remote", "add", "origin", origin]):
        subprocess.run(["git", *command], check=True)


@pytest.mark.parametrize(
    ("origin", "default"),
    [
        ("git@gitlab.com:ada/x.git", "gitlab"),
        ("https://gitee.com/ada/x.git", "gitee"),
        ("ssh://git@github.com:22/ada/x", "github"),
        ("https://git.example/github.com.git", ""),
    ],
)
async def test_the_git_host_of_the_checkout_is_the_default(
    sandbox: Sandbox, origin: str, default: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_out(origin)
    async with terminal("link", "--with-token", environ=commands.environ(sandbox)) as screen:
        types = ", ".join(one.value for one in RepoType).replace("devcloud", "codearts")
        shown = f" [{default}]" if default else ""
        await answer(screen, f"Git host ({types}){shown}: ", "")
        if not default:
            await answer(screen, "): ", "github")
        await screen.until(f"token of {RepoType(default or 'github').display_name}: ")
        screen.type("\x03")
        assert await screen.ended() == 130


async def test_printed_commands_repeat_the_flags_that_were_typed(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    endpoint, project_id = (environ.pop(f"OAUTH_HELPER_{name}") for name in ("ENDPOINT", "PROJECT_ID"))
    flags = ("--endpoint", endpoint, "--project-id", project_id)
    given = sandbox.personal_token.reveal()
    end = await commands.run("link", "github", "--with-token", "--name=-mine", *flags, environ=environ, given=given)
    assert end.status == 0, end.err
    (printed,) = re.findall("`(oauth-helper [^`]*)`", end.err)
    assert printed == f"oauth-helper repos {shlex.join(flags)} -- -mine"
    assert (await commands.run(*shlex.split(printed)[1:], environ=environ)).status == 0
    missing = await commands.run("show", "missing", *flags, environ=environ)
    assert f"`oauth-helper list {shlex.join(flags)}`" in missing.err


async def test_options_of_every_command_also_come_before_it(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    assert json.loads((await commands.run("--json", "list", environ=environ)).out) == []
    quiet = await commands.run("-q", "list", environ=environ)
    assert (quiet.status, quiet.err) == (0, "")
    assert ": GET " in (await commands.run("-v", "list", "-v", environ=environ)).err
    chinese = await commands.run("--lang", "zh", "show", "missing", environ=environ)
    assert chinese.err.startswith("错误：")
    failed = await commands.run("--json", "show", "missing", environ=environ)
    assert json.loads(failed.err.splitlines()[-1])["error"]["kind"] == "no-such-authorization"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("lnik", "link"), ("lst", "list"), ("auth", "link"), ("version", "--version"), ("resum", "resume")],
)
async def test_a_mistyped_command_gets_a_suggestion(typed: str, meant: str) -> None:
    end = await commands.run(typed, environ=dict(os.environ))
    assert end.status == 2
    assert end.err == f'error: Unknown command "{typed}"\nhint: Did you mean `oauth-helper {meant}`?\n'


async def test_login_is_an_alias_that_the_help_does_not_list() -> None:
    environ = dict(os.environ)
    helps = [(await commands.run(*command, environ=environ)).out for command in (("help",), ("--help",), ())]
    assert helps[0] == helps[1] == helps[2]
    assert "login" not in helps[0]
    of_link = await commands.run("help", "link", environ=environ)
    assert of_link.out == (await commands.run("login", "--help", environ=environ)).out.replace(
        "helper login", "helper link"
    )
    assert (await commands.run("help", "nonsense", environ=environ)).status == 2


async def test_codearts_is_the_name_of_devcloud(sandbox: Sandbox) -> None:
    flags = ("--with-password", "--user", f"acme/{sandbox.git_user}", "--json")
    for name in ("codearts", "CodeArts", "devcloud"):
        command = ("link", name, "--name", f"as-{name}", *flags)
        given = sandbox.git_password.reveal()
        end = await commands.run(*command, environ=commands.environ(sandbox), given=given)
        assert (end.status, json.loads(end.out)["repo_type"]) == (0, "devcloud"), end.err


@pytest.mark.parametrize("locale", [{}, CHINESE], ids=["en", "zh"])
async def test_the_help_of_link_fits_a_screen_and_has_groups(locale: dict[str, str]) -> None:
    end = await commands.run("link", "--help", environ=os.environ | locale | {"COLUMNS": "100"})
    assert len(end.out.splitlines()) <= 45
    titles = [line for line in end.out.splitlines() if line.endswith((":", "："))]
    assert len(titles) == 4
    assert "codearts" in end.out


async def test_an_unsupported_language_is_refused_wherever_it_is_set() -> None:
    for arguments, environ in ((("list", "--lang", "fr"), {}), (("list",), {"OAUTH_HELPER_LANG": "fr"})):
        end = await commands.run(*arguments, environ=dict(os.environ) | environ)
        assert end.status == 2
        name = "OAUTH_HELPER_LANG" if environ else "--lang"
        assert end.err.startswith(f'error: {name}: unsupported language "fr" (choose en or zh)\n')


async def test_list_shows_local_dates_and_unfinished_links(sandbox: Sandbox) -> None:
    journal = Journal.of_the_user()
    environ = commands.environ(sandbox, TZ="Asia/Shanghai")
    given = sandbox.personal_token.reveal()
    command = ("link", "github", "--with-token", "--name", "mine")
    assert (await commands.run(*command, environ=environ, given=given)).status == 0
    journal.write(pending(age=NOW - datetime.now(UTC)))
    end = await commands.run("list", environ=environ)
    shown = await commands.run("show", "mine", environ=environ)
    record = json.loads((await commands.run("show", "mine", "--json", environ=environ)).out)
    head, row = end.out.splitlines()
    assert head.split() == ["NAME", "GIT", "HOST", "ACCOUNT", "METHOD", "CREATED", "STATUS"]
    created = datetime.fromtimestamp(record["create_time"] / 1000, ZoneInfo("Asia/Shanghai"))
    assert f"Created   {created:%Y-%m-%d %H:%M:%S}\n" in shown.out
    assert f"{created:%Y-%m-%d}" in row
    assert row.endswith("normal")
    assert end.err == "1 link is unfinished; `oauth-helper resume` finishes it.\n"


async def test_delete_says_what_will_fail(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    given = sandbox.personal_token.reveal()
    await commands.run("link", "github", "--with-token", "--name", "mine", environ=environ, given=given)
    refused = await commands.run("delete", "mine", environ=environ)
    assert (refused.status, refused.err) == (
        2,
        "error: Refusing to delete without confirmation\nhint: Nothing was deleted. Pass --yes to confirm.\n",
    )
    async with terminal("delete", "mine", environ=environ) as screen:
        await screen.until('Builds and components that use "mine" will fail.')
        await answer(screen, 'Delete "mine"? [y/N]: ', "y")
        assert await screen.ended() == 0
    assert 'Deleted "mine".' in screen.everything


async def test_the_error_of_apply_names_the_entry(sandbox: Sandbox) -> None:
    text = '[[authorization]]\nname = "team-gitee"\nrepo_type = "gitee"\n'
    end = await commands.run("apply", "-", environ=commands.environ(sandbox, SCRIPTED_USER="deny"), given=text)
    assert end.status == 4, end.err
    error, hint = end.err.splitlines()[-2:]
    assert error == 'error: "team-gitee" was not linked: You denied access'
    assert hint.startswith("hint: Run the command again")
    assert hint.endswith("Existing authorizations are kept.")
    assert [line.split()[-1] for line in end.out.splitlines()] == ["RESULT", "failed"]
