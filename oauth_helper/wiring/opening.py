"""How the authorization URL gets into a browser: a window of our own, the default browser, the visitor, or by hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from yarl import URL

from oauth_helper.browsers.default import open_default_browser, why_no_browser
from oauth_helper.browsers.find import FoundBrowser, choose, look_around, why_no_window
from oauth_helper.desk import Desk
from oauth_helper.errors import NoBrowserError
from oauth_helper.events import Event, NotOpened, Opened, Warned, Way
from oauth_helper.listener import Listener
from oauth_helper.secret import Secret
from oauth_helper.wiring.ways import Ways

_BUILD_SERVICE: Final = "CI"
"""Set by the common ones."""


async def find_windows(ways: Ways) -> list[FoundBrowser]:
    """Return the browsers in which a window of ours is to be tried, best first; none where none is wanted.

    Raises:
        NoBrowserError: A window is demanded and cannot be had.
    """
    if not ways.wants_window:
        return []
    reason = None if ways.headless else why_no_window(ways.environ, sys.platform)
    if reason and ways.demands_window:
        raise NoBrowserError(f"A window was demanded, but there can be none: {reason}")
    return [] if reason else choose(ways.browser, await look_around(ways.environ, sys.platform))


def nobody_watches(environ: Mapping[str, str]) -> bool:
    """Whether a build service runs us: nobody reads what is printed there before it is over."""
    return environ.get(_BUILD_SERVICE, "false").casefold() not in {"", "0", "false"}


class Opening:
    """Opens browsers for one story, and ends with it whatever it has begun.

    What cannot work on this machine is known when the context is entered, before anybody is asked for a state.

    Raises:
        NoBrowserError: On entering: what the user demands cannot be had here.
    """

    def __init__(self, ways: Ways, listener: Listener, tell: Callable[[Event], None]) -> None:
        self._ways = ways
        self._listener = listener
        self._tell = tell
        self._windows: list[FoundBrowser] = []
        self._no_default = why_no_browser(ways.environ, sys.platform)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._windows = await find_windows(self._ways)
        if not self._windows:
            self._check_default()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def has_window(self) -> bool:
        """Whether a window of ours will be tried."""
        return bool(self._windows)

    async def open(self, start: str, desk: Desk) -> None:
        """Bring ``start`` before the user; end when there is no more to be done.

        Raises:
            NoBrowserError: What the user demands could not be had after all.
        """
        if self._windows and _can_be_held(desk.redirect_uri):
            if await self._open_window(desk, desk.redirect_uri or ""):
                return
        elif self._windows:
            self._tell(
                Warned("The Git host does not say where it will redirect to, so no window can wait for it there.")
            )
        await self._open_elsewhere(start)

    def go_on_in_the_default_browser(self) -> None:
        """Open the page, with a fresh KEY, in the user's own browser beside whatever else goes on."""
        task = asyncio.get_running_loop().create_task(self._open_default(self._listener.start().address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check_default(self) -> None:
        reason = self._no_default
        if reason is None or self._ways.browser == "none":
            return
        if self._ways.visitor and not self._ways.environ.get("BROWSER"):
            self._tell(Warned(f"No browser ({reason}): the sandbox's own visitor plays the user."))
        elif self._ways.browser == "default":
            raise NoBrowserError(f"The default browser was demanded, but there is none: {reason}")
        elif nobody_watches(self._ways.environ) and not self._ways.has_prompt:
            raise NoBrowserError(
                f"No browser ({reason}), no terminal, and {_BUILD_SERVICE} is set: nobody could authorize",
                hint="Run it where somebody can, or give --browser none if a program opens the printed address.",
            )
        else:
            self._tell(Warned(f"No browser could be opened here: {reason}."))

    async def _open_elsewhere(self, start: str) -> None:
        if self._ways.browser == "none" or (self._no_default and not self._ways.visitor):
            self._tell(NotOpened())
        elif self._no_default and self._ways.visitor and not self._ways.environ.get("BROWSER"):
            await self._ways.visitor(start)
        else:
            await self._open_default(start)

    async def _open_default(self, start: str) -> None:
        try:
            browser = await open_default_browser(start, environ=self._ways.environ)
        except NoBrowserError as error:
            if self._ways.browser == "default":
                raise
            self._tell(Warned(f"{error.message.rstrip('.')}."))
            self._tell(NotOpened())
        else:
            self._tell(Opened(browser))

    async def _open_window(self, desk: Desk, redirect_uri: str) -> bool:
        """Try each browser; return whether a tab stands in which the user can go on, or could until closing it."""
        from oauth_helper.browsers.window import NoWindowError, Window  # noqa: PLC0415 - only who opens one pays for it

        failures: list[str] = []
        for browser in self._windows:
            start = self._listener.start(held=True)
            async with Window(
                browser,
                start=start.address,
                redirect_uri=redirect_uri,
                lead=start.lead,
                onward=Secret(desk.authorization_url),
                judge=lambda query: desk.judge_query(query, Way.WINDOW),
                done=self._listener.done_address,
                headless=self._ways.headless,
                environ=self._ways.environ,
            ) as window:
                try:
                    await window.open()
                except NoWindowError as error:
                    failures.append(error.message)
                    start.lead(None)
                    if not error.stands or self._ways.demands_window:
                        continue
                    self._tell(Warned(f"{error.message}. The page in that window takes the address instead."))
                    self._tell(Opened(browser.name))
                else:
                    self._tell(Opened(browser.name, window=True))
                await window.until_closed()
            if not desk.has_redirect:
                self._tell(Warned("The window was closed before the redirect came."))
                self._tell(NotOpened())
            return True
        if self._ways.demands_window:
            raise NoBrowserError("; ".join(failures))
        self._tell(Warned(f"No window of ours: {'; '.join(failures)}."))
        return False


def _can_be_held(redirect_uri: str | None) -> bool:
    """Whether the callback has an origin at which a browser can be told to hold requests."""
    try:
        url = URL(redirect_uri or "")
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)
