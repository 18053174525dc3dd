"""Start a browser with a profile of its own."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from oauth_helper.browsers.discovery import (
    GRAPHICAL,
    OPENERS,
    Candidate,
    Family,
    FoundBrowser,
    Packaging,
    find_candidates,
    inherited,
    name_of,
)
from oauth_helper.browsers.drivers import (
    FIRST_PAGE,
    HAS_PYTHON,
    BrowserError,
    BrowserProcess,
    Chromium,
    Driver,
    Firefox,
    Guarded,
    Patience,
    Remote,
    first_page,
    over_pipe,
    over_websocket,
)
from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import NO_TEXT, Language, Text, _
from oauth_helper.private_files import unsafe_reason

_PATIENCE: Final = 0.3
"""Seconds in which a browser that cannot run says so by ending; Chromium as root takes 0.1 to 0.2."""
_PATIENCE_WITH_OPENERS: Final = 1.5
"""The same for an opener, which first asks around: xdg-open 1.1.3 took 0.5 to find that its browser had failed."""


async def open_default_browser(address: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """Open ``address`` with the first candidate that starts; return its name, such as ``firefox``.

    Success is a process that runs on, or that ended with status 0. It outlives us, gets none of our streams, and
    is not held by the terminal's Ctrl-C.

    Raises:
        NoBrowserError: Nothing was found, or nothing of it started. The message never bears the address.
    """
    found = find_candidates(environ, sys.platform, is_root=_is_root())
    # xdg-open falls back to text-mode browsers of its own choosing, unless BROWSER tells it what there is.
    theirs = inherited(environ) if found.chosen else {**inherited(environ), "BROWSER": ":".join(GRAPHICAL)}
    failures: list[Text] = []
    for candidate in found.best_first:
        failure = candidate.left_out or await _failure(candidate, address, theirs)
        if not failure:
            return name_of(candidate.words[0])
        failures.append(failure)
    raise NoBrowserError(
        _("No browser was opened: {why}", why=found.explain(failures)),
        hint=_("Correct BROWSER, unset it, or give --browser none to be shown the addresses.")
        if found.chosen
        else None,
    )


def first_browser(environ: Mapping[str, str]) -> str:
    """Return the name of what would be tried first; :func:`why_no_browser` must have found no reason against it."""
    found = find_candidates(environ, sys.platform, is_root=_is_root())
    return next(name_of(candidate.words[0]) for candidate in found.best_first if candidate.words)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


async def _failure(candidate: Candidate, address: str, environ: dict[str, str]) -> Text:
    """Start ``candidate``; return why it failed, or nothing."""
    name = name_of(candidate.words[0])
    try:
        ended = _start(candidate.command(address), environ)
    except OSError as error:
        return _("{name} could not be started ({why})", name=name, why=error.strerror)
    try:
        status = await asyncio.wait_for(
            asyncio.wrap_future(ended), _PATIENCE_WITH_OPENERS if name in OPENERS else _PATIENCE
        )
    except TimeoutError:
        return NO_TEXT
    return _("{name} ended with status {status}", name=name, status=status) if status else NO_TEXT


def _start(command: list[str], environ: dict[str, str]) -> Future[int]:
    """Start ``command`` away from our terminal and streams; return a future of its exit status.

    Not asyncio's subprocess: its transport kills the child when our loop closes, and a browser must outlive us.
    """
    process = subprocess.Popen(  # noqa: S603 no shell: the address is one whole argument
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # ours belongs to scripts, and browsers chatter (git-credential-manager issue 178)
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ended: Future[int] = Future()
    ended.set_running_or_notify_cancel()  # from here on it cannot be cancelled, so the thread can always set it
    # Somebody has to take the exit status, or a browser closed while we still run stays a zombie. A daemon, because
    # the interpreter would wait for any other thread at its end.
    threading.Thread(target=lambda: ended.set_result(process.wait()), name=f"reap {command[0]}", daemon=True).start()
    return ended


if sys.platform != "win32":  # pragma: no branch - Windows has no fcntl
    import fcntl

_PREFIX: Final = "oauth-helper-"
_NEW: Final = "."
"""The first character of the name until the folder is locked."""
_NAME: Final = re.compile(rf"(\.?){_PREFIX}\d{{1,9}}-\w+")
"""The number is that of the process that made it, for people."""
_BEING_LOCKED: Final = 60
"""Seconds. A new folder is locked at once."""
_TRIES: Final = 20
_PAUSE: Final = 0.1
"""Seconds between two tries: children of a killed browser still write for a moment."""
_LONGEST_RUN: Final = 86_400
"""Seconds. Nothing of ours runs for a day."""
_SHARED: Final = ("/tmp", "/var/tmp")  # noqa: S108 they are checked before use
"""Folders for temporary files that every system has."""


@asynccontextmanager
async def fresh_profile(parent: Path) -> AsyncIterator[Guarded]:
    """Make a profile under ``parent``, and remove it at the end, when its browser must have ended.

    Raises:
        BrowserTroubleError: It cannot be made.
    """
    try:
        folder, lock = _make(parent)
    except OSError as error:
        raise BrowserError(_("was given no profile folder ({strerror})", strerror=error.strerror)) from error
    try:
        yield Guarded(folder, lock)
    finally:
        # A thread goes on with it if we are cancelled meanwhile.
        await asyncio.to_thread(_remove, folder, lock)


def parent_of_profiles(browser: FoundBrowser, environ: Mapping[str, str]) -> Path:
    """Return a folder that the browser can see: neither snap nor flatpak shares the temporary folder.

    Raises:
        BrowserTroubleError: Other users could replace what is in there.
    """
    if browser.packaging is Packaging.SNAP:
        parents = [_home(environ) / "snap" / Path(browser.command[0]).name / "common"]
    elif browser.packaging is Packaging.FLATPAK:
        parents = [_home(environ) / ".var" / "app" / browser.command[-1]]
    else:
        parents = _temporary_folders()
    reasons = [_why_not(parent) for parent in parents]
    for parent, reason in zip(parents, reasons, strict=True):
        if not reason:
            return parent
    raise BrowserError(_("was given no profile folder ({strerror})", strerror=reasons[0]))


def _why_not(parent: Path) -> str | None:
    try:
        return unsafe_reason(parent / _PREFIX)
    except OSError as error:
        return error.strerror


def _temporary_folders() -> list[Path]:
    return [Path(tempfile.gettempdir()), *map(Path, _SHARED)]


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def sweep_all(environ: Mapping[str, str]) -> None:
    """Remove the profiles of killed runs, wherever they may be. Nothing that goes wrong here matters."""
    with suppress(OSError, RuntimeError):  # no home
        home = _home(environ)
        for parent in {*_temporary_folders(), *home.glob("snap/*/common"), *home.glob(".var/app/*")}:
            sweep(parent)


def sweep(parent: Path) -> None:
    """Remove the profiles under ``parent`` that runs of ours left behind when they were killed."""
    try:
        entries = list(parent.iterdir())
    except OSError:
        return
    for entry in entries:
        if named := _NAME.fullmatch(entry.name):
            with suppress(OSError):  # another run of ours was faster
                if _is_ours(entry) and _is_stale(entry, least_age=_BEING_LOCKED if named[1] else 0):
                    shutil.rmtree(entry, ignore_errors=True)  # It follows no links; the next run removes the rest.


def _is_ours(entry: Path) -> bool:
    found = entry.lstat()
    return stat.S_ISDIR(found.st_mode) and (sys.platform == "win32" or found.st_uid == os.geteuid())


def _is_stale(entry: Path, *, least_age: float) -> bool:
    age = time.time() - entry.stat().st_mtime
    if sys.platform == "win32":  # pragma: no cover - only on Windows
        return age > _LONGEST_RUN
    folder = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # pragma: no cover - a folder on a network may know no locks
        return age > _LONGEST_RUN
    finally:
        os.close(folder)
    return age >= least_age


def _make(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it; the lock lasts as long as the descriptor is open, in any process.

    It gets its name when it is locked, so that no sweep takes it away before: not even one in a container that shares
    the folder, but sees other processes.
    """
    parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # pragma: no cover - only on Windows
        return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)), -1
    new = Path(tempfile.mkdtemp(prefix=f"{_NEW}{_PREFIX}{os.getpid()}-", dir=parent))
    lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    with suppress(OSError):  # see _is_stale
        fcntl.flock(lock, fcntl.LOCK_EX)
    return new.rename(parent / new.name.removeprefix(_NEW)), lock


