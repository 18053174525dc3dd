"""The command, as a process, against a sandbox of another process' making, with a scripted browser and user."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import ended, error_of, line_with, records, run_command, running, surroundings
from repo_type_contract import IN_BROWSER
from support.promised_json import read_authorization

from oauth_helper.sandbox import Sandbox

FIELDS = ["name", "repo_type", "repo_host", "repo_home", "repo_user", "avartar", "token_type"]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("repo_type", IN_BROWSER)
@pytest.mark.parametrize("with_token", [False, True], ids=["access key", "token"])
async def test_a_git_account_is_linked_and_standard_output_is_the_apis_record(
    sandbox: Sandbox, repo_type: str, with_token: bool, tmp_path: Path
) -> None:
    environ = surroundings(sandbox, SCRIPTED_SIGHT=str(tmp_path / "sight"))
    if with_token:
        environ["OAUTH_HELPER_TOKEN"] = sandbox.token.token.reveal()
        environ["HUAWEICLOUD_SDK_SK"] = "wrong: the token comes first"
    tag = ("--tag", "intl") if with_token else ()
    end = await run_command(
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
    environ = surroundings(sandbox, SCRIPTED_USER=user, SCRIPTED_SIGHT=str(sight))
    end = await run_command("link", "github", "-v", environ=environ)
    assert end.status == 0, end.err
    assert "Received the redirect " + ("straight from the browser" if user == "direct" else "from the page") in end.err
    if user == "stranger":
        assert "Ignored what is not our redirect: foreign-state, 1 so far." in end.err
    # The browser outlives the command; reading the pipe waits for what it has to say.
    outcome, address = (await seen).splitlines()[:2]
    assert outcome == "linked"
    assert "code=" not in address
    assert "state=" not in address


async def test_a_name_that_stands_is_kept_replaced_or_refused(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox)
    command = ("link", "github", "--name", "my-auth", "--json")
    first = await run_command(*command, environ=environ)
    kept = await run_command(*command, environ=environ | {"BROWSER": "/nonexistent"})
    assert kept.status == 0
    assert read_authorization(kept.out) == read_authorization(first.out) | {"tag": None}
    assert "--if-exists replace" in kept.err
    refused = await run_command(*command, "--if-exists", "fail", environ=environ)
    assert refused.status == 6
    assert error_of(refused.err)["kind"] == "name-taken"
    other_type = await run_command("link", "gitlab", "--name", "my-auth", environ=environ)
    assert other_type.status == 6
    assert "of type github" in other_type.err
    replaced = await run_command(*command, "--if-exists", "replace", environ=environ)
    assert replaced.status == 0, replaced.err
    assert len(await records(sandbox)) == 1


async def test_what_is_replaced_is_told_when_it_is_gone(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox)
    assert (await run_command("link", "github", "--name", "mine", environ=environ)).status == 0
    end = await run_command("link", "gitlab", "--name", "mine", "--if-exists", "replace", environ=environ)
    assert end.status == 0, end.err
    received, deleted = (
        end.err.index("Received the redirect"),
        end.err.index("Deleted the authorization that was named"),
    )
    assert received < deleted < end.err.index("Asking ServiceStage")


async def test_both_addresses_are_printed_where_no_browser_is_wanted_and_the_wait_goes_on(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox)
    async with running("link", "github", "--no-browser", "--quiet", environ=environ) as process:
        start = await line_with(process.stderr, "/start?k=")
        await line_with(process.stderr, "/login/oauth/authorize?")
        script = Path(__file__).parent / "scripted_browser.py"
        user = await asyncio.create_subprocess_exec(
            sys.executable, str(script), start, env=environ, stdout=asyncio.subprocess.DEVNULL
        )
        end = await ended(process)
        assert await user.wait() == 0
    assert end.status == 0
    assert "Account   octocat" in end.out
    assert end.err == ""


async def test_over_ssh_the_tunnel_is_shown(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, BROWSER="", LOGNAME="ada", SSH_CONNECTION="203.0.113.5 40000 203.0.113.9 2222")
    async with running("link", "github", environ=environ) as process:
        tunnel = await line_with(process.stderr, "ssh -L")
        page = await line_with(process.stderr, "/start?k=")
        port = tunnel.split(":")[-1].split()[0]
        assert tunnel == f"ssh -L {port}:127.0.0.1:{port} -p 2222 ada@203.0.113.9"
        assert page.startswith(f"http://127.0.0.1:{port}/"), "the tunnel comes first"
        process.send_signal(signal.SIGTERM)
        assert (await ended(process)).status == 143
