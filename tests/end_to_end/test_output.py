"""What a link prints for people and scripts."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import pytest
from support.command_runner import BROWSER, commands, error_of, line_with, records
from support.promised_json import read_authorization, read_authorizations
from support.repo_type_contract import IN_BROWSER

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox

FIELDS = ["name", "repo_type", "repo_host", "repo_home", "repo_user", "avartar", "token_type"]


@pytest.mark.parametrize(("repo_type", "with_token"), [(name, bool(n % 2)) for n, name in enumerate(IN_BROWSER)])
async def test_a_git_account_is_linked_and_standard_output_is_the_apis_record(
    sandbox: Sandbox, repo_type: str, with_token: bool, tmp_path: Path
) -> None:
    environ = commands.environ(sandbox, SCRIPTED_SIGHT=str(tmp_path / "sight"))
    if with_token:
        environ["OAUTH_HELPER_TOKEN"] = sandbox.token.token.reveal()
        environ["HUAWEICLOUD_SDK_SK"] = "wrong: the token comes first"
    tag = ("--tag", "intl") if with_token else ()
    end = await commands.run(
        *("link", repo_type.upper(), "--name", "my-auth", "--browser", "default", *tag, "--json"), environ=environ
    )
    assert end.status == 0, end.err
    record = read_authorization(end.out)
    assert end.out == json.dumps(record) + "\n"
    assert (record["name"], record["repo_type"], record["token_type"]) == ("my-auth", repo_type, "oauth")
    assert list(record)[: len(FIELDS)] == FIELDS
    listed = (await records(sandbox))[0]
    assert listed.pop("tag") == ("intl" if with_token else None)
    assert listed == record
    assert "chatter" not in end.out + end.err


@pytest.mark.parametrize("user", ["page", "direct", "stranger"])
async def test_each_way_leads_to_the_final_page(sandbox: Sandbox, user: str, tmp_path: Path) -> None:
    sight = tmp_path / "sight"
    os.mkfifo(sight)
    seen = asyncio.create_task(asyncio.to_thread(sight.read_text))
    environ = commands.environ(sandbox, SCRIPTED_USER=user, SCRIPTED_SIGHT=str(sight))
    end = await commands.run("link", "github", "-v", environ=environ)
    assert end.status == 0, end.err
    assert f"Received the redirect ({'direct' if user == 'direct' else 'page'})." in end.err
    if user == "stranger":
        assert "Ignored what is not our redirect: foreign-state, 1 so far." in end.err
    # The browser outlives the command; reading the pipe waits for what it has to say.
    outcome, address = (await seen).splitlines()[:2]
    assert outcome == "linked"
    assert "code=" not in address
    assert "state=" not in address


async def test_a_name_that_stands_is_kept_replaced_or_refused(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    command = ("link", "github", "--name", "my-auth", "--json")
    first = await commands.run(*command, environ=environ)
    kept = await commands.run(*command, environ=environ | {"BROWSER": "/nonexistent"})
    assert kept.status == 0
    assert read_authorization(kept.out) == read_authorization(first.out) | {"tag": None}
    assert "--if-exists replace" in kept.err
    refused = await commands.run(*command, "--if-exists", "fail", environ=environ)
    assert refused.status == 6
    assert error_of(refused.err)["kind"] == "name-taken"
    other_type = await commands.run("link", "gitlab", "--name", "my-auth", environ=environ)
    assert other_type.status == 6
    assert "of type github" in other_type.err
    replaced = await commands.run(*command, "--if-exists", "replace", environ=environ)
    assert replaced.status == 0, replaced.err
    warning = replaced.err.index("While an authorization is replaced, builds and components")
    deleted = replaced.err.index('Deleted the old authorization "my-auth".')
    assert warning < deleted < replaced.err.index("Creating the authorization")
    assert len(await records(sandbox)) == 1


async def test_both_addresses_are_printed_where_no_browser_is_wanted_and_the_wait_goes_on(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    async with commands.running("link", "github", "--no-browser", "--quiet", environ=environ) as process:
        start = await line_with(process.stderr, "/start?k=")
        await line_with(process.stderr, "/login/oauth/authorize?")
        user = await asyncio.create_subprocess_exec(
            sys.executable, str(BROWSER), start, env=environ, stdout=asyncio.subprocess.DEVNULL
        )
        end = await commands.ended(process)
        assert await user.wait() == 0
    assert end.status == 0
    assert "Account   octocat" in end.out
    assert end.err == ""


async def test_list_show_and_delete_work_on_what_stands(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    empty = await commands.run("list", environ=environ)
    assert (empty.status, empty.out) == (0, "")
    assert (await commands.run("list", "--json", environ=environ)).out == "[]\n"
    for name in ("first", "second"):
        assert (await commands.run("link", "github", "--name", name, environ=environ)).status == 0
    table = (await commands.run("list", environ=environ)).out.splitlines()
    assert table[0].split() == ["NAME", "GIT", "HOST", "ACCOUNT", "METHOD", "CREATED", "STATUS"]
    assert [line.split()[0] for line in table[1:]] == ["first", "second"]
    shown = await commands.run("show", "first", "--json", environ=environ)
    assert read_authorization(shown.out)["name"] == "first"
    assert "Method    OAuth" in (await commands.run("show", "first", environ=environ)).out
    missing = await commands.run("show", "third", "--json", environ=environ)
    assert (missing.status, error_of(missing.err)["kind"]) == (6, "no-such-authorization")

    unasked = await commands.run("delete", "first", "--json", environ=environ)
    assert (unasked.status, error_of(unasked.err)["kind"]) == (2, "usage")
    none = await commands.run("delete", "first", "third", "--yes", environ=environ)
    assert none.status == 6
    assert len(await records(sandbox)) == 2, "all or none"
    gone = await commands.run("delete", "first", "second", "first", "--yes", "--json", environ=environ)
    assert gone.status == 0, gone.err
    assert [one["name"] for one in read_authorizations(gone.out)] == ["first", "second"]
    assert await records(sandbox) == []


async def test_the_projects_id_is_asked_of_iam_and_a_user_gets_a_token(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, OAUTH_HELPER_PROJECT_ID="", OAUTH_HELPER_REGION=sandbox.region)
    assert (await commands.run("list", environ=environ)).status == 0
    user = {
        "HUAWEICLOUD_SDK_AK": "",
        "HUAWEICLOUD_SDK_SK": "",
        "HW_USER_NAME": sandbox.user.name,
        "HW_USER_PASSWORD": sandbox.user.password.reveal(),
        "HW_DOMAIN_NAME": sandbox.user.domain_name,
    }
    assert (await commands.run("list", environ=environ | user)).status == 0
    wrong = await commands.run("list", "--json", environ=environ | user | {"HW_USER_PASSWORD": "planted"})
    assert (wrong.status, error_of(wrong.err)["kind"]) == (3, "credentials")
    assert "planted" not in wrong.err
    nowhere = await commands.run("list", "--json", environ=environ | {"OAUTH_HELPER_REGION": ""})
    assert (nowhere.status, error_of(nowhere.err)["kind"]) == (3, "settings")


async def test_a_credentials_file_that_others_can_read_is_warned_of(sandbox: Sandbox, clean_environment: Path) -> None:
    file = clean_environment / ".huaweicloud" / "credentials"
    file.parent.mkdir()
    key: AccessKey = sandbox.access_key
    file.write_text(f"[basic]\nak = {key.access_key}\nsk = {key.secret_key.reveal()}\n")
    file.chmod(0o644)
    environ = commands.environ(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    end = await commands.run("list", environ=environ)
    assert end.status == 0
    assert f"warning: Others can read {file}" in end.err


async def test_what_servicestage_refuses_is_shown_with_its_code() -> None:
    async with Sandbox(code_lifetime=-1) as sandbox:
        end = await commands.run("link", "github", "--json", environ=commands.environ(sandbox))
        assert end.status == 6
        error = error_of(end.err)
        assert error["code"] == "SVCSTG.REPO.0402"
        assert error["request_id"]
        end = await commands.run("link", "devcloud", "--json", environ=commands.environ(sandbox))
        assert end.status == 6
        assert error_of(end.err)["code"] == "SVCSTG.REPO.0401"
        assert "undocumented" in end.err


async def test_an_account_that_may_not_list_can_link_and_learns_of_a_taken_name_from_servicestage(
    sandbox: Sandbox,
) -> None:
    key = sandbox.access_key_without_list
    environ = commands.environ(sandbox, HUAWEICLOUD_SDK_AK=key.access_key, HUAWEICLOUD_SDK_SK=key.secret_key.reveal())
    end = await commands.run("link", "github", "--name", "my-auth", "--json", environ=environ)
    assert end.status == 0, end.err
    assert "warning: This account may not list authorizations" in end.err
    end = await commands.run("link", "github", "--name", "my-auth", "--json", environ=environ)
    assert end.status == 6
    assert error_of(end.err)["code"] == "SVCSTG.REPO.0403"
    assert (await commands.run("delete", "my-auth", "--yes", environ=environ)).status == 0
    assert await records(sandbox) == []


async def test_all_that_can_be_known_is_told_before_a_browser_opens(sandbox: Sandbox, tmp_path: Path) -> None:
    sight = tmp_path / "sight"
    environ = commands.environ(sandbox, SCRIPTED_SIGHT=str(sight))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cases: list[tuple[int, str, tuple[str, ...], dict[str, str]]] = [
            (2, "usage", ("nonsense",), {}),
            (2, "usage", ("github", "--sandbox", "--region", "cn-north-4"), {}),
            (2, "illegal-name", ("github", "--name", "a b c d"), {}),
            (3, "settings", ("github", "--endpoint", "http://servicestage.example"), {}),
            (3, "settings", ("github",), {"OAUTH_HELPER_ENDPOINT": ""}),
            (3, "credentials", ("github",), {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}),
            (3, "credentials", ("github",), {"HUAWEICLOUD_SDK_SK": "wrong"}),
            (9, "port-taken", ("github", "--port", str(taken.getsockname()[1])), {}),
            (9, "no-browser", ("github", "--browser", "default"), {"BROWSER": "/nonexistent"}),
            (9, "no-browser", ("github",), {"BROWSER": "", "CI": "true"}),
        ]
        for status, kind, arguments, more in cases:
            end = await commands.run("link", *arguments, "--json", environ=environ | more)
            assert (end.status, end.out) == (status, ""), (arguments, end.err)
            assert error_of(end.err)["kind"] == kind
    assert not sight.exists()
