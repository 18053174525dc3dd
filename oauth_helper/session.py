"""One listener, one browser window and one prompt, for one link or many."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

from oauth_helper.browsers.discovery import FoundBrowser
from oauth_helper.browsers.drivers import NoWindowError
from oauth_helper.browsers.window import Window
from oauth_helper.environment import is_build_service, nobody_could_authorize
from oauth_helper.errors import (
    DeadlineError,
    MachineError,
    NoBrowserError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    StoppedError,
)
from oauth_helper.events import Event, Failed, Joined, Linked, NotOpened, Opened, Outcome, Warned, Way
from oauth_helper.exchange import check_existing
from oauth_helper.i18n import N_, NO_TEXT, Language, Preference, Text, _, joined
from oauth_helper.listener.handlers import Listener, Start
from oauth_helper.models import LinkRequest, RepoType, Target, as_argument
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.secret import Secret
from oauth_helper.single_instance import (
    PAUSE,
    InstanceInfo,
    RunGoneError,
    TargetLock,
    claim_or_find,
    deliver,
    noticed,
    outcome,
    runtime_folder,
)
from oauth_helper.terminal_prompt import TerminalPrompt
from oauth_helper.values import parse_address

_ENGLISH: Final = Preference(Language.ENGLISH)


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """By which ways the redirect may come."""

    browser: str = "auto"
    """``auto``, ``default``, ``chromium``, ``firefox``, a browser's path, or ``none``."""
    port: int | None = None
    """The listener's; None: any free one."""
    say: Callable[[Text], None] | None = None
    """Says the terminal prompt's words; None: no prompt, standard input is left alone."""
    keys: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """What keys of the caller's do at that prompt, each with Enter behind it."""
    simulated_user: Callable[[str], Awaitable[None]] | None = None
    """Plays the user where there is no browser, in the sandbox."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    has_script: bool = False
    """Whether a script reads the events, and brings the address to a browser itself where it has to."""
    headless: bool = False
    """Whether a window of ours shows nothing: for tests and demonstrations."""
    preference: Preference = _ENGLISH
    """What the user reads on pages."""

    @property
    def has_prompt(self) -> bool:
        """Whether the user can paste into the terminal."""
        from oauth_helper.terminal_prompt import can_prompt  # noqa: PLC0415 - where nobody speaks, nobody is asked

        return self.say is not None and can_prompt()

    @property
    def is_apart(self) -> bool:
        """Whether a browser would come up where the user is not, and none was asked for."""
        from oauth_helper.browsers.discovery import environment  # noqa: PLC0415 - who wants no browser needs none

        return not self.demands_browser and environment(self.environ).is_apart

    @property
    def demands_browser(self) -> bool:
        """Whether the user says which browser is to be opened."""
        return self.browser not in {"auto", "none"} or bool(self.environ.get("BROWSER"))

    @property
    def wants_window(self) -> bool:
        """Whether a window of our own is to be tried; who sets ``BROWSER`` has chosen another."""
        return self.demands_window or (self.browser == "auto" and not self.environ.get("BROWSER"))

    @property
    def demands_window(self) -> bool:
        """Whether nothing but a window of our own will do."""
        return self.browser not in {"auto", "default", "none"}


class How(StrEnum):
    """Who brings the user to the Git host."""

    WINDOW = "window"
    DEFAULT = "default"
    VISITOR = "visitor"
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done."""

    how: How
    why: Text
    """What happens, and for which reason, in words for people."""
    windows: tuple[FoundBrowser, ...] = ()
    """The browsers in which a window is to be tried, best first."""
    warning: Text = NO_TEXT
    """What the user should know before it happens."""


_APART: Final = _("over SSH it would come up on this machine's own screen, not on yours")
_OPEN_TO_OTHERS: Final = N_(
    "Other users of this machine can drive a window of {browser}, and see what you do there, as it is a snap or "
    "flatpak."
)


