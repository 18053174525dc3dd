"""Two users of one machine: the second can neither read, nor use, nor disturb the first one's link."""

import asyncio
import json
import re
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from security.second_user import Report
from security.two_users import BROWSERS, SHARED, TESTS, Machine, two_users
from support.command_runner import Ended, records
from support.link_script import LINK, NAME, Script, consent, created, secrets_of, until
from support.other_users import needs_root
from support.thoroughness import some_of

from oauth_helper.sandbox import Sandbox

pytestmark = needs_root

ALREADY_OPENED = "warning: The page is already open"


@pytest.fixture
def machine() -> Iterator[Machine]:
    with two_users() as machine:
        yield machine


@asynccontextmanager
async def linking(machine: Machine, environ: dict[str, str], *options: str) -> AsyncIterator[Script]:
    command = machine.link(machine.first, *LINK, "--events", *options)
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    try:
        yield Script(process)
    finally:
        if process.returncode is None:
            process.kill()
        sys.stderr.write((await process.communicate())[1].decode())  # shown if the test fails


async def said_by(machine: Machine, text: str, environ: dict[str, str], *words: str, second: bool = False) -> Ended:
    user = machine.second if second else machine.first
    command = machine.program(user, words[0]) if words[0].endswith(".py") else machine.link(user, *words)
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(30):
        out, err = await process.communicate(text.encode())
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def reading_the_address(machine: Machine, address: str) -> AsyncIterator[None]:
    """Run the first user's browser, which is given the address where only that user can read it."""
    environ = machine.first.environ(LINGERING_FOLDER=str(machine.first.home))
    browsing = asyncio.create_task(said_by(machine, f"{address}\n", environ, "support/scripted_browser.py"))
    yield
    assert (await browsing).status == 0


async def known_by_the_browser(machine: Machine) -> dict[str, Any]:
    knows = machine.first.home / "knows.json"
    await until(knows.exists)
    known: dict[str, Any] = json.loads(knows.read_text())
    return known


def key_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["k"][0]


def keys_in_arguments() -> set[str]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found |= set(re.findall(r"\bk=([\w-]{43})", (process / "cmdline").read_text(errors="replace")))
    return found


def keys_on_disk(machine: Machine) -> dict[str, str]:
    """Return the KEYs in the first user's files: the lock file, and the page that a window is started on."""
    pages = [page for page in SHARED.glob("oauth-helper-*/start.html") if page.stat().st_uid == machine.first.number]
    files = [*(machine.first.runtime / "oauth-helper").glob("*.lock"), *pages]
    return {f"KEY in {file.name}": re.findall(r'(?:\bk=|"key":")([\w-]{43})', file.read_text())[0] for file in files}


def found(secrets: dict[str, str], seen: Report | str) -> set[str]:
    text = seen if isinstance(seen, str) else "\n".join([*seen.loot, *(answer for _, answer in seen.answers)])
    return {name for name, value in secrets.items() if value in text or value in unquote(text)}


def assert_powerless(report: Report, secrets: dict[str, str], listener: str) -> None:
    """Check that the second user got nothing of the first one's files and processes, or from the listener."""
    port = urlsplit(listener).port
    assert report.refused > 10, "there was something to refuse"
    assert found(secrets, report) == set()
    assert not [path for path in report.opened if path.startswith("/proc/")]
    assert port in report.ports, "as everyone can see"
    for request, answer in report.answers:
        if request.startswith(f"{port} "):
            assert re.match(r"HTTP/1\.1 (400|404|405) ", answer), (request, answer)
        assert 'id="authorize"' not in answer, request
        assert "<body data-outcome" not in answer, request
    assert report.signalled == 0


