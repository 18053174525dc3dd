"""A script that drives a link by its events alone, the user it plays at the Git host, and what may be left behind."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import ClientSession
from support.command_runner import Ended, commands
from support.promised_json import read_event
from yarl import URL

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Fault

NAME = "my-auth"
LINK = ("link", "github", "--name", NAME)


class Script:
    """One ``link --events --no-browser``, and the events read so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    async def next(self) -> dict[str, Any] | None:
        """Read one event; None at the end."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            line = await self.process.stdout.readline()
        if not line:
            return None
        self.events.append(read_event(line))
        return self.events[-1]

    async def event(self, name: str) -> dict[str, Any]:
        """Read events until one of that name."""
        while event := await self.next():
            if event["event"] == name:
                return event
        raise AssertionError(f"no {name} in {self.events}")

    async def consent(self, decision: str = "authorize") -> str:
        """Wait for the authorization URL and decide there; return the redirect's address, to be brought back."""
        return await consent((await self.event("waiting"))["authorization_url"], decision)

    @property
    def listener(self) -> str:
        """The listener's address, once it waits."""
        return str(next(event["listener"] for event in self.events if event["event"] == "waiting"))

    async def ended(self) -> Ended:
        """Read on to the end."""
        end = await commands.ended(self.process)
        self.events += map(read_event, end.out.splitlines())
        return end


@asynccontextmanager
async def scripted(*arguments: str, environ: Mapping[str, str]) -> AsyncIterator[Script]:
    """Start ``oauth-helper link`` for a script that opens the browser itself."""
    async with commands.running(*(arguments or LINK), "--events", "--no-browser", environ=environ) as process:
        yield Script(process)


def faulty_sandbox(*faults: str, decision: str | None = None) -> Sandbox:
    return Sandbox(faults=map(Fault.parse, faults), decision=decision)


class PatientUser:
    """A user whose browser opens, and who then waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def browser(self) -> dict[str, str]:
        """The variable that makes the scripted browser wait."""
        return {"PATIENT_FOLDER": str(self._folder)}

    @property
    def opened(self) -> int:
        opened = self._folder / "opened"
        return len(opened.read_text().splitlines()) if opened.exists() else 0

    def go_on(self) -> None:
        (self._folder / "go").touch()


async def consent(authorization_url: str, decision: str = "authorize") -> str:
    """Play the user at the Git host; return where its answer sends the browser."""
    async with (
        ClientSession() as browser,
        browser.post(
            URL(authorization_url, encoded=True), data={"decision": decision}, allow_redirects=False
        ) as answer,
    ):
        return answer.headers["Location"]


async def bring(listener: str, redirect: str) -> str:
    """Bring a redirect to the listener, as who swaps the host in the address bar; return the page at the end."""
    address = f"{listener.partition('/start')[0]}/servicestage/oauth?{urlsplit(redirect).query}"
    async with ClientSession() as browser, browser.get(URL(address, encoded=True)) as answer:
        return await answer.text()


@asynccontextmanager
async def brought(listener: str, redirect: str) -> AsyncIterator[None]:
    """Bring a redirect whose end is not waited for."""
    bringing = asyncio.create_task(bring(listener, redirect))
    try:
        yield
    finally:
        bringing.cancel()
        await asyncio.gather(bringing, return_exceptions=True)


async def delivered(text: str, environ: Mapping[str, str], *options: str) -> Ended:
    """Hand a text to ``deliver`` by its standard input."""
    return await commands.run("deliver", *options, environ=environ, given=text)


def secrets_of(address: str) -> list[str]:
    """The code and the state in an address, as far as it has them."""
    query = parse_qs(urlsplit(address).query)
    return [value for key in ("code", "state") for value in query.get(key, [])]


async def spend(sandbox: Sandbox, address: str) -> None:
    """Use up the state that this address bears: whoever shows it to ServiceStage first does so."""
    body = {"name": "elsewhere", "code": "wrong", "state": secrets_of(address)[-1]}
    target = f"{sandbox.endpoint}/v1/{sandbox.project_id}/git/auths/github/oauth"
    token = {"X-Auth-Token": sandbox.token.token.reveal()}
    async with ClientSession(headers=token) as stranger, stranger.post(target, json=body) as answer:
        assert (await answer.json())["error_code"] == "SVCSTG.REPO.0402"


async def kill(process: asyncio.subprocess.Process) -> None:
    """End it with no time to tidy up."""
    with suppress(ProcessLookupError):  # a random moment may be after its end
        process.kill()
    await process.wait()


def created(sandbox: Sandbox) -> int:
    return sum(exchange.created for exchange in sandbox.exchanges)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that no stream tells."""
    async with asyncio.timeout(30):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def entries() -> list[Path]:
    return sorted(Path(os.environ["HOME"]).rglob("pending-*.json"))


def make_older(minutes: float) -> None:
    """Make the one pending entry older than it is."""
    [path] = entries()
    record = json.loads(path.read_text())
    for key in ("captured_at", "sent_at"):
        record[key] = (datetime.fromisoformat(record[key]) - timedelta(minutes=minutes)).isoformat()
    path.write_text(json.dumps(record))


def holding(*secrets: str) -> list[Path]:
    """The files in the user's folders that hold one of these."""
    folders = (Path(os.environ["HOME"]), Path(os.environ["XDG_RUNTIME_DIR"]))
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]
