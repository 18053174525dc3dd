"""The fault matrix: every trouble at every call of a link, and the end that :mod:`fault_table` promises for it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from link.fault_story import HURRIED, LIMIT, RESIGNED, HurriedClient, PassingSandbox, Story, WatchedJournal
from link.fault_table import COLUMNS, LINKED, CannotBe, Case, Trouble, cases, cells
from support.thoroughness import at_most, some_of

from oauth_helper.errors import RefusedError
from oauth_helper.events import Linked, Outcome
from oauth_helper.models import IfExists
from oauth_helper.sandbox.faults import Call, Fault, Kind

KINDS: Final[Mapping[Trouble, Kind]] = {
    Trouble.RESET: Kind.DROP_BEFORE,
    Trouble.RESET_AFTER: Kind.DROP_AFTER,
    Trouble.TRUNCATED: Kind.TRUNCATE,
    Trouble.SILENT: Kind.HANG,
    Trouble.SILENT_AFTER: Kind.HANG_AFTER,
    Trouble.STALE: Kind.STALE,
    Trouble.THROTTLED: Kind.TOO_MANY_REQUESTS,
    Trouble.FAILED: Kind.INTERNAL_ERROR,
    Trouble.FAILED_AFTER: Kind.INTERNAL_ERROR_AFTER,
    Trouble.BAD_GATEWAY: Kind.BAD_GATEWAY,
    Trouble.GATEWAY_TIMEOUT: Kind.GATEWAY_TIMEOUT,
    Trouble.NOT_FOUND: Kind.NOT_FOUND,
    Trouble.EXPIRED: Kind.UNAUTHORIZED,
    Trouble.UNLISTED: Kind.FORBIDDEN,
}
"""What the sandbox does itself."""


def faults(case: Case) -> list[Fault]:
    """Return what the sandbox is to do: at a look, the exchange has to be unplain first."""
    planned = []
    if case.call is Call.LOOK:
        # Where no look ever tells anything, one that sends again on it would make a second authorization of nothing.
        unplain = Kind.INTERNAL_ERROR_AFTER if case.times else Kind.INTERNAL_ERROR
        planned.append(Fault(Call.EXCHANGE, unplain))
    if case.trouble is Trouble.UNLISTED and case.call is Call.DELETE:
        return [*planned, Fault(Call.LIST, Kind.FORBIDDEN, case.times)]
    if case.trouble in KINDS:
        planned.append(Fault(case.call, KINDS[case.trouble], case.times))
    return planned


@pytest.mark.parametrize("case", some_of([case for case in cases() if case.trouble in KINDS], one_in=3), ids=str)
async def test_a_link_ends_as_the_table_says(case: Case, tmp_path: Path) -> None:
    timing = RESIGNED if case.end.is_kept else HURRIED
    async with PassingSandbox(faults(case)) as sandbox:
        key = sandbox.token if case.trouble is Trouble.EXPIRED else sandbox.access_key
        story = Story(sandbox, WatchedJournal(tmp_path / "pending"), key)
        if_exists = IfExists.KEEP
        if case.call is Call.DELETE:
            if_exists = IfExists.REPLACE
            await story.prepare_standing()
        # A call without any answer lasts until the client's limit.
        is_silent = case.trouble in {Trouble.SILENT, Trouble.SILENT_AFTER}
        limit = 0.7 if is_silent and case.call in {Call.LIST, Call.REDIRECT_URL} else LIMIT
        async with HurriedClient(
            sandbox.endpoint, project_id=sandbox.project_id, credentials=key, limit=limit
        ) as service:
            outcome = await story.link(service, timing, if_exists)
            last = faults(case)[-1]
            assert sandbox.struck.count((last.call, last.kind)) >= (case.times or 1)
            story.check_sendings(timing)
            await check_end(case, story, outcome, service.endpoint)


async def check_end(case: Case, story: Story, outcome: Outcome, endpoint: str) -> None:
    if isinstance(outcome, Linked):
        assert case.end == LINKED
        story.check_linked(outcome, endpoint)
        return
    assert outcome.error.exit_status == case.end.status
    story.check_failed(outcome)
    if case.call is Call.LOOK:
        assert len(story.left) == 1, "on a look that tells nothing, nothing is sent"
    if case.end.is_kept:
        await story.check_what_is_gone(outcome)
        await story.check_kept(endpoint)
    else:
        story.check_dropped(outcome, endpoint)


def test_every_trouble_meets_every_call_or_it_is_said_why_not() -> None:
    found = list(cells())
    assert {(trouble, call) for trouble, call, _ in found} == set(product(Trouble, COLUMNS))
    assert all(cell.reason for _, _, cell in found if isinstance(cell, CannotBe))
    # Of these, test_transport.py checks that nothing was sent, and test_exchange.py that the call is then sent again.
    assert set(Trouble) - KINDS.keys() == {Trouble.REFUSED, Trouble.DNS, Trouble.TLS}


EXAMPLES: Final = 40
TIMES: Final = (1, 1, 1, 2, 3, None)
"""Mostly what passes; None stands for always."""


def draw(seed: int) -> list[Fault]:
    """Return one to three faults, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a sequence to be repeated, not a secret
    calls = [Call.EXCHANGE, *(chance.choice((Call.EXCHANGE, Call.LOOK)) for _ in range(chance.randrange(3)))]
    return [Fault(call, chance.choice(list(Kind)), chance.choice(TIMES)) for call in calls]


def name(faults: list[Fault]) -> str:
    return " ".join(f"{fault.call}={fault.kind}:{fault.times or 'always'}" for fault in faults)


@pytest.mark.parametrize("faults", [draw(seed) for seed in range(at_most(EXAMPLES, by_default=8))], ids=name)
async def test_whatever_follows_on_what_nothing_is_lost_and_nothing_made_twice(
    faults: list[Fault], tmp_path: Path
) -> None:
    async with PassingSandbox(faults) as sandbox:
        story = Story(sandbox, WatchedJournal(tmp_path / "pending"), sandbox.access_key)
        async with HurriedClient(
            sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key
        ) as service:
            outcome = await story.link(service, RESIGNED)
        story.check_sendings(RESIGNED)
        if isinstance(outcome, Linked):
            story.check_linked(outcome, sandbox.endpoint)
            return
        story.check_failed(outcome)
        if isinstance(outcome.error, RefusedError):
            story.check_dropped(outcome, sandbox.endpoint)
        else:
            assert outcome.error.exit_status in {3, 8}
            await story.check_kept(sandbox.endpoint)


def test_the_sequences_have_every_kind_of_fault_at_either_call() -> None:
    drawn = {(fault.call, fault.kind) for seed in range(EXAMPLES) for fault in draw(seed)}
    assert {kind for call, kind in drawn if call is Call.EXCHANGE} == set(Kind)
    assert len({kind for call, kind in drawn if call is Call.LOOK}) > len(Kind) // 2
