"""Drive Chromium (DevTools pipe) and Firefox (WebDriver BiDi)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import aiohttp
from yarl import URL

from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import Language, Text, _, catalog_of
from oauth_helper.secret import Secret, safe_text


class BrowserError(Exception):
    """A browser is of no use as a window. Its words say why and continue a sentence that begins with its name."""

    def __init__(self, words: Text) -> None:
        super().__init__(words)
        self.words = words


class ConnectionLostError(BrowserError):
    """The browser does not listen any more: it has ended, or closed its side."""


class CommandRefusedError(BrowserError):
    """The browser answers that it will not do what it was asked to."""


class DrivenByAnotherError(BrowserError):
    """Somebody else drives it, and sees what happens in it."""


@contextmanager
def reading() -> Iterator[None]:
    """Read something that a browser says: in a form that is not expected, it makes the browser one of no use.

    Raises:
        BrowserTroubleError: It has such a form.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BrowserError(_("says something that cannot be read; it may be too new")) from error


class NoWindowError(NoBrowserError):
    """There is no window in which the redirect could be caught, and the message says why in one line."""

    def __init__(self, message: Text, *, exists: bool) -> None:
        super().__init__(message)
        self.exists = exists
        """Whether the browser runs on, with a tab that still waits for what the listener answers to ``/start``."""


Result = TypeVar("Result")

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
HAS_PYTHON: Final = (
    os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False) and _SUPERVISOR.is_file()
)
"""Whether a supervisor can be started. In a frozen build ``sys.executable`` is ourselves."""
_STDOUT: Final = 1
_STDERR: Final = 2
_CANNOT_START: Final = 127

_ENDPOINT: Final = re.compile(rb"(?:DevTools|WebDriver BiDi) listening on (ws://\S+)\s")
_REFUSALS: Final[Mapping[bytes, Text]] = {
    b"remote debugging is disallowed": _("may not be driven: a policy of this machine forbids it"),
    b"requires a non-default data directory": _("may not be driven in the profile that it chose"),
}
"""What Chromium says on stderr where the window comes up, but nothing will ever be answered."""
_KEPT: Final = 4096
"""Bytes of stderr that are looked through at once; a line of interest is shorter."""
_LAST_WORD: Final = 0.5
"""Seconds between a connection that is lost and the end of its process, which says more."""
_LAST_OUTPUT: Final = 0.2
"""Seconds between the end of a process and the end of its output, which its children may hold open."""
_REAPING: Final = 1.0
"""Seconds for the system to take a killed process away."""
_CLEARING_UP: Final = 8.0
"""Seconds for the supervisor to end the browser and remove its profile. It takes 0.1 as a rule."""

_PROGRAM_OUTPUT: Final = re.compile(r"^(?:\[[\d:/.]+:[A-Z]+[^\]]*\]|\(\S+:\d+\): \S+ \*\*: [\d:. ]+|\S{1,40}:\d+:) *")
"""What Chromium and GTK put before a line: process, time, level and place in the source."""
_NOISE: Final = re.compile(r"^\[[^\]]*\b(?:crashpad|dbus|gcm|gpu|vaapi|zygote)\b|^\*\* ")
"""The source of lines that say nothing about why Chromium ends; its helpers lose their connections as it does."""
_SECRET_LIKE: Final = re.compile(r"[?&#]\S+|[\w-]{40,}|\$2[aby]\$\d+\$\S+")
"""The query of an address, what is as long as a key, and what looks like a state: none of them is shown."""
_LINES_SHOWN: Final = 2
_CHARACTERS_SHOWN: Final = 300
_OF_THE_LOADER: Final = re.compile(
    r"shared librar|shared object|symbol lookup|undefined symbol|wrong ELF|invalid ELF|file too short|XPCOMGlueLoad"
)
"""What the system's loader, or Firefox's own, says of a library that does not fit."""
_LOADER_VARIABLES: Final = ("LD_LIBRARY_PATH", "LD_PRELOAD")


