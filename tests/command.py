"""Run the command as users and scripts do: as a process of its own, in surroundings that the test names."""

import asyncio
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.promised_json import read_authorizations, read_error

from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient

SCRIPT = Path(__file__).parent / "scripted_browser.py"


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int
    out: str
    err: str


def surroundings(sandbox: Sandbox | None = None, **more: str) -> dict[str, str]:
    """The environment of a user at a desktop with the scripted browser, who uses the sandbox with an access key."""
    of_sandbox = sandbox.environment() if sandbox else {}
    of_sandbox.pop("OAUTH_HELPER_TOKEN", None)
    return (
        dict(os.environ) | {"BROWSER": f"{shlex.quote(sys.executable)} {shlex.quote(str(SCRIPT))}"} | of_sandbox | more
    )


def use_temporary_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this process and those that it starts keep their temporary files in ``folder``."""
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)  # documented: look at the environment again


@asynccontextmanager
async def running(
    *arguments: str, environ: Mapping[str, str], stdin: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start ``oauth-helper``; kill it if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oauth_helper", *arguments),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environ),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def ended(process: asyncio.subprocess.Process, given: bytes | None = None) -> Ended:
    """Wait for the end, with ``given`` on standard input."""
    async with asyncio.timeout(50):
        out, err = await process.communicate(given)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def run_command(*arguments: str, environ: Mapping[str, str], given: str | bytes | None = None) -> Ended:
    """Run ``oauth-helper`` to its end, with ``given`` on standard input."""
    stdin = asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE
    async with running(*arguments, environ=environ, stdin=stdin) as process:
        return await ended(process, given.encode() if isinstance(given, str) else given)


async def line_with(stream: asyncio.StreamReader | None, words: str) -> str:
    """Read lines until one holds ``words``."""
    assert stream
    seen = []
    async with asyncio.timeout(30):
        while line := (await stream.readline()).decode():
            seen.append(line)
            if words in line:
                return line.strip()
    raise AssertionError(f"no line with {words!r} in {''.join(seen)}")


def error_of(err: str) -> dict[str, Any]:
    """The last line of standard error, for scripts; the two before it are for people."""
    *_, message, hint, last = err.strip().splitlines()
    assert message.startswith("error: ")
    assert hint.startswith("hint: ")
    return read_error(last)


async def records(sandbox: Sandbox) -> list[dict[str, Any]]:
    """What stands in the sandbox, asked past the command."""
    async with ServiceStageClient(
        sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key
    ) as service:
        return read_authorizations(json.dumps([one.to_json() for one in await service.list_authorizations()]))
