"""Start browsers: the default one, or one with a profile of its own, and remove that with its profile."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from oauth_helper.browsers.discovery import (
    GRAPHICAL,
    Family,
    FoundBrowser,
    OpenCommand,
    Packaging,
    child_environment,
    chosen_browsers,
    explain_problems,
    open_commands,
)
from oauth_helper.browsers.drivers import (
    FIRST_PAGE,
    BrowserError,
    ChromiumDriver,
    ConnectionLostError,
    Driver,
    FirefoxDriver,
    RemoteConnection,
    Timeouts,
    over_pipe,
    over_websocket,
)
from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import NO_TEXT, Language, Text, _
from oauth_helper.private_files import unsafe_reason
from oauth_helper.secret import safe_text

if sys.platform != "win32":  # pragma: no branch - Windows has no fcntl
    import fcntl

Result = TypeVar("Result")

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
_CAN_SUPERVISE: Final = (
    os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False) and _SUPERVISOR.is_file()
)
"""In a frozen build ``sys.executable`` is not Python."""
_STDOUT, _STDERR = 1, 2
_CANNOT_START: Final = 127

_ENDPOINT: Final = re.compile(rb"(?:DevTools|WebDriver BiDi) listening on (ws://\S+)\s")
_REFUSALS: Final[Mapping[bytes, Text]] = {
    b"remote debugging is disallowed": _("may not be driven: a policy of this machine forbids it"),
    b"requires a non-default data directory": _("may not be driven in the profile that it chose"),
}
"""What Chromium prints if its window opens, but it will never answer."""
_OUTPUT_BYTES: Final = 4096
"""How much of the end of a browser's output is kept; a line of interest is shorter."""
_EXIT_DELAY: Final = 0.5
"""Seconds between a lost connection and the end of the process, which says more."""
_OUTPUT_DELAY: Final = 0.2
"""Seconds between the end of a process and the end of its output, which its children may keep open."""
_KILL_TIMEOUT: Final = 1.0
_SUPERVISOR_TIMEOUT: Final = 8.0
"""Seconds for the supervisor to end the browser and remove its profile. Usually it takes 0.1."""

_LOG_PREFIX: Final = re.compile(r"^(?:\[[\d:/.]+:[A-Z]+[^\]]*\]|\(\S+:\d+\): \S+ \*\*: [\d:. ]+|\S{1,40}:\d+:) *")
"""What Chromium and GTK put before a line: process, time, level and place in the source."""
_NOISE: Final = re.compile(r"^\[[^\]]*\b(?:crashpad|dbus|gcm|gpu|vaapi|zygote)\b|^\*\* ")
"""Lines that do not explain why Chromium ends; its helper processes lose their connections when it does."""
_SECRET_LIKE: Final = re.compile(r"[?&#]\S+|[\w-]{40,}|\$2[aby]\$\d+\$\S+")
"""The query of an address, what is as long as a key, and what looks like a state: none of them is shown."""
_LOADER_PROBLEM: Final = re.compile(
    r"shared librar|shared object|symbol lookup|undefined symbol|wrong ELF|invalid ELF|file too short|XPCOMGlueLoad"
)
"""What the system's loader, or Firefox's own, prints about a library that does not fit."""
_LOADER_VARIABLES: Final = ("LD_LIBRARY_PATH", "LD_PRELOAD")

_PREFIX: Final = "oauth-helper-"
_PROFILE_NAME: Final = re.compile(rf"{_PREFIX}\d{{1,9}}-\w+")
"""The number is that of the process that created it, for people."""
_LONGEST_RUN: Final = 86_400
"""Seconds. No oauth-helper runs for a day."""
_SHARED: Final = ("/tmp", "/var/tmp")  # noqa: S108 they are checked before use
"""Folders for temporary files that every system has."""
_LONGEST_SOCKET_FOLDER: Final = 60
"""Characters of a folder to which the name of Chromium's singleton socket can be added. Chromium aborts if it gets
longer than 107 (unix(7))."""
_LANGUAGES: Final[Mapping[Language, str | None]] = {Language.ENGLISH: None, Language.CHINESE: "zh-CN,zh,en"}
"""For ``Accept-Language``; None: whatever the system's language is."""