def seen_while_pending(machine: Machine) -> tuple[Report, Report]:
    """Let the redirect come, and both users look during its exchange: the sandbox, in this process, is blocked."""
    (machine.first.home / "go").touch()
    deadline = time.monotonic() + 20
    while not list(machine.first.home.rglob("pending-*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return machine.done_by(machine.second, "look"), machine.done_by(machine.first, "look")


async def assert_linked(script: Script, sandbox: Sandbox, way: str) -> str:
    """Check that it ended well, with its own redirect; return what the user was told."""
    end = await script.ended()
    assert end.status == 0, end.err
    assert script.names[-1] == "linked"
    assert [event["way"] for event in script.events if event["event"] == "captured"] == [way]
    assert created(sandbox) == 1
    assert [record["name"] for record in await records(sandbox)] == [NAME]
    return end.err


async def test_an_address_in_a_browsers_arguments_is_of_no_use_to_another_user(machine: Machine) -> None:
    machine.skip_if_processes_are_hidden()
    browser = f"{machine.python} {TESTS / 'support/scripted_browser.py'}"
    async with Sandbox() as sandbox:
        environ = machine.environ(
            machine.first, sandbox, BROWSER=browser, LINGERING_FOLDER=str(machine.first.home), COLUMNS="200"
        )
        async with linking(machine, environ) as script:
            await script.event("waiting")
            known = await known_by_the_browser(machine)
            spent, port = key_of(script.listener), urlsplit(script.listener).port
            secrets = keys_on_disk(machine) | {
                "SK": sandbox.access_key.secret_key.reveal(),
                "code": secrets_of(known["redirect"])[0],
                "state": secrets_of(known["redirect"])[1],
                "cookie": known["cookies"][f"oauth-helper-{port}"],
                "KEY for a private window": (set(re.findall(r"\bk=([\w-]{43})", known["page"])) - {spent}).pop(),
            }
            assert len(secrets) == 6
            report = await machine.attacked_by(machine.second)
            assert report.keys == [spent], "what `ps` shows"
            assert "already open" in dict(report.answers)[f"{port} GET /start?k={spent}"]
            assert_powerless(report, secrets, script.listener)
            theirs, ours = seen_while_pending(machine)
            assert found(secrets, theirs) == set()
            assert found(secrets, ours) >= {"SK", "code", "state"}, "there was something to see"
            assert any("pending-" in path for path in ours.opened)
            said = await assert_linked(script, sandbox, "page")
    assert (machine.first.home / "outcome").read_text() == "linked"
    assert said.count(ALREADY_OPENED) == 1


@pytest.mark.parametrize("browser", some_of(list(BROWSERS), one_in=2))
async def test_a_window_shows_another_user_nothing_and_cannot_be_taken_over(machine: Machine, browser: str) -> None:
    machine.skip_if_processes_are_hidden()
    program = machine.headless(machine.first, browser)
    display = machine.first.runtime / "wayland-1"
    server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), str(display))
    async with Sandbox() as sandbox, server:
        display.chmod(0o777)
        environ = machine.environ(machine.first, sandbox, WAYLAND_DISPLAY="wayland-1")
        async with linking(machine, environ, "--browser", program) as script:
            authorization_url = (await script.event("waiting"))["authorization_url"]
            await script.event("opened")
            secrets = keys_on_disk(machine) | {
                "SK": sandbox.access_key.secret_key.reveal(),
                "state": secrets_of(authorization_url)[0],
                "KEY for the user": key_of(script.listener),
            }
            assert len(secrets) == 5
            assert not keys_in_arguments() & set(secrets.values())
            report = await machine.attacked_by(machine.second)
            assert report.keys == []
            assert_powerless(report, secrets, script.listener)
            sessions = [answer for request, answer in report.answers if request.endswith(" session.new")]
            assert sum("session not created" in answer for answer in sessions) == (browser == "firefox")
            assert not any('"result"' in answer for answer in sessions)
            assert found(secrets, machine.done_by(machine.first, "look")) > {"SK"}, "there was something to see"
            delivered = await said_by(machine, await consent(authorization_url), environ, "deliver")
            assert delivered.status == 0, delivered.err
            said = await assert_linked(script, sandbox, "deliver")
    assert ALREADY_OPENED not in said


async def test_without_a_browser_nothing_is_shown_and_only_the_user_can_deliver_or_join(machine: Machine) -> None:
    machine.skip_if_processes_are_hidden()
    async with Sandbox() as sandbox:
        environ = machine.environ(machine.first, sandbox)
        theirs = machine.environ(machine.second, sandbox) | {"XDG_RUNTIME_DIR": str(machine.first.runtime)}
        async with linking(machine, environ, "--no-browser") as script:
            authorization_url = (await script.event("waiting"))["authorization_url"]
            async with reading_the_address(machine, script.listener):
                known = await known_by_the_browser(machine)
                secrets = keys_on_disk(machine) | {
                    "SK": sandbox.access_key.secret_key.reveal(),
                    "state": secrets_of(authorization_url)[0],
                    "code": secrets_of(known["redirect"])[0],
                }
                assert not keys_in_arguments() & {*secrets.values(), key_of(script.listener)}
                report = await machine.attacked_by(machine.second)
                assert report.keys == []
                assert_powerless(report, secrets, script.listener)
                refused = await said_by(machine, known["redirect"], theirs, "deliver", second=True)
                assert refused.status == 9
                alone = await said_by(machine, "", theirs, *LINK, "--timeout", "1", "--no-browser", second=True)
                assert alone.status == 5, "it waits for a redirect of its own"
                assert "other runs will not find this one" in alone.err
                assert found(secrets, refused.err + alone.err + alone.out) == set()
                report = await machine.attacked_by(machine.first, timeout=1)
                assert found(secrets, report) >= {"SK", "state"}, "there was something to see"
                pages = [answer for _, answer in report.answers if 'id="authorize"' in answer]
                assert "state" in found(secrets, "\n".join(pages)), "and to use"
                (machine.first.home / "go").touch()
                await assert_linked(script, sandbox, "page")


async def test_who_is_faster_than_the_browser_does_not_get_its_own_account_linked(machine: Machine) -> None:
    # The address is in its arguments, and not yet opened.
    browser = f"{machine.python} {TESTS / 'support/scripted_browser.py'}"
    async with Sandbox() as sandbox:
        folder = machine.first.home
        environ = machine.environ(machine.first, sandbox, BROWSER=browser, PATIENT_FOLDER=str(folder))
        async with linking(machine, environ, "--timeout", "10") as script:
            await script.event("waiting")
            await until((folder / "opened").exists)
            assert key_of(script.listener) in keys_in_arguments()
            command = machine.program(machine.second, "support/scripted_browser.py", script.listener)
            process = await asyncio.create_subprocess_exec(*command, env=machine.second.environ())
            await process.wait()
            assert sandbox.exchanges == [], "the page had no link to the Git host"
            (folder / "go").touch()
            end = await script.ended()
        assert len(sandbox.exchanges) == 1
    assert end.status == 0, end.err
    assert "other-user" in {event.get("reason") for event in script.events}
    assert "already opened" not in end.err, "it was not used up"
