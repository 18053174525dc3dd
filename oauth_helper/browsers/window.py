"""A browser window of our own, in which the one request that bears the code is held before it leaves the machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self

from yarl import URL

from oauth_helper.browsers.discovery import FoundBrowser
from oauth_helper.browsers.drivers import (
    AllClosed,
    Answer,
    BrowserError,
    BrowserProcess,
    DrivenByAnotherError,
    Held,
    JsonObject,
    NoWindowError,
    Patience,
    Remote,
    hop,
    reading,
    redirect,
    rejected,
)
from oauth_helper.browsers.launch import Launched, driver_for, launched
from oauth_helper.errors import RedirectRejectedError
from oauth_helper.i18n import Language, _
from oauth_helper.secret import Secret
from oauth_helper.values import parse_address

__all__ = ["NoWindowError", "Patience", "Window"]

_USUAL_PATIENCE: Final = Patience()
_LAST_EVENTS: Final = 0.5
"""Seconds between the end of a browser and the end of what it told."""


class Window:
    """A window in a fresh profile. Nothing of it is left when its context ends: no process and no file.

    It waits, on a page of its own and then at ``start``, until :meth:`open` has interception armed. A harmless
    self-test, a request to the callback's address, must be held before it is led on to the authorization URL, so that
    no code exists before it is known that none can get away.

    Args:
        browser: What to start.
        start: The listener's ``/start``, KEY included.
        redirect_uri: Where the Git host will redirect to. Every request to its origin is held or fails; its path is
            the callback's.
        lead: Leads whoever waits at ``start``, or comes there next, on to an address. Who waits must be led on by a
            page, not by a redirect: in Chromium nothing is held of a navigation that began before it was told to,
            the redirects behind it included (tried).
        onward: The authorization URL.
        judge: Takes the raw query of a held callback; raises RedirectRejectedError where it is not ours.
        done: Where the window goes on to when the redirect was ours.
        stirs: Called whenever something happens in the window.
        headless: Show nothing.
        language: What the user reads.
        environ: What the browser inherits.
        platform: As :data:`sys.platform` has it.
        patience: How long each step may take.
    """

    def __init__(
        self,
        browser: FoundBrowser,
        *,
        start: str,
        redirect_uri: str,
        lead: Callable[[str | None], None],
        onward: Secret,
        judge: Callable[[str], None],
        done: str,
        stirs: Callable[[], None] = lambda: None,
        headless: bool = False,
        language: Language = Language.ENGLISH,
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        patience: Patience = _USUAL_PATIENCE,
    ) -> None:
        self._browser = browser
        self._start = start
        self._callback = URL(redirect_uri)
        self._lead = lead
        self._onward = onward
        self._judge = judge
        self._done = done
        self._stirs = stirs
        self._environ = environ
        self._patience = patience
        self._language = language
        self._driver = driver_for(browser, headless=headless, platform=platform, patience=patience, language=language)
        self._self_test = f"selftest={secrets.token_urlsafe(16)}"
        self._stack = AsyncExitStack()
        self._process: BrowserProcess | None = None
        self._remote: Remote
        self._tested: asyncio.Future[BrowserError | None]
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        is_told = self._watch is None or self._watch.cancelled() or error is not None
        # open() has reported the trouble of a browser.
        if self._watch and not is_told and not isinstance(self._watch.exception(), BrowserError):
            self._watch.result()

    async def open(self) -> None:
        """Start the browser, and return when it is on its way to the Git host with interception armed and tested.

        Raises:
            NoWindowError: It did not come to that. Where the error says that the window ``stands``, it is kept until
                :meth:`close`, and its tab shows whatever the listener makes of the waiting ``start``.
        """
        try:
            browser = await self._stack.enter_async_context(
                launched(self._browser, self._driver, self._start, environ=self._environ)
            )
            self._process = browser.process
            await self._process.unless_failed(self._arm(browser))
            await self._process.unless_failed(self._pass_self_test())
        except BrowserError as trouble:
            # Once it is watched, it may have left the listener: nothing that is answered there can reach it.
            is_there = self._process is not None and not self._process.exited.done() and self._watch is None
            exists = is_there and not isinstance(trouble, DrivenByAnotherError)
            raise NoWindowError(
                _("{name} {trouble}", name=self._browser.name, trouble=trouble.words), exists=exists
            ) from trouble

    async def until_closed(self) -> None:
        """Return when the user has closed the last page, or the browser has ended; never before.

        Raises:
            Exception: Whatever ``judge`` or ``lead`` raised that is no rejection. Nothing is watched since.
        """
        ends: set[asyncio.Future[None]] = set()
        if self._process:  # pragma: no branch - what stands has one
            ends.add(self._process.exited)
        if self._watch:
            ends.add(self._watch)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._watch:
            # What was held before the browser ended is dealt with first.
            await asyncio.wait({self._watch}, timeout=_LAST_EVENTS)
            if self._watch.done():
                self._watch.result()

    @property
    def is_open(self) -> bool:
        """Whether a page of it stands, and is watched."""
        has_ended = self._process is None or self._process.exited.done()
        return not has_ended and self._watch is not None and not self._watch.done()

    def holds(self, redirect_uri: str) -> bool:
        """Whether a redirect to there would be held."""
        callback = parse_address(redirect_uri)
        return (callback.origin(), callback.path) == (self._callback.origin(), self._callback.path)

    def go_on(
        self, *, onward: Secret, judge: Callable[[str], None], done: str, lead: Callable[[str | None], None]
    ) -> None:
        """Wait for the redirect of another link; whoever waits at the ``start`` that ``lead`` leads goes there."""
        self._judge, self._done = judge, done
        lead(onward.reveal())

    async def close(self) -> None:
        """End the browser, politely first, and remove its profile; to close twice is no fault."""
        await self._stack.aclose()

    async def _arm(self, browser: Launched) -> None:
        self._remote = await self._stack.enter_async_context(browser.driven(self._patience))
        await self._driver.arm(self._remote, self._callback.origin())
        self._stack.push_async_callback(self._say_goodbye, browser.process)

    async def _pass_self_test(self) -> None:
        self._tested = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._watch_requests())
        self._stack.push_async_callback(_cancel, self._watch)
        address = f"{self._callback.with_query(None).with_fragment(None)}?{self._self_test}"
        await self._driver.go(self._remote, Secret(address))
        self._lead(address)
        seconds = self._patience.self_test
        either: set[asyncio.Future[Any]] = {self._tested, self._watch}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._watch.done():
            self._watch.result()
            raise BrowserError(_("was closed before it was ready"))
        if not self._tested.done():
            raise BrowserError(
                _("did not hold the request of its self-test within {seconds:g} seconds", seconds=seconds)
            )
        if trouble := self._tested.result():
            raise trouble

    async def _watch_requests(self) -> None:
        async for event in self._remote.events():
            self._stirs()
            match self._understood(event):
                case Held() as held:
                    # The tab that asked may be gone before it is answered.
                    with suppress(BrowserError):
                        await self._deal_with(held)
                case AllClosed():
                    return
                case None:  # pragma: no branch - mypy: there is no other case
                    pass

    def _understood(self, event: JsonObject) -> Held | AllClosed | None:
        try:
            with reading():
                meaning = self._driver.understand(event)
                if isinstance(meaning, Held):
                    parse_address(meaning.address.reveal(), encoded=True)
        except BrowserError:
            if not self._tested.done():
                raise
            return None  # It has passed its test: what is needed of it can be read.
        return meaning

    async def _deal_with(self, held: Held) -> None:
        address = URL(held.address.reveal(), encoded=True)
        if address.path != self._callback.path:
            await self._driver.refuse(self._remote, held)
        elif address.raw_query_string == self._self_test:
            await self._end_self_test(held)
        else:
            await self._driver.answer(self._remote, held, await self._verdict(held, address.raw_query_string))

    async def _verdict(self, held: Held, query: str) -> Answer:
        try:
            self._judge(query)
        except RedirectRejectedError:
            return rejected(self._language)
        except Exception:
            # The fault is to be told of, even where we are closed meanwhile.
            with suppress(BrowserError, asyncio.CancelledError):
                await self._driver.refuse(self._remote, held)
            raise
        return hop(self._done)

    async def _end_self_test(self, held: Held) -> None:
        self._lead(self._onward.reveal())
        failure = None
        try:
            await self._driver.answer(self._remote, held, redirect(self._onward.reveal()))
        except BrowserError as trouble:
            failure = trouble
        if not self._tested.done():
            self._tested.set_result(failure)

    async def _say_goodbye(self, process: BrowserProcess) -> None:
        # Who does not listen, or does not come to an end, is asked by other means.
        with suppress(BrowserError, TimeoutError):
            async with asyncio.timeout(self._patience.farewell):
                await self._driver.close(self._remote)
                await process.exits_within(self._patience.farewell)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
