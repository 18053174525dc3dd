"""Runs the command as users and scripts do, in a process of its own; at the end of each test its secrets are searched.

An autouse fixture in conftest.py lets :data:`commands` learn the secrets of every sandbox from requests and responses.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process, create_subprocess_exec
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from support.contract import contract_faults, operation_of
from support.forked_command import RECORDING, fork_command
from support.promised_json import read_authorizations, read_error
from support.secret_search import (
    LeakError,
    Search,
    Secret,
    searched_argv,
    searched_file,
    searched_page,
    searched_stderr,
    searched_stdout,
)

from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient

TESTS: Final = Path(__file__).parents[1]
BROWSER: Final = TESTS / "support" / "scripted_browser.py"
_IN_HEADERS: Final = ("X-Auth-Token", "X-Security-Token", "X-Subject-Token", "Proxy-Authorization")
_IN_BODIES: Final = ("code", "state", "password")
_OTHER_VARIABLES: Final = ("RECORDED_", "COVERAGE_", "PYTEST_", "PYTHONPATH", "GIT_")
"""Variables of the tests, and those that a user of ``apply`` named: a browser inherits them."""
_NOT_SECRET: Final = frozenset(
    {
        ("oauth_helper.sandbox.gateway", "new_request_id"),
        ("oauth_helper.sandbox.git_host", "register"),  # client ids, which authorization URLs contain
        ("oauth_helper.sandbox", "__post_init__", 32),  # the project id
        ("oauth_helper.sandbox", "_new_access_key", 20),  # the public half of an access key
    }
)
"""Module, function, and the length where only values of one length are public."""
_NO_SECRETS_OF: Final = frozenset({"oauth_helper.browsers.window"})


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int
    out: str
    err: str


class CommandRunner:
    """Runs commands; :meth:`search` fails if a secret of this test is where none may be."""

    def __init__(self) -> None:
        # Programs such as `make torture` have no fixture: nothing is recorded.
        self.begin(Path(os.devnull))

    def begin(self, folder: Path) -> None:
        self.folder = folder
        self.secrets: dict[str, Secret] = {}
        """By value."""
        self.authorization_urls: set[str] = set()
        self.operations: Counter[str] = Counter()
        """How often each operation of ServiceStage was requested with our client."""
        self.violations: list[str] = []
        """What was wrong with these requests."""
        self._outputs: list[tuple[str, bytearray]] = []
        self._created: set[Path] = set()
        """Files in the user's folders that commands wrote; tests write others."""

    def learn(self, name: str, value: str) -> None:
        if value:
            self.secrets.setdefault(value, Secret(name, value))

    def environ(self, sandbox: Sandbox | None = None, **more: str) -> dict[str, str]:
        """Return the environment of a user with the scripted browser, who uses the sandbox with an access key."""
        of_sandbox = sandbox.environment() if sandbox else {}
        of_sandbox.pop("OAUTH_HELPER_TOKEN", None)
        paths = [RECORDING, *filter(None, [os.environ.get("PYTHONPATH")])]
        ours = {
            "BROWSER": shlex.join([sys.executable, str(BROWSER)]),
            "PYTHONPATH": os.pathsep.join(paths),
            "RECORDED_IN": str(self.folder),
        }
        return dict(os.environ) | ours | of_sandbox | more

    @asynccontextmanager
    async def running(
        self, *arguments: str, environ: Mapping[str, str], stdin: int = DEVNULL, prefix: Sequence[str] = ()
    ) -> AsyncIterator[Process]:
        """Start ``oauth-helper``, by the command ``prefix`` if there is one; kill it if it still runs at the end."""
        with self.watching_files(environ):
            if prefix or _changes_python(environ):
                command = (*prefix, sys.executable, "-m", "oauth_helper", *arguments)
                process = await create_subprocess_exec(
                    *command, stdin=stdin, stdout=PIPE, stderr=PIPE, env=dict(environ)
                )
            else:
                process = await fork_command(*arguments, environ=environ, stdin=stdin)
            self._record(process)
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                    await process.wait()
                process._transport.close()  # type: ignore[attr-defined]  # a child of it may have the other end

    async def run(self, *arguments: str, environ: Mapping[str, str], given: str | bytes | None = None) -> Ended:
        """Run ``oauth-helper`` to its end, with ``given`` on standard input."""
        async with self.running(*arguments, environ=environ, stdin=DEVNULL if given is None else PIPE) as process:
            return await self.ended(process, given.encode() if isinstance(given, str) else given)

    @staticmethod
    async def ended(process: Process, given: bytes | None = None) -> Ended:
        """Wait for the end, with ``given`` on standard input."""
        async with asyncio.timeout(50):
            out, err = await process.communicate(given)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    def record_screen(self, shown: str) -> None:
        """Search what a terminal showed, too."""
        self._outputs.append(("screen", bytearray(shown.encode())))

    @contextmanager
    def watching_files(self, environ: Mapping[str, str]) -> Iterator[None]:
        """Search the files that appear or change meanwhile in the user's folders."""
        before = _contents(environ)
        try:
            yield
        finally:
            after = _contents(environ)
            self._created |= {path for path, content in after.items() if before.get(path) != content}

    def _record(self, process: Process) -> None:
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
            if stream:
                self._outputs.append((name, copy := bytearray()))
                _copy_into(copy, stream)

    def tap(self, sandbox: Sandbox, applications: list[web.Application]) -> list[web.Application]:
        """Learn the secrets in requests to a sandbox and in its responses; the console's are searched nowhere."""

        @web.middleware
        async def tap(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.learn("signature", request.headers.get("Authorization", "").partition("Signature=")[2])
            try:
                response = await handler(request)
            finally:
                self._learn_from(request.headers, request._read_bytes or b"")
            body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
            self._learn_from(response.headers, body)
            return response

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            # The sandbox refuses wrong credentials, which some tests send on purpose.
            if request.headers.get("User-Agent", "").startswith("oauth-helper/") and response.status != 401:
                self._check(sandbox, request, request._read_bytes or b"")
            return response

        for application in applications[:-1]:
            application.middlewares.insert(0, tap)
        applications[0].middlewares.insert(1, check)
        for name, secret in (
            ("SK", sandbox.access_key.secret_key),
            ("SK without list", sandbox.access_key_without_list.secret_key),
            ("token", sandbox.token.token),
            ("password", sandbox.user.password),
            ("personal token", sandbox.personal_token),
            ("Git password", sandbox.git_password),
        ):
            self.learn(name, secret.reveal())
        return applications

    def _check(self, sandbox: Sandbox, request: web.Request, body: bytes) -> None:
        keys = {
            key.access_key: key.secret_key.reveal() for key in (sandbox.access_key, sandbox.access_key_without_list)
        }
        sent = (request.method, request.raw_path, request.headers, body, sandbox.project_id)
        self.operations[operation_of(request.method, request.raw_path, sandbox.project_id)] += 1
        self.violations += [f"{request.method} {request.path}: {fault}" for fault in contract_faults(*sent, keys)]

    def _learn_from(self, headers: Mapping[str, str], body: bytes) -> None:
        for name in _IN_HEADERS:
            self.learn(name, headers.get(name, ""))
        self._learn_from_url(headers.get("Location", ""))
        with suppress(ValueError, RecursionError):  # a page, or nothing
            self._learn_from_document(json.loads(body))

    def _learn_from_document(self, document: object) -> None:
        for name, value in document.items() if isinstance(document, dict) else ():
            if isinstance(value, str) and name in _IN_BODIES:
                self.learn(name, value)
            elif isinstance(value, str) and name == "url":
                self.authorization_urls.add(value)
                self._learn_from_url(value)
            else:
                self._learn_from_document(value)

    def _learn_from_url(self, url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        for name in ("code", "state"):
            for value in query.get(name, []):
                self.learn(name, value)

    def search(self) -> None:
        """Fail if a secret is where none may be, or if a request violated ServiceStage's contract."""
        assert not self.violations, self.violations
        issued = [
            Secret(f"{each['module']}.{each['function']}", each["value"])
            for each in self._recorded("issued")
            if _is_secret(**each)
        ]
        # The test's own short values, such as the code "wrong", are words that any text may contain.
        search = Search([*(one for one in self.secrets.values() if len(one.value) >= 20), *issued])
        found = [f"{name}: {hit}" for name, text in self._places() for hit in search.hits(text)]
        if found:
            raise LeakError("\n".join(["", *found]))

    def forget(self) -> None:
        """Search nothing of what was written so far, for a test that expects a leak."""
        self._outputs.clear()
        self._created.clear()
        for path in self.folder.iterdir():
            path.unlink()

    def _recorded(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _places(self) -> Iterator[tuple[str, str | bytes]]:
        for name, raw in self._outputs:
            text = raw.decode("utf-8", "backslashreplace")
            yield name, searched_stdout(text) if name == "stdout" else searched_stderr(text, self.authorization_urls)
        for child in self._recorded("children"):
            argv, environ = child["argv"], child["environ"]
            yield f"argv of {argv[:3]}", searched_argv(argv)
            theirs = {key: value for key, value in environ.items() if not key.startswith(_OTHER_VARIABLES)}
            yield f"environment of {argv[:3]}", "\n".join(f"{key}={value}" for key, value in theirs.items())
        for page in self.folder.glob("*.html"):
            yield "page", searched_page(page.read_text(encoding="utf-8"))
        for path in sorted(self._created):
            yield "name of a file", str(path)
            if path.is_file() and self.folder not in path.parents:
                yield f"file {path.name}", searched_file(path)


def _is_secret(module: str, function: str, value: str) -> bool:
    is_public = {(module, function), (module, function, len(value))} & _NOT_SECRET
    return module.startswith("oauth_helper") and module not in _NO_SECRETS_OF and not is_public


def _contents(environ: Mapping[str, str]) -> dict[Path, tuple[int, int]]:
    """Return the files in the user's folders, with what shows a change."""
    folders = {environ.get(name) for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR")} - {None, ""}
    found: dict[Path, tuple[int, int]] = {}
    for folder in folders:
        for parent, _, names in os.walk(str(folder)):
            for path in (Path(parent, name) for name in names):
                with suppress(OSError):  # it may be gone already
                    if path.is_file():
                        found[path] = (path.stat().st_mtime_ns, path.stat().st_ino)
    return found


def _changes_python(environ: Mapping[str, str]) -> bool:
    """Whether Python reads a variable at its start that a fork would not notice."""
    ours = {RECORDING, os.environ.get("PYTHONPATH"), f"{RECORDING}{os.pathsep}{os.environ.get('PYTHONPATH')}", None}
    others = [name for name in environ if name.startswith("PYTHON") and name != "PYTHONPATH"]
    return bool(others) or environ.get("PYTHONPATH") not in ours


def _copy_into(copy: bytearray, stream: asyncio.StreamReader) -> None:
    feed = stream.feed_data
    copy.extend(stream._buffer)  # type: ignore[attr-defined]  # what has arrived already

    def feed_data(data: bytes) -> None:
        copy.extend(data)
        feed(data)

    stream.feed_data = feed_data  # type: ignore[method-assign, assignment]


commands: Final = CommandRunner()
"""The only one, which every test uses."""


@contextmanager
def searched_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Record the commands of a test and the secrets of every sandbox in it; search at the end."""
    folder.mkdir()
    commands.begin(folder)
    applications = Sandbox._applications
    monkeypatch.setattr(
        Sandbox, "_applications", lambda sandbox, *others: commands.tap(sandbox, applications(sandbox, *others))
    )
    yield
    commands.search()


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
