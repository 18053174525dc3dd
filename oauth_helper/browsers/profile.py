"""The throw-away profile of a window: made, guarded while we live and after, and removed without a trace."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

from oauth_helper.browsers.find import FoundBrowser, Packaging
from oauth_helper.browsers.process import HAS_PYTHON, reaped
from oauth_helper.browsers.trouble import BrowserTroubleError
from oauth_helper.phrase import phrase

if sys.platform != "win32":  # pragma: no branch - Windows has no fcntl
    import fcntl

_PREFIX: Final = "oauth-helper-"
_NAME: Final = re.compile(_PREFIX + r"(\d{1,9})-\w+")
"""The number is that of the process whose profile it is."""
_OWNER: Final = "owner.lock"
_TRIES: Final = 20
_PAUSE: Final = 0.1
"""Seconds between two tries: children of a killed browser still write for a moment."""
_LONGEST_RUN: Final = 86_400
"""Seconds. Windows has no harmless way to ask for a process by number; nothing of ours runs for a day."""

_OF_THE_SYSTEM: Final = ("LD_LIBRARY_PATH", "SYSTEMROOT")
"""What Python itself may need of the environment, to start."""

_WATCHDOG: Final = """
import os, shutil, signal, sys, time
profile = sys.argv[1]
for group in sys.stdin.buffer.read().split():
    try:
        os.killpg(int(group), signal.SIGKILL)
    except OSError:
        pass
for _ in range(100):
    shutil.rmtree(profile, ignore_errors=True)
    if not os.path.exists(profile):
        break
    time.sleep(0.05)
"""
"""Its input ends when the last holder of the other end is gone, and that is our process alone, whatever killed it.
Chromium on a pipe would close by itself, but leave its profile, whose history bears the code."""


class Profile:
    """A folder that nobody else can look into."""

    def __init__(self, folder: Path, watchdog: asyncio.subprocess.Process | None) -> None:
        self.folder = folder
        self._watchdog = watchdog

    def guard(self, group: int) -> None:
        """See to it that this process group does not outlive us, even where we are killed."""
        # Frozen builds and Windows have no watchdog: there only the next start clears up.
        if self._watchdog and self._watchdog.stdin:
            self._watchdog.stdin.write(b"%d\n" % group)


@asynccontextmanager
async def fresh_profile(parent: Path) -> AsyncIterator[Profile]:
    """Make a profile under ``parent``, and remove it at the end, when its browser must have ended.

    Raises:
        BrowserTroubleError: It cannot be made.
    """
    try:
        folder = _make(parent)
    except OSError as error:
        raise BrowserTroubleError(
            phrase("was given no profile folder ({strerror})", strerror=error.strerror)
        ) from error
    async with AsyncExitStack() as stack:
        # A thread goes on with it where we are cancelled meanwhile.
        stack.push_async_callback(asyncio.to_thread, _remove, folder)
        stack.enter_context(_held(folder))
        watchdog = await stack.enter_async_context(_watching(folder)) if HAS_PYTHON else None
        yield Profile(folder, watchdog)


def parent_of_profiles(browser: FoundBrowser, environ: Mapping[str, str]) -> Path:
    """Return a folder that the browser can see: neither snap nor flatpak shares the temporary folder."""
    match browser.packaging:
        case Packaging.PLAIN:
            return Path(tempfile.gettempdir())
        case Packaging.SNAP:
            return _home(environ) / "snap" / Path(browser.command[0]).name / "common"
        case Packaging.FLATPAK:  # pragma: no branch - mypy: there is no other case
            return _home(environ) / ".var" / "app" / browser.command[-1]


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def sweep(parent: Path) -> None:
    """Remove the profiles that runs of ours left behind when they were killed."""
    if not parent.is_dir():
        return
    for entry in parent.iterdir():
        if (named := _NAME.fullmatch(entry.name)) and _is_ours(entry) and _is_stale(entry, int(named[1])):
            shutil.rmtree(entry, ignore_errors=True)  # It follows no links; what is left is for the next start.


def _is_ours(entry: Path) -> bool:
    try:
        found = entry.lstat()
    except OSError:  # swept by another run of ours
        return False
    return stat.S_ISDIR(found.st_mode) and (sys.platform == "win32" or found.st_uid == os.geteuid())


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Show that the folder's owner lives, even to a run of ours that sees other process numbers (a container)."""
    if sys.platform == "win32":  # pragma: no cover - only on Windows
        yield
        return
    with (folder / _OWNER).open("wb") as file:
        with suppress(OSError):  # a folder on a network may know no locks: then the number alone tells
            fcntl.flock(file, fcntl.LOCK_EX)  # the system lets go of it whatever ends us
        yield


def _is_held(entry: Path) -> bool:
    try:
        with (entry / _OWNER).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # its owner was killed before there was one
        return False
    return False


def _is_stale(entry: Path, process: int) -> bool:
    if sys.platform == "win32":  # pragma: no cover - only on Windows
        return time.time() - entry.stat().st_mtime > _LONGEST_RUN
    if _is_held(entry):
        return False
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)  # else it is another user's
    return False


def _make(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def _remove(folder: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE)


@asynccontextmanager
async def _watching(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    watchdog = await asyncio.create_subprocess_exec(
        *(sys.executable, "-ISc", _WATCHDOG, str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _OF_THE_SYSTEM if name in os.environ},
        start_new_session=True,
    )
    try:
        yield watchdog
    finally:
        with suppress(ProcessLookupError):
            watchdog.kill()
        await reaped(watchdog)
