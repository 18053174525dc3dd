"""Commands that need no start of their own: processes all the same, forked from one that has imported everything.

For tests of many commands that differ in words, surroundings and input. What hangs on how Python starts, on a pipe for
a stream, or on a variable that a library reads as it is imported, takes :func:`command.run_command`.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE
from threading import Lock

from command import Ended

_PROGRAM = Path(__file__).with_name("command_to_fork.py")
_forking: dict[bool, "Forking"] = {}
"""Whether its commands count for coverage: a command does as the process does from which it is forked."""


class Forking:
    """The process that forks; it ends with its standard input, and so with us at the latest."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM)], text=True, stdin=PIPE, stdout=PIPE, cwd="/", env=environ
        )
        self._one_at_a_time = Lock()

    async def run(self, folder: Path, *arguments: str, environ: Mapping[str, str]) -> int:
        """Run ``oauth-helper``, whose streams are the files ``in``, ``out`` and ``err``; return its status."""
        asked = {"arguments": arguments, "environ": dict(environ), "folder": str(folder), "current": str(Path.cwd())}
        return await asyncio.to_thread(self._answer, json.dumps(asked))

    def _answer(self, line: str) -> int:
        with self._one_at_a_time:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def end(self) -> None:
        """End it."""
        self._process.communicate()


async def run_command(*arguments: str, environ: Mapping[str, str], given: str | bytes | None = None) -> Ended:
    """Run ``oauth-helper`` to its end, with ``given`` in the file that is its standard input."""
    with tempfile.TemporaryDirectory(prefix="forked-") as name:
        folder = Path(name)
        (folder / "in").write_bytes(given.encode() if isinstance(given, str) else given or b"")
        status = await _for_all_tests().run(folder, *arguments, environ=environ)
        return Ended(status, (folder / "out").read_bytes().decode(), (folder / "err").read_bytes().decode())


def _for_all_tests() -> Forking:
    counts = any(name.startswith("COVERAGE_") for name in os.environ)
    if counts not in _forking:
        _forking[counts] = Forking()
    return _forking[counts]


def end_forking() -> None:
    """End the processes that fork for all tests, if there are any."""
    while _forking:
        _forking.popitem()[1].end()
