"""One listener, one browser window and one prompt, for one link or many."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, NoReturn, Self

from msgspec import Struct, field
from yarl import URL

from oauth_helper.browsers.discovery import (
    Family,
    InstalledBrowser,
    choose_here,
    first_browser,
    why_no_display,
    why_no_window,
)
from oauth_helper.browsers.drivers import NoWindowError
from oauth_helper.browsers.launch import open_default_browser, sweep_all
from oauth_helper.browsers.window import BrowserWindow
from oauth_helper.environment import Place, cannot_authorize, find_environment, is_build_service
from oauth_helper.errors import DeadlineError, NoBrowserError, OAuthHelperError, RedirectRejectedError
from oauth_helper.events import Event, GuidanceDue, NotOpened, Opened, Opening, Waiting, Warned, Way, WindowClosed
from oauth_helper.exchange import TIMING, Tell, Timing
from oauth_helper.i18n import N_, NO_TEXT, Language, Preference, Text, _, joined
from oauth_helper.journal import Journal
from oauth_helper.listener.handlers import EntryLink, Listener, is_served
from oauth_helper.receiver import MOMENTS, RedirectReceiver
from oauth_helper.redirect import AuthorizationResponse
from oauth_helper.single_instance import InstanceInfo, outcome_of
from oauth_helper.terminal_prompt import WHAT_TO_PASTE, TerminalPrompt, can_prompt
from oauth_helper.values import parse_address

_RESULT_SECONDS: Final = 10.0
"""How long the window shows the outcome after our end, unless the user closes it."""
_RESULT_TIMEOUT: Final = 5.0
"""Seconds for the window to fetch the final page."""
_START_OVER_TIMEOUT: Final = 120.0
"""Seconds. The browser waits as long as the terminal does."""
_OWN_BROWSER_KEY: Final = "b"
_CLOCK_INTERVAL: Final = 1.0
"""Seconds between two readings of the wall clock, which may jump."""


class BrowserOptions(Struct, frozen=True):
    """How the redirect may come."""

    browser: str = "auto"
    """``auto``, ``default``, ``chromium``, ``firefox``, a browser's path, or ``none``."""
    port: int | None = None
    """The listener's; None: any free one."""
    redirect_uri: str | None = None
    """Of a capture; the listener serves its path too. None: that of ServiceStage's console."""
    say: Callable[[Text], None] | None = None
    """Prints a message of the terminal prompt; None: no prompt, standard input is not read."""
    keys: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """Further keys of the prompt, each followed by Enter."""
    simulated_user: Callable[[str], Awaitable[None]] | None = None
    """Acts as the user if there is no browser; in the sandbox."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    has_script: bool = False
    """Whether a program reads the events, and opens the address itself if necessary."""
    shows_result: bool = False
    """Whether the window shows the outcome for some seconds after our end."""
    headless: bool = False
    """Whether the window is invisible; for tests and demonstrations."""
    preference: Preference = Preference(Language.ENGLISH)
    """The language of the pages."""

    @property
    def has_prompt(self) -> bool:
        """Whether the user can paste into the terminal."""
        return self.say is not None and can_prompt()

    @property
    def demands_window(self) -> bool:
        """Whether the user accepts nothing but a browser window that oauth-helper drives."""
        return self.browser not in {"auto", "default", "none"}

    @property
    def is_free(self) -> bool:
        """Whether the user leaves the choice of a browser to us."""
        return self.browser == "auto" and not self.environ.get("BROWSER")

    @property
    def user_simulation(self) -> Callable[[str], Awaitable[None]] | None:
        """What acts as the user if no browser can be opened; a user who sets ``BROWSER`` acts alone."""
        return None if self.environ.get("BROWSER") else self.simulated_user


class BrowserPlan(Struct, frozen=True):
    """How a link will open a browser. Without windows, default browser and simulated user it prints the addresses."""

    why: Text
    """What happens, and why, for people."""
    windows: tuple[InstalledBrowser, ...] = ()
    """The browsers in which to try a window, best first."""
    opens_default: bool = False
    """Whether the default browser opens the listener's page."""
    simulates_user: bool = False
    warning: Text = NO_TEXT
    """What the user should know before it happens."""


