"""How the authorization URL gets into a browser: a window of our own, the default browser, the visitor, or by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

from oauth_helper.address import parse_address
from oauth_helper.desk import Desk
from oauth_helper.errors import NoBrowserError
from oauth_helper.events import Event, NotOpened, Opened, Warned, Way
from oauth_helper.listener import Listener, Start
from oauth_helper.phrase import NOTHING, Phrase, joined, phrase
from oauth_helper.secret import Secret
from oauth_helper.wiring.how import How, Plan
from oauth_helper.wiring.ways import Ways

if TYPE_CHECKING:
    from oauth_helper.browsers.find import FoundBrowser
    from oauth_helper.browsers.window import NoWindowError, Window


class Opening:
    """Opens browsers for one story, and ends with it whatever it has begun. An async context manager.

    With ``keeps_window`` a window of ours stands until the context ends, and serves the stories that follow.
    ``stirs`` is called whenever something happens in it.
    """

    def __init__(
        self,
        ways: Ways,
        listener: Listener,
        tell: Callable[[Event], None],
        *,
        keeps_window: bool = False,
        stirs: Callable[[], None] = lambda: None,
    ) -> None:
        self._ways = ways
        self._listener = listener
        self._tell = tell
        self._stirs = stirs
        self._plan = Plan(How.BY_HAND, NOTHING)
        self._sweeping: asyncio.Task[None] | None = None
        self._desk: Desk | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeps_window = keeps_window
        self._kept = AsyncExitStack()
        self._window: Window | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sweeping:
            await asyncio.wait({self._sweeping})
        await self._kept.aclose()

    async def prepare(self) -> None:
        """Decide how to open a browser, and begin to remove what the windows of killed runs left.

        The desktop's own tools, which this asks, take their time.

        Raises:
            NoBrowserError: What the user demands cannot be had here.
        """
        self._sweeping = asyncio.create_task(asyncio.to_thread(_sweep, self._ways.environ))
        self._plan = await self._look()
        if self._plan.warning:
            self._tell(Warned(self._plan.warning))

    async def _look(self) -> Plan:
        await asyncio.to_thread(import_module, "oauth_helper.wiring.plan")
        from oauth_helper.wiring.plan import plan_opening  # noqa: PLC0415 - a request is under way meanwhile

        if not self._ways.wants_window:
            return await plan_opening(self._ways)
        # A window's modules are imported while the desktop's tools are asked.
        importing = asyncio.create_task(asyncio.to_thread(import_module, "oauth_helper.browsers.window"))
        try:
            return await plan_opening(self._ways)
        finally:
            await asyncio.wait({importing})

    @property
    def _is_over(self) -> bool:
        """Whether the redirect came meanwhile: how it was opened is no news any more."""
        return self._desk is not None and self._desk.was_answered

    @property
    def has_window(self) -> bool:
        """Whether a window of ours will be tried."""
        return self._plan.how is How.WINDOW

    async def open(self, start: str, desk: Desk) -> None:
        """Bring ``start`` before the user; end when there is no more to be done.

        Raises:
            NoBrowserError: What the user demands could not be had after all.
        """
        came_by, self._desk = self._desk.way if self._desk else None, desk
        if self._window and self._window.is_open and self._window.holds(desk.redirect_uri or ""):
            await self._go_on_in(self._window, desk, came_by)
            return
        if self._listener.handed_on:
            self._listener.handed_on.lead(None)
        match self._plan.how:
            case How.BY_HAND:
                self._tell(NotOpened())
            case How.VISITOR if self._ways.visitor:
                await self._ways.visitor(start)
            case How.WINDOW if not _can_be_held(desk.redirect_uri):
                self._tell(
                    Warned(phrase("The Git host does not say where it will redirect to, so no window can wait there."))
                )
                await self._open_default(start)
            case How.WINDOW:
                if not await self._open_window(desk, desk.redirect_uri or "") and not self._is_over:
                    await self._open_default(start)
            case _:
                await self._open_default(start)

    def go_on_in_the_default_browser(self) -> None:
        """Open the page, with a fresh KEY, in the user's own browser beside whatever else goes on."""
        task = asyncio.get_running_loop().create_task(self._open_default(self._listener.start().address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_default(self, start: str) -> None:
        try:
            from oauth_helper.browsers.default import open_default_browser  # noqa: PLC0415 - as for a window

            browser = await open_default_browser(start, environ=self._ways.environ)
        except NoBrowserError as error:
            if self._is_over:
                return
            if self._ways.browser == "default":
                raise
            if self._ways.visitor and not self._ways.environ.get("BROWSER"):
                self._tell(
                    Warned(phrase("{message}: the sandbox's own visitor plays the user.", message=error.message))
                )
                await self._ways.visitor(start)
                return
            self._tell(Warned(phrase("{message}.", message=error.message)))
            self._tell(NotOpened())
        else:
            if not self._is_over:
                self._tell(Opened(browser))

    async def _open_window(self, desk: Desk, redirect_uri: str) -> bool:
        """Try each browser; return whether a tab stands in which the user can go on, or could until closing it."""
        from oauth_helper.browsers.products import Family  # noqa: PLC0415 - as below
        from oauth_helper.browsers.window import NoWindowError  # noqa: PLC0415 - only who opens one pays for it

        failures: list[Phrase] = []
        for browser in self._plan.windows:
            start = self._listener.start(held=True, good_once=False)
            async with AsyncExitStack() as until_over:
                window = self._window_of(browser, start, desk, redirect_uri)
                await until_over.enter_async_context(window)
                try:
                    await window.open()
                except NoWindowError as error:
                    failures.append(error.message)
                    if not self._can_be_kept(error, start):
                        continue
                    self._tell(Opened(browser.name))
                else:
                    desk.visit()
                    self._tell(Opened(browser.name, window=True, marked=browser.family is Family.FIREFOX))
                if self._keeps_window:
                    self._window = window
                    self._kept.push_async_exit(until_over.pop_all())
                await self._until_closed(window)
            return True
        if self._ways.demands_window:
            raise NoBrowserError(joined(failures))
        self._tell(Warned(phrase("No window of ours: {failures}.", failures=joined(failures))))
        return False

    def _window_of(self, browser: FoundBrowser, start: Start, desk: Desk, redirect_uri: str) -> Window:
        from oauth_helper.browsers.window import Window  # noqa: PLC0415 - as above

        return Window(
            browser,
            start=start.address,
            redirect_uri=redirect_uri,
            lead=start.lead,
            onward=Secret(desk.authorization_url),
            judge=lambda query: desk.judge_query(query, Way.WINDOW),
            done=self._listener.done_address,
            stirs=self._stirs,
            headless=self._ways.headless,
            language=self._ways.preference.language,
            environ=self._ways.environ,
        )

    def _can_be_kept(self, error: NoWindowError, start: Start) -> bool:
        """Whether the tab of a window that came to nothing is good for the page at least; see to it."""
        if not error.stands or self._ways.demands_window:
            self._listener.revoke(start)
            return False
        start.lead(None)
        self._tell(
            Warned(phrase("{message}. The page in that window takes the address instead.", message=error.message))
        )
        return True

    async def _go_on_in(self, window: Window, desk: Desk, came_by: Way | None) -> None:
        if self._listener.handed_on:  # pragma: no branch - with the second story, or attempt, there is one
            window.go_on(
                lead=self._listener.handed_on.lead,
                onward=Secret(desk.authorization_url),
                judge=lambda query: desk.judge_query(query, Way.WINDOW),
                done=self._listener.done_address,
            )
        if came_by in {Way.WINDOW, Way.PAGE}:
            await self._until_closed(window)
        else:  # no tab waits at the end of what was before: the window's is where the user left it
            self._tell(NotOpened())

    async def _until_closed(self, window: Window) -> None:
        await window.until_closed()
        if not self._is_over:
            self._tell(Warned(phrase("The window was closed before the redirect came.")))
            self._tell(NotOpened())


def _sweep(environ: Mapping[str, str]) -> None:
    from oauth_helper.browsers.profile import sweep_all  # noqa: PLC0415 - a request is under way meanwhile

    sweep_all(environ)


def _can_be_held(redirect_uri: str | None) -> bool:
    """Whether the callback has an origin at which a browser can be told to hold requests."""
    try:
        url = parse_address(redirect_uri or "")
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)
