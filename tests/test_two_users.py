"""Two users of one machine: the second can neither read, nor use, nor disturb the first one's link."""

import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from link_script import LINK, consent, secrets_of
from other_users import needs_root
from thoroughness import some_of
from two_users import BROWSERS, SHARED, TESTS, Machine, attacked_by, done_by, keys_in_arguments, two_users
from two_users_link import (
    assert_linked,
    assert_powerless,
    everything,
    found,
    key_of,
    keys_on_disk,
    known_by_the_browser,
    linking,
    reading_the_address,
    said_by,
    seen_while_pending,
)

from oauth_helper.sandbox import Sandbox

pytestmark = needs_root

FEW = 384
"""Files that the first user's command may have open."""
MANY = 400
"""Connections. The listener keeps 256 at most."""
ALREADY_OPENED = "warning: The page was already opened"


@pytest.fixture
def machine() -> Iterator[Machine]:
    with two_users() as machine:
        machine.skip_if_processes_are_hidden()
        yield machine


async def test_an_address_in_a_browsers_arguments_is_of_no_use_to_another_user(machine: Machine) -> None:
    browser = f"{machine.python} {TESTS / 'lingering_browser.py'}"
    async with Sandbox() as sandbox:
        environ = machine.environ(
            machine.first, sandbox, BROWSER=browser, LINGERING_FOLDER=str(machine.first.home), COLUMNS="200"
        )
        async with linking(machine, environ, files=FEW) as script:
            await script.event("waiting")
            known = await known_by_the_browser(machine)
            spent = key_of(script.listener)
            secrets = keys_on_disk(machine) | {
                "SK": sandbox.access_key.secret_key.reveal(),
                "code": secrets_of(known["redirect"])[0],
                "state": secrets_of(known["redirect"])[1],
                "cookie": known["cookies"][f"oauth-helper-{urlsplit(script.listener).port}"],
                "KEY for a private window": (set(re.findall(r"\bk=([\w-]{43})", known["page"])) - {spent}).pop(),
            }
            assert len(secrets) == 6
            async with attacked_by(machine.second, machine, connections=MANY) as report:
                assert report.keys == [spent], "what `ps` shows"
                assert report.held >= MANY
                assert (
                    "already opened" in dict(report.answers)[f"{urlsplit(script.listener).port} GET /start?k={spent}"]
                )
                assert_powerless(report, secrets, script.listener)
                theirs, ours = seen_while_pending(machine)
                assert found(secrets, everything(theirs)) == set()
                assert found(secrets, everything(ours)) == set(secrets), "there was something to see"
                assert any("pending-" in path for path in ours.opened)
                said = await assert_linked(script, sandbox, "page")
    assert (machine.first.home / "outcome").read_text() == "linked"
    assert said.count(ALREADY_OPENED) == 1


@pytest.mark.parametrize("browser", some_of(list(BROWSERS), one_in=2))
async def test_a_window_shows_another_user_nothing_and_cannot_be_taken_over(machine: Machine, browser: str) -> None:
    program = machine.headless(machine.first, browser)
    mine = machine.write(machine.first, "of-mine", "as it was")
    assert done_by(machine.second, "plant", machine).planted == 6
    names = f"oauth-helper-999999999-*{machine.first.number}"
    planted = sorted(SHARED.glob(names))
    stale = SHARED / f"oauth-helper-999999999-of{machine.first.number}stale"
    stale.mkdir()
    os.chown(stale, machine.first.number, machine.first.number)
    async with Sandbox() as sandbox:
        environ = machine.environ(machine.first, sandbox, DISPLAY=":99")
        async with linking(machine, environ, "--browser", program) as script:
            authorization_url = (await script.event("waiting"))["authorization_url"]
            await script.event("opened")
            assert not stale.exists(), "it was cleared away, so it was looked at"
            secrets = keys_on_disk(machine) | {
                "SK": sandbox.access_key.secret_key.reveal(),
                "state": secrets_of(authorization_url)[0],
                "KEY for the user": key_of(script.listener),
            }
            assert len(secrets) == 5
            assert not keys_in_arguments() & set(secrets.values())
            async with attacked_by(machine.second, machine, connections=MANY) as report:
                assert report.keys == []
                assert_powerless(report, secrets, script.listener)
                sessions = [answer for request, answer in report.answers if request.endswith(" session.new")]
                assert sum("session not created" in answer for answer in sessions) == (browser == "firefox")
                assert not any('"result"' in answer for answer in sessions)
                ours = done_by(machine.first, "look", machine)
                assert found(secrets, everything(ours)) == set(secrets), "there was something to see"
                delivered = await said_by(machine, await consent(authorization_url), environ, "deliver")
                assert delivered.status == 0, delivered.err
                said = await assert_linked(script, sandbox, "deliver")
    assert ALREADY_OPENED not in said
    assert mine.read_text() == "as it was"
    assert planted
    assert sorted(SHARED.glob(names)) == planted


async def test_without_a_browser_nothing_is_shown_and_only_the_user_can_deliver_or_join(machine: Machine) -> None:
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
                async with attacked_by(machine.second, machine) as report:
                    assert report.keys == []
                    assert_powerless(report, secrets, script.listener)
                refused = await said_by(machine, known["redirect"], theirs, "deliver", second=True)
                assert refused.status == 9
                alone = await said_by(machine, "", theirs, *LINK, "--timeout", "1", "--no-browser", second=True)
                assert alone.status == 5, "it waits for a redirect of its own"
                assert "other runs will not find this one" in alone.err
                assert found(secrets, refused.err + alone.err + alone.out) == set()
                async with attacked_by(machine.first, machine, patience=1) as report:
                    assert found(secrets, everything(report)) == set(secrets), "there was something to see"
                    pages = [answer for _, answer in report.answers if 'id="authorize"' in answer]
                    assert "state" in found(secrets, "\n".join(pages)), "and to use"
                (machine.first.home / "go").touch()
                await assert_linked(script, sandbox, "page")


@pytest.mark.parametrize("as_link", [False, True], ids=["folder", "link"])
async def test_who_squats_the_meeting_place_gets_no_part_in_the_link(machine: Machine, as_link: bool) -> None:
    squatted = SHARED / f"runtime-{machine.first.number}"
    theirs = machine.second.home
    if as_link:
        squatted.symlink_to(theirs)
    else:
        squatted.mkdir(0o777)
    os.chown(squatted, machine.second.number, machine.second.number, follow_symlinks=False)
    before = sorted(theirs.rglob("*"))
    async with Sandbox() as sandbox:
        environ = machine.environ(machine.first, sandbox)
        del environ["XDG_RUNTIME_DIR"]
        async with linking(machine, environ, "--no-browser") as script:
            redirect = await script.consent()
            async with reading_the_address(machine, script.listener):
                await known_by_the_browser(machine)
                (machine.first.home / "go").touch()
                said = await assert_linked(script, sandbox, "page")
    assert "other runs will not find this one" in said
    assert redirect
    assert sorted([*theirs.rglob("*"), *squatted.rglob("*")]) == before
