"""Links without a person: with a script, a token or a password."""

import json
import signal
from asyncio.subprocess import PIPE
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.command_runner import Ended, commands, error_of, records
from support.link_script import (
    LINK,
    NAME,
    PatientUser,
    Script,
    bring,
    created,
    delivered,
    faulty_sandbox,
    scripted,
    until,
)
from support.promised_json import read_authorization

from oauth_helper.sandbox import Sandbox

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
TOKEN_LINK = (*LINK, "--with-token")
REPLACE = ("--if-exists", "replace")


def in_ci(sandbox: Sandbox) -> dict[str, str]:
    return commands.environ(sandbox, CI="true", BROWSER="")


def moment(text: str) -> datetime:
    """Read a time as RFC 3339 section 5.6 writes it in UTC."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def assert_in_order(script: Script) -> None:
    """Each event has its fields and its time, and only one is the end."""
    times = [moment(event["at"]) for event in script.events]
    assert times == sorted(times)
    assert abs((datetime.now(UTC) - times[-1]).total_seconds()) < 30
    for event in script.events:
        assert set(event) == {"event", "at"} | FIELDS[event["event"]]
    assert [name for name in script.names if name in {"linked", "failed"}] == script.names[-1:]


async def test_a_script_shows_the_address_and_delivers_the_redirect(sandbox: Sandbox) -> None:
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


async def test_the_browser_that_was_opened_is_an_event(sandbox: Sandbox, tmp_path: Path) -> None:
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
    async with (
        faulty_sandbox("exchange=500", "exchange=500-after") as sandbox,
        scripted(environ=in_ci(sandbox)) as script,
    ):
        redirect = await script.consent()
        await bring(script.listener, redirect.replace("state=", "state=x"))
        await bring(script.listener, redirect)
        assert (await script.ended()).status == 0
    exchange = ["exchanging", "looking"]
    assert script.names == ["checked", "waiting", "ignored", "captured", *exchange, *exchange, "linked"]
    assert_in_order(script)
    assert [event["attempt"] for event in script.events if event["event"] == "exchanging"] == [1, 2]
    assert [event["reason"] for event in script.events if event["event"] == "ignored"] == ["foreign-state"]


@pytest.mark.parametrize(
    ("options", "more", "status", "kind"),
    [
        (("--timeout", "1"), {}, 5, "deadline"),
        ((), {"HUAWEICLOUD_SDK_SK": "wrong"}, 3, "credentials"),
        (("--name", "?"), {}, 2, "illegal-name"),
    ],
)
async def test_a_failure_is_the_last_event(
    sandbox: Sandbox, options: tuple[str, ...], more: dict[str, str], status: int, kind: str
) -> None:
    async with scripted(*LINK, *options, environ=in_ci(sandbox) | more) as script:
        end = await script.ended()
    assert end.status == status, end.err
    assert_in_order(script)
    assert error_of(end.err)["kind"] == kind
    assert script.events[-1]["error"] == error_of(end.err)
    assert script.names == ["failed"] if status != 5 else ["checked", "waiting", "failed"]


async def test_wrong_usage_has_no_events_but_its_error(sandbox: Sandbox) -> None:
    end = await commands.run("link", "nonsense", "--events", environ=in_ci(sandbox))
    assert (end.status, end.out, error_of(end.err)["kind"]) == (2, "", "usage")


async def link(sandbox: Sandbox, *options: str) -> Ended:
    given = sandbox.personal_token.reveal()
    return await commands.run(*TOKEN_LINK, *options, environ=commands.environ(sandbox), given=given)


async def test_a_link_and_all_that_it_can_see(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    assert (await link(sandbox)).status == 0
    tree = json.loads((await commands.run("repos", "my-auth", "--json", environ=environ)).out)
    assert [(one["name"], len(one["projects"])) for one in tree] == [
        ("octocat", 3),
        ("sandbox-group/tools", 1),
        ("sandbox-group/attic", 0),
    ]
    for namespace in (tree[1]["name"], tree[1]["id"]):
        end = await commands.run("repos", "my-auth", namespace, "build.tools", "--json", environ=environ)
        assert json.loads(end.out) == ["master", "release/1.0"]
    unknown = await commands.run("repos", "other", "--json", environ=environ)
    assert (unknown.status, error_of(unknown.err)["kind"]) == (6, "no-such-authorization")
    sandbox.expire("my-auth")
    expired = await commands.run("repos", "my-auth", "--json", environ=environ)
    assert (expired.status, error_of(expired.err)["code"]) == (6, "SVCSTG.REPO.0451")
    assert "--if-exists replace" in error_of(expired.err)["hint"]
    assert (await link(sandbox, *REPLACE)).status == 0
    assert [one["status"] for one in await records(sandbox)] == [0]


@pytest.mark.parametrize("body", ["documented", "terraform"])
async def test_a_password_is_taken_whichever_body_the_server_knows(body: str) -> None:
    async with Sandbox(password_body="terraform" if body == "terraform" else "documented") as sandbox:
        command = ("link", "devcloud", "--with-password", "--user", "account/octocat", "--json")
        given = sandbox.git_password.reveal()
        end = await commands.run(*command, environ=commands.environ(sandbox), given=given)
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
async def test_an_unclear_outcome_is_looked_up(faults: tuple[str, ...], events: list[str]) -> None:
    async with faulty_sandbox(*faults) as sandbox:
        end = await link(sandbox, "--events")
        assert end.status == 0, end.err
        assert [json.loads(line)["event"] for line in end.out.splitlines()] == ["checked", *events]
        assert created(sandbox) == len(await records(sandbox)) == 1


CREATING = 'Terminated while ServiceStage was creating "my-auth"'


@pytest.mark.parametrize(
    ("faults", "exists", "reached", "words"),
    [
        (("list=hang",), False, "list", "Terminated. Nothing was created"),
        (("delete=hang",), True, "delete", 'Terminated while ServiceStage was deleting "my-auth", which may be gone'),
        (("exchange=hang-after",), False, "exchange", CREATING),
        (
            ("exchange=500-after", "exchange=hang"),
            True,
            "exchange",
            f'{CREATING}. The old authorization "my-auth" is deleted',
        ),
    ],
)
async def test_a_signal_says_what_may_exist(faults: tuple[str, ...], exists: bool, reached: str, words: str) -> None:
    async with faulty_sandbox(*faults) as sandbox:
        if exists:
            assert (await link(sandbox)).status == 0
        before = sandbox.calls[reached]
        command = (*TOKEN_LINK, *REPLACE, "--events")
        async with commands.running(*command, environ=commands.environ(sandbox), stdin=PIPE) as process:
            assert process.stdin
            process.stdin.write(sandbox.personal_token.reveal().encode())
            process.stdin.close()
            await until(lambda: sandbox.calls[reached] > before)
            process.send_signal(signal.SIGTERM)
            end = await commands.ended(process)
    error = error_of(end.err)
    assert (end.status, error["message"]) == (143, words)
    assert json.loads(end.out.splitlines()[-1])["error"] == error
    if words.startswith(CREATING):
        assert "`oauth-helper show my-auth` tells whether it exists" in error["hint"]