async def plan_opening(browser_options: BrowserOptions) -> Plan:
    """Look at the machine and decide.

    Raises:
        NoBrowserError: What the user demands cannot be had here, or nobody could authorize.
    """
    if browser_options.browser == "none":
        return Plan(How.BY_HAND, _("the addresses are printed"))
    if browser_options.is_apart:
        warning = _("No browser is opened: {why}. --browser or BROWSER demands one.", why=_APART)
        return _without_browser(browser_options, _APART, warning)
    from oauth_helper.browsers.discovery import (  # noqa: PLC0415 - as above
        why_no_browser,
        why_no_display,
    )

    no_display = (
        None
        if browser_options.headless
        else await asyncio.to_thread(why_no_display, browser_options.environ, sys.platform)
    )
    windows, no_window = await _windows(browser_options, no_display)
    if windows:
        first = windows[0]
        why = _("your default browser") if first.is_default else _("installed")
        warning = _(_OPEN_TO_OTHERS, browser=first.name) if first.is_open_to_others else NO_TEXT
        how = _("a window of our own in {browser} ({why})", browser=first.name, why=why)
        return Plan(How.WINDOW, how, tuple(windows), warning)
    no_default = why_no_browser(browser_options.environ, sys.platform)
    if no_display and not no_default and why_no_browser(_without_display(browser_options.environ), sys.platform):
        no_default = no_display
    if no_default is None:
        return _in_the_default_browser(browser_options, no_window)
    return _without_browser(browser_options, no_default, _("No browser could be opened here: {why}.", why=no_default))


def _without_browser(browser_options: BrowserOptions, why: Text, warning: Text) -> Plan:
    if browser_options.simulated_user and not browser_options.environ.get("BROWSER"):
        warning = _("No browser ({why}): the sandbox's own visitor plays the user.", why=why)
        return Plan(How.VISITOR, _("the sandbox's visitor plays the user"), warning=warning)
    _check_by_hand(browser_options, why)
    return Plan(How.BY_HAND, _("{why}; the addresses are printed", why=why), warning=warning)


def _without_display(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}


async def _windows(browser_options: BrowserOptions, no_display: Text | None) -> tuple[list[FoundBrowser], Text]:
    """Return the browsers to try, and where there are none but one was wanted, why."""
    if not browser_options.wants_window:
        return [], NO_TEXT
    from oauth_helper.browsers.discovery import choose_here, why_no_window  # noqa: PLC0415 - as above

    reason = None if browser_options.headless else why_no_window(browser_options.environ, sys.platform)
    if reason and browser_options.demands_window:
        raise NoBrowserError(_("A window was demanded, but there can be none: {reason}", reason=reason))
    # A browser that was demanded is tried all the same: it may need no display.
    if not browser_options.demands_window:
        reason = reason or no_display
    found = [] if reason else await choose_here(browser_options.browser, browser_options.environ, sys.platform)
    if browser_options.demands_window:
        return found, NO_TEXT
    safe = [browser for browser in found if not browser.is_open_to_others]
    if found and not safe:
        reason = _(
            "other users of this machine could drive one in {browser}, as it is a snap or flatpak",
            browser=found[0].name,
        )
    return safe, reason or _("no browser of the Chromium family and no Firefox was found")


def _in_the_default_browser(browser_options: BrowserOptions, no_window: Text) -> Plan:
    from oauth_helper.browsers.launch import first_browser  # noqa: PLC0415 - as above

    why = _("{browser} opens the page", browser=first_browser(browser_options.environ))
    if no_window:
        warning = _("No window of ours ({why}): your default browser shows a page instead.", why=no_window)
        return Plan(How.DEFAULT, _("{how}; no window of ours: {why}", how=why, why=no_window), warning=warning)
    return Plan(How.DEFAULT, why + _(" (BROWSER says so)") if browser_options.environ.get("BROWSER") else why)


def _check_by_hand(browser_options: BrowserOptions, no_default: Text) -> None:
    if browser_options.browser == "default":
        raise NoBrowserError(
            _("The default browser was demanded, but there is none: {no_default}", no_default=no_default)
        )
    if is_build_service(browser_options.environ) and not (browser_options.has_prompt or browser_options.has_script):
        raise nobody_could_authorize(no_default)


