"""What we ourselves take from the redirect to the POST: no distance, and the journal where writing costs no disk."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environments import empty_folder
from benchmarks.logins import OUR_LINK
from benchmarks.other_side import OtherSide, other_side
from benchmarks.rows import Row, percentile
from benchmarks.turns import Plan, progress
from oauth_helper.authorization import RepoType
from oauth_helper.journal import Journal
from oauth_helper.pending import Pending, Target
from oauth_helper.secret import Secret

_IN_MEMORY = "/dev/shm"  # noqa: S108 - a folder of tmpfs is what is wanted
_BATCHES = 4
_USER_TIME = 1.0
"""Seconds."""


async def measure(plan: Plan) -> list[Row]:
    """Capture four times as often as planned, for the sake of the 95th percentile; and write as many entries."""
    took: list[float] = []
    with empty_folder() as folder:
        async with other_side(folder) as side:
            for number in range(1 if plan.is_quick else _BATCHES):
                took += await _captured(1 if plan.is_quick else plan.runs, side)
                progress(f"own cost: {number + 1} of {_BATCHES}")
    with empty_folder() as disk:
        written = _written(disk, len(took))
    return [
        Row("own cost, p50", percentile(took, 50), "ms"),
        Row("own cost, p95", percentile(took, 95), "ms"),
        Row("the journal's write with its fsync, p50", percentile(written, 50), "ms"),
        Row("the journal's write with its fsync, p95", percentile(written, 95), "ms"),
    ]


async def _captured(runs: int, side: OtherSide) -> list[float]:
    memory = _IN_MEMORY if Path(_IN_MEMORY).is_dir() else None
    async with AsyncExitStack() as stack:
        logins = []
        for _ in range(runs):
            home, state = stack.enter_context(empty_folder()), stack.enter_context(empty_folder(memory))
            login = OUR_LINK.login(side, side.port, home, XDG_STATE_HOME=str(state))
            logins.append(await stack.enter_async_context(login))
            await logins[-1].waits()
        await asyncio.sleep(_USER_TIME)
        return [(await login.bring()).posted for login in logins]


def _written(folder: Path, times: int) -> list[float]:
    """Milliseconds of writing an entry as it is written before an exchange, each time over an older one."""
    journal = Journal(folder / "pending")
    pending = Pending(
        target=Target("https://127.0.0.1", "project", "my-auth"),
        repo_type=RepoType.GITHUB,
        captured_at=datetime.now(UTC),
        code=Secret("c" * 20),
        state=Secret("s" * 60),
    )
    took = []
    for _ in range(times):
        began = time.perf_counter()
        journal.write(replace(pending, sent_at=datetime.now(UTC)))
        took.append((time.perf_counter() - began) * 1000)
    return took
