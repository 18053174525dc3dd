"""Drive Chromium (DevTools protocol) and Firefox (WebDriver BiDi): hold requests, and answer them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct
from yarl import URL

from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import Text, _
from oauth_helper.secret import Secret

JsonObject = dict[str, Any]

FIRST_PAGE: Final = "start.html"
"""The file in the profile that a browser is started with."""
_MESSAGE_LIMIT: Final = 2**24
"""Bytes of a message. A held request may contain the body of its form."""
_END: Final = b"\0"


class BrowserError(Exception):
    """A browser cannot be used as a window. Its text says why and continues a sentence that begins with its name."""

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        self.text = text


class ConnectionLostError(BrowserError):
    """The browser has ended, or has closed the connection."""

    def __init__(self) -> None:
        super().__init__(_("closed the connection over which it is driven"))


class CommandRefusedError(BrowserError):
    """The browser refuses a command."""


class DrivenByAnotherError(BrowserError):
    """Another program drives the browser, and sees what happens in it."""


class NoWindowError(NoBrowserError):
    """There is no window in which the redirect could be intercepted; the message says why in one line."""

    def __init__(self, message: Text, *, exists: bool) -> None:
        super().__init__(message)
        self.exists = exists
        """Whether the browser still runs, with a tab that waits for the listener's answer to ``/start``."""


class Timeouts(Struct, frozen=True):
    """Seconds for each step. Usually it takes a fifth of that, or less."""

    endpoint: float = 15
    """Until the browser says where it accepts connections."""
    command: float = 8
    session: float = 30
    """Firefox answers the first command when its first window is open."""
    self_test: float = 15
    close: float = 1
    """Between asking the browser to end and killing it. Most take 0.1 to 0.5, Firefox sometimes 5, which is not worth
    waiting for, as the profile is thrown away."""


class Answer(Struct, frozen=True):
    """A page for a held request."""

    status: int
    html: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Answer({self.status})"  # the page may contain a key


class InterceptedRequest(Struct, frozen=True):
    """A request that does not leave the browser until it is answered or refused."""

    request_id: str
    url: Secret


@contextmanager
def reading() -> Iterator[None]:
    """Read what a browser sends; BrowserError if it has an unexpected form."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BrowserError(_("says something that cannot be read; it may be too new")) from error


class PipeTransport:
    """Whole messages over Chromium's pipe, each of which ends with a NUL.

    The format is that of Chromium's ``content/browser/devtools/devtools_pipe_handler.cc``.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: str) -> None:
        """Send one; OSError if the browser has closed the pipe."""
        self._writer.write(message.encode() + _END)
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[str]:
        """Yield what the browser sends until it closes the pipe."""
        # A killed browser ends with half a message or a reset; no browser sends more than the limit.
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            while True:
                yield (await self._reader.readuntil(_END)).removesuffix(_END).decode(errors="replace")


