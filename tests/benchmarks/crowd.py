"""How long the listener takes to the verdict on the genuine redirect, with many other connections open."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from functools import partial

from torture.callback import Callback
from torture.programs import Program
from torture.wire import Connection, connect, read_answer

from benchmarks.environments import OURS, TESTS, empty_folder, program, python_of, surroundings
from benchmarks.other_side import redirect_of
from benchmarks.rows import Row, beside
from benchmarks.turns import Plan, in_turn, progress

_NUMBERS = (1, 10, 100, 1000)
_ALONE = "1 connection"


async def measure(plan: Plan) -> list[Row]:
    """One process, and for each run a listener of its own."""
    with empty_folder() as home:
        command = [python_of(OURS) or sys.executable, "-m", "torture.victims.oauth_helper_waiting"]
        environ = surroundings(home)
        environ["PYTHONPATH"] = f"{TESTS}:{environ.get('PYTHONPATH', '')}".rstrip(":")
        async with program(*command, environ=environ) as running:
            numbers = {number: partial(_judged, running, number) for number in _NUMBERS}
            took = await in_turn(plan, numbers, warm=True)
    progress("crowd")
    what = "redirect → verdict, {} connections open"
    return [beside(what.format(number), took[number], _ALONE, took[1]) for number in _NUMBERS[1:]]


async def _judged(running: Program, number: int) -> float:
    """Milliseconds, with so many connections, the genuine redirect's among them."""
    running.ask("next")
    redirect = redirect_of(str((await running.told("opened"))["opened"]))
    uri, _, query = redirect.partition("?")
    callback = Callback.at(uri, f"repo_type=github&{query}")
    async with AsyncExitStack() as stack:
        for _ in range(number - 1):
            _, writer = await connect(callback.port)
            stack.callback(writer.close)
        took = await _brought(running, callback, await connect(callback.port))
        await running.told("ended")
    return took


async def _brought(running: Program, callback: Callback, connection: Connection) -> float:
    reader, writer = connection
    began = time.monotonic_ns()
    writer.write(callback.genuine)
    judged = (await running.told("captured_at"))["captured_at"]
    answer = await read_answer(reader)
    assert answer
    writer.write(callback.raw("GET", answer.header("location") or ""))
    async with asyncio.timeout(10):
        assert await read_answer(reader)
    writer.close()
    return float(judged - began) / 1e6
