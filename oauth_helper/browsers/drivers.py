"""Drive Chromium (DevTools protocol) and Firefox (WebDriver BiDi): hold requests, and answer them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct
from yarl import URL

from oauth_helper.browsers.discovery import is_root
from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import Text, _
from oauth_helper.secret import Secret

JsonObject = dict[str, Any]

FIRST_PAGE: Final = "start.html"
"""The file in the profile that a browser is started with."""
_MESSAGE_LIMIT: Final = 2**24
"""Bytes of a message. A held request may contain the body of its form."""
_LOST: Final = _("closed the connection over which it is driven")


class BrowserError(Exception):
    """A browser cannot be used as a window. Its text says why and continues a sentence that begins with its name."""

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        self.text = text


class CommandRefusedError(BrowserError):
    """The browser refuses a command."""


class NoWindowError(NoBrowserError):
    """There is no window in which the redirect could be intercepted; the message says why in one line."""

    def __init__(self, message: Text, *, exists: bool) -> None:
        super().__init__(message)
        self.exists = exists
        """Whether the browser still runs, with a tab that waits for the listener's answer to ``/start``."""


class Timeouts(Struct, frozen=True):
    """Seconds for each step. Usually it takes a fifth of that, or less."""

    endpoint: float = 15
    """Until the browser has started: it says where it accepts connections, or answers over the pipe. A start that
    reads the browser from a cold disk has taken more than 8."""
    command: float = 8
    session: float = 30
    """Firefox answers the first command when its first window is open."""
    self_test: float = 15
    close: float = 1
    """Between asking the browser to end and killing it. Most take 0.1 to 0.5, Firefox sometimes 5, which is not worth
    waiting for, as the profile is thrown away."""
    result: float = 5
    """Until the final page is shown in the window."""


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
def parsing() -> Iterator[None]:
    """Read what a browser sends; BrowserError if it has an unexpected form."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BrowserError(_("says something that cannot be read; it may be too new")) from error


class RemoteConnection:
    """Sends commands and receives events. Both may contain the code, so no error quotes them."""

    def __init__(self, send: Callable[[str], Awaitable[None]], timeouts: Timeouts) -> None:
        self._send_text = send
        self.timeouts: Timeouts = timeouts
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[JsonObject]] = {}
        self._events: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._is_lost = False

    async def call(self, method: str, *, timeout: float | None = None, **parameters: object) -> JsonObject:  # noqa: ASYNC109
        """Send a command and return its result.

        Raises:
            BrowserError: The browser refuses the command, does not answer in time, or has closed the connection.
        """
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        seconds = timeout or self.timeouts.command
        try:
            async with asyncio.timeout(seconds):
                await self._send(number, method, parameters)
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
        """Send a command whose answer may come too late to wait for it; BrowserError if the connection is closed."""
        await self._send(next(self._numbers), method, parameters)

    async def _send(self, number: int, method: str, parameters: JsonObject) -> None:
        try:
            if self._is_lost:
                raise BrowserError(_LOST)
            await self._send_text(json.dumps({"id": number, "method": method, "params": parameters}))
        except OSError:
            raise BrowserError(_LOST) from None

    async def events(self) -> AsyncIterator[JsonObject]:
        """Yield all events since the connection was opened, until the browser closes it."""
        while (event := await self._events.get()) is not None:
            yield event

    @asynccontextmanager
    async def receiving(self, messages: AsyncIterator[str]) -> AsyncIterator[RemoteConnection]:
        """Receive messages while the context is open."""
        task = asyncio.create_task(self._receive(messages))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _receive(self, messages: AsyncIterator[str]) -> None:
        try:
            async for text in messages:
                with suppress(BrowserError), parsing():  # another message can be read, or a command is not answered
                    message = json.loads(text)
                    if "id" not in message:
                        self._events.put_nowait(message)
                    elif (answer := self._answers.get(message["id"])) and not answer.done():
                        answer.set_result(message)
        finally:
            self._is_lost = True
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(BrowserError(_LOST))
            self._events.put_nowait(None)


@asynccontextmanager
async def over_pipe(pipe: socket.socket, timeouts: Timeouts) -> AsyncIterator[RemoteConnection]:
    """Connect over ``pipe``, one end of a socket pair whose other end the browser has.

    Each message ends with a NUL, as in Chromium's ``content/browser/devtools/devtools_pipe_handler.cc``.
    """
    reader, writer = await asyncio.open_connection(sock=pipe, limit=_MESSAGE_LIMIT)

    async def send(message: str) -> None:
        writer.write(message.encode() + b"\0")
        await writer.drain()

    async def messages() -> AsyncIterator[str]:
        # A killed browser ends with half a message or a reset; no browser sends more than the limit.
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            while True:
                yield (await reader.readuntil(b"\0"))[:-1].decode(errors="replace")

    try:
        async with RemoteConnection(send, timeouts).receiving(messages()) as remote:
            yield remote
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def over_websocket(endpoint: str, timeouts: Timeouts) -> AsyncIterator[RemoteConnection]:
    """Connect to ``endpoint``. No Origin header is sent, because both browsers refuse one.

    Raises:
        BrowserError: The connection fails, or takes too long.
    """
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(timeouts.command):
                connection = await session.ws_connect(
                    endpoint, max_msg_size=_MESSAGE_LIMIT, timeout=aiohttp.ClientWSTimeout(ws_close=1)
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BrowserError(_("takes no connection to drive it ({error})", error=type(error).__name__)) from error
        messages = (message.data async for message in connection if message.type is aiohttp.WSMsgType.TEXT)
        async with connection, RemoteConnection(connection.send_str, timeouts).receiving(messages) as remote:
            yield remote


async def _close(remote: RemoteConnection, command: str, **page: Any) -> None:
    with suppress(CommandRefusedError):  # the page has closed by itself
        await remote.call(command, **page)


class _BaseDriver:
    endpoint_path = ""
    """What the address that the browser prints lacks."""
    uses_pipe = False

    def __init__(self, *, headless: bool = False, languages: str | None = None) -> None:
        self._headless = headless
        self._languages = languages
        self._pages: dict[str, None] = {}
        self.is_closed: bool = False
        """Whether the user has closed the last page."""

    def _page_closed(self, page: str) -> None:
        if page in self._pages:
            del self._pages[page]
            self.is_closed = not self._pages


class ChromiumDriver(_BaseDriver):
    """DevTools protocol: ``Fetch.enable`` on the browser session applies to all pages, workers and popups.

    ``languages`` is what a page is asked for in ``Accept-Language``; None: whatever the system's language is.
    """

    first_page_seconds: float = 1.0
    """After how many seconds the first page goes on by itself. Usually the tab is driven before that."""

    def __init__(self, *, uses_pipe: bool, headless: bool = False, languages: str | None = None) -> None:
        super().__init__(headless=headless, languages=languages)
        self.uses_pipe = uses_pipe

    def prepare(self, profile: Path) -> list[str]:
        """Write the preferences into a fresh profile; return the command line between program and address."""
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
            *(["--no-sandbox"] if is_root() else []),
        ]

    async def begin(self, remote: RemoteConnection) -> None:
        """Ask to be told of pages."""
        seconds = remote.timeouts.endpoint
        await remote.call("Target.setDiscoverTargets", timeout=seconds, discover=True, filter=[{"type": "page"}])

    async def intercept(self, remote: RemoteConnection, origin: URL) -> None:
        """Hold every request to ``origin`` from now on, in all present and future pages and popups."""
        # "*" is any run of characters there, so the pattern is the origin and whatever follows.
        await remote.call("Fetch.enable", patterns=[{"urlPattern": f"{origin}/*", "requestStage": "Request"}])

    async def go(self, remote: RemoteConnection, address: Secret) -> None:
        """Open ``address`` in place of the first page if that is open; :meth:`intercept` comes before."""
        found = await remote.call("Target.getTargets", filter=[{"type": "page"}])
        with parsing():
            # By its address: a browser may greet its user with another tab.
            first = [page["targetId"] for page in found["targetInfos"] if page["url"].endswith(f"/{FIRST_PAGE}")]
        if first:
            # A new tab has no way back to the first page.
            await remote.call("Target.createTarget", url=address.reveal())
            await _close(remote, "Target.closeTarget", targetId=first[0])

    async def show(self, remote: RemoteConnection, address: str) -> None:
        """Open ``address`` in a new tab, and close all others."""
        pages = list(self._pages)
        new = await remote.call("Target.createTarget", url=address)
        self._pages[new["targetId"]] = None
        await asyncio.gather(*(_close(remote, "Target.closeTarget", targetId=page) for page in pages))

    def intercepted_request(self, event: JsonObject) -> InterceptedRequest | None:
        """Return the request that an event is about, if any; note which pages are opened and closed."""
        parameters = event["params"]
        match event["method"]:
            case "Fetch.requestPaused":
                return InterceptedRequest(parameters["requestId"], Secret(parameters["request"]["url"]))
            case "Target.targetCreated":
                self._pages[parameters["targetInfo"]["targetId"]] = None
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
    """WebDriver BiDi. The methods are those of :class:`ChromiumDriver`."""

    endpoint_path = "/session"
    first_page_seconds: float = 3.0
    _first_tab: str | None = None

    def prepare(self, profile: Path) -> list[str]:  # noqa: D102
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
        return [
            *("--no-remote", "--profile", str(profile), "--remote-debugging-port=0"),
            *(["--headless"] if self._headless else []),
            *(["--wait-for-browser"] if sys.platform == "win32" else []),  # the first process is only a launcher
            *(["-foreground"] if sys.platform == "darwin" else []),
        ]

    async def begin(self, remote: RemoteConnection) -> None:  # noqa: D102
        # The user answers what a page asks with alert or confirm, not the session.
        capabilities = {"alwaysMatch": {"unhandledPromptBehavior": {"default": "ignore"}}}
        try:
            await remote.call("session.new", timeout=remote.timeouts.session, capabilities=capabilities)
        except CommandRefusedError:
            # Its port is open to every user of the machine, but it accepts one session at most.
            raise CommandRefusedError(_("does not let itself be driven; another program may be driving it")) from None
        events = ("network.beforeRequestSent", "browsingContext.contextCreated", "browsingContext.contextDestroyed")
        _result, tree = await asyncio.gather(
            remote.call("session.subscribe", events=events), remote.call("browsingContext.getTree", maxDepth=0)
        )
        with parsing():
            self._first_tab = next((tab["context"] for tab in tree["contexts"]), None)

    async def intercept(self, remote: RemoteConnection, origin: URL) -> None:  # noqa: D102
        pattern = {"type": "pattern", "protocol": origin.scheme, "hostname": origin.raw_host, "port": str(origin.port)}
        await remote.call("network.addIntercept", phases=["beforeRequestSent"], urlPatterns=[pattern])

    async def go(self, remote: RemoteConnection, address: Secret) -> None:  # noqa: D102
        if self._first_tab is not None:
            # It is answered when the Git host has answered.
            await remote.notify("browsingContext.navigate", context=self._first_tab, url=address.reveal(), wait="none")

    async def show(self, remote: RemoteConnection, address: str) -> None:  # noqa: D102
        first, *others = self._pages
        await remote.call("browsingContext.navigate", context=first, url=address, wait="complete")
        await asyncio.gather(*(_close(remote, "browsingContext.close", context=page) for page in others))

    def intercepted_request(self, event: JsonObject) -> InterceptedRequest | None:  # noqa: D102
        parameters = event["params"]
        match event["method"]:
            case "network.beforeRequestSent" if parameters["isBlocked"]:
                return InterceptedRequest(parameters["request"]["request"], Secret(parameters["request"]["url"]))
            case "browsingContext.contextCreated" if parameters["parent"] is None:
                self._pages[parameters["context"]] = None
            case "browsingContext.contextDestroyed" if parameters["parent"] is None:
                self._page_closed(parameters["context"])
        return None

    async def answer(self, remote: RemoteConnection, held: InterceptedRequest, answer: Answer) -> None:  # noqa: D102
        await remote.call(
            "network.provideResponse",  # with a body since Firefox 129
            request=held.request_id,
            statusCode=answer.status,
            reasonPhrase="",
            headers=[
                {"name": name, "value": {"type": "string", "value": value}} for name, value in answer.headers.items()
            ],
            body={"type": "string", "value": answer.html},
        )

    async def refuse(self, remote: RemoteConnection, held: InterceptedRequest) -> None:  # noqa: D102
        await remote.call("network.failRequest", request=held.request_id)

    async def close(self, remote: RemoteConnection) -> None:  # noqa: D102
        await remote.call("browser.close")


Driver = ChromiumDriver | FirefoxDriver
