"""``apply`` creates what a file declares, once, and continues where it stopped."""

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.at_once import AtOnce
from support.command_runner import BROWSER, Ended, commands, error_of, records
from support.fake_servicestage import PROJECT, FakeServiceStage, Received
from support.link_script import PatientUser, created, kill, until
from support.thoroughness import at_most

from oauth_helper.sandbox import Sandbox

IN_BROWSER = ("github", "gitlab", "gitee", "bitbucket")
BY_TOKEN = ("github", "gitlab", "gitee", "github")


def declare(folder: Path, entries: Sequence[dict[str, str]]) -> str:
    """Write the file; return its path."""
    file = folder / "team.toml"
    tables = (
        "\n".join(["[[authorization]]", *(f'{key} = "{value}"' for key, value in one.items())]) for one in entries
    )
    file.write_text("\n\n".join(tables))
    return str(file)


def eight() -> list[dict[str, str]]:
    browser = [{"name": f"oauth-{repo_type}", "repo_type": repo_type} for repo_type in IN_BROWSER]
    tokens = [
        {"name": f"token-{number}", "repo_type": repo_type, "method": "token", "secret": "GIT_TOKEN"}
        for number, repo_type in enumerate(BY_TOKEN)
    ]
    return [item for pair in zip(browser, tokens, strict=True) for item in pair]


def environment(sandbox: Sandbox, **more: str) -> dict[str, str]:
    return commands.environ(sandbox, GIT_TOKEN=sandbox.personal_token.reveal(), **more)


def summary(end: Ended) -> dict[str, str]:
    told: list[dict[str, Any]] = json.loads(end.out)
    return {one["name"]: one["result"] for one in told}


async def test_everything_is_created_and_a_second_run_changes_and_opens_nothing(tmp_path: Path) -> None:
    file = declare(tmp_path, eight())
    async with Sandbox() as sandbox:
        first = await commands.run("apply", file, "--json", environ=environment(sandbox))
        assert first.status == 0, first.err
        assert set(summary(first).values()) == {"created"}
        stood = await records(sandbox)
        calls = sandbox.calls.copy()
        spy = PatientUser(tmp_path)
        again = await commands.run("apply", file, "--json", environ=environment(sandbox) | spy.browser)
        assert again.status == 0, again.err
        assert set(summary(again).values()) == {"kept"}
        assert (sandbox.calls - calls).total() == 1, "one list"
        assert await records(sandbox) == stood
        assert spy.opened == 0
    assert "8 of 8 exist." in again.err


async def test_a_dry_run_prints_the_plan_and_does_nothing(tmp_path: Path) -> None:
    file = declare(tmp_path, eight())
    async with Sandbox() as sandbox:
        end = await commands.run("apply", file, "--dry-run", environ=environment(sandbox))
        assert (end.status, await records(sandbox)) == (0, [])
    assert end.out.splitlines()[:2] == [
        "NAME             GIT HOST   METHOD  PLAN    SECRET     SENT TO",
        "oauth-github     GitHub     oauth   create",
    ]


async def test_a_blocked_entry_is_reported_before_anything_is_done(tmp_path: Path) -> None:
    entries = eight()
    async with Sandbox() as sandbox:
        environ = environment(sandbox)
        await commands.run("link", "gitee", "--name", entries[0]["name"], environ=environ)
        file = declare(tmp_path, entries)
        for options in ((), ("--dry-run",)):
            end = await commands.run("apply", file, "--json", *options, environ=environ)
            assert end.status == 6
            assert "of type gitee. Nothing was done" in error_of(end.err)["message"]
            assert len(await records(sandbox)) == 1


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [(None, 2, "cannot be read: No such file"), ("nonsense", 2, "cannot be read"), ("", 2, "it has no [[auth")],
)
async def test_an_unusable_file_is_a_usage_error(tmp_path: Path, text: str | None, status: int, words: str) -> None:
    file = tmp_path / "team.toml"
    if text is not None:
        file.write_text(text)
    async with Sandbox() as sandbox:
        end = await commands.run("apply", str(file), "--json", environ=environment(sandbox))
        assert sandbox.calls.total() == 0
    assert (end.status, end.out) == (status, "")
    assert words in error_of(end.err)["message"]


async def test_a_missing_secret_is_reported_before_anything_is_done(tmp_path: Path) -> None:
    file = declare(tmp_path, eight())
    async with Sandbox() as sandbox:
        end = await commands.run("apply", file, "--json", environ=environment(sandbox) | {"GIT_TOKEN": ""})
        assert await records(sandbox) == []
    assert end.status == 3
    assert "The secrets of entries 2, 4, 6, 8 are not environment variables" in error_of(end.err)["message"]


