"""Open the user's default browser, and never wait for it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Final

from oauth_helper.browsers.candidates import (
    GRAPHICAL,
    OPENERS,
    Candidate,
    browser_commands,
    find_candidates,
    name_of,
    why_no_browser,
)
from oauth_helper.browsers.inheritance import inherited
from oauth_helper.errors import NoBrowserError
from oauth_helper.phrase import NOTHING, Phrase, phrase

__all__ = ["browser_commands", "first_browser", "open_default_browser", "why_no_browser"]

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
    failures: list[Phrase] = []
    for candidate in found.best_first:
        failure = candidate.left_out or await _failure(candidate, address, theirs)
        if not failure:
            return name_of(candidate.words[0])
        failures.append(failure)
    raise NoBrowserError(
        phrase("No browser was opened: {why}", why=found.explain(failures)),
        hint=phrase("Correct BROWSER, unset it, or give --browser none to be shown the addresses.")
        if found.chosen
        else None,
    )


def first_browser(environ: Mapping[str, str]) -> str:
    """Return the name of what would be tried first; :func:`why_no_browser` must have found no reason against it."""
    found = find_candidates(environ, sys.platform, is_root=_is_root())
    return next(name_of(candidate.words[0]) for candidate in found.best_first if candidate.words)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


async def _failure(candidate: Candidate, address: str, environ: dict[str, str]) -> Phrase:
    """Start ``candidate``; return why it failed, or nothing."""
    name = name_of(candidate.words[0])
    try:
        ended = _start(candidate.command(address), environ)
    except OSError as error:
        return phrase("{name} could not be started ({why})", name=name, why=error.strerror)
    try:
        status = await asyncio.wait_for(
            asyncio.wrap_future(ended), _PATIENCE_WITH_OPENERS if name in OPENERS else _PATIENCE
        )
    except TimeoutError:
        return NOTHING
    return phrase("{name} ended with status {status}", name=name, status=status) if status else NOTHING


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