class SingleRun:
    """Where the runs for one target meet. Without a folder for it, each goes on alone."""

    def __init__(self, folder: Path | None, target: Target, repo_type: RepoType, tell: Callable[[Event], None]) -> None:
        self._folder = folder
        self._target = target
        self._repo_type = repo_type
        self._tell = tell

    @classmethod
    def of_the_user(cls, target: Target, repo_type: RepoType, tell: Callable[[Event], None]) -> SingleRun:
        """Return the one in the user's runtime folder; where that cannot be used, say so."""
        try:
            folder = runtime_folder()
        except MachineError as error:
            tell(of_being_alone(error))
            return cls(None, target, repo_type, tell)
        return cls(folder, target, repo_type, tell)

    @asynccontextmanager
    async def claimed_or_joined(
        self, request: LinkRequest, browser_options: BrowserOptions
    ) -> AsyncIterator[Linked | None]:
        """Hold the right to link the target within the context; or give what another run that had it has made.

        Raises:
            DeadlineError: That run has not ended in time.
            OAuthHelperError: It ended with that, and to try again at once would end no other way.
        """
        if self._folder is None:
            yield None
            return
        try:
            async with asyncio.timeout(request.timeout):
                claim_or_linked = await self._claim_or_join(self._folder, request, browser_options)
        except TimeoutError:
            raise self._failed(_still_linked(request.name)) from None
        except OAuthHelperError as error:
            raise self._failed(error) from error.__cause__
        if isinstance(claim_or_linked, Linked):
            self._tell(claim_or_linked)
            yield claim_or_linked
        else:
            with claim_or_linked or nullcontext():
                yield None

    @contextmanager
    def announced(self, listener: str, state: Secret) -> Iterator[None]:
        """Let other runs find this one at the address of its listener, while it waits for ``state``."""
        with ExitStack() as stack:
            try:
                if self._folder:
                    place = noticed(
                        self._folder, self._target, address=listener, repo_type=self._repo_type, state=state
                    )
                    stack.enter_context(place)
            except MachineError as error:
                self._warn_of_being_alone(error)
            yield

    async def _claim_or_join(
        self, folder: Path, request: LinkRequest, browser_options: BrowserOptions
    ) -> TargetLock | Linked | None:
        """Return the right to link the target, or what another run made; None where nothing can be claimed here."""
        told = Joined(request.name, can_deliver=False), Joined(request.name)
        untold = [*told]

        def tell(joined: Joined) -> None:
            if joined in untold:  # once, and nothing less after more
                del untold[: untold.index(joined) + 1]
                self._tell(joined)

        while True:
            try:
                claim_or_notice = await claim_or_find(folder, self._target, lambda: tell(told[0]))
            except MachineError as trouble:
                self._warn_of_being_alone(trouble)
                return None
            if isinstance(claim_or_notice, TargetLock):
                return claim_or_notice
            tell(told[1])
            match await _end_of(claim_or_notice, browser_options):
                case Linked(authorization):
                    check_existing(request, authorization)
                    return Linked(authorization, kept=True)
                case Failed(error) if not isinstance(error, StoppedError | OutcomeUnknownError):
                    raise error
            # It was stopped, or is gone: as soon as it has closed, it is our turn.
            await asyncio.sleep(PAUSE)

    def _warn_of_being_alone(self, error: MachineError) -> None:
        self._tell(of_being_alone(error))

    def _failed(self, error: OAuthHelperError) -> OAuthHelperError:
        self._tell(Failed(error))
        return error


def of_being_alone(error: MachineError) -> Warned:
    """Return the warning that other runs cannot find this one."""
    return Warned(
        _("{message}; other runs will not find this one. {hint}", message=error.message, hint=error.hint),
        once=True,
    )


def _still_linked(name: str) -> DeadlineError:
    return DeadlineError(
        _("Another oauth-helper is still linking {name}", name=name),
        hint=_(
            "This one has stopped waiting; the other goes on. `oauth-helper show {name}` tells how it ended.",
            name=as_argument(name),
        ),
    )


async def _end_of(notice: InstanceInfo, browser_options: BrowserOptions) -> Outcome | None:
    """Wait for the end of that run, and deliver to it what is pasted here; None where it has gone without telling."""
    tasks = [asyncio.create_task(outcome(notice))]
    if browser_options.say and browser_options.has_prompt:
        tasks.append(asyncio.create_task(_deliver_pasted(notice, browser_options.say)))
    try:
        return await tasks[0]
    except RunGoneError:
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver_pasted(notice: InstanceInfo, say: Callable[[Text], None]) -> Outcome:
    from oauth_helper.terminal_prompt import TerminalPrompt  # noqa: PLC0415 - who is alone needs none

    rejection: tuple[Text, ...] = ()
    while True:
        pasted: asyncio.Queue[str] = asyncio.Queue()
        async with TerminalPrompt(offer=pasted.put_nowait, say=say):
            for line in rejection:  # said only now, as who reads it may paste at once, and nothing is to show that
                say(line)
            text = await pasted.get()
        try:
            return await deliver(notice, text)
        except RedirectRejectedError as rejected:
            rejection = (rejected.message, rejected.hint)