_APART: Final = _("over SSH it would open on the screen of this machine, not on yours")
_OPEN_TO_OTHERS: Final = N_(
    "Other users of this machine can drive a window of {browser}, and see what you do there, as it is a snap or "
    "flatpak."
)


async def plan_browser(options: BrowserOptions) -> BrowserPlan:
    """Decide how to open a browser on this machine.

    Raises:
        NoBrowserError: What the user demands is not available here, or no user could authorize.
    """
    if options.browser == "none":
        return BrowserPlan(_("the addresses are printed"))
    if options.is_free and find_environment(options.environ).place is Place.SSH:
        # The user does not see the screen of this machine.
        warning = _("No browser is opened: {why}. Use --browser or BROWSER to open one anyway.", why=_APART)
        return _plan_without_browser(options, _APART, warning)
    no_display = None if options.headless else await asyncio.to_thread(why_no_display, options.environ)
    windows, no_window = await _find_windows(options, no_display)
    if windows:
        first = windows[0]
        why = _("your default browser") if first.is_default else _("installed")
        return BrowserPlan(
            _("a dedicated window in {browser} ({why})", browser=first.name, why=why),
            windows=tuple(windows),
            warning=_(_OPEN_TO_OTHERS, browser=first.name) if first.is_open_to_others else NO_TEXT,
        )
    name, no_default = first_browser(options.environ)
    if no_display and first_browser({**options.environ, "DISPLAY": "", "WAYLAND_DISPLAY": ""})[1]:
        no_default = no_default or no_display
    if no_default:
        warning = _("No browser could be opened here: {why}.", why=no_default)
        return _plan_without_browser(options, no_default, warning)
    why = _("{browser} opens the page", browser=name)
    if no_window:
        warning = _("No dedicated window ({why}): your default browser shows a page instead.", why=no_window)
        why = _("{how}; no dedicated window: {why}", how=why, why=no_window)
        return BrowserPlan(why, opens_default=True, warning=warning)
    return BrowserPlan(why + _(" (BROWSER says so)") if options.environ.get("BROWSER") else why, opens_default=True)


def _plan_without_browser(options: BrowserOptions, why: Text, warning: Text) -> BrowserPlan:
    if options.user_simulation:
        warning = _("No browser ({why}): a simulated user authorizes instead.", why=why)
        return BrowserPlan(_("a simulated user authorizes"), simulates_user=True, warning=warning)
    if options.browser == "default":
        raise NoBrowserError(_("There is no default browser: {no_default}", no_default=why))
    if is_build_service(options.environ) and not (options.has_prompt or options.has_script):
        raise cannot_authorize(why)
    return BrowserPlan(_("{why}; the addresses are printed", why=why), warning=warning)


async def _find_windows(options: BrowserOptions, no_display: Text | None) -> tuple[Sequence[InstalledBrowser], Text]:
    """Return the browsers to try; if there are none but a window is wanted, also why."""
    if not (options.demands_window or options.is_free):
        return [], NO_TEXT
    reason = None if options.headless else why_no_window(options.environ)
    if options.demands_window and reason:
        raise NoBrowserError(_("No window can be opened: {reason}", reason=reason))
    if options.is_free and (reason := reason or no_display):
        return [], reason
    # If the user demands one, without a display too: the browser may need none.
    found = await choose_here(options.browser, options.environ)
    if not found:
        return [], _("no browser of the Chromium family and no Firefox was found")
    if options.demands_window:
        return found, NO_TEXT
    safe = [browser for browser in found if not browser.is_open_to_others]
    return safe, _(
        "other users of this machine could drive one in {browser}, as it is a snap or flatpak", browser=found[0].name
    )


