"""No secret gets out whatever goes wrong at whichever call: each way of the sandbox's at each of its calls."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from canary_play import listener
from canary_run import Run, Started, searched_run
from link_script import LINK, NAME, brought, consent, secrets_of, until
from support.thoroughness import some_of
from test_canaries_credentials import by_key_alone, by_password

from oauth_helper.models import RepoType
from oauth_helper.sandbox.faults import Call, Kind
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient

IAM = (Call.IAM_TOKEN, Call.IAM_PROJECT)
FIRST_ON_ITS_CONNECTION = (Call.LIST, *IAM)
BEFORE_THE_BROWSER = (Call.LIST, Call.REDIRECT_URL, *IAM)
WITH_THE_REDIRECT = (Call.EXCHANGE, Call.LOOK, Call.DELETE)
COMMAND = {
    Call.LIST: "list",
    Call.REDIRECT_URL: "link github --no-browser --timeout 1",
    Call.IAM_TOKEN: "list",
    Call.IAM_PROJECT: "list",
}
SILENT = (Kind.HANG, Kind.HANG_AFTER)
SURROUNDINGS: tuple[dict[str, str], ...] = ({"PYTHONASYNCIODEBUG": "1"}, {"PYTHONDEVMODE": "1"}, {})
OPTIONS = (("-vv",), ("-vv", "--json"), ("-v",), ("--quiet",))
AT_ONCE = 6
"""Flows, which mostly wait."""
PARTS = 3
"""So that several processes can share the work; by default one is done."""


def kinds_at(call: Call) -> list[Kind]:
    """What there is: IAM's port is never closed, and a first request cannot meet a kept connection."""
    cannot_be = {Kind.REFUSE} if call in IAM else set()
    cannot_be |= {Kind.STALE} if call in FIRST_ON_ITS_CONNECTION else set()
    return [kind for kind in Kind if kind not in cannot_be]


def test_there_are_more_than_forty_flows_and_no_call_is_left_out() -> None:
    assert {*BEFORE_THE_BROWSER, *WITH_THE_REDIRECT} == set(Call)
    assert sum(len(kinds_at(call)) for call in BEFORE_THE_BROWSER) == 4 * len(Kind) - 5 > 40
    assert len(kinds_with_the_redirect(Call.EXCHANGE)) == len(Kind)
    at_others = [*kinds_with_the_redirect(Call.LOOK), *kinds_with_the_redirect(Call.DELETE)]
    assert sorted(at_others) == sorted(Kind)


def kinds_with_the_redirect(call: Call) -> list[Kind]:
    """All at the exchange, whose request bears code and state; of the others each kind once."""
    kinds = kinds_at(call)
    if call is Call.EXCHANGE:
        return kinds
    return [kind for number, kind in enumerate(kinds) if (number % 2 == 0) == (call is Call.LOOK)]


@pytest.mark.parametrize("call", BEFORE_THE_BROWSER)
async def test_each_fault_before_the_browser_opens(tmp_path: Path, call: Call) -> None:
    """Each ends a command, so all of them fit into one process; only those whose port is closed take another."""
    kinds = [kind for kind in kinds_at(call) if kind is not Kind.REFUSE]
    async with searched_run(tmp_path / "run", *(f"{call}={kind}" for kind in kinds), environ=SURROUNDINGS[0]) as run:
        run.opens_by_hand = True
        await prepare(run, call)
        commands = [f"{COMMAND[call]} {' '.join(OPTIONS[at % len(OPTIONS)])}\n" for at in range(len(kinds))]
        async with run.started(program="canary_commands", given="".join(commands)) as process:
            for kind in SILENT:
                await until(partial(run.sandbox.has_struck, call, kind))
                process.stop()
            await process.ended(0)
        assert run.sandbox.struck == [(call, kind) for kind in kinds], process.err


@pytest.mark.parametrize("call", [Call.LIST, Call.REDIRECT_URL])
async def test_the_port_is_closed_before_the_browser_opens(tmp_path: Path, call: Call) -> None:
    async with searched_run(tmp_path / "run", f"{call}={Kind.REFUSE}", fault_duration=60) as run:
        end = await run.command(*COMMAND[call].split(), "-vv", **SURROUNDINGS[0])
        assert end.process.returncode == 7, end.err


@pytest.mark.parametrize("part", some_of(range(PARTS), one_in=PARTS))
@pytest.mark.parametrize("call", WITH_THE_REDIRECT)
async def test_each_fault_with_the_redirect_in_hand(tmp_path: Path, call: Call, part: int) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number: int, kind: Kind) -> None:
        async with turns:
            await flow(tmp_path / kind, call, kind, number)

    async with asyncio.TaskGroup() as flows:
        for number, kind in list(enumerate(kinds_with_the_redirect(call)))[part::PARTS]:
            flows.create_task(in_turn(number, kind))


async def flow(folder: Path, call: Call, kind: Kind, number: int) -> None:
    """Link, and stop it where it would only wait."""
    environ = SURROUNDINGS[number % len(SURROUNDINGS)]
    before = (f"{Call.EXCHANGE}={Kind.INTERNAL_ERROR_AFTER}",) if call is Call.LOOK else ()
    async with searched_run(folder, *before, environ=environ) as run:
        run.opens_by_hand = True
        await prepare(run, call)
        run.sandbox.go_wrong(f"{call}={kind}")
        options = ("--if-exists", "replace", *OPTIONS[number % len(OPTIONS)])
        async with run.started(*LINK, "--events", "--no-browser", *options) as link:
            met = asyncio.create_task(stopped_where_it_only_waits(run, link, call, kind))
            await until(lambda: link.told("waiting") or link.process.returncode is not None)
            if link.told("waiting"):
                async with brought(listener(link), await consent(link.told("waiting")[0]["authorization_url"])):
                    await link.ended()
            await met
        run.keeps_redirect = link.process.returncode in {3, 8, 143}
        assert run.sandbox.has_struck(call, kind), link.err


async def prepare(run: Run, call: Call) -> None:
    """Have what the call needs."""
    if call is Call.IAM_TOKEN:
        by_password(run)
    if call is Call.IAM_PROJECT:
        by_key_alone(run)
    if call is Call.DELETE:
        await make_one(run)


async def make_one(run: Run) -> None:
    """Create an authorization to be replaced, past the command."""
    box = run.sandbox
    async with ServiceStageClient(box.endpoint, project_id=box.project_id, credentials=box.access_key) as service:
        code, state = secrets_of(await consent(await service.authorization_url(RepoType.GITHUB)))
        await service.create_oauth(RepoType.GITHUB, name=NAME, code=Secret(code), state=Secret(state))


async def stopped_where_it_only_waits(run: Run, link: Started, call: Call, kind: Kind) -> None:
    """Stop it at a silence, or at the second look: there is nothing new to be seen after that."""

    def only_waits() -> bool:
        is_silent = kind in SILENT and run.sandbox.has_struck(call, kind)
        return is_silent or len(link.told("looking")) > 1 or link.process.returncode is not None

    await until(only_waits)
    link.stop()
