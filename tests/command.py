"""Old names of :mod:`support.command_runner`, for tests that have not moved yet; and what tests read from output."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.command_runner import BROWSER as SCRIPT
from support.command_runner import CommandRunner, Ended
from support.promised_json import read_authorizations, read_error

from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient

__all__ = ["SCRIPT", "Ended"]


def surroundings(sandbox: Sandbox | None = None, **more: str) -> dict[str, str]:
    return CommandRunner.current().environ(sandbox, **more)


@asynccontextmanager
async def running(
    *arguments: str, environ: Mapping[str, str], stdin: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    async with CommandRunner.current().running(*arguments, environ=environ, stdin=stdin) as process:
        yield process


async def ended(process: asyncio.subprocess.Process, given: bytes | None = None) -> Ended:
    return await CommandRunner.ended(process, given)


async def run_command(*arguments: str, environ: Mapping[str, str], given: str | bytes | None = None) -> Ended:
    return await CommandRunner.current().run(*arguments, environ=environ, given=given)


def use_temporary_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this process and those that it starts keep their temporary files in ``folder``."""
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)  # documented: look at the environment again


async def line_with(stream: asyncio.StreamReader | None, words: str) -> str:
    """Read lines until one has ``words``."""
    assert stream
    seen = []
    async with asyncio.timeout(30):
        while line := (await stream.readline()).decode():
            seen.append(line)
            if words in line:
                return line.strip()
    raise AssertionError(f"no line with {words!r} in {''.join(seen)}")


def error_of(err: str) -> dict[str, Any]:
    """Read the last line of standard error, for scripts; the two before it are for people."""
    *_, message, hint, last = err.strip().splitlines()
    assert message.startswith("error: ")
    assert hint.startswith("hint: ")
    return read_error(last)


async def records(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the authorizations in the sandbox, without the command."""
    async with ServiceStageClient(
        sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key
    ) as service:
        return read_authorizations(json.dumps([one.to_json() for one in await service.list_authorizations()]))
