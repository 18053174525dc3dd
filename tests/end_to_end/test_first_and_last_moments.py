"""The command's first moments and its last: a Ctrl-C before anything is there, a reader who has gone at the end."""

import asyncio
import json
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator

import pytest
from support.command_runner import Ended, commands, error_of
from support.link_script import LINK, created

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
TERMINATED_AT_THE_END = """
import os, signal, sys

class Output:
    def __init__(self, whole):
        self._whole = whole

    def write(self, text):
        written = self._whole.write(text)
        if '"linked"' in text or '"failed"' in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return written

    def __getattr__(self, name):
        return getattr(self._whole, name)

sys.stdout = Output(sys.stdout)
from oauth_helper.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (INTERRUPTED_IMPORT, (130, "", "error: Cancelled\nhint: Run the command again when you are ready.\n")),
        ("import oauth_helper.__main__", (0, "", "")),
    ],
    ids=["Ctrl-C during the imports", "what -m runs is imported"],
)
def test_the_first_moments(program: str, expected: tuple[int, str, str]) -> None:
    ran = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=50)
    assert (ran.returncode, ran.stdout, ran.stderr) == expected


@pytest.mark.parametrize("has_ended_well", [True, False])
async def test_a_signal_after_the_end_changes_nothing(sandbox: Sandbox, has_ended_well: bool) -> None:
    token = sandbox.personal_token.reveal() if has_ended_well else "another-token"
    command = ("-c", TERMINATED_AT_THE_END, *LINK, "--with-token", "--events")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=commands.environ(sandbox)
    )
    end = await commands.ended(process, token.encode())
    last = json.loads(end.out.splitlines()[-1])
    assert created(sandbox) == has_ended_well
    if has_ended_well:
        assert (end.status, last["event"]) == (0, "linked"), end.err
    else:
        assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0451")
        assert last["error"] == error_of(end.err)


@pytest.fixture
def pipe_nobody_reads() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


async def run_with(*arguments: str, out: int, err: int = PIPE, environ: dict[str, str]) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oauth_helper", *arguments), stdin=DEVNULL, stdout=out, stderr=err, env=environ
    )
    async with asyncio.timeout(50):
        _, shown = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, "", (shown or b"").decode())


@pytest.mark.parametrize("arguments", [["link", "--help"], ["list", "--json"]], ids=str)
async def test_a_reader_who_has_gone_is_no_fault(
    sandbox: Sandbox, pipe_nobody_reads: int, arguments: list[str]
) -> None:
    end = await run_with(*arguments, out=pipe_nobody_reads, environ=commands.environ(sandbox))
    assert (end.status, end.err) == (1, "")


async def test_an_error_keeps_its_status_where_nobody_reads_the_events(
    sandbox: Sandbox, pipe_nobody_reads: int
) -> None:
    environ = commands.environ(sandbox, HUAWEICLOUD_SDK_SK="another")
    end = await run_with("link", "github", "--events", out=pipe_nobody_reads, environ=environ)
    assert end.status == 3
    assert error_of(end.err), "nothing follows the last line"


@pytest.mark.parametrize(("arguments", "status"), [(["list"], 0), (["show", "none"], 6), (["nonsense"], 2)], ids=str)
async def test_messages_that_nobody_reads_change_no_status(
    sandbox: Sandbox, pipe_nobody_reads: int, arguments: list[str], status: int
) -> None:
    environ = commands.environ(sandbox)
    end = await run_with(*arguments, "-vv", out=DEVNULL, err=pipe_nobody_reads, environ=environ)
    assert end.status == status


async def test_a_link_whose_events_nobody_reads_exists_and_the_status_says_so(pipe_nobody_reads: int) -> None:
    async with Sandbox(decision="authorize") as sandbox:
        end = await run_with("link", "github", "--events", out=pipe_nobody_reads, environ=commands.environ(sandbox))
        assert created(sandbox) == 1
    assert end.status == 1
    assert "Traceback" not in end.err


async def test_a_full_disk_is_named(sandbox: Sandbox) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    end = await run_with("list", "--json", out=full, environ=commands.environ(sandbox))
    os.close(full)
    assert end.status == 9
    assert "could not be written: No space left on device" in end.err


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
async def test_closed_streams_change_no_status(closed: str) -> None:
    script = f'"$0" -m oauth_helper link github --name "?" {closed}'
    process = await asyncio.create_subprocess_exec("sh", "-c", script, sys.executable, env=commands.environ())
    assert await process.wait() == 2