class Opening:
    """Opens browsers for one story, and ends with it whatever it has begun. An async context manager.

    With ``keeps_window`` a window of ours stands until the context ends, and serves the stories that follow.
    ``stirs`` is called whenever something happens in it.
    """

    def __init__(
        self,
        browser_options: BrowserOptions,
        listener: Listener,
        tell: Callable[[Event], None],
        *,
        keeps_window: bool = False,
        stirs: Callable[[], None] = lambda: None,
    ) -> None:
        self._browser_options = browser_options
        self._listener = listener
        self._tell = tell
        self._stirs = stirs
        self._plan = Plan(How.BY_HAND, NO_TEXT)
        self._sweeping: asyncio.Task[None] | None = None
        self._receiver: RedirectReceiver | None = None
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
        self._sweeping = asyncio.create_task(asyncio.to_thread(_sweep, self._browser_options.environ))
        self._plan = await self._look()
        if self._plan.warning:
            self._tell(Warned(self._plan.warning))

    async def _look(self) -> Plan:
        await asyncio.to_thread(import_module, "oauth_helper.browsers.discovery")

        if not self._browser_options.wants_window:
            return await plan_opening(self._browser_options)
        # A window's modules are imported while the desktop's tools are asked.
        importing = asyncio.create_task(asyncio.to_thread(import_module, "oauth_helper.browsers.window"))
        try:
            return await plan_opening(self._browser_options)
        finally:
            await asyncio.wait({importing})

    @property
    def _is_over(self) -> bool:
        """Whether the redirect came meanwhile: how it was opened is no news any more."""
        return self._receiver is not None and self._receiver.was_answered

    @property
    def has_window(self) -> bool:
        """Whether a window of ours will be tried."""
        return self._plan.how is How.WINDOW

    async def open(self, start: str, receiver: RedirectReceiver) -> None:
        """Bring ``start`` before the user; end when there is no more to be done.

        Raises:
            NoBrowserError: What the user demands could not be had after all.
        """
        came_by, self._receiver = self._receiver.way if self._receiver else None, receiver
        if self._window and self._window.is_open and self._window.holds(receiver.redirect_uri or ""):
            await self._go_on_in(self._window, receiver, came_by)
            return
        if self._listener.handed_on:
            self._listener.handed_on.lead(None)
        match self._plan.how:
            case How.BY_HAND:
                self._tell(NotOpened())
            case How.VISITOR if self._browser_options.simulated_user:
                await self._browser_options.simulated_user(start)
            case How.WINDOW if not _can_be_held(receiver.redirect_uri):
                self._tell(
                    Warned(_("The Git host does not say where it will redirect to, so no window can wait there."))
                )
                await self._open_default(start)
            case How.WINDOW:
                if not await self._open_window(receiver, receiver.redirect_uri or "") and not self._is_over:
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
            from oauth_helper.browsers.launch import open_default_browser  # noqa: PLC0415 - as for a window

            browser = await open_default_browser(start, environ=self._browser_options.environ)
        except NoBrowserError as error:
            if self._is_over:
                return
            if self._browser_options.browser == "default":
                raise
            if self._browser_options.simulated_user and not self._browser_options.environ.get("BROWSER"):
                self._tell(Warned(_("{message}: the sandbox's own visitor plays the user.", message=error.message)))
                await self._browser_options.simulated_user(start)
                return
            self._tell(Warned(_("{message}.", message=error.message)))
            self._tell(NotOpened())
        else:
            if not self._is_over:
                self._tell(Opened(browser))

    async def _open_window(self, receiver: RedirectReceiver, redirect_uri: str) -> bool:
        """Try each browser; return whether a tab stands in which the user can go on, or could until closing it."""
        from oauth_helper.browsers.discovery import Family  # noqa: PLC0415 - as below
        from oauth_helper.browsers.drivers import NoWindowError  # noqa: PLC0415 - only who opens one pays for it

        failures: list[Text] = []
        for browser in self._plan.windows:
            start = self._listener.start(held=True, good_once=False)
            async with AsyncExitStack() as until_over:
                window = self._window_of(browser, start, receiver, redirect_uri)
                await until_over.enter_async_context(window)
                try:
                    await window.open()
                except NoWindowError as error:
                    failures.append(error.message)
                    if not self._can_be_kept(error, start):
                        continue
                    self._tell(Opened(browser.name))
                else:
                    receiver.visit()
                    self._tell(Opened(browser.name, window=True, marked=browser.family is Family.FIREFOX))
                if self._keeps_window:
                    self._window = window
                    self._kept.push_async_exit(until_over.pop_all())
                await self._until_closed(window)
            return True
        if self._browser_options.demands_window:
            raise NoBrowserError(joined(failures))
        self._tell(Warned(_("No window of ours: {failures}.", failures=joined(failures))))
        return False

    def _window_of(self, browser: FoundBrowser, start: Start, receiver: RedirectReceiver, redirect_uri: str) -> Window:
        from oauth_helper.browsers.window import Window  # noqa: PLC0415 - as above

        return Window(
            browser,
            start=start.address,
            redirect_uri=redirect_uri,
            lead=start.lead,
            onward=Secret(receiver.authorization_url),
            judge=lambda query: receiver.judge_query(query, Way.WINDOW),
            done=self._listener.done_address,
            stirs=self._stirs,
            headless=self._browser_options.headless,
            language=self._browser_options.preference.language,
            environ=self._browser_options.environ,
        )

    def _can_be_kept(self, error: NoWindowError, start: Start) -> bool:
        """Whether the tab of a window that came to nothing is good for the page at least; see to it."""
        if not error.exists or self._browser_options.demands_window:
            self._listener.revoke(start)
            return False
        start.lead(None)
        self._tell(Warned(_("{message}. The page in that window takes the address instead.", message=error.message)))
        return True

    async def _go_on_in(self, window: Window, receiver: RedirectReceiver, came_by: Way | None) -> None:
        if self._listener.handed_on:  # pragma: no branch - with the second story, or attempt, there is one
            window.go_on(
                lead=self._listener.handed_on.lead,
                onward=Secret(receiver.authorization_url),
                judge=lambda query: receiver.judge_query(query, Way.WINDOW),
                done=self._listener.done_address,
            )
        if came_by in {Way.WINDOW, Way.PAGE}:
            await self._until_closed(window)
        else:  # no tab waits at the end of what was before: the window's is where the user left it
            self._tell(NotOpened())

    async def _until_closed(self, window: Window) -> None:
        await window.until_closed()
        if not self._is_over:
            self._tell(Warned(_("The window was closed before the redirect came.")))
            self._tell(NotOpened())


