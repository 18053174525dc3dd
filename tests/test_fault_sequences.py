"""Faults of exchange and look in random sequences: however they follow each other, what must hold holds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import pytest
from fault_network import HurriedClient
from fault_story import RESIGNED, PassingSandbox, Story, WatchedJournal
from support.thoroughness import at_most

from oauth_helper.errors import RefusedError
from oauth_helper.events import Linked
from oauth_helper.sandbox.faults import Call, Fault, Kind

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


@pytest.mark.parametrize("faults", [draw(seed) for seed in range(at_most(EXAMPLES, by_default=16))], ids=name)
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
