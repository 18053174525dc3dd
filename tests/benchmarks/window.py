"""From the authorization URL in hand to the Git host's first request, beside the same browser started on that URL."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.environments import OURS, PROGRAMS, empty_folder, python_of, surroundings
from benchmarks.logins import OUR_LINK, Tool, silent
from benchmarks.other_side import OtherSide, other_side
from benchmarks.rows import BARE_BROWSER, Row, beside
from benchmarks.turns import Plan, in_turn, progress
from oauth_helper.browsers.dialect import Patience
from oauth_helper.browsers.find import FoundBrowser, choose, look_around
from oauth_helper.browsers.launch import dialect_for
from oauth_helper.errors import NoBrowserError

_FAMILIES = {"chromium": "Chromium", "firefox": "Firefox"}
_PATIENCE = 60.0
_OURS, _BARE, _DIRECT = "ours", "bare", "redirect at the listener"


@dataclass(frozen=True)
class _Took:
    """Milliseconds."""

    first_request: float = 0.0
    posted: float = 0.0
    """From the Git host's redirect to the POST."""


async def measure(plan: Plan) -> list[Row]:
    """Each family that is installed, in turn with itself bare, and with a redirect that needs no browser."""
    rows = []
    with empty_folder() as folder:
        async with other_side(folder) as side:
            for family, name in _FAMILIES.items():
                try:
                    browser, *_ = choose(family, await look_around())
                except NoBrowserError as error:
                    progress(f"window: {error.message}")
                    continue
                ways = {
                    _OURS: partial(_ours, family, side),
                    _BARE: partial(_bare, browser, side),
                    _DIRECT: partial(_direct, side),
                }
                took = await in_turn(plan, ways, warm=True)
                progress(f"window: {name}")
                first = {way: [one.first_request for one in took[way]] for way in (_OURS, _BARE)}
                posted = {way: [one.posted for one in took[way]] for way in (_OURS, _DIRECT)}
                rows.append(beside(f"window, {name}", first[_OURS], BARE_BROWSER, first[_BARE]))
                rows.append(beside(f"redirect → POST, {name}", posted[_OURS], _DIRECT, posted[_DIRECT]))
    return sorted(rows, key=lambda row: not row.what.startswith("window"))


async def _ours(family: str, side: OtherSide) -> _Took:
    command = [python_of(OURS) or sys.executable, str(PROGRAMS / "window_link.py"), family]
    tool = Tool(f"{OURS} {family}", OURS, lambda *_: command, silent)
    with empty_folder() as home:
        async with tool.login(side, side.port, home) as login, asyncio.timeout(_PATIENCE):
            await login.program.told("linked")
            asked, there, posted = (side.moments[login.who, what] for what in ("url", "git host", "post"))
            await login.program.process.wait()  # it takes its browser along
    return _Took((there - asked) * 1000, (posted - there) * 1000)


async def _bare(browser: FoundBrowser, side: OtherSide) -> _Took:
    with empty_folder() as home:
        profile = home / "profile"
        profile.mkdir()
        dialect = dialect_for(browser, headless=True, platform=sys.platform, patience=Patience())
        switches = [switch for switch in dialect.switches(profile) if not switch.startswith("--remote-debugging")]
        who = f"bare-{time.perf_counter_ns()}"
        began = time.perf_counter()
        process = await create_subprocess_exec(
            *(*browser.command, *switches, side.authorization_url(who)),
            env=surroundings(home, TMPDIR=str(profile)),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                there = await side.moment(who, "git host")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            _remove(profile)
    return _Took((there - began) * 1000)


def _remove(profile: Path) -> None:
    """Children of a killed browser still write for a moment."""
    for _ in range(100):
        shutil.rmtree(profile, ignore_errors=True)
        if not profile.exists():
            return
        time.sleep(0.02)


async def _direct(side: OtherSide) -> _Took:
    with empty_folder() as home:
        async with OUR_LINK.login(side, side.port, home) as login:
            await login.waits()
            return _Took(posted=(await login.bring()).posted)
