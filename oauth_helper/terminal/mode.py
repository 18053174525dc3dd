"""The terminal's own settings: taken for a prompt that shows nothing, and given back as they were."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

try:
    import termios
except ImportError:  # Windows
    HAS_SETTINGS: bool = False
else:
    HAS_SETTINGS = True

_INPUT_FLAGS: Final = 0
_LOCAL_FLAGS: Final = 3
_CONTROL_CHARACTERS: Final = 6
"""Places in what :func:`termios.tcgetattr` returns."""

_MOMENT: Final = 0.1
"""Seconds."""

_DEADLY: Final = ("SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGVTALRM", "SIGPROF")
"""Signals that end a program at once, unless it handles them."""

Handler = Callable[[int, FrameType | None], object] | int | None

_BRACKETED_PASTE_ON: Final = b"\x1b[?2004h"
_BRACKETED_PASTE_OFF: Final = b"\x1b[?2004l"


def can_prompt(fd: int = 0) -> bool:
    """Tell whether ``fd`` is a terminal that is ours to read: no other job of our session is in its foreground.

    A terminal that does not control our session counts too: job control stops nobody there, and who started us
    with it as standard input (``setsid``, a program that plays the user) means us to read it.

    Always False on Windows, whose consoles have no such settings; there the page takes the address.
    """
    return HAS_SETTINGS and os.isatty(fd) and not is_lent_to_others(fd)


def is_lent_to_others(fd: int) -> bool:
    """Tell whether another job of our session is in the foreground.

    Whoever reads the terminal then, or changes its settings, is stopped by SIGTTIN or SIGTTOU (POSIX, General
    Terminal Interface, 11.1.4).
    """
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not the terminal that controls our session: nobody stops us
        return False


@contextmanager
def put_in_order_before_death(put_in_order: Callable[[], None], *more: str) -> Iterator[None]:
    """Within the context, a signal that ends the process at once puts the terminal in order first.

    It then ends the process as it always does. ``more`` are further signals, beside those that nothing else handles.
    """
    replaced: dict[int, Handler] = {}

    def die(number: int, _frame: FrameType | None) -> None:
        put_in_order()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    if threading.current_thread() is threading.main_thread():  # signals can be handled nowhere else
        for name in (*_DEADLY, *more):
            number = getattr(signal, name, None)
            if number and signal.getsignal(number) is signal.SIG_DFL:
                replaced[number] = signal.signal(number, die)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            if signal.getsignal(number) is die:
                signal.signal(number, handler)


@contextmanager
def hidden_typing(fd: int) -> Iterator[None]:
    """Do not show what is typed at the terminal ``fd`` within the context; edit lines as usual.

    While Ctrl-Z stops the process, and after every signal that ends it, the terminal is as it was found.

    Raises:
        termios.error: It is no terminal.
    """
    found = termios.tcgetattr(fd)
    hidden = termios.tcgetattr(fd)
    hidden[_LOCAL_FLAGS] &= ~termios.ECHO

    def hide() -> None:
        # Not after the output is written: Ctrl-S may hold it for any time. Typed before, it was shown: drop it.
        termios.tcflush(fd, termios.TCIFLUSH)
        termios.tcsetattr(fd, termios.TCSANOW, hidden)

    def show() -> None:
        if not is_lent_to_others(fd):
            with suppress(termios.error):  # hung up
                termios.tcsetattr(fd, termios.TCSANOW, found)

    def stop(number: int, _frame: FrameType | None) -> None:
        show()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, stop)
        hide()  # in the background, this stops us until we are in the foreground

    can_be_stopped = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    )
    hide()
    try:
        with put_in_order_before_death(show, "SIGTERM", "SIGHUP"):
            if can_be_stopped:
                signal.signal(signal.SIGTSTP, stop)
            yield
    finally:
        if can_be_stopped:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        show()


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
        # No Ctrl-S either: it would stop what we write to the terminal, the end of the marks included.
        silent[_INPUT_FLAGS] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
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
        if self._marks_pastes and select.select([], [self._fd], [], _MOMENT)[1]:  # else its output is blocked
            with suppress(OSError):  # opened for reading only, or hung up: without the marks, quiet ends a paste
                os.write(self._fd, sequence)
