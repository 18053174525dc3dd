"""What a login costs while its user is away: memory, and time of the processor."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.environments import empty_folder
from benchmarks.logins import GOOGLE_LOGIN, MSAL_LOGIN, OUR_LINK, VENDOR_SCRIPT, Login, Tool
from benchmarks.other_side import other_side
from benchmarks.rows import SDK, Row, beside
from benchmarks.turns import Plan, progress

_SECONDS = 60.0
"""Long enough that a connection is kept ready more than once."""
_TOOLS = (OUR_LINK, VENDOR_SCRIPT, GOOGLE_LOGIN, MSAL_LOGIN)


async def measure(plan: Plan) -> list[Row]:
    """Let all of them wait at the same time."""
    memory: dict[Tool, list[float]] = {tool: [] for tool in _TOOLS if tool.is_installed}
    processor: dict[Tool, list[float]] = {tool: [] for tool in memory}
    with empty_folder() as folder:
        async with other_side(folder) as side, AsyncExitStack() as stack:
            logins: list[tuple[Tool, Login]] = []
            for tools in plan.rounds(list(memory)):
                for tool in tools:
                    home = stack.enter_context(empty_folder())
                    login = await stack.enter_async_context(tool.login(side, side.port, home))
                    await login.waits()
                    logins.append((tool, login))
            progress(f"waiting: {len(logins)} processes for {_SECONDS:g} s")
            await asyncio.sleep(1.0)  # what is begun beside the waiting is to be over
            began, before = time.perf_counter(), [_processor(login) for _, login in logins]
            await asyncio.sleep(1.0 if plan.is_quick else _SECONDS)
            seconds = time.perf_counter() - began
            for (tool, login), used in zip(logins, before, strict=True):
                memory[tool].append(_memory(login))
                processor[tool].append((_processor(login) - used) / seconds * 100)
    others = [tool for tool in memory if tool is not OUR_LINK]
    rows = [beside("memory while waiting", memory[OUR_LINK], one.name, memory[one], "MB") for one in others]
    found = processor.get(VENDOR_SCRIPT)
    return [*rows, beside("CPU while waiting", processor[OUR_LINK], SDK, found, "%")] if found else rows


def _memory(login: Login) -> float:
    """Resident, in megabytes."""
    status = (_process(login) / "status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def _processor(login: Login) -> float:
    """Seconds of the processor so far, of all threads (proc(5) has clock ticks alone for the process)."""
    tasks = (_process(login) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _process(login: Login) -> Path:
    return Path("/proc") / str(login.program.process.pid)
