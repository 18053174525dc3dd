"""A second user who is faster than the first one's browser: refused, and the address is not used up."""

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from link_script import until
from other_users import needs_root
from two_users import TESTS, Machine, keys_in_arguments, two_users
from two_users_link import linking

from oauth_helper.sandbox import Sandbox


@pytest.fixture
def machine() -> Iterator[Machine]:
    with two_users() as machine:
        yield machine


@needs_root
async def test_who_is_faster_than_the_browser_does_not_get_its_own_account_linked(machine: Machine) -> None:
    browser = f"{machine.python} {TESTS / 'patient_browser.py'}"  # the address is in its arguments, not yet opened
    async with Sandbox() as sandbox:
        folder = machine.first.home
        environ = machine.environ(machine.first, sandbox, BROWSER=browser, PATIENT_FOLDER=str(folder))
        async with linking(machine, environ, "--timeout", "10") as script:
            await script.event("waiting")
            await until((folder / "opened").exists)
            assert parse_qs(urlsplit(script.listener).query)["k"][0] in keys_in_arguments()
            command = machine.program(machine.second, "scripted_browser.py", script.listener)
            process = await asyncio.create_subprocess_exec(*command, env=machine.second.environ())
            await process.wait()
            assert sandbox.exchanges == [], "there was no link to the Git host on the page"
            (folder / "go").touch()
            end = await script.ended()
        assert len(sandbox.exchanges) == 1
    assert end.status == 0, end.err
    assert "other-user" in {event.get("reason") for event in script.events}
    assert "already opened" not in end.err, "it was not used up"
