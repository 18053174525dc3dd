"""The throw-away profile of a window: a folder that only we can read, and that is removed whatever ends us."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from oauth_helper.browsers.find import FoundBrowser, Packaging
from oauth_helper.browsers.process import Guarded
from oauth_helper.browsers.trouble import BrowserTroubleError
from oauth_helper.phrase import phrase
from oauth_helper.private_files import unsafe_reason

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
        raise BrowserTroubleError(
            phrase("was given no profile folder ({strerror})", strerror=error.strerror)
        ) from error
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
    raise BrowserTroubleError(phrase("was given no profile folder ({strerror})", strerror=reasons[0]))


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
        for _ in range(_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                return
            time.sleep(_PAUSE)
    finally:
        if lock >= 0:  # pragma: no branch - Windows has none
            os.close(lock)
