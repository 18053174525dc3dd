"""The terminal's own settings: taken for a prompt that shows nothing, and given back as they were."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

if sys.platform != "win32":  # pragma: no branch - Windows has no termios
    import termios

_INPUT_FLAGS: Final = 0
_LOCAL_FLAGS: Final = 3
_CONTROL_CHARACTERS: Final = 6
"""Places in what :func:`termios.tcgetattr` returns."""

_BRACKETED_PASTE_ON: Final = b"\x1b[?2004h"
_BRACKETED_PASTE_OFF: Final = b"\x1b[?2004l"


def can_prompt(fd: int = 0) -> bool:
    """Tell whether ``fd`` is a terminal that is ours to read: no other job of our session is in its foreground.

    A terminal that does not control our session counts too: job control stops nobody there, and who started us
    with it as standard input (``setsid``, a program that plays the user) means us to read it.

    Always False on Windows, whose consoles have no such settings; there the page takes the address.
    """
    return sys.platform != "win32" and os.isatty(fd) and not is_lent_to_others(fd)


def is_lent_to_others(fd: int) -> bool:
    """Tell whether another job of our session is in the foreground.

    Whoever reads the terminal then, or changes its settings, is stopped by SIGTTIN or SIGTTOU (POSIX, General
    Terminal Interface, 11.1.4).
    """
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not the terminal that controls our session: nobody stops us
        return False


class SilentTerminal:
    """A terminal that echoes nothing, hands over every byte at once and marks what is pasted.

    Ctrl-C, Ctrl-Z and the like stay signals.
    """

    def __init__(self, fd: int, *, marks_pastes: bool = True) -> None:
        self._fd = fd
        self._marks_pastes = marks_pastes
        self._found: list[int | list[bytes | int]] | None = None

    def take(self) -> None:
        """Silence the terminal; again, where another program has changed it since.

        Raises:
            termios.error: It is no terminal.
        """
        silent = termios.tcgetattr(self._fd)
        if self._found is None:
            self._found = termios.tcgetattr(self._fd)
        # Not canonical: the kernel would cut a line at 4096 bytes. And no carriage return becomes a line feed: CRLF
        # would look like a blank line, which ends an address.
        silent[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
        silent[_INPUT_FLAGS] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
        silent[_CONTROL_CHARACTERS][termios.VMIN] = 1
        silent[_CONTROL_CHARACTERS][termios.VTIME] = 0
        # At once: to wait for output could be to wait for ever, where the user holds it with Ctrl-S.
        termios.tcsetattr(self._fd, termios.TCSANOW, silent)
        self._tell(_BRACKETED_PASTE_ON)

    def give_back(self, *, flush: bool = False) -> None:
        """Set everything as it was found; with ``flush``, what nobody has read yet is thrown away."""
        if self._found is None:
            return
        found, self._found = self._found, None
        if is_lent_to_others(self._fd):
            return  # the settings are another job's by now
        self._tell(_BRACKETED_PASTE_OFF)
        with suppress(termios.error):  # it was hung up: there is nothing to give back
            if flush:  # while nothing is echoed
                termios.tcflush(self._fd, termios.TCIFLUSH)
            termios.tcsetattr(self._fd, termios.TCSANOW, found)

    def _tell(self, sequence: bytes) -> None:
        # To the terminal itself: standard output and error may lead elsewhere.
        if self._marks_pastes:
            with suppress(OSError):  # opened for reading only, or hung up: without the marks, quiet ends a paste
                os.write(self._fd, sequence)
