"""Links without a person: with a script, a token or a password."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.command_runner import Ended, commands, error_of, line_with, records
from support.link_script import LINK, NAME, PatientUser, Script, bring, created, delivered, scripted, until
from support.promised_json import read_authorization

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Fault

FIELDS = {
    "checked": {"name", "repo_type"},
    "waiting": {"listener", "authorization_url", "expires_at"},
    "opened": {"browser", "window"},
    "ignored": {"reason", "count"},
    "captured": {"way"},
    "exchanging": {"attempt", "replaces", "kept"},
    "looking": {"name"},
    "linked": {"authorization", "kept"},
    "failed": {"error"},
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


def in_ci(sandbox: Sandbox) -> dict[str, str]:
    return commands.environ(sandbox, CI="true", BROWSER="")


def moment(text: str) -> datetime:
    """Read a time as RFC 3339 section 5.6 writes it in UTC."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def assert_in_order(script: Script) -> None:
    """Each event has its fields, is of its time, and one alone is the end."""
    times = [moment(event["at"]) for event in script.events]
    assert times == sorted(times)
    assert abs((datetime.now(UTC) - times[-1]).total_seconds()) < 30
    for event in script.events:
        assert set(event) == {"event", "at"} | FIELDS[event["event"]]
    assert [name for name in script.names if name in {"linked", "failed"}] == script.names[-1:]


async def test_a_script_shows_the_address_and_delivers_what_came_of_it(sandbox: Sandbox) -> None:
    environ = in_ci(sandbox)
    async with scripted(environ=environ) as script:
        redirect = await script.consent()
        took = await delivered(f"  {redirect}\n", environ, "--json")
        end = await script.ended()
    [record] = await records(sandbox)
    assert (took.status, end.status) == (0, 0), took.err + end.err
    assert script.names == ["checked", "waiting", "captured", "exchanging", "linked"]
    assert_in_order(script)
    checked, waiting, captured, exchanging, linked = script.events
    assert (checked["name"], checked["repo_type"]) == (NAME, "github")
    assert 590 < (moment(waiting["expires_at"]) - moment(waiting["at"])).total_seconds() <= 600
    assert captured["way"] == "deliver"
    assert (exchanging["attempt"], exchanging["replaces"], exchanging["kept"]) == (1, False, True)
    assert linked["authorization"] == {key: value for key, value in record.items() if key != "tag"}
    assert linked["kept"] is False
    assert read_authorization(took.out) == linked["authorization"]
    assert f'Linked "{NAME}".' in took.err


async def test_what_stands_already_is_linked_and_kept(sandbox: Sandbox) -> None:
    async with scripted(environ=in_ci(sandbox)) as script:
        redirect = await script.consent()
        await bring(script.listener, redirect)
        assert (await script.ended()).status == 0
    async with scripted(environ=in_ci(sandbox)) as again:
        assert (await again.ended()).status == 0
    assert again.names == ["checked", "linked"]
    assert_in_order(again)
    assert again.events[-1]["kept"] is True


async def test_a_browser_that_was_opened_is_an_event(sandbox: Sandbox, tmp_path: Path) -> None:
    user = PatientUser(tmp_path)
    async with commands.running(*LINK, "--events", environ=commands.environ(sandbox) | user.browser) as process:
        script = Script(process)
        assert (await script.event("opened"))["browser"].startswith("python")
        user.go_on()
        assert (await script.ended()).status == 0
    assert script.names == ["checked", "waiting", "opened", "captured", "exchanging", "linked"]
    assert_in_order(script)
    assert script.events[3]["way"] == "page"


async def test_each_step_of_a_way_round_is_an_event() -> None:
    faults = map(Fault.parse, ("exchange=500", "exchange=500-after"))
    async with Sandbox(faults=faults) as sandbox, scripted(environ=in_ci(sandbox)) as script:
        redirect = await script.consent()
        await bring(script.listener, redirect.replace("state=", "state=x"))
        await bring(script.listener, redirect)
        assert (await script.ended()).status == 0
    before, after = ["checked", "waiting", "ignored", "captured"], ["linked"]
    assert script.names == [*before, "exchanging", "looking", "exchanging", "looking", *after]
    assert_in_order(script)
    assert [event["attempt"] for event in script.events if event["event"] == "exchanging"] == [1, 2]
    assert [event["reason"] for event in script.events if event["event"] == "ignored"] == ["foreign-state"]


def assert_failed(script: Script, end: Ended, status: int, kind: str) -> None:
    """The last event and the last line of standard error say the same."""
    assert end.status == status, end.err
    assert script.names[-1] == "failed"
    assert_in_order(script)
    error = error_of(end.err)
    assert error["kind"] == kind
    assert script.events[-1]["error"] == error


async def test_a_denial_is_the_last_event(sandbox: Sandbox) -> None:
    async with scripted(environ=in_ci(sandbox)) as script:
        took = await delivered(await script.consent("deny"), in_ci(sandbox), "--json")
        end = await script.ended()
    assert_failed(script, end, 4, "denied")
    assert (took.status, took.out) == (4, "")
    assert error_of(took.err) == error_of(end.err)


