"""Runs a browser for oauth-helper, and removes the browser and its profile when oauth-helper ends, even if killed.

Usage: ``python -IS supervisor.py PROFILE PIPE COMMAND...``, in a session of its own. PIPE is the browser's end of
Chromium's DevTools pipe, which the browser finds as 3 and 4, or -1. This program also inherits, and keeps open,
oauth-helper's end of the pipe (Chromium ends when it closes) and the lock that keeps the profile from being swept.
Standard output reports ``started PID``, ``failed ERRNO`` and ``ended STATUS``, a line each. Only oauth-helper holds the
other end of standard input. At its end the browser is killed at once and the profile removed, unless a line
``stay SECONDS`` came before: then the browser may stay open for so long. It imports the standard library only.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

_prctl: Any = None  # only Linux has it
with suppress(ImportError, OSError, AttributeError):  # a foreign LD_LIBRARY_PATH may break even this import
    import ctypes

    _prctl = ctypes.CDLL(None).prctl

_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
"""From Linux' prctl.h."""


def main(profile: str, pipe: int, command: list[str]) -> None:
    """Start the browser, wait until it has to end, and clear up."""
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    while os.open(os.devnull, os.O_RDWR) <= 4:
        pass  # Popen must not use 3 or 4 for itself
    try:
        browser = _start(command, pipe)  # an object that is collected would reap the browser
    except OSError as error:
        _report(f"failed {error.errno}")
    else:
        _report(f"started {browser.pid}")
        # Only the browser holds its end of the pipe and its standard error now, so oauth-helper notices their end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if pipe >= 0:
            os.close(pipe)
        _wait(browser.pid, woken)
        _kill(browser.pid)
    for _ in range(100):  # children of a killed browser still write for a moment
        shutil.rmtree(profile, ignore_errors=True)
        if not os.path.lexists(profile):
            break
        time.sleep(0.05)


def _start(command: list[str], pipe: int) -> subprocess.Popen[bytes]:
    supervisor = os.getpid()

    def prepare() -> None:
        if _prctl:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # the system kills the browser if this program is killed
        if os.getppid() != supervisor:
            os._exit(1)
        if pipe >= 0:
            spare = os.dup(pipe)  # the pipe may be 3 or 4 itself
            for number in (3, 4):
                os.dup2(spare, number)

    silent = subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603 no shell
        command,
        stdin=silent,
        stdout=silent,
        pass_fds=(3, 4) if pipe >= 0 else (),
        process_group=0,
        preexec_fn=prepare,  # noqa: PLW1509 there are no threads
    )


def _wait(browser: int, woken: int) -> None:
    """Return when the browser has to end; report if it ends by itself."""
    watched, deadline, heard = [0, woken], float("inf"), b""
    while (left := deadline - time.monotonic()) > 0:
        ready = select.select(watched, [], [], min(left, 3600))[0]
        if 0 in ready:
            if line := os.read(0, 4096):
                heard += line
                continue
            watched.remove(0)
            deadline = time.monotonic() + float(heard.split()[1]) if heard.startswith(b"stay ") else 0
        if woken in ready:
            if set(os.read(woken, 4096)) - {signal.SIGCHLD}:
                return
            if (status := _status(browser)) is not None:
                _report(f"ended {status}")
                watched.remove(woken)
        if not watched:  # the browser and oauth-helper have ended
            return


def _status(browser: int) -> int | None:
    """Return the browser's exit status; None while it runs.

    It is not reaped if that can be avoided: its process group, which may still run, has the same number.
    """
    if hasattr(os, "waitid"):
        ended = os.waitid(os.P_PID, browser, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    number, status = os.waitpid(browser, os.WNOHANG)  # macOS before Python 3.13
    return os.waitstatus_to_exitcode(status) if number else None


def _kill(browser: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS reports the latter if only zombies are left
        os.killpg(browser, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(browser, 0)


def _report(line: str) -> None:
    with suppress(OSError):  # oauth-helper has ended
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