async def test_a_denial_and_a_wrong_token_fail_only_their_entries(tmp_path: Path) -> None:
    entries = [*eight()[:3], {"name": "wrong", "repo_type": "gitee", "method": "token", "secret": "WRONG"}]
    file = declare(tmp_path, entries)
    async with Sandbox() as sandbox:
        environ = environment(sandbox, SCRIPTED_USER="deny", WRONG="not-the-token")
        end = await commands.run("apply", file, "--json", environ=environ)
    assert summary(end) == {
        "oauth-github": "failed",
        "token-0": "created",
        "oauth-gitlab": "failed",
        "wrong": "failed",
    }
    assert end.status == 6, "as the first that failed, and those without a browser come first"
    assert "not-the-token" not in end.out + end.err


async def test_a_failure_that_would_meet_the_next_entries_too_ends_the_command(tmp_path: Path) -> None:
    file = declare(tmp_path, eight())
    async with Sandbox() as sandbox:
        environ = environment(sandbox, SCRIPTED_USER="nothing")
        end = await commands.run("apply", file, "--json", "--timeout", "1", environ=environ)
    assert end.status == 5
    assert list(summary(end).values()) == ["failed", *["created", "not reached"] * 3, "created"]


async def test_without_a_demanded_browser_the_other_entries_are_created(tmp_path: Path) -> None:
    file = declare(tmp_path, eight()[:4])
    async with Sandbox() as sandbox:
        environ = environment(sandbox, BROWSER="", PATH=str(tmp_path))
        end = await commands.run("apply", file, "--json", "--browser", "default", environ=environ)
    assert end.status == 9
    assert list(summary(end).values()) == ["failed", "created", "not reached", "created"]


async def test_the_browser_inherits_no_secret_that_the_file_names(tmp_path: Path) -> None:
    seen, spy = tmp_path / "seen", tmp_path / "spy"
    spy.write_text(f'#!/bin/sh\nenv >"{seen}"\nexec "{sys.executable}" "{BROWSER}" "$1"\n')
    spy.chmod(0o755)
    async with Sandbox() as sandbox:
        end = await commands.run(
            "apply", declare(tmp_path, eight()[:2]), environ=environment(sandbox, BROWSER=str(spy))
        )
        assert end.status == 0, end.err
        assert sandbox.personal_token.reveal() not in seen.read_text()
        assert "OAUTH_HELPER_ENDPOINT=" in seen.read_text()


async def test_an_interrupt_reports_the_progress_and_the_next_run_continues(tmp_path: Path) -> None:
    file, user = declare(tmp_path, eight()), PatientUser(tmp_path)
    async with Sandbox() as sandbox:
        async with commands.running("apply", file, environ=environment(sandbox) | user.browser) as process:
            await until(lambda: user.opened)
            process.terminate()
            out, err = await process.communicate()
        assert process.returncode == 143
        assert b"Terminated. 4 of 8 exist" in err
        assert out.count(b"created") == out.count(b"not reached") == 4
        end = await commands.run("apply", file, environ=environment(sandbox))
        assert end.status == 0
        assert len(await records(sandbox)) == created(sandbox) == 8


@pytest.mark.parametrize("seed", range(at_most(10, by_default=4)))
async def test_killed_at_any_moment_the_next_run_completes_it(tmp_path: Path, seed: int) -> None:
    file = declare(tmp_path, eight())
    chance = random.Random(seed)  # noqa: S311 - no secret
    async with Sandbox() as sandbox:
        # Between the first request and the last answer, wherever that falls today.
        after = chance.randrange(1, 26)
        async with commands.running("apply", file, environ=environment(sandbox)) as process:
            await until(lambda: sandbox.calls.total() >= after or process.returncode is not None)
            await kill(process)
        end = await commands.run("apply", file, "--json", environ=environment(sandbox))
        assert end.status == 0, end.err
        assert set(summary(end).values()) <= {"kept", "created"}
        assert len(await records(sandbox)) == created(sandbox) == 8


def tokens(number: int) -> list[dict[str, str]]:
    usual = {"repo_type": "github", "method": "token", "secret": "GIT_TOKEN"}
    return [{"name": f"token-{one:03}"} | usual for one in range(number)]


async def test_a_hundred_tokens_are_sent_four_at_a_time(tmp_path: Path) -> None:
    at_once = AtOnce(100)

    async def respond(request: Received) -> web.Response:
        if request.method == "GET":
            return web.json_response({"authorizations": [], "count": 0})
        await at_once.meet()
        return web.json_response({"authorization": {"name": json.loads(request.body)["name"], "repo_type": "github"}})

    async with FakeServiceStage(respond) as fake:
        environ = {"OAUTH_HELPER_ENDPOINT": fake.endpoint, "OAUTH_HELPER_PROJECT_ID": PROJECT, "GIT_TOKEN": "a-token"}
        environ |= {"HUAWEICLOUD_SDK_AK": "AccessKey", "HUAWEICLOUD_SDK_SK": "SecretKey"}
        end = await commands.run(
            "apply", declare(tmp_path, tokens(100)), "--json", environ=commands.environ() | environ
        )
    assert end.status == 0, end.err
    assert at_once.most == 4
    assert len(fake.received) == 101, "one list, and one request for each"
