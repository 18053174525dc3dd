"""Start browsers: the default one, or one with a profile of its own, and remove that with its profile."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import ExitStack, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

from oauth_helper.browsers.discovery import (
    GRAPHICAL,
    Family,
    InstalledBrowser,
    Packaging,
    child_environment,
    chosen_browsers,
    explain_problems,
    name_of,
    open_commands,
)
from oauth_helper.browsers.drivers import (
    FIRST_PAGE,
    BrowserError,
    ChromiumDriver,
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

_PREFIX: Final = "oauth-helper-"
_PROFILE_NAME: Final = re.compile(rf"{_PREFIX}\d{{1,9}}-\w+")
"""The number is that of the process that created it, for people."""
_LONGEST_RUN: Final = 86_400
"""Seconds. No oauth-helper runs for a day."""
_LONGEST_SOCKET_FOLDER: Final = 60
"""Characters of a folder to which the name of Chromium's singleton socket can be added. Chromium aborts if it gets
longer than 107 (unix(7))."""

_OPENERS: Final = frozenset({"gio", "open", "rundll32.exe", "wslview", "xdg-open"})
"""They hand the address to a browser and end within about a second."""
_START_TIMEOUT: Final = 0.3
"""Seconds in which a browser that cannot run ends; Chromium as root takes 0.1 to 0.2."""
_OPENER_TIMEOUT: Final = 1.5
"""The same for an opener; xdg-open 1.1.3 took 0.5 to find that its browser had failed."""


class BrowserProcess:
    """A running browser. Its stderr is read to the end, because a full pipe would stop it.

    A supervisor (``supervisor.py``) runs the browser, except on Windows and in frozen builds. It kills the browser and
    removes ``profile`` even if this process is killed. ``lock`` is the descriptor of the profile's lock.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self, command: list[str], *, environ: Mapping[str, str], profile: Path, lock: int, has_pipe: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.problem: asyncio.Future[Text] = self._loop.create_future()
        """Why the browser cannot be used: it has ended, or says that it may not be driven."""
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self._endpoint: asyncio.Future[str] = self._loop.create_future()
        self._all_ended: asyncio.Future[None] = self._loop.create_future()
        self._loader_variables = [name for name in ("LD_LIBRARY_PATH", "LD_PRELOAD") if environ.get(name)]
        self._output = b""
        self._group = 0
        """The browser's process group; 0 if it is unknown."""
        self.stays: bool = False
        """Whether the supervisor lets it run for some seconds after our end."""
        with ExitStack() as ends:
            pipe = [ends.enter_context(end) for end in socket.socketpair()] if has_pipe else []
            if _CAN_SUPERVISE:
                number = str(pipe[1].fileno()) if pipe else "-1"
                command = [sys.executable, "-IS", str(_SUPERVISOR), str(profile), number, *command]
            # A session of its own: the terminal's Ctrl-C does not reach it. asyncio's subprocess would be killed at the
            # end of our event loop, even if it should stay.
            self._process = subprocess.Popen(  # noqa: S603 no shell
                command,
                env=environ,
                stdin=subprocess.PIPE if _CAN_SUPERVISE else subprocess.DEVNULL,
                stdout=subprocess.PIPE if _CAN_SUPERVISE else subprocess.DEVNULL,  # ours belongs to scripts
                stderr=subprocess.PIPE,
                pass_fds=[lock, *(end.fileno() for end in pipe)] if _CAN_SUPERVISE else (),
                start_new_session=True,
            )
            ends.pop_all()
        self._pipe = pipe[0] if pipe else None
        for end in pipe[1:]:
            end.close()  # only the browser has it then, so its end is an end of file for us
        if not _CAN_SUPERVISE:
            self._group = self._process.pid
        for read in (self._read_output, self._read_reports):
            threading.Thread(target=read, name=f"{read.__name__} {self._process.pid}", daemon=True).start()

    @asynccontextmanager
    async def connected(self, *, endpoint_path: str, timeouts: Timeouts) -> AsyncIterator[RemoteConnection]:
        """Connect to the browser.

        Raises:
            BrowserError: The connection fails, or the browser does not say where to connect.
        """
        if self._pipe:
            connection = over_pipe(self._pipe, timeouts)
        else:
            seconds = timeouts.endpoint
            await asyncio.wait({self._endpoint}, timeout=seconds)
            if not self._endpoint.done():
                raise BrowserError(_("did not say within {seconds:g} seconds where it can be driven", seconds=seconds))
            connection = over_websocket(self._endpoint.result() + endpoint_path, timeouts)
        async with connection as remote:
            yield remote

    async def unless_failed(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what ``work`` returns, but cancel it when the browser ends or refuses to be driven.

        Raises:
            BrowserError: Of ``work``, or because the browser cannot be used.
        """
        task = asyncio.create_task(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self.problem}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and isinstance(task.exception(), BrowserError):
                await asyncio.wait({self.problem}, timeout=_EXIT_DELAY)
            if self.problem.done():
                raise BrowserError(self.problem.result())
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def stay(self, seconds: float) -> None:
        """Let the supervisor close the window after that time, or when the user has closed it."""
        if self._process.stdin and not self.exited.done():
            with suppress(OSError):
                self._process.stdin.write(f"stay {seconds:g}\n".encode())
                self._process.stdin.flush()
                self.stays = True

    async def end(self) -> None:
        """End the browser and its children, unless it stays."""
        if self._pipe:
            self._pipe.close()
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        if self.stays:
            return
        if _CAN_SUPERVISE:
            await asyncio.wait({self._all_ended}, timeout=_SUPERVISOR_TIMEOUT)
        # Without a supervisor, or if it was killed; children may outlive the process that was started.
        if not _CAN_SUPERVISE or self._process.returncode != 0:
            with suppress(ProcessLookupError, PermissionError):  # macOS: the latter if only zombies are left
                if sys.platform == "win32":  # pragma: no cover - only on Windows
                    self._process.terminate()  # its children notice, and end too
                elif self._group:
                    os.killpg(self._group, signal.SIGKILL)
            await asyncio.wait({self._all_ended}, timeout=1)

    def _read_output(self) -> None:
        with cast("BinaryIO", self._process.stderr) as stream:
            while data := os.read(stream.fileno(), _OUTPUT_BYTES):
                self._call(self._take_output, data)

    def _read_reports(self) -> None:
        with self._process.stdout or nullcontext(()) as reports:
            for report in reports:
                self._call(self._take_report, *report.decode().split())
        self._call(self._process_ended, self._process.wait())

    def _call(self, take: Callable[..., None], *values: object) -> None:
        with suppress(RuntimeError):  # our event loop is closed, and the window stays
            self._loop.call_soon_threadsafe(take, *values)

    def _take_output(self, data: bytes) -> None:
        self._output = (self._output + data)[-_OUTPUT_BYTES:]
        if (found := _ENDPOINT.search(self._output)) and not self._endpoint.done():
            self._endpoint.set_result(found[1].decode())
        for words, problem in _REFUSALS.items():
            if words in self._output and not self.problem.done():
                self.problem.set_result(problem)

    def _take_report(self, event: str, number: str) -> None:
        if event == "started":
            self._group = int(number)
            return
        if event == "failed":
            self.problem.set_result(_("could not be started ({reason})", reason=os.strerror(int(number))))
        self._browser_ended(int(number))

    def _process_ended(self, status: int) -> None:
        self._all_ended.set_result(None)
        # A supervisor that ends by itself has killed the browser.
        self._browser_ended(-signal.SIGKILL if _CAN_SUPERVISE and not status else status)

    def _browser_ended(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(None)
            self._loop.call_later(_OUTPUT_DELAY, self._explain_end, status)

    def _explain_end(self, status: int) -> None:
        ended = _("ended with status {status}", status=status) if status else _("was closed")
        output = self._output.decode(errors="replace")
        if status and (last := _last_lines(output)):
            ended = _('{ended}: "{last}"', ended=ended, last=last)
        if status and self._loader_variables and _LOADER_PROBLEM.search(output):
            names = ", ".join(self._loader_variables)
            ended = _("{ended} ({names} is set, which may be the cause)", ended=ended, names=names)
        if not self.problem.done():
            self.problem.set_result(ended)


def _last_lines(output: str) -> str:
    lines = (_LOG_PREFIX.sub("", line.strip()) for line in output.splitlines() if not _NOISE.search(line.strip()))
    shown = list(dict.fromkeys(line for line in lines if line))[-2:]
    return " / ".join(safe_text(_SECRET_LIKE.sub("…", line), limit=300) for line in shown)


def create_profile(parent: Path) -> tuple[Path, int]:
    """Create a profile folder under ``parent``; return it and the descriptor of its lock.

    The lock lasts while any process has the descriptor open.

    Raises:
        BrowserError: It cannot be created.
    """
    try:
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
    except OSError as error:
        raise BrowserError(_("was given no profile folder ({reason})", reason=error.strerror)) from error


def remove_profile(folder: Path) -> None:
    """Remove what a browser has left."""
    for _attempt in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)  # children of a killed browser still write for a moment


def profile_parent(browser: InstalledBrowser, environ: Mapping[str, str]) -> Path:
    """Return a folder for profiles that the browser can see: a snap or flatpak does not share the temporary folder.

    Raises:
        BrowserError: Other users could replace what is in there.
    """
    home = Path(environ.get("HOME") or Path.home())
    parents = {
        Packaging.PLAIN: _temporary_folders(),
        Packaging.SNAP: [home / "snap" / Path(browser.command[0]).name / "common"],
        Packaging.FLATPAK: [home / ".var" / "app" / browser.command[-1]],
    }[browser.packaging]
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
    return [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 they are checked before use


def sweep_all(environ: Mapping[str, str]) -> None:
    """Remove the profiles of killed runs from every folder that may have some; errors are ignored."""
    with suppress(OSError, RuntimeError):  # no home
        home = Path(environ.get("HOME") or Path.home())
        for parent in {*_temporary_folders(), *home.glob("snap/*/common"), *home.glob(".var/app/*")}:
            sweep(parent)


def sweep(parent: Path) -> None:
    """Remove the profiles of killed runs that are under ``parent``."""
    entries: list[Path] = []
    with suppress(OSError):
        entries = [entry for entry in parent.iterdir() if _PROFILE_NAME.fullmatch(entry.name)]
    for entry in entries:
        with suppress(OSError), ExitStack() as ends:  # it is no folder, is in use, or another process was faster
            if sys.platform == "win32":  # pragma: no cover - Windows has no locks on folders
                if time.time() - entry.stat().st_mtime < _LONGEST_RUN:
                    continue
            else:
                lock = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                ends.callback(os.close, lock)
                if os.fstat(lock).st_uid != os.geteuid():
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry, ignore_errors=True)  # it follows no links; the next run removes the rest


def driver_for(browser: InstalledBrowser, *, headless: bool = False, language: Language = Language.ENGLISH) -> Driver:
    """Return the driver for ``browser``, in which pages are asked for in ``language``.

    Chromium is driven over a pipe if possible: nobody else can reach it.
    """
    languages = "zh-CN,zh,en" if language is Language.CHINESE else None
    if browser.family is Family.FIREFOX:
        return FirefoxDriver(headless=headless, languages=languages)
    uses_pipe = _CAN_SUPERVISE and not browser.is_open_to_others
    return ChromiumDriver(uses_pipe=uses_pipe, headless=headless, languages=languages)


@asynccontextmanager
async def launched(
    browser: InstalledBrowser, driver: Driver, address: str, *, environ: Mapping[str, str]
) -> AsyncIterator[BrowserProcess]:
    """Start ``browser`` on a page that goes on to ``address``; at the end remove it, its children and its profile.

    Raises:
        BrowserError: It cannot be started.
    """
    profile, lock = create_profile(profile_parent(browser, environ))
    process: BrowserProcess | None = None
    try:
        try:
            switches = driver.prepare(profile)
            page = _write_first_page(profile, address, seconds=driver.first_page_seconds)
            process = BrowserProcess(
                [*browser.command, *switches, page.as_uri()],
                environ=_browser_environment(environ, browser.packaging, profile),
                profile=profile,
                lock=lock,
                has_pipe=driver.uses_pipe,
            )
        except OSError as error:
            raise BrowserError(_("could not be started ({reason})", reason=error.strerror)) from error
        yield process
    finally:
        ending = asyncio.ensure_future(_clear_up(process, profile, lock))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise


async def _clear_up(process: BrowserProcess | None, profile: Path, lock: int) -> None:
    if process:
        await process.end()
    if not process or not process.stays:
        await asyncio.to_thread(remove_profile, profile)
    if lock >= 0:  # pragma: no branch - Windows has none
        os.close(lock)


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
        problem = command if isinstance(command, Text) else await asyncio.to_thread(_start, command, address, theirs)
        if not problem:
            return name_of(cast("list[str]", command))
        problems.append(problem)
    raise NoBrowserError(
        _("No browser was opened: {why}", why=explain_problems(problems, environ)),
        hint=_("Correct BROWSER, unset it, or give --browser none to be shown the addresses.") if chosen else None,
    )


def _start(command: list[str], address: str, environ: dict[str, str]) -> Text:
    """Open ``address``; return why that failed, if it did.

    asyncio's subprocess would be killed at the end of our event loop, but a browser must outlive us.
    """
    name = name_of(command)
    try:
        process = subprocess.Popen(  # noqa: S603 no shell: the address is part of one argument
            [command[0], *(word.replace("%s", address) for word in command[1:])],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # ours belongs to scripts (git-credential-manager issue 178)
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return _("{name} could not be started ({why})", name=name, why=error.strerror)
    try:
        status = process.wait(_OPENER_TIMEOUT if name in _OPENERS else _START_TIMEOUT)
    except subprocess.TimeoutExpired:
        # Without the thread, a browser that is closed while we still run would stay a zombie. It is a daemon because
        # the interpreter waits for any other thread at its end.
        threading.Thread(target=process.wait, name=f"reap {command[0]}", daemon=True).start()
        return NO_TEXT
    return _("{name} ended with status {status}", name=name, status=status) if status else NO_TEXT