def _remove(folder: Path, lock: int) -> None:
    try:
        for _unused in range(_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                return
            time.sleep(_PAUSE)
    finally:
        if lock >= 0:  # pragma: no branch - Windows has none
            os.close(lock)


_LONGEST_SOCKET_FOLDER: Final = 60
"""Characters of a folder in which the name of Chromium's singleton socket still fits. It may have 107 (unix(7)), and
Chromium aborts where it has more."""

_ACCEPTED: Final[Mapping[Language, str | None]] = {Language.ENGLISH: None, Language.CHINESE: "zh-CN,zh,en"}
"""What a fresh profile asks for in ``Accept-Language``; None: whatever the language of the system makes it ask for."""


def driver_for(
    browser: FoundBrowser,
    *,
    headless: bool,
    platform: str,
    patience: Patience,
    language: Language = Language.ENGLISH,
) -> Driver:
    """Return how to speak with ``browser``, in which pages are asked for in ``language``.

    Chromium over a pipe wherever that can be had: nobody else can reach it, and it ends with us. A snap or flatpak
    does not pass descriptors on.
    """
    if browser.family is Family.FIREFOX:
        return Firefox(
            headless=headless, platform=platform, session_patience=patience.session, accepted=_ACCEPTED[language]
        )
    return Chromium(
        over_pipe=HAS_PYTHON and not browser.is_open_to_others, headless=headless, accepted=_ACCEPTED[language]
    )


class Launched:
    """A browser that runs, but is not driven yet."""

    def __init__(self, process: BrowserProcess, driver: Driver, pipe: socket.socket | None) -> None:
        self.process = process
        self._driver = driver
        self._pipe = pipe

    @asynccontextmanager
    async def driven(self, patience: Patience) -> AsyncIterator[Remote]:
        """Connect to it.

        Raises:
            BrowserTroubleError: There is no connection, or the browser never says where to connect.
        """
        async with AsyncExitStack() as stack:
            if self._pipe:
                wire = await stack.enter_async_context(over_pipe(self._pipe))
            else:
                endpoint = await self.process.endpoint_within(patience.endpoint) + self._driver.endpoint_path
                wire = await stack.enter_async_context(over_websocket(endpoint, seconds=patience.command))
            yield await stack.enter_async_context(Remote.over(wire, patience=patience.command))


@asynccontextmanager
async def launched(
    browser: FoundBrowser, driver: Driver, address: str, *, environ: Mapping[str, str]
) -> AsyncIterator[Launched]:
    """Start ``browser`` on a page that goes on to ``address``; at the end it is gone with its children and profile.

    Raises:
        BrowserTroubleError: It cannot be started.
    """
    async with AsyncExitStack() as stack:
        try:
            browser_and_pipe = await _launch_start(stack, browser, driver, address, environ=environ)
        except OSError as error:
            raise BrowserError(
                _("could not be prepared ({value})", value=error.strerror or type(error).__name__)
            ) from error
        yield Launched(browser_and_pipe[0], driver, browser_and_pipe[1])


async def _launch_start(
    stack: AsyncExitStack,
    browser: FoundBrowser,
    driver: Driver,
    address: str,
    *,
    environ: Mapping[str, str],
) -> tuple[BrowserProcess, socket.socket | None]:
    parent = parent_of_profiles(browser, environ)
    await asyncio.to_thread(sweep, parent)
    profile = await stack.enter_async_context(fresh_profile(parent))
    driver.furnish(profile.folder)
    page = _write_first_page(profile.folder, first_page(address, seconds=driver.undriven_for))
    command = [*browser.command, *driver.switches(profile.folder), page.as_uri()]
    ours, theirs = _pipe(stack) if driver.speaks_over_pipe else (None, None)
    process = await stack.enter_async_context(
        BrowserProcess.started(
            command,
            environ=_environment(inherited(environ), browser.packaging, profile.folder),
            pipe=theirs.fileno() if theirs else None,
            guarded=profile,
        )
    )
    if theirs:
        theirs.close()  # The browser's own is the last one then, so its end is our end of file.
    return process, ours


def _write_first_page(profile: Path, text: str) -> Path:
    """Write a page that bears KEY: every user of the machine can read a command line, but not this."""
    page = profile / FIRST_PAGE
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return page


def _pipe(stack: AsyncExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)
    stack.callback(theirs.close)
    return ours, theirs


def _environment(environ: Mapping[str, str], packaging: Packaging, profile: Path) -> dict[str, str]:
    """Keep crash reports and Chromium's stray socket folder inside the profile."""
    environ = {**environ, "BREAKPAD_DUMP_LOCATION": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
    if packaging is not Packaging.PLAIN:
        return environ  # A snap has a temporary folder of its own.
    if len(str(profile)) <= _LONGEST_SOCKET_FOLDER:
        return {**environ, "TMPDIR": str(profile)}
    # Chromium ends at once where the name of a socket does not fit; its default always does.
    return {name: value for name, value in environ.items() if name != "TMPDIR"}