class Session:
    """One listener, one browser window and one prompt. An async context manager, which closes what it has opened.

    Args:
        options: How redirects may come.
        tell: Called with each event.
        journal: Where redirects are saved before the exchange; None: nowhere.
        timing: How long an exchange waits for what.
        is_shared: Whether several links use it, one after the other. A window then stays open for the next link.
        guidance_after: Seconds of waiting after which the user gets guidance.
    """

    def __init__(
        self,
        options: BrowserOptions,
        tell: Tell,
        *,
        journal: Journal | None = None,
        timing: Timing = TIMING,
        is_shared: bool = False,
        guidance_after: Sequence[float] = MOMENTS,
    ) -> None:
        self.journal: Journal | None = journal
        self.timing: Timing = timing
        self.tell: Tell = tell
        self._guidance_after = guidance_after
        self.expires_at: datetime = datetime.max.replace(tzinfo=UTC)
        self._options = options
        self._is_shared = is_shared
        self._listener: Listener
        self._listening = AsyncExitStack()
        self._plan: BrowserPlan | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._receiver: RedirectReceiver | None = None
        self._timeout = 0.0
        self._browser_task: asyncio.Task[None] | None = None
        self._reopen: Callable[[], Coroutine[None, None, None]]
        self._is_window_closed = False
        self._own_browsers: set[asyncio.Task[None]] = set()
        self._window: BrowserWindow | None = None
        self._started_window: tuple[BrowserWindow, EntryLink] | None = None
        """The first browser to try, which starts while ServiceStage is asked for the authorization URL."""
        self._result_seconds = _RESULT_SECONDS if options.shows_result else 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):  # the user stops it
            self._result_seconds = 0
        try:
            if self._sweeping:
                await asyncio.wait({self._sweeping})
            await self._stop_listening()  # the window fetches its final page
        finally:
            if self._window:
                await self._window.close(stay=self._result_seconds)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen on 127.0.0.1, and decide how to open a browser.

        A shared session with a window does both once, and goes on listening for the next link.

        Raises:
            PortTakenError, MachineError: Listening is not possible.
            NoBrowserError: What the user demands is not available here.
        """
        is_first = self._plan is None
        if is_first:
            listener = Listener(
                self._options.port, redirect_uri=self._options.redirect_uri, preference=self._options.preference
            )
            self._listener = await self._listening.enter_async_context(listener)
        try:
            if is_first:
                if self._sweeping is None:
                    self._sweeping = asyncio.create_task(asyncio.to_thread(sweep_all, self._options.environ))
                self._plan = await plan_browser(self._options)
                if self._plan.warning:
                    self.tell(Warned(self._plan.warning))
                if self._plan.windows:
                    self._started_window = self._new_window(self._plan.windows[0])
            yield
        finally:
            if not self._keeps_window:
                await self._stop_listening()

    @property
    def _keeps_window(self) -> bool:
        return self._is_shared and self._plan is not None and bool(self._plan.windows)

    async def _stop_listening(self) -> None:
        self._plan = None
        for task in self._own_browsers:
            task.cancel()
        await asyncio.gather(*self._own_browsers, return_exceptions=True)
        await self._close_started_window()
        await self._listening.aclose()

    async def _close_started_window(self) -> None:
        if self._started_window:
            await self._started_window[0].close()
            self._started_window = None

    @asynccontextmanager
    async def browsing(
        self, receiver: RedirectReceiver, *, seconds: float, more_to_come: bool = False
    ) -> AsyncIterator[None]:
        """Serve ``receiver`` and open the browser; at the end, show the outcome in the window if that stays."""
        start = await self._listener.serve(receiver, more_to_come=more_to_come and self._keeps_window)
        self._timeout = seconds
        self._open(start, receiver)
        try:
            yield
        except asyncio.CancelledError:
            self._result_seconds = 0
            raise
        finally:
            await self._cancel_browser_task()
            if self._result_seconds and not more_to_come and self._window and self._window.is_open:
                if receiver.way is not Way.WINDOW:
                    self._listener.expect_done()
                    if not await self._window.show(self._listener.done_address):
                        self._result_seconds = 0
                await self._listener.until_sent(_RESULT_TIMEOUT)

    async def start_over(self, receiver: RedirectReceiver) -> None:
        """Send the tab that brought the redirect to the Git host again; open one if there is none."""
        came_by_window = receiver.way is Way.WINDOW
        start = self._listener.start_over(receiver.request.url.reveal() if came_by_window else None)
        is_open = self._browser_task is not None and not self._browser_task.done()
        if receiver.way is Way.PAGE or (came_by_window and is_open):
            self._tell_waiting(start, receiver)
        else:
            await self._cancel_browser_task()
            self._open(start, receiver)

    def new_address(self) -> str:
        """Return an address of the listener, with a KEY of its own, for other processes of this user."""
        return self._listener.start(good_once=False).address

    async def wait(self, receiver: RedirectReceiver) -> AuthorizationResponse:
        """Wait for one redirect of ours until the deadline, by the clock of the loop and by the wall clock.

        The clock of the loop stops while the machine is suspended (on Linux), and the wall clock may be set back.

        Raises:
            DeadlineError: None came in time.
            OAuthHelperError: The user or the Git host refused, or the browser that the user demands did not open.
        """
        try:
            async with (
                asyncio.timeout(self._timeout) as limit,
                _running(_expire_at(self.expires_at, limit)),
                self.prompt(partial(receiver.judge, way=Way.TERMINAL)),
                _running(self._give_guidance(receiver)),
            ):
                return await receiver.redirect()
        except TimeoutError:
            raise DeadlineError(
                _("Timed out waiting for you to authorize ({seconds:g} s)", seconds=self._timeout)
            ) from None

    async def _give_guidance(self, receiver: RedirectReceiver) -> None:
        waited = 0.0
        for moment in self._guidance_after:
            await asyncio.sleep(moment - waited)
            waited = moment
            if guidance := receiver.guidance(is_last=moment == self._guidance_after[-1]):
                self.tell(GuidanceDue(guidance))

    @property
    def has_prompt(self) -> bool:
        """Whether the user can paste into the terminal."""
        return self._options.has_prompt

    @property
    def outcome_language(self) -> Language:
        """The language in which another process reports its outcome: scripts get English."""
        return Language.ENGLISH if self._options.has_script else self._options.preference.language

    async def deliver_pasted(self, instance: InstanceInfo) -> None:
        """Read the terminal, and deliver what is pasted to the process that already links the target."""
        rejection = NO_TEXT
        while True:
            pasted: asyncio.Queue[str] = asyncio.Queue()
            async with TerminalPrompt(offer=pasted.put_nowait, say=self._say):
                if rejection:  # only now: nothing that the user pastes after reading it is echoed
                    self._say(rejection)
                text = await pasted.get()
            try:
                await outcome_of(instance, text, language=self.outcome_language)
            except RedirectRejectedError as rejected:
                rejection = _("{message}. {hint}", message=rejected.message, hint=rejected.hint)
            else:
                return

    def prompt(self, offer: Callable[[str], None]) -> AbstractAsyncContextManager[object]:
        """Pass to ``offer`` what the user pastes into the terminal, while the context is open."""
        if not self.has_prompt:
            return nullcontext()
        keys = dict(self._options.keys)
        if self._plan and self._plan.windows:  # a Git host or a single sign-on may refuse a window that is driven
            keys |= {_OWN_BROWSER_KEY: self._open_own_browser, "": self._reopen_window}
        return TerminalPrompt(offer=offer, say=self._say, keys=keys)

    async def may_start_over(self, error: OAuthHelperError, *, seconds: float = _START_OVER_TIMEOUT) -> bool:
        """Report the error, and return whether the user presses Enter within that time; without a terminal, False."""
        if not self.has_prompt:
            return False
        is_wanted = asyncio.Event()

        def offer(_text: str) -> NoReturn:
            raise RedirectRejectedError(
                "foreign-state", _("No address is expected now"), hint=_("Press Enter to start over.")
            )

        self._say(_("{message}.", message=error.message))
        try:
            async with asyncio.timeout(seconds), TerminalPrompt(offer=offer, say=self._say, keys={"": is_wanted.set}):
                self._say(_("Press Enter to start over, Ctrl-C to cancel."))
                await is_wanted.wait()
        except TimeoutError:
            return False
        return True

    def _say(self, text: Text) -> None:
        if self._options.say:  # pragma: no branch - called only with a prompt
            self._options.say(text)

    def _reopen_window(self) -> None:
        """Open the window again if the user closed it."""
        if self._is_window_closed:
            self._is_window_closed = False
            self._browser_task = asyncio.create_task(self._reopen())
        else:
            self._say(WHAT_TO_PASTE)

    def _open(self, start: str, receiver: RedirectReceiver) -> None:
        self._is_window_closed = False
        self._reopen = partial(self._open_or_give_up, start, receiver)
        self._tell_waiting(start, receiver)
        self._browser_task = asyncio.create_task(self._reopen())

    def _tell_waiting(self, start: str, receiver: RedirectReceiver) -> None:
        self.expires_at = datetime.now(UTC) + timedelta(seconds=self._timeout)
        self.tell(Waiting(start, receiver.request.printed_url.reveal(), self.expires_at))

    async def _open_or_give_up(self, start: str, receiver: RedirectReceiver) -> None:
        try:
            await self.open_browser(start, receiver)
        except Exception as error:  # noqa: BLE001 - any failure ends the wait
            receiver.give_up(error)

    async def _cancel_browser_task(self) -> None:
        if self._browser_task:  # pragma: no branch - browsing() has set it
            self._browser_task.cancel()
            await asyncio.gather(self._browser_task, return_exceptions=True)

    @property
    def _is_answered(self) -> bool:
        return self._receiver is not None and self._receiver.was_answered

    def _report(self, *events: Event) -> None:
        """Report how the browser was opened, unless the redirect has come: then it does not matter any more."""
        for event in events if not self._is_answered else ():
            self.tell(event)

    async def open_browser(self, start: str, receiver: RedirectReceiver) -> None:
        """Show ``start`` to the user; return when there is nothing more to do.

        Raises:
            NoBrowserError: What the user demands did not open.
        """
        came_by, self._receiver = self._receiver.way if self._receiver else None, receiver
        redirect_uri = receiver.request.redirect_uri or ""
        if self._window and self._window.is_open and self._window.holds(redirect_uri):
            await self._continue_in(self._window, receiver, came_by)
            return
        if self._listener.handed_on:
            self._listener.handed_on.lead(None)
        plan = self._plan or BrowserPlan(NO_TEXT)
        callback = _callback(redirect_uri)
        if callback and is_served(callback) and callback.port == parse_address(start).port and plan.windows:
            # A window would intercept the listener's own pages too.
            plan = BrowserPlan(NO_TEXT, opens_default=True)
        if plan.windows and not callback:
            self.tell(Warned(_("The Git host does not say where it will redirect to, so no window can wait there.")))
        elif plan.windows and (await self._open_window(plan.windows, receiver, redirect_uri) or self._is_answered):
            return
        await self._close_started_window()
        if plan.windows or plan.opens_default:
            await self._open_default(start)
        elif plan.simulates_user and self._options.simulated_user:
            await self._options.simulated_user(start)
        else:
            self.tell(NotOpened())

    def _open_own_browser(self) -> None:
        """Open the page, with a fresh KEY, in the user's own browser too."""
        task = asyncio.create_task(self._open_default(self._listener.start().address))
        self._own_browsers.add(task)
        task.add_done_callback(self._own_browsers.discard)

    async def _open_default(self, start: str) -> None:
        try:
            browser = await open_default_browser(start, environ=self._options.environ)
        except NoBrowserError as error:
            if self._options.browser == "default" and not self._is_answered:
                raise
            if self._options.user_simulation and not self._is_answered:
                self.tell(Warned(_("{message}: a simulated user authorizes instead.", message=error.message)))
                await self._options.user_simulation(start)
            else:
                self._report(Warned(_("{message}.", message=error.message)), NotOpened())
        else:
            self._report(Opened(browser))

    async def _open_window(
        self, browsers: Sequence[InstalledBrowser], receiver: RedirectReceiver, redirect_uri: str
    ) -> bool:
        """Try each browser; return whether the user has, or had until closing it, a tab to continue in."""
        failures: list[Text] = []
        for browser in browsers:
            if self._window:
                await self._window.close()  # the user has closed it, or it failed
            self._window, start = self._started_window or self._new_window(browser)
            self._started_window = None
            self.tell(Opening(browser.name))
            try:
                await self._window.open(
                    redirect_uri=redirect_uri,
                    onward=receiver.request.url,
                    judge=partial(self._judge_in_window, receiver),
                    done=self._listener.done_address,
                    lead=start.lead,
                )
            except NoWindowError as error:
                failures.append(error.message)
                if not error.exists or self._options.demands_window:
                    self._listener.revoke(start)
                    continue
                start.lead(None)  # the tab of a window that cannot intercept can still show the page
                text = _("{message}. The page in that window takes the address instead.", message=error.message)
                self.tell(Warned(text))
                self._report(Opened(browser.name))
            else:
                receiver.page_opened()
                self.tell(Opened(browser.name, window=True, marked=browser.family is Family.FIREFOX))
            await self._wait_until_closed(self._window)
            return True
        if self._window:
            await self._window.close()
        if self._options.demands_window:
            raise NoBrowserError(joined(failures))
        self.tell(Warned(_("No dedicated window: {failures}.", failures=joined(failures))))
        return False

    def _new_window(self, browser: InstalledBrowser) -> tuple[BrowserWindow, EntryLink]:
        start = self._listener.start(held=True, good_once=False)
        window = BrowserWindow(
            browser,
            start=start.address,
            headless=self._options.headless,
            language=self._options.preference.language,
            environ=self._options.environ,
        )
        window.start()
        return window, start

    def _judge_in_window(self, receiver: RedirectReceiver, query: str) -> None:
        receiver.judge_query(query, Way.WINDOW)
        self._listener.expect_done()

    async def _continue_in(self, window: BrowserWindow, receiver: RedirectReceiver, came_by: Way | None) -> None:
        if self._listener.handed_on:  # pragma: no branch - the second link, or attempt, always has one
            window.go_on(
                lead=self._listener.handed_on.lead,
                onward=receiver.request.url,
                judge=partial(self._judge_in_window, receiver),
                done=self._listener.done_address,
            )
        # Otherwise no tab waits on the final page.
        if came_by not in {Way.WINDOW, Way.PAGE} and not await window.show(receiver.request.url.reveal()):
            self.tell(NotOpened())
        await self._wait_until_closed(window)

    async def _wait_until_closed(self, window: BrowserWindow) -> None:
        await window.until_closed()
        if not self._is_answered:
            self._is_window_closed = True
            self.tell(WindowClosed())


def _callback(redirect_uri: str) -> URL | None:
    """Return the callback, if it has an origin for which a browser can intercept requests."""
    with suppress(ValueError):
        url = parse_address(redirect_uri)
        return url if url.scheme in {"http", "https"} and url.host else None
    return None


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()  # without waiting for it, so that the exchange starts at once


async def _expire_at(moment: datetime, limit: asyncio.Timeout) -> None:
    while (left := moment.timestamp() - time.time()) > 0:  # noqa: ASYNC110 - a clock, and not an event
        await asyncio.sleep(min(left, _CLOCK_INTERVAL))
    limit.reschedule(asyncio.get_running_loop().time())
