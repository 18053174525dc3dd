"""From the genuine redirect's sending to the judge's verdict, idle and under a flood; and the memory all this takes."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from torture.attacks import ATTACKS
from torture.callback import Callback
from torture.cell import torment
from torture.programs import Program, program
from torture.tools import next_story
from torture.wire import HOST, read_answer

_WAITING = "torture.victims.oauth_helper_waiting"
_WARM = 5
"""Stories before anything is measured: the first imports and renders what the others have at hand."""


@dataclass
class Latency:
    """Milliseconds, one for each run, and how many forged requests a second were answered meanwhile."""

    took: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """The least value that so many percent do not exceed."""
        return sorted(self.took)[max(0, math.ceil(len(self.took) * percent / 100) - 1)]


async def measure(runs: int, *, is_flooded: bool) -> Latency:
    """Measure that many stories of one process, each with a listener and a state of its own."""
    latency = Latency()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(program(_WAITING))
        stranger = await stack.enter_async_context(program("torture.flood")) if is_flooded else None
        for number in range(_WARM + runs):
            took = await _story(running, stranger, latency.rates)
            if number >= _WARM:
                latency.took.append(took)
    return latency


async def _story(running: Program, stranger: Program | None, rates: list[float]) -> float:
    victim = await next_story(running)
    async with _flooded(victim.callback, stranger, rates):
        took = await _sent_and_judged(victim.callback, running)
    await victim.ended()
    return took


@asynccontextmanager
async def _flooded(callback: Callback, stranger: Program | None, rates: list[float]) -> AsyncIterator[None]:
    if stranger is None:
        yield
        return
    stranger.ask(f"{callback.port} {callback.path}?{callback.forged}")
    await stranger.told("flooding")
    yield
    stranger.ask("stop")
    rates.append((await stranger.told("answers_a_second"))["answers_a_second"])


async def _sent_and_judged(callback: Callback, running: Program) -> float:
    """Bring the genuine redirect and fetch the final page; return the milliseconds from the sending to the verdict."""
    with socket.create_connection((HOST, callback.port)) as sock:
        began = time.monotonic_ns()
        sock.sendall(callback.genuine)
        judged = (await running.told("captured_at"))["captured_at"]
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock)
        answer = await read_answer(reader)
        assert answer
        writer.write(callback.raw("GET", answer.header("location") or ""))
        assert await read_answer(reader)
        writer.close()
    return float(judged - began) / 1e6


async def memory_growth() -> float:
    """Megabytes that one process grows by, at most, while it suffers every case and a flood."""
    async with program(_WAITING) as running, program("torture.flood") as stranger:
        for _ in range(_WARM):
            await _story(running, None, [])
        process = Path("/proc") / str(running.process.pid)
        earlier = ""
        (process / "clear_refs").write_text("5")  # proc(5): the peak is counted from now on
        before = _megabytes(process, "VmRSS")
        for attack in ATTACKS:
            victim = await next_story(running)
            await torment(attack, victim, earlier or victim.callback.forged)
            earlier = victim.callback.query
        await _story(running, stranger, [])
        return _megabytes(process, "VmHWM") - before


def _megabytes(process: Path, name: str) -> float:
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
