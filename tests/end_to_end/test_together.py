"""Many links of the same name at once: one of them asks the user, and all end as it does."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from support.command_runner import Ended, commands, error_of, records
from support.link_script import LINK, NAME, PatientUser, scripted, until
from support.promised_json import read_authorization
from support.screen import terminal

from oauth_helper.sandbox import Sandbox

FOUR = 4
"""Where one more that waits is like the others."""
JOINED = f'Another oauth-helper is linking "{NAME}". Waiting for it.'
READS_A_PASTE = "\x1b[?2004h"
OPENED = "Opened your browser"


@pytest.fixture
def user(tmp_path: Path) -> PatientUser:
    return PatientUser(tmp_path)


@asynccontextmanager
async def together(environ: Mapping[str, str], number: int = FOUR) -> AsyncIterator[tuple[Process, list[Process]]]:
    """Start so many at once, and give the one that opened the browser and those that wait for it."""
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(commands.running(*LINK, "--json", environ=environ)) for _ in range(number)
        ]
        waiting = await asyncio.gather(*map(is_waiting, started))
        [first] = [process for process, waits in zip(started, waiting, strict=True) if not waits]
        yield first, [process for process in started if process is not first]


async def is_waiting(process: Process) -> bool:
    """Whether it waits for another, or else has opened the browser."""
    assert process.stderr
    async with asyncio.timeout(30):
        while line := (await process.stderr.readline()).decode():
            if JOINED in line or OPENED in line:
                return JOINED in line
    raise AssertionError("ended before it told what it does")


async def ends(processes: list[Process]) -> list[Ended]:
    return await asyncio.gather(*map(commands.ended, processes))


async def test_six_at_once_open_one_browser_and_all_end_well(sandbox: Sandbox, user: PatientUser) -> None:
    async with together(commands.environ(sandbox) | user.browser, 6) as (first, others):
        user.go_on()
        made = await commands.ended(first)
        kept = await ends(others)
    assert made.status == 0, made.err
    for end in kept:
        assert end.status == 0, end.err
        assert read_authorization(end.out) == read_authorization(made.out)
        assert "by the other oauth-helper." in end.err
    assert len(await records(sandbox)) == len(sandbox.exchanges) == sandbox.calls["redirect-url"] == user.opened == 1


async def test_when_the_first_is_killed_another_takes_its_place(sandbox: Sandbox, user: PatientUser) -> None:
    async with together(commands.environ(sandbox) | user.browser) as (first, others):
        first.kill()
        await first.wait()
        await until(lambda: user.opened > 1)
        user.go_on()
        for end in await ends(others):
            assert end.status == 0, end.err
            assert read_authorization(end.out)["name"] == NAME
    assert len(await records(sandbox)) == len(sandbox.exchanges) == 1
    assert user.opened == sandbox.calls["redirect-url"] == 2


async def test_when_the_user_says_no_to_the_first_all_have_heard_it(sandbox: Sandbox, user: PatientUser) -> None:
    async with together(commands.environ(sandbox, SCRIPTED_USER="deny") | user.browser) as (first, others):
        user.go_on()
        for end in await ends([first, *others]):
            assert (end.status, end.out) == (4, "")
            assert error_of(end.err)["kind"] == "denied"
    assert await records(sandbox) == []
    assert user.opened == 1


async def test_what_is_pasted_into_the_second_is_taken_by_the_first_and_ends_both(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    async with scripted(environ=environ) as first:
        redirect = await first.consent()
        async with terminal(*LINK, environ=environ) as second:
            await second.until(JOINED)
            await second.until(READS_A_PASTE)
            second.type("nonsense\n")
            await second.until("the final address (no code")
            second.type(f"{redirect}\n")
            assert await second.ended() == 0, second.shown
        assert (await first.ended()).status == 0
    assert redirect[-20:] not in second.shown
    assert len(await records(sandbox)) == 1