async def reaped(process: asyncio.subprocess.Process) -> None:
    """Wait for a process that was killed, even where we are cancelled meanwhile.

    An end that nobody waits for leaves a zombie and a transport behind; after SIGKILL it is a matter of moments.
    """
    end = asyncio.ensure_future(process.wait())
    try:
        await asyncio.shield(end)
    except asyncio.CancelledError:
        await asyncio.wait({end}, timeout=_REAPING)
        raise


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a supervisor removes, and the lock that it holds until then."""

    folder: Path
    lock: int


class BrowserProcess(asyncio.SubprocessProtocol):
    """A browser and its output on stderr, which is read to the end: a full pipe would stop it.

    A supervisor (``supervisor.py``) runs the browser, except on Windows and in frozen builds.
    """

    def __init__(self, environ: Mapping[str, str], *, is_supervised: bool) -> None:
        loop = asyncio.get_running_loop()
        self._endpoint: asyncio.Future[str] = loop.create_future()
        self.trouble: asyncio.Future[Text] = loop.create_future()
        """Why it will never be of use: it has ended, or says that it may not be driven."""
        self.exited: asyncio.Future[None] = loop.create_future()
        self._is_supervised = is_supervised
        self._loader_variables = [name for name in _LOADER_VARIABLES if environ.get(name)]
        self._output = b""
        self._reports = b""
        self._group = 0
        """The browser's process group; 0 if it is unknown."""
        self._status: int | None = None
        self._all_ended: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.SubprocessTransport

    @classmethod
    @asynccontextmanager
    async def started(
        cls,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        pipe: int | None = None,
        guarded: Guarded | None = None,
    ) -> AsyncIterator[BrowserProcess]:
        """Start ``command`` in a session of its own, so that Ctrl-C in our terminal is not meant for it.

        At the end it is killed with its process group. With ``guarded``, where there is a supervisor, that happens
        even if we are killed, and the folder is removed afterwards. ``pipe`` is a descriptor for the browser to find
        as 3 and 4; only a supervisor can do that.

        Raises:
            BrowserTroubleError: It cannot be started.
        """
        is_supervised = HAS_PYTHON and guarded is not None
        inherit: list[int] = []
        if is_supervised and guarded:
            numbers = (guarded.lock, -1 if pipe is None else pipe)
            command = [sys.executable, "-IS", str(_SUPERVISOR), str(guarded.folder), *map(str, numbers), *command]
            inherit = [number for number in numbers if number >= 0]
        try:
            _unused, process = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(environ, is_supervised=is_supervised),
                *command,
                env=environ,
                stdin=subprocess.PIPE if is_supervised else subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_supervised else subprocess.DEVNULL,  # ours belongs to scripts
                stderr=subprocess.PIPE,
                pass_fds=inherit,
                start_new_session=True,
            )
        except OSError as error:
            raise BrowserError(_("could not be started ({strerror})", strerror=error.strerror)) from error
        if not is_supervised:
            process._group = process._transport.get_pid()
        try:
            yield process
        finally:
            await process._end()

    async def unless_failed(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what ``work`` returns, but do not go on with it when the browser ends or refuses to be driven.

        Raises:
            BrowserTroubleError: Of ``work``, or because it cannot come to anything.
        """
        task = asyncio.create_task(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self.trouble}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and isinstance(task.exception(), ConnectionLostError):
                await asyncio.wait({self.trouble}, timeout=_LAST_WORD)
            if self.trouble.done():
                raise BrowserError(self.trouble.result())
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def endpoint_within(self, seconds: float) -> str:
        """Return the websocket address at which it can be driven.

        Raises:
            BrowserTroubleError: It does not say one in time.
        """
        await asyncio.wait({self._endpoint}, timeout=seconds)
        if not self._endpoint.done():
            raise BrowserError(_("did not say within {seconds:g} seconds where it can be driven", seconds=seconds))
        return self._endpoint.result()

    async def exits_within(self, seconds: float) -> bool:
        """Wait for its end so long; return whether it came."""
        await asyncio.wait({self.exited}, timeout=seconds)
        return self.exited.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 asyncio's
        # The promise is asyncio's; uvloop's transport does the same without being of that class.
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: D102 asyncio's
        if fd == _STDOUT:
            *reports, self._reports = (self._reports + data).split(b"\n")
            for report in reports:
                self._take(report.decode())
            return
        self._output = (self._output + data)[-_KEPT:]
        if (found := _ENDPOINT.search(self._output)) and not self._endpoint.done():
            self._endpoint.set_result(found[1].decode())
        for words, meaning in _REFUSALS.items():
            if words in self._output and not self.trouble.done():
                self.trouble.set_result(meaning)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002, D102 asyncio's
        if fd == _STDERR and self.exited.done():
            self._explain_end()

    def process_exited(self) -> None:  # noqa: D102 asyncio's
        self._all_ended.set_result(None)
        status = self._transport.get_returncode() or 0
        # A supervisor ends by itself after it has killed the browser.
        self._browser_ended(-signal.SIGKILL if self._is_supervised and not status else status)

    def _take(self, report: str) -> None:
        """Take a line of the supervisor's."""
        what, _unused, number = report.partition(" ")
        if what == "started":
            self._group = int(number)
        elif what == "ended":
            self._browser_ended(int(number))
        else:  # failed
            self.trouble.set_result(_("could not be started ({strerror})", strerror=os.strerror(int(number))))
            self._browser_ended(_CANNOT_START)

    def _browser_ended(self, status: int) -> None:
        if self.exited.done():
            return
        self.exited.set_result(None)
        self._status = status
        asyncio.get_running_loop().call_later(_LAST_OUTPUT, self._explain_end)

    def _explain_end(self) -> None:
        if self.trouble.done():
            return
        if not self._status:
            self.trouble.set_result(_("was closed"))
            return
        ended = _("ended with status {status}", status=self._status)
        if last := _last_lines(self._output):
            ended = _('{ended}: "{last}"', ended=ended, last=last)
        if self._loader_variables and _OF_THE_LOADER.search(self._output.decode(errors="replace")):
            ended = _(
                "{ended} ({names} is set, which may be the cause)",
                ended=ended,
                names=", ".join(self._loader_variables),
            )
        self.trouble.set_result(ended)

    async def _end(self) -> None:
        try:
            if self._is_supervised:
                stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
                stdin.close()
                await self._until_all_ended(_CLEARING_UP)
        finally:
            # Without a supervisor, or if it was killed; children may live on after the process that ended first.
            if not self._is_supervised or self._transport.get_returncode() != 0:
                self._kill()
                await self._until_all_ended(_REAPING)
            self._transport.close()

    async def _until_all_ended(self, seconds: float) -> None:
        """Wait so long for the end of the process that we started, even if we are cancelled meanwhile."""
        waiting = asyncio.ensure_future(asyncio.wait({self._all_ended}, timeout=seconds))
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await waiting
            raise

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter where only zombies are left.
            if sys.platform == "win32":  # pragma: no cover - only on Windows
                self._transport.terminate()  # Its children see it go, and follow.
            elif self._group:
                os.killpg(self._group, signal.SIGKILL)


def _last_lines(output: bytes) -> str:
    """Return the last lines of a browser's output, fit to be shown."""
    lines = (line.strip() for line in output.decode(errors="replace").splitlines())
    lines = (_PROGRAM_OUTPUT.sub("", line) for line in lines if not _NOISE.search(line))
    told = list(dict.fromkeys(line for line in lines if line))[-_LINES_SHOWN:]
    return " / ".join(safe_text(_SECRET_LIKE.sub("…", line), limit=_CHARACTERS_SHOWN) for line in told)


_LAYOUT: Final = '<!doctype html><html lang="{}"><meta charset="utf-8"><link rel="icon" href="data:,">{}</html>'
"""The icon keeps the browser from asking the real host for one, with the code in its Referer (tried)."""

_STYLE: Final = (
    "body{font:1rem/1.6 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1.25rem}"
    "h1{font-size:1.6rem;line-height:1.25}"
)
_STRAY: Final = (
    _("Not the address that is waited for"),
    _(
        "The Git host sent this window to an address that belongs to another attempt, or is not whole. Nothing was "
        "done with it, and the wait goes on."
    ),
    _("Go back, and authorize once more."),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A page for a held request."""

    status: int
    html: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def hop(address: str) -> Answer:
    """Return a page that goes on to ``address`` at once and leaves no entry in the tab's history.

    A redirect would not do: where the Git host's consent page restricts ``form-action``, Chromium applies that to
    the redirects behind the form as well, and stays where it is without a word (tried; CSP level 3 section 6.4.1).
    """
    script = _onward(address)
    return _answer(200, f"<title>…</title><script>{script}</script>", script=script)


def redirect(address: str) -> Answer:
    """Return a redirect to ``address``, for where no form is behind: it spares the browser a page (see :func:`hop`)."""
    return Answer(302, "", {"Location": address, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})


def first_page(address: str, *, seconds: float) -> str:
    """Return the page that a window is started on, which goes on to ``address`` after so many seconds."""
    refresh = f'<meta http-equiv="refresh" content="{seconds:g};url={html.escape(address)}">'
    head = f'<meta name="referrer" content="no-referrer">{refresh}<title>…</title>'
    return _LAYOUT.format(Language.ENGLISH, head)


def rejected(language: Language = Language.ENGLISH) -> Answer:
    """Return the page for a redirect that is not the one waited for; it goes nowhere."""
    catalog = catalog_of(language)
    heading, *paragraphs = (html.escape(words.translated(catalog)) for words in _STRAY)
    body = (
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{heading}</title><style>{_STYLE}</style>'
        f"<main><h1>{heading}</h1>{''.join(f'<p>{paragraph}</p>' for paragraph in paragraphs)}</main>"
    )
    return _answer(400, body, style=_STYLE, language=language)


def _answer(
    status: int, body: str, *, script: str = "", style: str = "", language: Language = Language.ENGLISH
) -> Answer:
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:"
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(status, _LAYOUT.format(language, body), headers)


def _onward(address: str) -> str:
    # No "<" can stand in it, so the address cannot end the script.
    return f"location.replace({json.dumps(address)})".replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return the source expression that admits this inline text alone (CSP level 3 section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" if text else "'none'"


_LONGEST: Final = 2**24
"""Bytes of a message. A held request may bring the body of its form along."""
_END: Final = b"\0"


class Wire(Protocol):
    """Whole messages, both ways."""

    async def send(self, message: str) -> None:
        """Send one.

        Raises:
            OSError: The other side is closed.
        """

    def messages(self) -> AsyncIterator[str]:
        """Give what comes, until the other side is closed."""


class _Pipe:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: str) -> None:
        self._writer.write(message.encode() + _END)
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[str]:
        # Half a message at its end, or a reset, is how a killed browser goes; longer than the longest is no browser.
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            while True:
                yield (await self._reader.readuntil(_END)).removesuffix(_END).decode(errors="replace")


class _WebSocket:
    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection

    async def send(self, message: str) -> None:
        await self._connection.send_str(message)

    async def messages(self) -> AsyncIterator[str]:
        async for message in self._connection:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield message.data


@asynccontextmanager
async def over_pipe(ours: socket.socket) -> AsyncIterator[Wire]:
    """Speak over ``ours``, one end of a socket pair of which the browser holds the other.

    A message ends with a NUL (Chromium's ``content/browser/devtools/devtools_pipe_handler.cc``).
    """
    reader, writer = await asyncio.open_connection(sock=ours, limit=_LONGEST)
    try:
        yield _Pipe(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def over_websocket(endpoint: str, *, seconds: float) -> AsyncIterator[Wire]:
    """Connect to ``endpoint`` within so many seconds. No Origin header is sent: both browsers would refuse one.

    Raises:
        BrowserTroubleError: There is no connection to be had.
    """
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(seconds):
                connection = await session.ws_connect(
                    endpoint, max_msg_size=_LONGEST, timeout=aiohttp.ClientWSTimeout(ws_close=1)
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BrowserError(_("takes no connection to drive it ({name__})", name__=type(error).__name__)) from error
        async with connection:
            yield _WebSocket(connection)


JsonObject = dict[str, Any]

_LOST: Final = _("closed the connection over which it is driven")


class Remote:
    """The far end of a wire. What it answers and tells may bear the code, so nothing of it is quoted anywhere."""

    def __init__(self, wire: Wire, *, patience: float) -> None:
        self._wire = wire
        self._patience = patience
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[JsonObject]] = {}
        self._events: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._lost = False

    @classmethod
    @asynccontextmanager
    async def over(cls, wire: Wire, *, patience: float) -> AsyncIterator[Remote]:
        """Listen while the context is open. ``patience`` is how many seconds a command may take."""
        remote = cls(wire, patience=patience)
        listening = asyncio.create_task(remote._listen())
        try:
            yield remote
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def call(self, method: str, *, patience: float | None = None, **parameters: object) -> JsonObject:
        """Send a command and return its result.

        Raises:
            ConnectionLostError: The browser does not listen any more.
            BrowserTroubleError: It refuses the command, or does not answer in time.
        """
        if self._lost:
            raise ConnectionLostError(_LOST)
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        seconds = patience or self._patience
        try:
            async with asyncio.timeout(seconds):
                await self._send({"id": number, "method": method, "params": parameters})
                reply = await answer
        except TimeoutError:
            raise BrowserError(
                _("did not answer {method} within {seconds:g} seconds", method=method, seconds=seconds)
            ) from None
        finally:
            del self._answers[number]
        if "result" not in reply:
            raise CommandRefusedError(
                _("does not do {method} as it is asked to here; it may be too old", method=method)
            )
        result: JsonObject = reply["result"]
        return result

    async def tell(self, method: str, **parameters: object) -> None:
        """Send a command that may be answered too late to be waited for.

        Raises:
            ConnectionLostError: The browser does not listen any more.
        """
        await self._send({"id": next(self._numbers), "method": method, "params": parameters})

    async def _send(self, command: JsonObject) -> None:
        try:
            await self._wire.send(json.dumps(command))
        except OSError:
            raise ConnectionLostError(_LOST) from None

    async def events(self) -> AsyncIterator[JsonObject]:
        """Give what the browser tells, from the beginning, until it does not listen any more."""
        while (event := await self._events.get()) is not None:
            yield event

    async def _listen(self) -> None:
        try:
            async for message in self._wire.messages():
                with suppress(BrowserError):  # the rest can be read, or the command is not answered in time
                    self._take(message)
        finally:
            self._lost = True
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionLostError(_LOST))
            self._events.put_nowait(None)

    def _take(self, text: str) -> None:
        with reading():
            message = json.loads(text)
            answer = self._answers.get(message["id"]) if "id" in message else None
        if "id" not in message:
            self._events.put_nowait(message)
        elif answer and not answer.done():
            answer.set_result(message)


FIRST_PAGE: Final = "start.html"
"""The file that a browser is started on."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds each step may take. Where all is well it takes a fifth of that, or less."""

    endpoint: float = 15
    """Until the browser says where it takes connections."""
    command: float = 8
    session: float = 30
    """Firefox answers the first command when its first window is up."""
    self_test: float = 15
    farewell: float = 1
    """Until a browser that was asked to end is asked less politely. Most take 0.1 to 0.5, Firefox sometimes 5: a
    profile that is thrown away is no reason to wait for that."""


@dataclass(frozen=True, slots=True)
class Held:
    """A request that does not leave the browser before it is answered or refused."""

    request: str
    """The browser's name for it."""
    address: Secret


@dataclass(frozen=True, slots=True)
class AllClosed:
    """The user has closed the last page."""


class Driver(Protocol):
    """How a family is started, told to hold requests, and answered."""

    speaks_over_pipe: bool
    endpoint_path: str
    """What is missing from the address that the browser prints."""

    undriven_for: float
    """Seconds after which the first page goes on by itself. Where all is well its tab is driven sooner, and then waits
    for the Git host as long as that takes (tried)."""

    def furnish(self, profile: Path) -> None:
        """Write the preferences into a fresh profile."""

    def switches(self, profile: Path) -> Iterable[str]:
        """Return the command line between program and address."""

    async def arm(self, remote: Remote, origin: URL) -> None:
        """Have every request to ``origin`` held from now on, in all pages and popups there are or will be."""

    async def go(self, remote: Remote, address: Secret) -> None:
        """Open ``address`` in the place of the first page, where that is there by now; :meth:`arm` comes before."""

    def understand(self, event: JsonObject) -> Held | AllClosed | None:
        """Return what an event means, if anything."""

    async def answer(self, remote: Remote, held: Held, answer: Answer) -> None:
        """Have the page shown as if it came from the real host."""

    async def refuse(self, remote: Remote, held: Held) -> None:
        """Let the request fail."""

    async def close(self, remote: Remote) -> None:
        """Ask the browser to end."""


class Pages:
    """The pages that are open."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def opened(self, page: str) -> None:
        """Count it in."""
        self._open.add(page)

    def closed(self, page: str) -> AllClosed | None:
        """Count it out; say if it was the last one."""
        if page not in self._open:
            return None
        self._open.remove(page)
        return None if self._open else AllClosed()


_SWITCHES: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-sync",
    "--disable-search-engine-choice-screen",
    "--password-store=basic",
    "--window-size=1000,800",
)
_PREFERENCES: Final = {
    # Speculative loading alone goes round the hold, and would bring the code to the console (tried).
    "net": {"network_prediction_options": 2},
    # A profile that is thrown away should not offer to keep passwords.
    "credentials_enable_service": False,
}


class Chromium:
    """DevTools protocol, browser session: one ``Fetch.enable`` there holds for all pages, workers and popups."""

    endpoint_path = ""
    undriven_for: float = 1.0

    def __init__(self, *, over_pipe: bool, headless: bool, accepted: str | None = None) -> None:
        self.speaks_over_pipe = over_pipe
        self._accepted = accepted
        self._headless = headless
        self._pages = Pages()

    def furnish(self, profile: Path) -> None:
        """Write the preferences where the profile's first start looks for them."""
        preferences = profile / "Default" / "Preferences"
        preferences.parent.mkdir()
        languages = {"intl": {"accept_languages": self._accepted}} if self._accepted else {}
        preferences.write_text(json.dumps({**_PREFERENCES, **languages}), encoding="utf-8")

    def switches(self, profile: Path) -> Iterable[str]:
        """Return the command line between program and address."""
        yield f"--user-data-dir={profile}"
        yield from _SWITCHES
        yield "--remote-debugging-pipe" if self.speaks_over_pipe else "--remote-debugging-port=0"
        if self._headless:
            yield "--headless=new"
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            yield "--no-sandbox"  # It refuses to run as root with its sandbox on (crbug.com/638180).

    async def arm(self, remote: Remote, origin: URL) -> None:
        """Have every request to ``origin`` held from now on, in all pages and popups there are or will be."""
        # "*" is any run of characters there, so the pattern is the origin and whatever follows.
        await asyncio.gather(
            remote.call("Fetch.enable", patterns=[{"urlPattern": f"{origin}/*", "requestStage": "Request"}]),
            remote.call("Target.setDiscoverTargets", discover=True, filter=[{"type": "page"}]),
        )

    async def go(self, remote: Remote, address: Secret) -> None:
        """Open a tab at ``address`` in the place of the first one, if that is there by now."""
        found = await remote.call("Target.getTargets", filter=[{"type": "page"}])
        with reading():
            # By its address: a browser may greet its user with another tab.
            first = [page["targetId"] for page in found["targetInfos"] if page["url"].endswith(f"/{FIRST_PAGE}")]
        if first:
            # A tab of its own has no way back to the first page.
            await remote.call("Target.createTarget", url=address.reveal())
            await remote.call("Target.closeTarget", targetId=first[0])

    def understand(self, event: JsonObject) -> Held | AllClosed | None:
        """Return what an event means, if anything."""
        parameters = event["params"]
        match event["method"]:
            case "Fetch.requestPaused":
                return Held(parameters["requestId"], Secret(parameters["request"]["url"]))
            case "Target.targetCreated":
                self._pages.opened(parameters["targetInfo"]["targetId"])
            case "Target.targetDestroyed":
                return self._pages.closed(parameters["targetId"])
            case _:
                pass
        return None

    async def answer(self, remote: Remote, held: Held, answer: Answer) -> None:
        """Have the page shown as if it came from the real host."""
        await remote.call(
            "Fetch.fulfillRequest",
            requestId=held.request,
            responseCode=answer.status,
            responseHeaders=[{"name": name, "value": value} for name, value in answer.headers.items()],
            body=base64.b64encode(answer.html.encode()).decode(),
        )

    async def refuse(self, remote: Remote, held: Held) -> None:
        """Let the request fail."""
        await remote.call("Fetch.failRequest", requestId=held.request, errorReason="BlockedByClient")

    async def close(self, remote: Remote) -> None:
        """Ask the browser to end."""
        await remote.call("Browser.close")


_FIREFOX_PREFERENCES: Final = {
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "termsofuse.bypassNotification": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "signon.rememberSignons": False,
    "network.http.speculative-parallel-limit": 0,
    # Spare processes for pages to come hold up the only one that is wanted (measured with Firefox 153 on two cores).
    "dom.ipc.processPrelaunch.enabled": False,
    # Else it looks the console's name up beside the held request (tried with Firefox 153).
    "network.dns.disablePrefetch": True,
    # Else Firefox sets itself up for test automation, in a window where people log in.
    "remote.prefs.recommended": False,
}
_EVENTS: Final = ("network.beforeRequestSent", "browsingContext.contextCreated", "browsingContext.contextDestroyed")


class Firefox:
    """WebDriver BiDi; ``platform`` is as :data:`sys.platform` has it."""

    speaks_over_pipe = False
    endpoint_path = "/session"
    undriven_for: float = 3.0

    def __init__(self, *, headless: bool, platform: str, session_patience: float, accepted: str | None = None) -> None:
        self._accepted = accepted
        self._headless = headless
        self._platform = platform
        self._session_patience = session_patience
        self._pages = Pages()
        self._first_tab: list[str] = []
        """One, or none."""

    def furnish(self, profile: Path) -> None:
        """Write the preferences, which Firefox reads at each start."""
        languages = {"intl.accept_languages": self._accepted} if self._accepted else {}
        preferences = {**_FIREFOX_PREFERENCES, **languages}
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")

    def switches(self, profile: Path) -> Iterable[str]:
        """Return the command line between program and address."""
        yield from ("--no-remote", "--profile", str(profile), "--remote-debugging-port=0")
        if self._headless:
            yield "--headless"
        if self._platform == "win32":
            yield "--wait-for-browser"  # The first process is only a launcher there.
        if self._platform == "darwin":
            yield "-foreground"

    async def arm(self, remote: Remote, origin: URL) -> None:
        """Have every request to ``origin`` held from now on, in all pages and popups there are or will be."""
        # What a page asks with alert or confirm is for the user to answer, not for the session.
        capabilities = {"alwaysMatch": {"unhandledPromptBehavior": {"default": "ignore"}}}
        try:
            await remote.call("session.new", patience=self._session_patience, capabilities=capabilities)
        except CommandRefusedError:
            # Its port is open to every user of the machine, but there is one session at most.
            raise DrivenByAnotherError(_("does not let itself be driven; another program may be driving it")) from None
        pattern = {"type": "pattern", "protocol": origin.scheme, "hostname": origin.raw_host, "port": str(origin.port)}
        _unused, _unused, tree = await asyncio.gather(
            remote.call("session.subscribe", events=_EVENTS),
            remote.call("network.addIntercept", phases=["beforeRequestSent"], urlPatterns=[pattern]),
            remote.call("browsingContext.getTree", maxDepth=0),
        )
        with reading():
            self._first_tab = [tab["context"] for tab in tree["contexts"][:1]]

    async def go(self, remote: Remote, address: Secret) -> None:
        """Send the first tab to ``address``, if its user has not closed it."""
        for tab in self._first_tab:
            # It is answered when the Git host has answered.
            await remote.tell("browsingContext.navigate", context=tab, url=address.reveal(), wait="none")

    def understand(self, event: JsonObject) -> Held | AllClosed | None:
        """Return what an event means, if anything."""
        parameters = event["params"]
        match event["method"]:
            case "network.beforeRequestSent" if parameters["isBlocked"]:
                return Held(parameters["request"]["request"], Secret(parameters["request"]["url"]))
            case "browsingContext.contextCreated" if parameters["parent"] is None:
                self._pages.opened(parameters["context"])
            case "browsingContext.contextDestroyed" if parameters["parent"] is None:
                return self._pages.closed(parameters["context"])
        return None

    async def answer(self, remote: Remote, held: Held, answer: Answer) -> None:
        """Have the page shown as if it came from the real host. Firefox does this since 129."""
        await remote.call(
            "network.provideResponse",
            request=held.request,
            statusCode=answer.status,
            reasonPhrase="",
            headers=[{"name": name, "value": _text(value)} for name, value in answer.headers.items()],
            body=_text(answer.html),
        )

    async def refuse(self, remote: Remote, held: Held) -> None:
        """Let the request fail."""
        await remote.call("network.failRequest", request=held.request)

    async def close(self, remote: Remote) -> None:
        """Ask the browser to end."""
        await remote.call("browser.close")


def _text(value: str) -> dict[str, str]:
    return {"type": "string", "value": value}
