"""Commands that need no start of their own: processes all the same, forked from one that has imported everything.

For tests of many commands that differ in words, surroundings and input. What hangs on how Python starts, on a pipe for
a stream, or on a variable that a library reads as it is imported, takes :func:`command.run_command`.
"""

import asyncio
import atexit
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock

from command import Ended

_FORKING = Path(__file__).with_name("command_to_fork.py")
_one_at_a_time = Lock()


async def run_command(*arguments: str, environ: Mapping[str, str], given: str | bytes | None = None) -> Ended:
    """Run ``oauth-helper`` to its end, with ``given`` in the file that is its standard input."""
    with tempfile.TemporaryDirectory(prefix="forked-") as name:
        folder = Path(name)
        (folder / "in").write_bytes(given.encode() if isinstance(given, str) else given or b"")
        asked = {"arguments": arguments, "environ": dict(environ), "folder": name, "current": str(Path.cwd())}
        status = await asyncio.to_thread(_answer, json.dumps(asked))
        return Ended(status, (folder / "out").read_bytes().decode(), (folder / "err").read_bytes().decode())


def _answer(line: str) -> int:
    with _one_at_a_time:
        process = _forking()
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return int(process.stdout.readline())


@cache
def _forking() -> subprocess.Popen[str]:
    """Start the process that forks; it ends with its standard input, which is to say with us."""
    process = subprocess.Popen(
        [sys.executable, str(_FORKING)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    )
    atexit.register(process.communicate)
    return process
