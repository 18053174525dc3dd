"""``link --with-token`` and ``repos`` against the sandbox: what goes wrong, what stops it, two at once."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from command import Ended, ended, error_of, line_with, records, running, surroundings
from forked_commands import run_command
from link_script import created, until

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Fault

LINK = ("link", "github", "--with-token", "--name", "my-auth")


@asynccontextmanager
async def sandbox_with(*faults: str) -> AsyncIterator[Sandbox]:
    async with Sandbox(faults=map(Fault.parse, faults)) as sandbox:
        yield sandbox


async def link(sandbox: Sandbox, *options: str) -> Ended:
    given = sandbox.personal_token.reveal()
    return await run_command(*LINK, *options, environ=surroundings(sandbox), given=given)


async def test_a_link_and_all_that_it_can_see() -> None:
    async with sandbox_with() as sandbox:
        environ = surroundings(sandbox)
        assert (await link(sandbox)).status == 0
        tree = json.loads((await run_command("repos", "my-auth", "--json", environ=environ)).out)
        assert [(one["name"], len(one["projects"])) for one in tree] == [
            ("octocat", 3),
            ("sandbox-group/tools", 1),
            ("sandbox-group/attic", 0),
        ]
        for namespace in (tree[1]["name"], tree[1]["id"]):
            end = await run_command("repos", "my-auth", namespace, "build.tools", "--json", environ=environ)
            assert json.loads(end.out) == ["master", "release/1.0"]
        unknown = await run_command("repos", "other", "--json", environ=environ)
        assert (unknown.status, error_of(unknown.err)["kind"]) == (6, "no-such-authorization")
        sandbox.expire("my-auth")
        expired = await run_command("repos", "my-auth", "--json", environ=environ)
        assert (expired.status, error_of(expired.err)["code"]) == (6, "SVCSTG.REPO.0451")
        assert "--if-exists replace" in error_of(expired.err)["hint"]
        renewed = await link(sandbox, "--if-exists", "replace")
        assert renewed.status == 0, renewed.err
        assert [one["status"] for one in await records(sandbox)] == [0]


@pytest.mark.parametrize("body", ["documented", "terraform"])
async def test_a_password_is_taken_whichever_body_the_server_knows(body: str) -> None:
    async with Sandbox(password_body="terraform" if body == "terraform" else "documented") as sandbox:
        end = await run_command(
            *("link", "devcloud", "--with-password", "--user", "account/octocat", "--json"),
            environ=surroundings(sandbox),
            given=sandbox.git_password.reveal(),
        )
        assert end.status == 0, end.err
        assert json.loads(end.out)["token_type"] == "password"
        assert "undocumented" not in end.err


@pytest.mark.parametrize(
    ("faults", "events"),
    [
        (("exchange=500-after",), ["exchanging", "looking", "linked"]),
        (("exchange=drop-after", "look=500"), ["exchanging", "looking", "looking", "linked"]),
        (("exchange=503",), ["exchanging", "looking", "exchanging", "linked"]),
        (("exchange=truncate",), ["exchanging", "looking", "linked"]),
    ],
)
async def test_an_outcome_that_is_not_plain_is_looked_after(faults: tuple[str, ...], events: list[str]) -> None:
    async with sandbox_with(*faults) as sandbox:
        end = await link(sandbox, "--events")
        assert end.status == 0, end.err
        assert [json.loads(line)["event"] for line in end.out.splitlines()] == ["checked", *events]
        assert created(sandbox) == len(await records(sandbox)) == 1


async def test_who_stops_it_is_told_what_may_stand() -> None:
    async with sandbox_with("exchange=hang-after") as sandbox:
        environ = surroundings(sandbox)
        async with running(*LINK, "--events", environ=environ, stdin=asyncio.subprocess.PIPE) as process:
            assert process.stdin
            process.stdin.write(sandbox.personal_token.reveal().encode())
            process.stdin.close()
            await line_with(process.stdout, '"exchanging"')
            process.send_signal(signal.SIGTERM)
            end = await ended(process)
        assert end.status == 143
        error = error_of(end.err)
        assert error["message"] == "Terminated while ServiceStage was asked to create my-auth"
        assert "`oauth-helper show my-auth` tells whether it exists" in error["hint"]
        assert json.loads(end.out.splitlines()[-1])["error"] == error


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("list", "Terminated. Nothing was created"),
        (
            "delete",
            "Terminated while ServiceStage was asked to delete the authorization named my-auth, which may be gone",
        ),
    ],
)
async def test_who_stops_it_earlier_is_told_that_too(call: str, words: str) -> None:
    async with sandbox_with(f"{call}=hang") as sandbox:
        if call == "delete":
            assert (await link(sandbox)).status == 0
        environ = surroundings(sandbox)
        replace = (*LINK, "--if-exists", "replace", "--json")
        async with running(*replace, environ=environ, stdin=asyncio.subprocess.PIPE) as process:
            assert process.stdin
            process.stdin.write(sandbox.personal_token.reveal().encode())
            process.stdin.close()
            await until(lambda: sandbox.calls[call])
            process.send_signal(signal.SIGTERM)
            end = await ended(process)
        assert (end.status, error_of(end.err)["message"]) == (143, words)


async def test_of_two_at_once_one_links_and_the_other_keeps() -> None:
    async with sandbox_with() as sandbox:
        ends = await asyncio.gather(*(link(sandbox, "--events") for _ in range(3)))
        assert [end.status for end in ends] == [0, 0, 0]
        last = [json.loads(end.out.splitlines()[-1]) for end in ends]
        assert sorted(one["kept"] for one in last) == [False, True, True]
        assert sandbox.calls["exchange"] == created(sandbox) == 1
