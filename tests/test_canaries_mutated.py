"""The search can fail: a leak planted in any room of the package is found by the flow that passes there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from canary_places import LeakError, search
from canary_run import TESTS, Run
from canary_sandbox import TappedSandbox
from mutated_package import Plant, planted
from planted_leaks import LEAKS, Leak
from support.thoroughness import some_of


def with_copy(run: Run, copy: Path) -> None:
    """Use the copy; it is gone when coverage would read it, so it takes no part in that."""
    run.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS / "canary_site"), str(copy)])
    for name in [name for name in run.environ if name.startswith("COVERAGE_")]:
        del run.environ[name]


@pytest.mark.parametrize("leak", some_of(LEAKS, one_in=4), ids=lambda leak: str(leak.plant))
async def test_a_planted_leak_is_found(tmp_path: Path, leak: Leak) -> None:
    copy = planted(leak.plant, tmp_path / "copy")
    async with TappedSandbox() as sandbox:
        run = Run(tmp_path / "run", sandbox)
        with_copy(run, copy)
        await leak.flow(run)
        with pytest.raises(LeakError) as failure:
            await search(run)
    assert re.search(f"^{leak.found}", str(failure.value), re.MULTILINE), failure.value


def test_the_places_are_many_and_in_many_rooms() -> None:
    assert len({leak.plant for leak in LEAKS}) >= 10
    assert len({leak.plant.module.partition("/")[0] for leak in LEAKS}) >= 10


def test_a_place_that_is_not_there_any_more_is_told(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"judging\.py:Desk\.gone is not there"):
        planted(Plant("desk/judging.py", "Desk.gone", "pass"), tmp_path)
