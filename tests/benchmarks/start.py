"""From the process's start to the request for the authorization URL, which in ours comes after the list call."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.distance import distance
from benchmarks.environments import empty_folder
from benchmarks.logins import OUR_LINK, VENDOR_SCRIPT, Tool
from benchmarks.other_side import OtherSide, other_side
from benchmarks.rows import SDK, Row, beside
from benchmarks.turns import Plan, in_turn, progress

_ROUND_TRIPS = (0, 50)
"""Milliseconds."""


async def measure(plan: Plan) -> list[Row]:
    """Start both in turn."""
    rows = []
    with empty_folder() as folder:
        async with other_side(folder) as side:
            for milliseconds in _ROUND_TRIPS:
                async with distance(side.port, milliseconds / 1000) as port:
                    tools = {tool.name: partial(_asked, tool, side, port, folder) for tool in (OUR_LINK, VENDOR_SCRIPT)}
                    took = await in_turn(plan, tools, warm=True)
                    progress(f"start, {milliseconds} ms")
                what = f"start → URL request, {milliseconds} ms"
                rows.append(beside(what, took[OUR_LINK.name], SDK, took[SDK]))
    return rows


async def _asked(tool: Tool, side: OtherSide, port: int, home: Path) -> float:
    """Not in an empty home folder, where the SDK's import writes a file; but with nothing of ours left behind."""
    with empty_folder() as fresh:
        async with tool.login(side, port, home, XDG_RUNTIME_DIR=str(fresh), XDG_STATE_HOME=str(fresh)) as login:
            await login.waits()
            return login.asked_after