async def test_the_deadline_is_the_last_event(sandbox: Sandbox) -> None:
    async with scripted(*LINK, "--timeout", "1", environ=in_ci(sandbox)) as script:
        assert_failed(script, await script.ended(), 5, "deadline")


async def test_where_nothing_began_the_failure_is_the_only_event(sandbox: Sandbox) -> None:
    async with scripted(*LINK, "--endpoint", "http://127.0.0.1:9", environ=in_ci(sandbox)) as script:
        assert_failed(script, await script.ended(), 7, "unreachable")
    assert script.names == ["failed"]


async def test_wrong_usage_has_no_events_but_its_error(sandbox: Sandbox) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oauth_helper", "link", "nonsense", "--events"),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=in_ci(sandbox),
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert error_of(err.decode())["kind"] == "usage"


TOKEN_LINK = ("link", "github", "--with-token", "--name", "my-auth")


@asynccontextmanager
async def sandbox_with(*faults: str) -> AsyncIterator[Sandbox]:
    async with Sandbox(faults=map(Fault.parse, faults)) as sandbox:
        yield sandbox


async def link(sandbox: Sandbox, *options: str) -> Ended:
    given = sandbox.personal_token.reveal()
    return await commands.run_forked(*TOKEN_LINK, *options, environ=commands.environ(sandbox), given=given)


async def test_a_link_and_all_that_it_can_see() -> None:
    async with sandbox_with() as sandbox:
        environ = commands.environ(sandbox)
        assert (await link(sandbox)).status == 0
        tree = json.loads((await commands.run_forked("repos", "my-auth", "--json", environ=environ)).out)
        assert [(one["name"], len(one["projects"])) for one in tree] == [
            ("octocat", 3),
            ("sandbox-group/tools", 1),
            ("sandbox-group/attic", 0),
        ]
        for namespace in (tree[1]["name"], tree[1]["id"]):
            end = await commands.run_forked("repos", "my-auth", namespace, "build.tools", "--json", environ=environ)
            assert json.loads(end.out) == ["master", "release/1.0"]
        unknown = await commands.run_forked("repos", "other", "--json", environ=environ)
        assert (unknown.status, error_of(unknown.err)["kind"]) == (6, "no-such-authorization")
        sandbox.expire("my-auth")
        expired = await commands.run_forked("repos", "my-auth", "--json", environ=environ)
        assert (expired.status, error_of(expired.err)["code"]) == (6, "SVCSTG.REPO.0451")
        assert "--if-exists replace" in error_of(expired.err)["hint"]
        renewed = await link(sandbox, "--if-exists", "replace")
        assert renewed.status == 0, renewed.err
        assert [one["status"] for one in await records(sandbox)] == [0]


@pytest.mark.parametrize("body", ["documented", "terraform"])
async def test_a_password_is_taken_whichever_body_the_server_knows(body: str) -> None:
    async with Sandbox(password_body="terraform" if body == "terraform" else "documented") as sandbox:
        end = await commands.run_forked(
            *("link", "devcloud", "--with-password", "--user", "account/octocat", "--json"),
            environ=commands.environ(sandbox),
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
        environ = commands.environ(sandbox)
        async with commands.running(*TOKEN_LINK, "--events", environ=environ, stdin=asyncio.subprocess.PIPE) as process:
            assert process.stdin
            process.stdin.write(sandbox.personal_token.reveal().encode())
            process.stdin.close()
            await line_with(process.stdout, '"exchanging"')
            process.send_signal(signal.SIGTERM)
            end = await commands.ended(process)
        assert end.status == 143
        error = error_of(end.err)
        assert error["message"] == 'Terminated while ServiceStage was creating "my-auth"'
        assert "`oauth-helper show my-auth` tells whether it exists" in error["hint"]
        assert json.loads(end.out.splitlines()[-1])["error"] == error


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("list", "Terminated. Nothing was created"),
        (
            "delete",
            'Terminated while ServiceStage was deleting "my-auth", which may be gone',
        ),
    ],
)
async def test_who_stops_it_earlier_is_told_that_too(call: str, words: str) -> None:
    async with sandbox_with(f"{call}=hang") as sandbox:
        if call == "delete":
            assert (await link(sandbox)).status == 0
        environ = commands.environ(sandbox)
        replace = (*TOKEN_LINK, "--if-exists", "replace", "--json")
        async with commands.running(*replace, environ=environ, stdin=asyncio.subprocess.PIPE) as process:
            assert process.stdin
            process.stdin.write(sandbox.personal_token.reveal().encode())
            process.stdin.close()
            await until(lambda: sandbox.calls[call])
            process.send_signal(signal.SIGTERM)
            end = await commands.ended(process)
        assert (end.status, error_of(end.err)["message"]) == (143, words)