_OPENERS: Final = frozenset({"gio", "open", "rundll32.exe", "wslview", "xdg-open"})
"""They hand the address to a browser and end within about a second."""
_START_TIMEOUT: Final = 0.3
"""Seconds in which a browser that cannot run ends; Chromium as root takes 0.1 to 0.2."""
_OPENER_TIMEOUT: Final = 1.5
"""The same for an opener; xdg-open 1.1.3 took 0.5 to find that its browser had failed."""


class BrowserProcess(asyncio.SubprocessProtocol):
    """A running browser. Its stderr is read to the end, because a full pipe would stop it.

    A supervisor (``supervisor.py``) runs the browser, except on Windows and in frozen builds.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        loop = asyncio.get_running_loop()
        self.problem: asyncio.Future[Text] = loop.create_future()
        """Why the browser cannot be used: it has ended, or says that it may not be driven."""
        self.exited: asyncio.Future[None] = loop.create_future()
        self._endpoint: asyncio.Future[str] = loop.create_future()
        self._all_ended: asyncio.Future[None] = loop.create_future()
        self._loader_variables = [name for name in _LOADER_VARIABLES if environ.get(name)]
        self._output = b""
        self._reports = b""
        self._status: int | None = None
        self._group = 0
        """The browser's process group; 0 if it is unknown."""
        self._pipe: socket.socket | None = None
        self._transport: asyncio.SubprocessTransport

    @classmethod
    @asynccontextmanager
    async def started(
        cls, command: list[str], *, environ: Mapping[str, str], profile: Path, lock: int, has_pipe: bool
    ) -> AsyncIterator[BrowserProcess]:
        """Start ``command`` in a session of its own, which the terminal's Ctrl-C does not reach.

        At the end it is killed with its process group. A supervisor does that even if this process is killed, and
        removes ``profile``, whose lock is the descriptor ``lock``.

        Raises:
            BrowserError: It cannot be started.
        """
        with ExitStack() as pipe:
            ends = socket.socketpair() if has_pipe else ()
            for end in ends:
                pipe.enter_context(end)
            numbers = [lock, *(end.fileno() for end in ends[::-1])]
            if _CAN_SUPERVISE:
                descriptors = (*map(str, numbers), "-1", "-1")[:3]
                command = [sys.executable, "-IS", str(_SUPERVISOR), str(profile), *descriptors, *command]
            stream = subprocess.PIPE if _CAN_SUPERVISE else subprocess.DEVNULL  # our stdout belongs to scripts
            try:
                _transport, process = await asyncio.get_running_loop().subprocess_exec(
                    lambda: cls(environ),
                    *command,
                    env=environ,
                    stdin=stream,
                    stdout=stream,
                    stderr=subprocess.PIPE,
                    pass_fds=numbers if _CAN_SUPERVISE else (),
                    start_new_session=True,
                )
            except OSError as error:
                raise BrowserError(_("could not be started ({reason})", reason=error.strerror)) from error
            if ends:
                process._pipe = ends[0]
                ends[1].close()  # only the browser has it then, so its end is an end of file for us
            if not _CAN_SUPERVISE:
                process._group = process._transport.get_pid()
            try:
                yield process
            finally:
                await process._end()

    @asynccontextmanager
    async def connected(self, *, endpoint_path: str, timeouts: Timeouts) -> AsyncIterator[RemoteConnection]:
        """Connect to the browser.

        Raises:
            BrowserError: The connection fails, or the browser does not say where to connect.
        """
        async with AsyncExitStack() as stack:
            if self._pipe:
                transport = await stack.enter_async_context(over_pipe(self._pipe))
            else:
                seconds = timeouts.endpoint
                await asyncio.wait({self._endpoint}, timeout=seconds)
                if not self._endpoint.done():
                    raise BrowserError(
                        _("did not say within {seconds:g} seconds where it can be driven", seconds=seconds)
                    )
                endpoint = self._endpoint.result() + endpoint_path
                transport = await stack.enter_async_context(over_websocket(endpoint, timeout=timeouts.command))
            yield await stack.enter_async_context(RemoteConnection.over(transport, timeout=timeouts.command))

    async def unless_failed(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what ``work`` returns, but cancel it when the browser ends or refuses to be driven.

        Raises:
            BrowserError: Of ``work``, or because the browser cannot be used.
        """
        task = asyncio.create_task(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self.problem}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and isinstance(task.exception(), ConnectionLostError):
                await asyncio.wait({self.problem}, timeout=_EXIT_DELAY)
            if self.problem.done():
                raise BrowserError(self.problem.result())
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 asyncio's
        # uvloop's transport does the same without being of that class.
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: D102 asyncio's
        if fd == _STDOUT:
            *reports, self._reports = (self._reports + data).split(b"\n")
            for report in reports:
                self._take_report(*report.decode().split())
            return
        self._output = (self._output + data)[-_OUTPUT_BYTES:]
        if (found := _ENDPOINT.search(self._output)) and not self._endpoint.done():
            self._endpoint.set_result(found[1].decode())
        for words, problem in _REFUSALS.items():
            if words in self._output and not self.problem.done():
                self.problem.set_result(problem)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002, D102 asyncio's
        if fd == _STDERR and self.exited.done():
            self._explain_end()

    def process_exited(self) -> None:  # noqa: D102 asyncio's
        self._all_ended.set_result(None)
        status = self._transport.get_returncode() or 0
        # A supervisor that ends by itself has killed the browser.
        self._browser_ended(-signal.SIGKILL if _CAN_SUPERVISE and not status else status)

    def _take_report(self, event: str, number: str) -> None:
        if event == "started":
            self._group = int(number)
        elif event == "ended":
            self._browser_ended(int(number))
        else:  # failed
            self.problem.set_result(_("could not be started ({reason})", reason=os.strerror(int(number))))
            self._browser_ended(_CANNOT_START)

    def _browser_ended(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(None)
            self._status = status
            asyncio.get_running_loop().call_later(_OUTPUT_DELAY, self._explain_end)

    def _explain_end(self) -> None:
        if self.problem.done():
            return
        if not self._status:
            self.problem.set_result(_("was closed"))
            return
        ended = _("ended with status {status}", status=self._status)
        output = self._output.decode(errors="replace")
        if last := _last_lines(output):
            ended = _('{ended}: "{last}"', ended=ended, last=last)
        if self._loader_variables and _LOADER_PROBLEM.search(output):
            names = ", ".join(self._loader_variables)
            ended = _("{ended} ({names} is set, which may be the cause)", ended=ended, names=names)
        self.problem.set_result(ended)

    async def _end(self) -> None:
        try:
            if _CAN_SUPERVISE:
                cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0)).close()
                await self._until_all_ended(_SUPERVISOR_TIMEOUT)
        finally:
            # Without a supervisor, or if it was killed; children may outlive the process that was started.
            if not _CAN_SUPERVISE or self._transport.get_returncode() != 0:
                with suppress(ProcessLookupError, PermissionError):  # macOS: the latter if only zombies are left
                    if sys.platform == "win32":  # pragma: no cover - only on Windows
                        self._transport.terminate()  # its children notice, and end too
                    elif self._group:
                        os.killpg(self._group, signal.SIGKILL)
                await self._until_all_ended(_KILL_TIMEOUT)
            self._transport.close()

    async def _until_all_ended(self, seconds: float) -> None:
        """Wait for the end of the process that was started, even if this task is cancelled meanwhile."""
        waiting = asyncio.ensure_future(asyncio.wait({self._all_ended}, timeout=seconds))
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await waiting
            raise


def _last_lines(output: str) -> str:
    lines = (_LOG_PREFIX.sub("", line.strip()) for line in output.splitlines() if not _NOISE.search(line.strip()))
    shown = list(dict.fromkeys(line for line in lines if line))[-2:]
    return " / ".join(safe_text(_SECRET_LIKE.sub("…", line), limit=300) for line in shown)


@asynccontextmanager
async def fresh_profile(parent: Path) -> AsyncIterator[tuple[Path, int]]:
    """Create a profile folder under ``parent`` and remove it at the end; yield it and the descriptor of its lock.

    Raises:
        BrowserError: It cannot be created.
    """
    try:
        folder, lock = _create_profile(parent)
    except OSError as error:
        raise BrowserError(_("was given no profile folder ({reason})", reason=error.strerror)) from error
    try:
        yield folder, lock
    finally:
        # The thread continues if this task is cancelled meanwhile.
        await asyncio.to_thread(_remove_profile, folder, lock)


def _create_profile(parent: Path) -> tuple[Path, int]:
    """Create and lock a folder; the lock lasts while any process has the descriptor open."""
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        if sys.platform == "win32":  # pragma: no cover - only on Windows
            return folder, -1
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            with suppress(OSError):  # a network file system may have no locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():  # pragma: no branch - see below
                return folder, lock
            os.close(lock)  # pragma: no cover - another process swept it before it was locked


def _remove_profile(folder: Path, lock: int) -> None:
    for _attempt in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)  # children of a killed browser still write for a moment
    if lock >= 0:  # pragma: no branch - Windows has none
        os.close(lock)


def profile_parent(browser: FoundBrowser, environ: Mapping[str, str]) -> Path:
    """Return a folder for profiles that the browser can see: a snap or flatpak does not share the temporary folder.

    Raises:
        BrowserError: Other users could replace what is in there.
    """
    if browser.packaging is Packaging.SNAP:
        parents = [_home(environ) / "snap" / Path(browser.command[0]).name / "common"]
    elif browser.packaging is Packaging.FLATPAK:
        parents = [_home(environ) / ".var" / "app" / browser.command[-1]]
    else:
        parents = _temporary_folders()
    problems = []
    for parent in parents:
        try:
            problem = unsafe_reason(parent / _PREFIX)
        except OSError as error:
            problem = Text(error.strerror or "")
        if not problem:
            return parent
        problems.append(problem)
    raise BrowserError(_("was given no profile folder ({reason})", reason=problems[0]))


def _temporary_folders() -> list[Path]:
    return [Path(tempfile.gettempdir()), *map(Path, _SHARED)]


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def sweep_all(environ: Mapping[str, str]) -> None:
    """Remove the profiles of killed runs from every folder that may have some; errors are ignored."""
    with suppress(OSError, RuntimeError):  # no home
        home = _home(environ)
        for parent in {*_temporary_folders(), *home.glob("snap/*/common"), *home.glob(".var/app/*")}:
            sweep(parent)


def sweep(parent: Path) -> None:
    """Remove the profiles of killed runs that are under ``parent``."""
    try:
        entries = [entry for entry in parent.iterdir() if _PROFILE_NAME.fullmatch(entry.name)]
    except OSError:
        return
    for entry in entries:
        with suppress(OSError):  # another process was faster
            found = entry.lstat()
            if stat.S_ISDIR(found.st_mode) and (sys.platform == "win32" or found.st_uid == os.geteuid()):
                _sweep_one(entry, is_old=time.time() - found.st_mtime > _LONGEST_RUN)


def _sweep_one(entry: Path, *, is_old: bool) -> None:
    lock = -1
    try:
        if sys.platform != "win32":  # pragma: no branch - Windows has no locks on folders
            lock = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_old = True
    except BlockingIOError:
        is_old = False  # it is in use
    except OSError:  # pragma: no cover - a network file system may have no locks
        pass
    if is_old:
        shutil.rmtree(entry, ignore_errors=True)  # it follows no links; the next run removes the rest
    if lock >= 0:
        os.close(lock)


def driver_for(
    browser: FoundBrowser, *, headless: bool, platform: str, timeouts: Timeouts, language: Language = Language.ENGLISH
) -> Driver:
    """Return the driver for ``browser``, in which pages are asked for in ``language``.

    Chromium is driven over a pipe if possible: nobody else can reach it.
    """
    languages = _LANGUAGES[language]
    if browser.family is Family.FIREFOX:
        return FirefoxDriver(
            headless=headless, platform=platform, session_timeout=timeouts.session, languages=languages
        )
    uses_pipe = _CAN_SUPERVISE and not browser.is_open_to_others
    return ChromiumDriver(uses_pipe=uses_pipe, headless=headless, languages=languages)


@asynccontextmanager
async def launched(
    browser: FoundBrowser, driver: Driver, address: str, *, environ: Mapping[str, str]
) -> AsyncIterator[BrowserProcess]:
    """Start ``browser`` on a page that goes on to ``address``; at the end remove it, its children and its profile.

    Raises:
        BrowserError: It cannot be started.
    """
    async with AsyncExitStack() as stack:
        try:
            profile, lock = await stack.enter_async_context(fresh_profile(profile_parent(browser, environ)))
            driver.write_preferences(profile)
            page = _write_first_page(profile, address, seconds=driver.first_page_seconds)
            process = await stack.enter_async_context(
                BrowserProcess.started(
                    [*browser.command, *driver.switches(profile), page.as_uri()],
                    environ=_browser_environment(environ, browser.packaging, profile),
                    profile=profile,
                    lock=lock,
                    has_pipe=driver.uses_pipe,
                )
            )
        except OSError as error:
            raise BrowserError(
                _("could not be prepared ({reason})", reason=error.strerror or type(error).__name__)
            ) from error
        yield process


def _write_first_page(profile: Path, address: str, *, seconds: float) -> Path:
    """Write a page that contains KEY: every user of the machine can read a command line, but not this."""
    page = profile / FIRST_PAGE
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
        '<meta name="referrer" content="no-referrer"><title>…</title>'
        f'<meta http-equiv="refresh" content="{seconds:g};url={html.escape(address)}"></html>'
    )
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return page


def _browser_environment(environ: Mapping[str, str], packaging: Packaging, profile: Path) -> dict[str, str]:
    """Keep crash reports and Chromium's stray socket folder inside the profile."""
    environ = child_environment(environ) | {"BREAKPAD_DUMP_LOCATION": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
    if packaging is not Packaging.PLAIN:
        return environ  # a snap has a temporary folder of its own
    if len(str(profile)) <= _LONGEST_SOCKET_FOLDER:
        return environ | {"TMPDIR": str(profile)}
    # Chromium ends at once if the name of a socket is too long; its default is always short enough.
    return {name: value for name, value in environ.items() if name != "TMPDIR"}


def first_browser(environ: Mapping[str, str]) -> str:
    """Return the name of what is tried first; :func:`why_no_browser` must have returned None."""
    return next(command.name for command in open_commands(environ) if command.words)


async def open_default_browser(address: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """Open ``address`` with the first command that works; return its name, such as ``firefox``.

    A command works if it keeps running or ends with status 0. It outlives this program, gets none of its streams,
    and does not receive the terminal's Ctrl-C.

    Raises:
        NoBrowserError: No command was found or worked. The message never contains the address.
    """
    chosen = chosen_browsers(environ)
    theirs = child_environment(environ)
    if not chosen:
        # xdg-open falls back to text-mode browsers, unless BROWSER tells it which ones to try.
        theirs["BROWSER"] = ":".join(GRAPHICAL)
    problems: list[Text] = []
    for command in open_commands(environ):
        problem = command.problem or await _problem_of_start(command, address, theirs)
        if not problem:
            return command.name
        problems.append(problem)
    raise NoBrowserError(
        _("No browser was opened: {why}", why=explain_problems(problems, environ)),
        hint=_("Correct BROWSER, unset it, or give --browser none to be shown the addresses.") if chosen else None,
    )


async def _problem_of_start(command: OpenCommand, address: str, environ: dict[str, str]) -> Text:
    name = command.name
    try:
        ended = _start(command.arguments(address), environ)
    except OSError as error:
        return _("{name} could not be started ({why})", name=name, why=error.strerror)
    timeout = _OPENER_TIMEOUT if name in _OPENERS else _START_TIMEOUT
    try:
        status = await asyncio.wait_for(asyncio.wrap_future(ended), timeout)
    except TimeoutError:
        return NO_TEXT
    return _("{name} ended with status {status}", name=name, status=status) if status else NO_TEXT


def _start(command: list[str], environ: dict[str, str]) -> Future[int]:
    """Start ``command`` without our terminal and streams; return a future of its exit status.

    asyncio's subprocess transport would kill the child when our loop closes, but a browser must outlive us.
    """
    process = subprocess.Popen(  # noqa: S603 no shell: the address is one whole argument
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # ours belongs to scripts (git-credential-manager issue 178)
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ended: Future[int] = Future()
    ended.set_running_or_notify_cancel()  # now it cannot be cancelled, so the thread can always set it
    # Without the thread, a browser that is closed while we still run would stay a zombie. It is a daemon because the
    # interpreter waits for any other thread at its end.
    threading.Thread(target=lambda: ended.set_result(process.wait()), name=f"reap {command[0]}", daemon=True).start()
    return ended
