"""From the redirect to the POST on the wire, and to the end, near and far, soon and late."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from benchmarks.distance import distance
from benchmarks.environments import empty_folder
from benchmarks.logins import GOOGLE_LOGIN, MSAL_LOGIN, OUR_LINK, VENDOR_SCRIPT, Login, Took, Tool
from benchmarks.other_side import IDLE_CLOSE, OtherSide, other_side
from benchmarks.rows import Row, beside
from benchmarks.turns import Plan, progress

_OTHERS = (VENDOR_SCRIPT, GOOGLE_LOGIN, MSAL_LOGIN)
_ROUND_TRIPS = (0, 50, 200)
"""Milliseconds."""


@dataclass(frozen=True)
class _Pace:
    """Seconds: of user time, and of a server's idle close, which lies between the two."""

    soon: float
    late: float
    idle_close: float


_PACE, _QUICK = _Pace(3, 90, IDLE_CLOSE), _Pace(0.1, 10, 8)

_Case = tuple[Tool, int]
_Times = Mapping[_Case, Sequence[Took]]


async def measure(plan: Plan) -> list[Row]:
    """The quick users one round after the other; the slow ones all at once, each captured alone."""
    pace = _QUICK if plan.is_quick else _PACE
    with empty_folder() as folder:
        async with other_side(folder, idle_close=pace.idle_close) as side, _ports(side) as ports:
            soon: defaultdict[_Case, list[Took]] = defaultdict(list)
            for cases in plan.rounds(_cases()):
                await _captured(cases, side, ports, pace.soon, soon)
                progress(f"exchange, after {pace.soon:g} s: {len(soon[OUR_LINK, 0])} of {plan.runs}")
            late: defaultdict[_Case, list[Took]] = defaultdict(list)
            everybody = [case for cases in plan.rounds(_cases(peers_at=(50,))) for case in cases]
            progress(f"exchange, after {pace.late:g} s: {len(everybody)} processes at once")
            await _captured(everybody, side, ports, pace.late, late)
    return [*_rows(soon, "after 3 s"), *_rows(late, "after 90 s")]


def _cases(peers_at: Sequence[int] = (0, 50)) -> list[_Case]:
    ours_and_sdk = [(tool, trip) for trip in _ROUND_TRIPS for tool in (OUR_LINK, VENDOR_SCRIPT)]
    peers = [(tool, trip) for trip in peers_at for tool in (GOOGLE_LOGIN, MSAL_LOGIN)]
    return [(tool, trip) for tool, trip in (*ours_and_sdk, *peers) if tool.is_installed]


@asynccontextmanager
async def _ports(side: OtherSide) -> AsyncIterator[Mapping[int, int]]:
    async with AsyncExitStack() as stack:
        yield {trip: await stack.enter_async_context(distance(side.port, trip / 1000)) for trip in _ROUND_TRIPS}


async def _captured(
    cases: Sequence[_Case],
    side: OtherSide,
    ports: Mapping[int, int],
    user_time: float,
    took: defaultdict[_Case, list[Took]],
) -> None:
    """Start them one after the other, and then bring each its redirect, while nothing else is going on."""
    async with AsyncExitStack() as stack:
        logins: list[tuple[_Case, Login]] = []
        for tool, trip in cases:
            home = stack.enter_context(empty_folder())
            login = await stack.enter_async_context(tool.login(side, ports[trip], home))
            await login.waits()
            logins.append(((tool, trip), login))
        for case, login in logins:
            await asyncio.sleep(max(0.0, login.waits_since + user_time - time.perf_counter()))
            took[case].append(await login.bring())


def _rows(took: _Times, when: str) -> list[Row]:
    rows = []
    for end, shown, tools in (("posted", "POST", _OTHERS), ("done", "done", _OTHERS[:1])):
        for tool in tools:
            for trip in (trip for trip in _ROUND_TRIPS if (tool, trip) in took):
                ours = [getattr(one, end) for one in took[OUR_LINK, trip]]
                theirs = [getattr(one, end) for one in took[tool, trip]]
                rows.append(beside(f"capture → {shown}, {trip} ms, {when}", ours, tool.name, theirs))
    return rows
