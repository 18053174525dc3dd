"""The first user's link, what is secret about it, and how it is told that the second user got nothing of it."""

import asyncio
import json
import re
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from command import Ended, records
from link_script import LINK, NAME, Script, created, until
from second_user import Report
from two_users import SHARED, Machine, done_by

from oauth_helper.sandbox import Sandbox


@asynccontextmanager
async def linking(
    machine: Machine, environ: dict[str, str], *options: str, files: int | None = None
) -> AsyncIterator[Script]:
    """The first user's ``link``; ``files`` is how many it may have open, connections included."""
    link = machine.link(machine.first, *LINK, "--events", *options)
    command = ["prlimit", f"--nofile={files}", "--", *link] if files else link
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    try:
        yield Script(process)
    finally:
        if process.returncode is None:
            process.kill()
        # Shown where the test fails.
        sys.stderr.write((await process.communicate())[1].decode())


@asynccontextmanager
async def reading_the_address(machine: Machine, address: str) -> AsyncIterator[None]:
    """The first user's browser, which is told the address where nobody else can read it."""
    environ = machine.first.environ(LINGERING_FOLDER=str(machine.first.home))
    command = machine.program(machine.first, "lingering_browser.py")
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdin=PIPE)
    try:
        assert process.stdin
        process.stdin.write(f"{address}\n".encode())
        process.stdin.close()
        yield
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said_by(machine: Machine, text: str, environ: dict[str, str], *words: str, second: bool = False) -> Ended:
    """Run ``oauth-helper`` to its end, with ``text`` on its standard input."""
    user = machine.second if second else machine.first
    process = await asyncio.create_subprocess_exec(
        *machine.link(user, *words), env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(text.encode())
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def known_by_the_browser(machine: Machine) -> dict[str, Any]:
    """Wait until the page was opened and the user has authorized; return what the browser knows."""
    knows = machine.first.home / "knows.json"
    await until(knows.exists)
    known: dict[str, Any] = json.loads(knows.read_text())
    return known


def key_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["k"][0]


def keys_on_disk(machine: Machine) -> dict[str, str]:
    """The KEYs that the first user's files hold: of the notice, and of the page that a window is started on."""
    pages = [page for page in SHARED.glob("oauth-helper-*/start.html") if page.stat().st_uid == machine.first.number]
    files = [*(machine.first.runtime / "oauth-helper").glob("*.json"), *pages]
    return {f"KEY in {file.name}": re.findall(r"\bk=([\w-]{43})", file.read_text())[0] for file in files}


def found(secrets: dict[str, str], text: str) -> set[str]:
    """Which of the secrets stand in a text."""
    texts = (text, unquote(text))
    return {name for name, value in secrets.items() if any(value in each for each in texts)}


def everything(report: Report) -> str:
    return "\n".join([*report.loot, *(answer for _, answer in report.answers)])


def assert_powerless(report: Report, secrets: dict[str, str], listener: str) -> None:
    """The second user got nothing, of the first one's files and processes, or of the listener."""
    assert report.refused > 10, "there was something to refuse"
    assert found(secrets, everything(report)) == set()
    of_processes = [path for path in report.opened if path.startswith("/proc/")]
    assert not of_processes
    assert urlsplit(listener).port in report.ports, "as everybody can see"
    for request, answer in report.answers:
        if request.startswith(f"{urlsplit(listener).port} "):
            assert re.match(r"HTTP/1\.1 (400|404|405) ", answer), (request, answer)
        assert 'id="authorize"' not in answer, request
        assert "<body data-outcome" not in answer, request
    assert report.signalled == 0


def seen_while_pending(machine: Machine) -> tuple[Report, Report]:
    """Let the redirect come, and both users look while its exchange is under way.

    ServiceStage, which lives in this process, is as slow as that takes.
    """
    (machine.first.home / "go").touch()
    deadline = time.monotonic() + 20
    while not list(machine.first.home.rglob("pending-*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return done_by(machine.second, "look", machine), done_by(machine.first, "look", machine)


async def assert_linked(script: Script, sandbox: Sandbox, way: str) -> str:
    """It ended well, with its own redirect; return what was said to the user."""
    end = await script.ended()
    assert end.status == 0, end.err
    assert script.names[-1] == "linked"
    assert [event["way"] for event in script.events if event["event"] == "captured"] == [way]
    assert created(sandbox) == 1
    assert [record["name"] for record in await records(sandbox)] == [NAME]
    return end.err
