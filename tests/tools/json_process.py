"""A process that is asked by lines and tells what happens by JSON objects, one a line."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


class JsonProcess:
    """The objects that a process has printed, and all of its output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output: list[bytes] = []
        self._told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.output.append(line)
            with suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict):
                    self._told.put_nowait(told)
        self._told.put_nowait(None)

    async def told(self, *keys: str) -> dict[str, Any]:
        """Wait for an object with one of these keys.

        Raises:
            EOFError: The process ends before it tells one.
        """
        while told := await self._told.get():
            if told.keys() & set(keys):
                return told
        raise EOFError(b"".join(self.output).decode(errors="replace")[-2000:])

    def ask(self, line: str) -> None:
        """Write a line to the process."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    async def end(self) -> None:
        """Kill the process, unless it has ended."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._task


@asynccontextmanager
async def json_process(*command: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[JsonProcess]:
    """Start a process with the helpers of the tests on its path; kill it at the end."""
    variables = dict(os.environ if environ is None else environ)
    variables = {"PYTHONPATH": str(TESTS)} | variables | {"PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=variables, limit=2**22
    )
    running = JsonProcess(process)
    try:
        yield running
    finally:
        await running.end()
