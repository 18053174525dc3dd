"""One flow of the command with a home of its own, and the search for its secrets in all that it left and said."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, CookieJar
from canaries import Canary
from canary_places import search
from canary_sandbox import TappedSandbox
from command import surroundings
from forked_commands import Forking
from link_script import until
from screen import Screen, terminal
from support.promised_json import read_event
from yarl import URL

TESTS = Path(__file__).parent

_read_once = lru_cache(read_event)
"""Who waits for an event reads all lines again and again; each is held against the schema once."""


@dataclass
class Forked:
    """What is left of a process that was forked, at its end."""

    returncode: int

    async def wait(self) -> int:
        return self.returncode


@dataclass
class Started:
    """A command that was started; what it writes goes to files, where it can be read as often as wanted."""

    process: Process | Forked
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        return self.out_file.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self.err_file.read_text(encoding="utf-8", errors="backslashreplace")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far."""
        whole = self.out[: self.out.rfind("\n") + 1]
        return [_read_once(line) for line in whole.splitlines() if line.startswith("{")]

    def told(self, name: str) -> list[dict[str, Any]]:
        """The events of that name so far."""
        return [event for event in self.events if event["event"] == name]

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for an event; the end without it is a failure."""
        await until(lambda: self.told(name) or self.process.returncode is not None)
        assert self.told(name), f"no {name}: {self.out} {self.err}"
        return self.told(name)[0]

    async def says(self, words: str) -> None:
        """Wait for words on standard error."""
        await until(lambda: words in self.err or self.process.returncode is not None)
        assert words in self.err

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, if it still runs."""
        if isinstance(self.process, Process) and self.process.returncode is None:
            self.process.send_signal(number)

    async def ended(self, *statuses: int) -> None:
        """Wait for the end, with one of these statuses if any is named."""
        async with asyncio.timeout(50):
            status = await self.process.wait()
        assert status in (statuses or (status,)), f"{status}: {self.err}"


@dataclass
class Run:
    """A flow: its sandbox, its folders, and what was seen from outside."""

    folder: Path
    sandbox: TappedSandbox
    environ: dict[str, str] = field(default_factory=dict)
    opens_by_hand: bool = False
    """Whether the user is shown the authorization URL, to open it."""
    keeps_redirect: bool = False
    """Whether the redirect is not known to have been dealt with, so that the journal may hold it."""
    is_window: bool = False
    """Whether a window is opened, which is never handed an address."""
    prints_sandbox: bool = False
    """Whether the command is ``sandbox``, which prints what opens it."""
    planted: list[Canary] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    screens: list[Screen] = field(default_factory=list)
    commands: list[Started] = field(default_factory=list)
    own_files: set[Path] = field(default_factory=set)
    """Files that the user wrote."""
    _forking: Forking | None = None

    def __post_init__(self) -> None:
        for name in ("home", "tmp", "runtime", "notes", "pages"):
            (self.folder / name).mkdir(mode=0o700, parents=True)
        browser = shlex.join([sys.executable, str(TESTS / "canary_browser.py")])
        paths = [str(TESTS / "canary_site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        of_ours = {
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_RUNTIME_DIR": str(self.folder / "runtime"),
            "CANARY_FOLDER": str(self.folder / "notes"),
            "CANARY_PAGES": str(self.folder / "pages"),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "BROWSER": browser,
        }
        self.environ = surroundings(self.sandbox) | of_ours | self.environ
        self.plant("SK", self.sandbox.access_key.secret_key.reveal())
        self.plant("SK without list", self.sandbox.access_key_without_list.secret_key.reveal())
        self.plant("token", self.sandbox.token.token.reveal())
        self.plant("password", self.sandbox.user.password.reveal())

    def plant(self, name: str, value: str) -> str:
        """Take ``value`` for a secret of the run, and return it."""
        self.planted.append(Canary(name, value))
        return value

    @asynccontextmanager
    async def started(
        self, *arguments: str, program: str = "oauth_helper", given: str | None = None, **more: str
    ) -> AsyncIterator[Started]:
        """Start ``oauth-helper``, with ``given`` on standard input; kill it if it still runs at the end."""
        number = len(self.commands)
        files = [self.folder / f"{stream}-{number}" for stream in ("out", "err")]
        with files[0].open("wb") as out, files[1].open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", program, *arguments),
                stdin=DEVNULL if given is None else PIPE,
                stdout=out,
                stderr=err,
                env=self.environ | more,
            )
        started = Started(process, *files)
        self.commands.append(started)
        try:
            if process.stdin and given is not None:
                process.stdin.write(given.encode())
                process.stdin.close()
            yield started
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def command(self, *arguments: str, given: str | None = None, **more: str) -> Started:
        """Run ``oauth-helper`` to its end."""
        if self._forking:
            return await self._forked(self._forking, *arguments, given=given, **more)
        async with self.started(*arguments, given=given, **more) as started:
            await started.ended()
        return started

    @contextmanager
    def forking(self) -> Iterator[None]:
        """Meanwhile each :meth:`command` is forked from one process, which saves it what Python and imports take."""
        self._forking = Forking(self.environ)
        try:
            yield
        finally:
            self._forking.end()
            self._forking = None

    async def _forked(self, forking: Forking, *arguments: str, given: str | None, **more: str) -> Started:
        (folder := self.folder / f"forked-{len(self.commands)}").mkdir()
        (folder / "in").write_text(given or "", encoding="utf-8")
        self.commands.append(ended := Started(Forked(-1), folder / "out", folder / "err"))
        ended.process = Forked(await forking.run(folder, *arguments, environ=self.environ | more))
        return ended

    @asynccontextmanager
    async def on_terminal(self, *arguments: str) -> AsyncIterator[Screen]:
        """Run it in a terminal."""
        async with terminal(*arguments, environ=self.environ) as screen:
            self.screens.append(screen)
            yield screen

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[ClientSession]:
        """A browser for :meth:`visit`."""
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            yield session

    async def visit(self, session: ClientSession, address: str, fields: dict[str, str] | None = None) -> str:
        """Open an address of the listener, or send a form there; keep and return the page."""
        method = "POST" if fields else "GET"
        async with session.request(method, URL(address, encoded=True), data=fields) as answer:
            self.pages.append(await answer.text())
        return self.pages[-1]


@asynccontextmanager
async def searched_run(
    folder: Path, *faults: str, environ: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[Run]:
    """Give a run against a sandbox with these faults, and search it at the end."""
    async with TappedSandbox(*faults, **options) as sandbox:
        run = Run(folder, sandbox, dict(environ or {}))
        yield run
        await search(run)