class WebSocketTransport:
    """Whole messages over a websocket."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection

    async def send(self, message: str) -> None:
        """Send one; OSError if the browser has closed the connection."""
        await self._connection.send_str(message)

    async def messages(self) -> AsyncIterator[str]:
        """Yield what the browser sends until it closes the connection."""
        async for message in self._connection:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield message.data


Transport = PipeTransport | WebSocketTransport


@asynccontextmanager
async def over_pipe(pipe: socket.socket) -> AsyncIterator[Transport]:
    """Connect over ``pipe``, one end of a socket pair whose other end the browser has."""
    reader, writer = await asyncio.open_connection(sock=pipe, limit=_MESSAGE_LIMIT)
    try:
        yield PipeTransport(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def over_websocket(endpoint: str, *, timeout: float) -> AsyncIterator[Transport]:  # noqa: ASYNC109 only of connecting
    """Connect to ``endpoint``. No Origin header is sent, because both browsers refuse one.

    Raises:
        BrowserError: The connection fails, or takes longer than ``timeout`` seconds.
    """
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(timeout):
                connection = await session.ws_connect(
                    endpoint, max_msg_size=_MESSAGE_LIMIT, timeout=aiohttp.ClientWSTimeout(ws_close=1)
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BrowserError(_("takes no connection to drive it ({error})", error=type(error).__name__)) from error
        async with connection:
            yield WebSocketTransport(connection)


class RemoteConnection:
    """Sends commands and receives events. Both may contain the code, so no error quotes them."""

    def __init__(self, transport: Transport, *, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[JsonObject]] = {}
        self._events: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._is_lost = False

    @classmethod
    @asynccontextmanager
    async def over(cls, transport: Transport, *, timeout: float) -> AsyncIterator[RemoteConnection]:  # noqa: ASYNC109 of a command
        """Receive messages while the context is open; ``timeout`` is how many seconds a command may take."""
        remote = cls(transport, timeout=timeout)
        receiving = asyncio.create_task(remote._receive())
        try:
            yield remote
        finally:
            receiving.cancel()
            await asyncio.wait({receiving})

    async def call(self, method: str, *, timeout: float | None = None, **parameters: object) -> JsonObject:  # noqa: ASYNC109
        """Send a command and return its result.

        Raises:
            ConnectionLostError: The browser has closed the connection.
            BrowserError: It refuses the command, or does not answer in time.
        """
        if self._is_lost:
            raise ConnectionLostError
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        seconds = timeout or self._timeout
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

    async def notify(self, method: str, **parameters: object) -> None:
        """Send a command whose answer may come too late to wait for it; ConnectionLostError as in :meth:`call`."""
        await self._send({"id": next(self._numbers), "method": method, "params": parameters})

    async def _send(self, command: JsonObject) -> None:
        try:
            await self._transport.send(json.dumps(command))
        except OSError:
            raise ConnectionLostError from None

    async def events(self) -> AsyncIterator[JsonObject]:
        """Yield all events since the connection was opened, until the browser closes it."""
        while (event := await self._events.get()) is not None:
            yield event

    async def _receive(self) -> None:
        try:
            async for message in self._transport.messages():
                with suppress(BrowserError):  # another message can be read, or the command is not answered in time
                    self._take(message)
        finally:
            self._is_lost = True
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionLostError())
            self._events.put_nowait(None)

    def _take(self, text: str) -> None:
        with reading():
            message = json.loads(text)
            answer = self._answers.get(message["id"]) if "id" in message else None
        if "id" not in message:
            self._events.put_nowait(message)
        elif answer and not answer.done():
            answer.set_result(message)


class _BaseDriver:
    endpoint_path = ""
    """What the address that the browser prints lacks."""

    def __init__(self, *, headless: bool, languages: str | None) -> None:
        self._headless = headless
        self._languages = languages
        self._pages: set[str] = set()
        self.is_closed: bool = False
        """Whether the user has closed the last page."""

    def _page_closed(self, page: str) -> None:
        if page in self._pages:
            self._pages.remove(page)
            self.is_closed = not self._pages


class ChromiumDriver(_BaseDriver):
    """DevTools protocol: ``Fetch.enable`` on the browser session applies to all pages, workers and popups.

    ``languages`` is what a page is asked for in ``Accept-Language``; None: whatever the system's language is.
    """

    first_page_seconds: float = 1.0
    """After how many seconds the first page goes on by itself. Usually the tab is driven before that."""

    def __init__(self, *, uses_pipe: bool, headless: bool, languages: str | None = None) -> None:
        super().__init__(headless=headless, languages=languages)
        self.uses_pipe = uses_pipe

    def write_preferences(self, profile: Path) -> None:
        """Write the preferences into a fresh profile."""
        folder = profile / "Default"
        folder.mkdir()
        preferences: JsonObject = {
            # Speculative loading bypasses interception, and would bring the code to the console (tried).
            "net": {"network_prediction_options": 2},
            # A profile that is thrown away should not offer to keep passwords.
            "credentials_enable_service": False,
        }
        if self._languages:
            preferences["intl"] = {"accept_languages": self._languages}
        (folder / "Preferences").write_text(json.dumps(preferences), encoding="utf-8")

    def switches(self, profile: Path) -> list[str]:
        """Return the command line between program and address."""
        return [
            f"--user-data-dir={profile}",
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-sync",
            "--disable-search-engine-choice-screen",
            "--password-store=basic",
            "--window-size=1000,800",
            "--remote-debugging-pipe" if self.uses_pipe else "--remote-debugging-port=0",
            *(["--headless=new"] if self._headless else []),
            # It refuses to run as root with its sandbox on (crbug.com/638180).
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        ]

    async def intercept(self, remote: RemoteConnection, origin: URL) -> None:
        """Hold every request to ``origin`` from now on, in all present and future pages and popups."""
        # "*" is any run of characters there, so the pattern is the origin and whatever follows.
        await asyncio.gather(
            remote.call("Fetch.enable", patterns=[{"urlPattern": f"{origin}/*", "requestStage": "Request"}]),
            remote.call("Target.setDiscoverTargets", discover=True, filter=[{"type": "page"}]),
        )

    async def go(self, remote: RemoteConnection, address: Secret) -> None:
        """Open ``address`` in place of the first page if that is open; :meth:`intercept` comes before."""
        found = await remote.call("Target.getTargets", filter=[{"type": "page"}])
        with reading():
            # By its address: a browser may greet its user with another tab.
            first = [page["targetId"] for page in found["targetInfos"] if page["url"].endswith(f"/{FIRST_PAGE}")]
        if first:
            # A new tab has no way back to the first page.
            await remote.call("Target.createTarget", url=address.reveal())
            await remote.call("Target.closeTarget", targetId=first[0])

    def intercepted_request(self, event: JsonObject) -> InterceptedRequest | None:
        """Return the request that an event is about, if any; note which pages are opened and closed."""
        parameters = event["params"]
        match event["method"]:
            case "Fetch.requestPaused":
                return InterceptedRequest(parameters["requestId"], Secret(parameters["request"]["url"]))
            case "Target.targetCreated":
                self._pages.add(parameters["targetInfo"]["targetId"])
            case "Target.targetDestroyed":
                self._page_closed(parameters["targetId"])
            case _:
                pass
        return None

    async def answer(self, remote: RemoteConnection, held: InterceptedRequest, answer: Answer) -> None:
        """Show a page as if it came from the real host."""
        await remote.call(
            "Fetch.fulfillRequest",
            requestId=held.request_id,
            responseCode=answer.status,
            responseHeaders=[{"name": name, "value": value} for name, value in answer.headers.items()],
            body=base64.b64encode(answer.html.encode()).decode(),
        )

    async def refuse(self, remote: RemoteConnection, held: InterceptedRequest) -> None:
        """Let the request fail."""
        await remote.call("Fetch.failRequest", requestId=held.request_id, errorReason="BlockedByClient")

    async def close(self, remote: RemoteConnection) -> None:
        """Ask the browser to end."""
        await remote.call("Browser.close")


class FirefoxDriver(_BaseDriver):
    """WebDriver BiDi. ``platform`` is as :data:`sys.platform` has it."""

    uses_pipe = False
    endpoint_path = "/session"
    first_page_seconds: float = 3.0

    def __init__(self, *, headless: bool, platform: str, session_timeout: float, languages: str | None = None) -> None:
        super().__init__(headless=headless, languages=languages)
        self._platform = platform
        self._session_timeout = session_timeout
        self._first_tab: str | None = None

    def write_preferences(self, profile: Path) -> None:
        """Write the preferences into a fresh profile."""
        preferences = {
            "browser.shell.checkDefaultBrowser": False,
            "browser.aboutwelcome.enabled": False,
            "termsofuse.bypassNotification": True,
            "datareporting.policy.dataSubmissionEnabled": False,
            "signon.rememberSignons": False,
            "network.http.speculative-parallel-limit": 0,
            # Spare processes for later pages delay the only one that is needed (measured with Firefox 153, two cores).
            "dom.ipc.processPrelaunch.enabled": False,
            # Otherwise it looks the console's name up beside the held request (tried with Firefox 153).
            "network.dns.disablePrefetch": True,
            # Otherwise Firefox sets itself up for test automation, in a window where people log in.
            "remote.prefs.recommended": False,
            **({"intl.accept_languages": self._languages} if self._languages else {}),
        }
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")

    def switches(self, profile: Path) -> list[str]:
        """Return the command line between program and address."""
        return [
            *("--no-remote", "--profile", str(profile), "--remote-debugging-port=0"),
            *(["--headless"] if self._headless else []),
            *(["--wait-for-browser"] if self._platform == "win32" else []),  # the first process is only a launcher
            *(["-foreground"] if self._platform == "darwin" else []),
        ]

    async def intercept(self, remote: RemoteConnection, origin: URL) -> None:
        """Hold every request to ``origin`` from now on, in all present and future pages and popups."""
        # The user answers what a page asks with alert or confirm, not the session.
        capabilities = {"alwaysMatch": {"unhandledPromptBehavior": {"default": "ignore"}}}
        try:
            await remote.call("session.new", timeout=self._session_timeout, capabilities=capabilities)
        except CommandRefusedError:
            # Its port is open to every user of the machine, but it accepts one session at most.
            raise DrivenByAnotherError(_("does not let itself be driven; another program may be driving it")) from None
        events = ("network.beforeRequestSent", "browsingContext.contextCreated", "browsingContext.contextDestroyed")
        pattern = {"type": "pattern", "protocol": origin.scheme, "hostname": origin.raw_host, "port": str(origin.port)}
        *_others, tree = await asyncio.gather(
            remote.call("session.subscribe", events=events),
            remote.call("network.addIntercept", phases=["beforeRequestSent"], urlPatterns=[pattern]),
            remote.call("browsingContext.getTree", maxDepth=0),
        )
        with reading():
            self._first_tab = next((tab["context"] for tab in tree["contexts"]), None)

    async def go(self, remote: RemoteConnection, address: Secret) -> None:
        """Open ``address`` in place of the first page if that is open; :meth:`intercept` comes before."""
        if self._first_tab is not None:
            # It is answered when the Git host has answered.
            await remote.notify("browsingContext.navigate", context=self._first_tab, url=address.reveal(), wait="none")

    def intercepted_request(self, event: JsonObject) -> InterceptedRequest | None:
        """Return the request that an event is about, if any; note which pages are opened and closed."""
        parameters = event["params"]
        match event["method"]:
            case "network.beforeRequestSent" if parameters["isBlocked"]:
                return InterceptedRequest(parameters["request"]["request"], Secret(parameters["request"]["url"]))
            case "browsingContext.contextCreated" if parameters["parent"] is None:
                self._pages.add(parameters["context"])
            case "browsingContext.contextDestroyed" if parameters["parent"] is None:
                self._page_closed(parameters["context"])
        return None

    async def answer(self, remote: RemoteConnection, held: InterceptedRequest, answer: Answer) -> None:
        """Show a page as if it came from the real host. Firefox can do this since 129."""
        await remote.call(
            "network.provideResponse",
            request=held.request_id,
            statusCode=answer.status,
            reasonPhrase="",
            headers=[
                {"name": name, "value": {"type": "string", "value": value}} for name, value in answer.headers.items()
            ],
            body={"type": "string", "value": answer.html},
        )

    async def refuse(self, remote: RemoteConnection, held: InterceptedRequest) -> None:
        """Let the request fail."""
        await remote.call("network.failRequest", request=held.request_id)

    async def close(self, remote: RemoteConnection) -> None:
        """Ask the browser to end."""
        await remote.call("browser.close")


Driver = ChromiumDriver | FirefoxDriver
