"""What the command writes: no secret, and no traceback where it cannot be written."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import run_command, surroundings

from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


async def test_no_secret_reaches_any_output_or_the_command_line(sandbox: Sandbox, tmp_path: Path) -> None:
    seen = tmp_path / "argv"
    spy = tmp_path / "spy"
    script = Path(__file__).parent / "scripted_browser.py"
    spy.write_text(f'#!/bin/sh\nps -eo args > "{seen}"\nexec "{sys.executable}" "{script}" "$1"\n')
    spy.chmod(0o755)
    sight = tmp_path / "sight"
    environ = surroundings(sandbox, BROWSER=str(spy), SCRIPTED_SIGHT=str(sight), PYTHONASYNCIODEBUG="1")
    end = await run_command("link", "github", "-vv", environ=environ)
    assert end.status == 0, end.err
    denied = await run_command(
        "link", "github", "-vv", "--name", "other", environ=environ | {"SCRIPTED_USER": "deny", "BROWSER": str(spy)}
    )
    assert "Traceback" in denied.err
    async with Sandbox(code_lifetime=-1) as strict:
        refused = await run_command("link", "github", "-vv", environ=surroundings(strict))
    assert "oauth_helper.servicestage.transport: POST 127.0.0.1" in end.err, "every call is told"
    everything = end.out + end.err + denied.out + denied.err + refused.out + refused.err + seen.read_text()
    for words in ("$2a$10$", "%242a%2410", "?code=", "&code=", sandbox.access_key.secret_key.reveal()):
        assert words not in everything


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
async def test_a_full_disk_is_no_fault_of_ours(sandbox: Sandbox) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oauth_helper", "list", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=full,
        stderr=asyncio.subprocess.PIPE,
        env=surroundings(sandbox),
    )
    os.close(full)
    _, err = await process.communicate()
    assert process.returncode == 9
    assert b"could not be written: No space left on device" in err


async def test_output_nobody_reads_is_no_fault(sandbox: Sandbox) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oauth_helper", "list", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
        env=surroundings(sandbox),
    )
    os.close(writing)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err == b""


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="there is no sh")
async def test_closed_streams_change_no_status() -> None:
    for closed, status in (("2>&-", 2), (">&- 2>&-", 2)):
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", f'"$0" -m oauth_helper link github --name "?" {closed}', sys.executable),
            env=surroundings(),
        )
        assert await process.wait() == status
