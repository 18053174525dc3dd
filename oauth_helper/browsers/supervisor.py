"""Runs a browser for oauth-helper, and removes the browser and its profile when oauth-helper ends, whatever ended it.

Started as ``python -IS supervisor.py PROFILE LOCK PIPE COMMAND...``, in a session of its own. LOCK is the descriptor
that keeps the profile from being swept. PIPE is one that the browser finds as 3 and 4 (Chromium's DevTools pipe), or
-1. Only oauth-helper holds the other end of standard input:
at its end the browser is killed at once and the profile removed. Standard output tells oauth-helper what happens, a
line each: ``started PID``, ``failed ERRNO``, ``ended STATUS``.

Uses the standard library alone.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress

_TRIES = 100
_PAUSE = 0.05
"""Seconds between two tries to remove the profile: children of a killed browser still write for a moment."""
_REAPING = 2.0
"""Seconds for the system to end a killed browser."""
_PR_SET_PDEATHSIG = 1
"""Linux' prctl.h."""
_CANNOT_START = 127
_OURS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def main(profile: str, lock: int, pipe: int, command: list[str]) -> None:
    """Start the browser, and wait until oauth-helper wants it to end."""
    os.set_inheritable(lock, False)
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking)
    for number in _OURS:
        signal.signal(number, lambda *_: None)
    browser = _start(command, pipe)
    if pipe >= 0:
        os.close(pipe)  # The browser's own is the last one then, so that its end is an end of file for oauth-helper.
    _discard_standard_error()
    if browser:
        _tell(f"started {browser}")
        _watch(browser, woken)
        _kill(browser)
    _remove(profile)


def _start(command: list[str], pipe: int) -> int:
    """Start the browser in a process group of its own, and return its number; 0 if it cannot be started."""
    failure, failing = os.pipe()  # not inherited: the browser's start closes it
    supervisor = os.getpid()
    browser = os.fork()
    if not browser:
        try:
            _become(command, pipe, supervisor)
        except OSError as error:
            os.write(failing, str(error.errno).encode())
        os._exit(_CANNOT_START)
    os.close(failing)
    number = os.read(failure, 16)
    os.close(failure)
    if not number:
        return browser
    _tell(f"failed {number.decode()}")
    os.waitpid(browser, 0)
    return 0


def _become(command: list[str], pipe: int, supervisor: int) -> None:
    signal.set_wakeup_fd(-1)
    os.setpgid(0, 0)
    _end_with_parent()
    if os.getppid() != supervisor:
        os._exit(_CANNOT_START)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)
    if pipe >= 0:
        os.set_inheritable(pipe, False)
        spare = os.dup(pipe)  # 3 or 4 may be the pipe itself, and dup2 of a number onto itself changes nothing
        for number in (3, 4):
            os.dup2(spare, number)
    for inherited in (*_OURS, *_IGNORED_BY_PYTHON):
        signal.signal(inherited, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 no shell is meant to read it


def _end_with_parent() -> None:
    """Have the browser killed by the system if we are killed. Only Linux can do that."""
    if sys.platform == "linux":
        # A foreign LD_LIBRARY_PATH may break even this import; the browser is to start all the same.
        with suppress(ImportError, OSError, AttributeError):
            import ctypes  # noqa: PLC0415

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _discard_standard_error() -> None:
    """Let go of standard error: only the browser holds it then, so that its end is the end of its output."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)


def _watch(browser: int, woken: int) -> None:
    """Return when oauth-helper closes standard input or ends; tell it if the browser ends before."""
    watched = [0, woken]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if 0 in ready and not os.read(0, 4096):
            return
        if woken in ready:
            if set(os.read(woken, 4096)) - {signal.SIGCHLD}:
                return
            if (status := _status(browser)) is not None:
                _tell(f"ended {status}")
                watched = [0]


def _status(browser: int) -> int | None:
    """Return the status with which the browser has ended; None if it still runs.

    Its number is not given free where that can be helped: its group, which may live on, has the same number.
    """
    if hasattr(os, "waitid"):
        ended = os.waitid(os.P_PID, browser, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    number, status = os.waitpid(browser, os.WNOHANG)  # macOS before Python 3.13
    return os.waitstatus_to_exitcode(status) if number else None


def _kill(browser: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter if only zombies are left
        os.killpg(browser, signal.SIGKILL)
    deadline = time.monotonic() + _REAPING
    with suppress(ChildProcessError):
        while not os.waitpid(browser, os.WNOHANG)[0] and time.monotonic() < deadline:
            time.sleep(_PAUSE / 5)


def _remove(profile: str) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(profile, ignore_errors=True)
        if not os.path.lexists(profile):
            return
        time.sleep(_PAUSE)


def _tell(line: str) -> None:
    with suppress(OSError):  # oauth-helper has ended
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
