"""A browser window in which the request that contains the code is held before it leaves the machine."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, Self

from yarl import URL

from oauth_helper.browsers.discovery import InstalledBrowser
from oauth_helper.browsers.drivers import (
    Answer,
    BrowserError,
    CommandRefusedError,
    InterceptedRequest,
    NoWindowError,
    RemoteConnection,
    Timeouts,
    parsing,
)
from oauth_helper.browsers.launch import BrowserProcess, driver_for, launched
from oauth_helper.errors import RedirectRejectedError
from oauth_helper.i18n import Language, _, catalog_of
from oauth_helper.secret import Secret
from oauth_helper.values import parse_address

_DEFAULT_TIMEOUTS: Final = Timeouts()
_LAST_EVENTS_DELAY: Final = 0.5
"""Seconds between the end of a browser and the end of its events."""
_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_REJECTED: Final = (
    _("Not the address that is waited for"),
    _(
        "The Git host sent this window to an address that belongs to another attempt, or is not whole. Nothing was "
        "done with it, and the wait goes on."
    ),
    _("Go back, and authorize once more."),
)


class BrowserWindow:
    """A window in a fresh profile. When its context ends, no process and no file of it is left.

    First it waits on a page of its own and at ``start``, until :meth:`open` has turned interception on. Then a
    harmless self-test, a request to the callback's address, must be held before the window goes to the authorization
    URL. So no code exists before it is certain that none can escape.

    Args:
        browser: What to start.
        start: The listener's ``/start``, KEY included.
        headless: Show nothing.
        language: What the user reads.
        environ: What the browser inherits.
        timeouts: How long each step may take.
    """

    def __init__(
        self,
        browser: InstalledBrowser,
        *,
        start: str,
        headless: bool = False,
        language: Language = Language.ENGLISH,
        environ: Mapping[str, str] = os.environ,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
    ) -> None:
        self._browser = browser
        self._start = start
        self._environ = environ
        self._timeouts = timeouts
        self._language = language
        self._driver = driver_for(browser, headless=headless, language=language)
        self._self_test = f"selftest={secrets.token_urlsafe(16)}"
        self._stack = AsyncExitStack()
        self._starting: asyncio.Task[BrowserProcess] | None = None
        self._process: BrowserProcess | None = None
        self._remote: RemoteConnection
        self._tested: asyncio.Future[BrowserError | None]
        self._watching: asyncio.Task[None] | None = None
        self._callback = URL()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def start(self) -> asyncio.Task[BrowserProcess]:
        """Start the browser, in parallel with what the caller does until :meth:`open`."""
        self._starting = asyncio.create_task(self._connect())
        return self._starting

    async def open(
        self,
        *,
        redirect_uri: str,
        onward: Secret,
        judge: Callable[[str], None],
        done: str,
        lead: Callable[[str | None], None],
    ) -> None:
        """Return when the window goes to the Git host and interception is on and tested.

        Args:
            redirect_uri: Where the Git host will redirect to. Every request to its origin is held or fails; its path is
                the callback's.
            onward: The authorization URL.
            judge: Takes the raw query of a held callback; raises RedirectRejectedError if it is not ours.
            done: Where the window goes when the redirect was ours.
            lead: Sends the page that waits at ``start``, or comes there next, to an address. The page must navigate
                itself, not be redirected: Chromium does not intercept a navigation that began before interception, or
                the redirects that follow it (tried).

        Raises:
            NoWindowError: That failed. If the error says that the window ``exists``, it is kept until :meth:`close`,
                and its tab shows what the listener answers to the waiting ``start``.
        """
        self._callback, self._onward, self._lead = URL(redirect_uri), onward, lead
        self._judge, self._done = judge, done
        try:
            process = await (self._starting or self.start())
            await process.unless_failed(self._driver.intercept(self._remote, self._callback.origin()))
            await process.unless_failed(self._pass_self_test())
        except BrowserError as error:
            # Once events are watched, the tab may have left the listener, which cannot reach it any more. If the
            # browser refuses to be driven, another program may drive it.
            is_waiting = self._process is not None and not self._process.exited.done() and self._watching is None
            raise NoWindowError(
                _("{name} {problem}", name=self._browser.name, problem=error.text),
                exists=is_waiting and not isinstance(error, CommandRefusedError),
            ) from error

    async def until_closed(self) -> None:
        """Return when the user has closed the last page, or the browser has ended; never before.

        Raises:
            Exception: Any error of ``judge`` or ``lead`` except a rejection. Nothing is watched after it.
        """
        ends = {end for end in (self._process and self._process.exited, self._watching) if end}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._watching:
            # Requests that were held before the browser ended are still answered.
            await asyncio.wait({self._watching}, timeout=_LAST_EVENTS_DELAY)
            if self._watching.done():
                self._watching.result()

    @property
    def is_open(self) -> bool:
        """Whether it has a page, and is watched."""
        has_ended = self._process is None or self._process.exited.done()
        return not has_ended and self._watching is not None and not self._watching.done()

    def holds(self, redirect_uri: str) -> bool:
        """Whether a redirect to there would be held."""
        callback = parse_address(redirect_uri)
        return (callback.origin(), callback.path) == (self._callback.origin(), self._callback.path)

    def go_on(
        self, *, onward: Secret, judge: Callable[[str], None], done: str, lead: Callable[[str | None], None]
    ) -> None:
        """Wait for the redirect of another link; ``lead`` sends the page that waits at its ``start`` there."""
        self._judge, self._done = judge, done
        lead(onward.reveal())

    async def show(self, address: str) -> bool:
        """Show ``address`` and no other page; return whether that succeeded."""
        with suppress(BrowserError, TimeoutError), parsing():
            async with asyncio.timeout(self._timeouts.result):
                await self._driver.show(self._remote, address)
            return True
        return False

    async def close(self, *, stay: float = 0) -> None:
        """Ask the browser to end, kill it if it does not, and remove its profile. Closing twice is allowed.

        With ``stay``, an open window stays for so many seconds after our end, or until the user closes it.
        """
        if stay and self._process and self.is_open:
            self._process.stay(stay)
        if self._starting:
            await _cancel(self._starting)
        await self._stack.aclose()

    async def _connect(self) -> BrowserProcess:
        launch = launched(self._browser, self._driver, self._start, environ=self._environ)
        self._process = await self._stack.enter_async_context(launch)
        await self._process.unless_failed(self._begin(self._process))
        return self._process

    async def _begin(self, process: BrowserProcess) -> None:
        connected = process.connected(endpoint_path=self._driver.endpoint_path, timeouts=self._timeouts)
        self._remote = await self._stack.enter_async_context(connected)
        await self._driver.begin(self._remote)
        self._stack.push_async_callback(self._ask_to_end, process)

    async def _ask_to_end(self, process: BrowserProcess) -> None:
        # If it does not answer, or does not end in time, it is killed afterwards.
        with suppress(BrowserError, TimeoutError):
            async with asyncio.timeout(self._timeouts.close):
                if not process.stays:
                    await self._driver.close(self._remote)
                    await asyncio.wait({process.exited})

    async def _pass_self_test(self) -> None:
        self._tested = asyncio.get_running_loop().create_future()
        self._watching = asyncio.create_task(self._watch())
        self._stack.push_async_callback(_cancel, self._watching)
        address = f"{self._callback.with_query(None).with_fragment(None)}?{self._self_test}"
        await self._driver.go(self._remote, Secret(address))
        self._lead(address)
        seconds = self._timeouts.self_test
        either: set[asyncio.Future[Any]] = {self._tested, self._watching}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._watching.done():
            self._watching.result()
            raise BrowserError(_("was closed before it was ready"))
        if not self._tested.done():
            raise BrowserError(
                _("did not hold the request of its self-test within {seconds:g} seconds", seconds=seconds)
            )
        if error := self._tested.result():
            raise error

    async def _watch(self) -> None:
        async for event in self._remote.events():
            try:
                with parsing():
                    held = self._driver.intercepted_request(event)
                    address = URL() if held is None else parse_address(held.url.reveal(), encoded=True)
            except BrowserError:
                if not self._tested.done():
                    raise
                continue  # it has passed the self-test, so what matters can be read
            if held:
                with suppress(BrowserError):  # the tab may be gone before it is answered
                    await self._respond(held, address)
            elif self._driver.is_closed:
                return

    async def _respond(self, held: InterceptedRequest, address: URL) -> None:
        query = address.raw_query_string
        if address.path != self._callback.path:
            await self._driver.refuse(self._remote, held)
        elif query == self._self_test:
            await self._end_self_test(held)
        else:
            try:
                self._judge(query)
                answer = hop(self._done)
            except RedirectRejectedError:
                answer = rejected(self._language)
            except Exception:
                # The error must be reported, even if the window is closed meanwhile.
                with suppress(BrowserError, asyncio.CancelledError):
                    await self._driver.refuse(self._remote, held)
                raise
            await self._driver.answer(self._remote, held, answer)

    async def _end_self_test(self, held: InterceptedRequest) -> None:
        self._lead(self._onward.reveal())
        failure = None
        try:
            await self._driver.answer(self._remote, held, redirect(self._onward.reveal()))
        except BrowserError as error:
            failure = error
        if not self._tested.done():
            self._tested.set_result(failure)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def hop(address: str) -> Answer:
    """Return a page that goes to ``address`` at once and leaves no entry in the tab's history.

    A redirect would fail: if the Git host's consent page restricts ``form-action``, Chromium applies that to the
    redirects after the form as well, and silently stays where it is (tried; CSP level 3 section 6.4.1).
    """
    # Without "<" the address cannot end the script.
    script = f"location.replace({json.dumps(address)})".replace("<", "\\u003c")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _page(200, f"<title>…</title><script>{script}</script>", policy=f"script-src 'sha256-{digest}'")


def redirect(address: str) -> Answer:
    """Return a redirect to ``address``, which is faster than :func:`hop` if no form comes before it."""
    return Answer(302, "", {"Location": address, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})


def rejected(language: Language = Language.ENGLISH) -> Answer:
    """Return the page for a redirect that belongs to another attempt."""
    catalog = catalog_of(language)
    heading, *paragraphs = (html.escape(text.translated(catalog)) for text in _REJECTED)
    body = (
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{heading}</title>'
        f"<main><h1>{heading}</h1>{''.join(f'<p>{paragraph}</p>' for paragraph in paragraphs)}</main>"
    )
    return _page(400, body, language=language)


def _page(
    status: int, body: str, *, policy: str = "script-src 'none'", language: Language = Language.ENGLISH
) -> Answer:
    policy = f"default-src 'none'; {policy}; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    # The icon keeps the browser from asking the real host for one, with the code in its Referer (tried).
    text = f'<!doctype html><html lang="{language}"><meta charset="utf-8"><link rel="icon" href="data:,">{body}</html>'
    return Answer(status, text, _HEADERS | {"Content-Security-Policy": policy})