def _sweep(environ: Mapping[str, str]) -> None:
    from oauth_helper.browsers.launch import sweep_all  # noqa: PLC0415 - a request is under way meanwhile

    sweep_all(environ)


def _can_be_held(redirect_uri: str | None) -> bool:
    """Whether the callback has an origin at which a browser can be told to hold requests."""
    try:
        url = parse_address(redirect_uri or "")
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


class SharedSession:
    """Keeps both open while its context is. ``stirs`` is called whenever something happens in the window.

    Raises:
        PortTakenError: On entering, the port cannot be had.
        MachineError: On entering, there is no listening on 127.0.0.1 at all.
    """

    def __init__(
        self,
        browser_options: BrowserOptions,
        tell: Callable[[Event], None],
        *,
        stirs: Callable[[], None] = lambda: None,
    ) -> None:
        self.listener: Listener = Listener(browser_options.port, preference=browser_options.preference)
        self.opening: Opening = Opening(browser_options, self.listener, tell, keeps_window=True, stirs=stirs)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.opening)
            await stack.enter_async_context(self.listener)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)


class ListenerForOne:
    """The listener of a sitting, as one story of it knows it: to leave it closes nothing."""

    def __init__(self, listener: Listener, *, more_to_come: bool) -> None:
        self._listener = listener
        self._more_to_come = more_to_come

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def serve(self, receiver: RedirectReceiver) -> str:
        """Serve ``desk`` from now on; return the address to open, KEY included."""
        return await self._listener.serve(receiver, more_to_come=self._more_to_come)

    def start_over(self, onward: str | None) -> str:
        """See :meth:`Listener.start_over`."""
        return self._listener.start_over(onward)


_PATIENCE: Final = 120.0
"""Seconds, in which the browser waits too."""


async def ask_to_start_over(
    error: OAuthHelperError, browser_options: BrowserOptions, *, patience: float = _PATIENCE
) -> bool:
    """Say what went wrong, and return whether the user presses Enter; where there is no terminal, nobody does.

    Who has not after ``patience`` seconds does not.
    """
    if browser_options.say is None or not browser_options.has_prompt:
        return False
    is_wanted = asyncio.Event()

    def offer(_text: str) -> NoReturn:
        raise RedirectRejectedError(
            "foreign-state", _("No address is waited for now"), hint=_("Press Enter to start over.")
        )

    browser_options.say(_("{message}.", message=error.message))
    try:
        async with (
            asyncio.timeout(patience),
            TerminalPrompt(offer=offer, say=browser_options.say, keys={"": is_wanted.set}),
        ):
            browser_options.say(_("Press Enter to start over with a fresh state; Ctrl-C stops."))
            await is_wanted.wait()
    except TimeoutError:
        return False
    return True
