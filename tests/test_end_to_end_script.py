"""A script that knows the event schema alone drives a whole link, with no terminal in sight."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command import Ended, error_of, records, running, surroundings
from link_script import LINK, NAME, PatientUser, Script, bring, delivered, scripted
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
    return surroundings(sandbox, CI="true", BROWSER="")


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
    assert f"Linked {NAME}." in took.err


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
    async with running(*LINK, "--events", environ=surroundings(sandbox) | user.browser) as process:
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_is_the_last_event(sandbox: Sandbox, number: signal.Signals) -> None:
    async with scripted(environ=in_ci(sandbox)) as script:
        await script.event("waiting")
        script.process.send_signal(number)
        assert_failed(script, await script.ended(), 128 + number, "stopped")


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
