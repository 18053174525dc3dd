"""Many links at once in one process: the time they take together, and the memory of each while it waits.

A run in which a link fails counts as one that takes for ever.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, TCPConnector
from torture.programs import Program
from yarl import URL

from benchmarks.environments import OURS, PROGRAMS, empty_folder, our_command, program, python_of, surroundings
from benchmarks.rows import LINEAR, Row, beside
from benchmarks.turns import Plan, in_turn, progress

_NUMBERS = (1, 10, 100, 1000)
_QUICK_NUMBERS = (1, 10)
_USERS = 20
"""How many users come back at the same moment."""
_PATIENCE = 300.0


@dataclass(frozen=True)
class _Grown:
    milliseconds: float
    """From the beginning until all wait, and from the first redirect until all are linked."""
    kilobytes: float
    """Of each, while all wait."""


_FAILED = _Grown(math.inf, math.inf)


async def measure(plan: Plan) -> list[Row]:
    """Each number in turn, each time with a process and a sandbox of its own."""
    numbers = _QUICK_NUMBERS if plan.is_quick else _NUMBERS
    took = await in_turn(plan, {number: _Links(number) for number in numbers})
    rows = [Row(f"{_named(number)}, time", _median(took[number], "milliseconds"), "ms") for number in numbers[:3]]
    if 1000 in took:
        linear = [one.milliseconds * 10 for one in took[100]]
        rows.append(beside("1000 links at once, time", [one.milliseconds for one in took[1000]], LINEAR, linear))
    rows += [
        Row(f"{_named(number)}, memory of each", _median(took[number], "kilobytes"), "KB") for number in numbers[1:]
    ]
    failed = [Row(f"{_named(number)}, runs that failed", took[number].count(_FAILED), "") for number in numbers]
    return [*rows, *(row for row in failed if row.ours)]


def _named(number: int) -> str:
    return f"{number} links at once" if number > 1 else "1 link"


def _median(grown: list[_Grown], what: str) -> float:
    return float(statistics.median(getattr(one, what) for one in grown))


@dataclass(frozen=True)
class _Links:
    number: int

    async def __call__(self) -> _Grown:
        with empty_folder() as home:
            async with _sandbox(home) as settings:
                command = [python_of(OURS) or sys.executable, str(PROGRAMS / "many_links.py"), str(self.number)]
                async with program(*command, environ=surroundings(home, **settings)) as running:
                    try:
                        async with asyncio.timeout(_PATIENCE):
                            grown = await _played(running, self.number)
                    except (EOFError, OSError) as error:
                        progress(f"growth: {_named(self.number)} failed: {str(error).strip().splitlines()[-1:]}")
                        return _FAILED
        progress(f"growth: {_named(self.number)}, {grown.milliseconds:.0f} ms, {grown.kilobytes:.0f} KB each")
        return grown


@asynccontextmanager
async def _sandbox(home: Path) -> AsyncIterator[Mapping[str, str]]:
    """A process of its own with the sandbox; the variables that point to it."""
    async with program(*our_command(), "sandbox", "--json", environ=surroundings(home)) as running:
        yield {str(name): str(value) for name, value in (await running.told("OAUTH_HELPER_ENDPOINT")).items()}


async def _played(running: Program, number: int) -> _Grown:
    """Play the users: of the one link before, and then of all the others, once all of them wait."""
    async with ClientSession(connector=TCPConnector(limit=_USERS)) as browser:
        await _all_linked(running, 1, browser)
        before = (await running.told("kilobytes"))["kilobytes"]
        ended, during = await _all_linked(running, number, browser)
    return _Grown(float(ended["seconds"]) * 1000, (during - before) / number)


async def _all_linked(running: Program, number: int, browser: ClientSession) -> tuple[dict[str, Any], int]:
    waiting = [await running.told("listener", "kilobytes") for _ in range(number)]
    during = int((await running.told("kilobytes"))["kilobytes"])
    users = asyncio.gather(*(_consent(browser, one["authorization_url"], one["listener"]) for one in waiting))
    ended = await running.told("seconds")
    await users
    return ended, during


async def _consent(browser: ClientSession, authorization_url: str, listener: str) -> None:
    decision = {"decision": "authorize"}
    async with browser.post(URL(authorization_url, encoded=True), data=decision, allow_redirects=False) as answer:
        query = urlsplit(answer.headers["Location"]).query
    address = f"{listener.partition('/start')[0]}/servicestage/oauth?{query}"
    async with browser.get(URL(address, encoded=True)) as page:
        await page.read()
