"""A victim as a process of its own, and the JSON objects it tells."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parent.parent
_LIMIT = 2**22
"""Bytes of a line; some tools print what they were sent."""


class Program:
    """Knows the objects that a process has told, and everything else it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[bytes] = []
        self._told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.said.append(line)
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
        raise EOFError(b"".join(self.said).decode(errors="replace")[-2000:])

    def ask(self, line: str) -> None:
        """Write a line to the process."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    async def end(self) -> None:
        """End the process, unless it has ended."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading


@asynccontextmanager
async def program(module: str, *arguments: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
    """Run a module with this interpreter; kill it at the end."""
    variables = dict(os.environ if environ is None else environ)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=variables | {"PYTHONPATH": str(_TESTS), "PYTHONUNBUFFERED": "1"},
        limit=_LIMIT,
    )
    running = Program(process)
    try:
        yield running
    finally:
        await running.end()
