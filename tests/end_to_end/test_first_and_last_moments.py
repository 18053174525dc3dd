"""The command's first moments and its last: a Ctrl-C before anything is there, a reader who has gone at the end."""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator

import pytest
from support.command_runner import Ended, commands

from oauth_helper.sandbox import Sandbox

INTERRUPTED_IMPORT = """
import os, signal, sys

def interrupt(event, arguments):
    if event == "import" and arguments[0] == "oauth_helper.cli.app":
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
from oauth_helper.cli import main
sys.exit(main(["--version"]))
"""


def test_control_c_while_the_command_is_imported_ends_in_words() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT], check=False, capture_output=True, text=True, timeout=50
    )
    assert (ran.returncode, ran.stdout) == (130, "")
    assert ran.stderr == "error: Cancelled\nhint: Run the command again when you are ready.\n"


def test_who_imports_what_python_dash_m_runs_runs_nothing() -> None:
    command = [sys.executable, "-c", "import oauth_helper.__main__", "--version"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.fixture
def pipe_nobody_reads() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


async def run_with_output(out: int, *arguments: str, environ: dict[str, str]) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oauth_helper", *arguments), stdin=DEVNULL, stdout=out, stderr=PIPE, env=environ
    )
    async with asyncio.timeout(50):
        _, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, "", err.decode())


@pytest.mark.parametrize("arguments", [["link", "--help"], ["list", "--json"]], ids=str)
async def test_a_reader_who_has_gone_is_no_fault(pipe_nobody_reads: int, arguments: list[str]) -> None:
    async with Sandbox() as sandbox:
        end = await run_with_output(pipe_nobody_reads, *arguments, environ=commands.environ(sandbox))
    assert (end.status, end.err) == (1, "")


async def test_an_error_keeps_its_status_where_nobody_reads_the_events(pipe_nobody_reads: int) -> None:
    """And nothing follows the last line, which is for scripts."""
    async with Sandbox() as sandbox:
        environ = commands.environ(sandbox, HUAWEICLOUD_SDK_SK="another")
        end = await run_with_output(pipe_nobody_reads, "link", "github", "--events", environ=environ)
    assert end.status == 3
    message, _, last = end.err.splitlines()[-3:]
    assert message.startswith("error: ")
    assert last.startswith("{")


@pytest.mark.parametrize(("arguments", "status"), [(["list"], 0), (["show", "none"], 6), (["nonsense"], 2)], ids=str)
async def test_nobody_listening_to_what_is_said_changes_no_status(
    pipe_nobody_reads: int, arguments: list[str], status: int
) -> None:
    async with Sandbox() as sandbox:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "oauth_helper", *arguments, "-vv"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=pipe_nobody_reads,
            env=commands.environ(sandbox),
        )
        async with asyncio.timeout(50):
            assert await process.wait() == status


async def test_a_link_that_nobody_is_told_of_stands_and_says_so_by_its_status(pipe_nobody_reads: int) -> None:
    async with Sandbox(decision="authorize") as sandbox:
        end = await run_with_output(pipe_nobody_reads, "link", "github", "--events", environ=commands.environ(sandbox))
        assert sum(exchange.created for exchange in sandbox.exchanges) == 1
    assert end.status == 1
    assert "Traceback" not in end.err
