"""Read the terminal for as long as it is ours: through Ctrl-Z, ``fg`` and ``bg``."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Final

from oauth_helper.terminal.mode import Handler, SilentTerminal, is_lent_to_others, put_in_order_before_death

_READ_AT_ONCE: Final = 65_536
_AGAIN_OURS: Final = 1.0
"""Seconds between two looks whether a job in the background was brought to the foreground. Shells send no signal
to a job that was not stopped."""


class TerminalReader:
    """Hold a terminal silent and read it, whenever this process is in its foreground.

    ``received`` is called with what was read, and with nothing at the terminal's end.
    """

    def __init__(self, fd: int, received: Callable[[bytes], None], *, marks_pastes: bool) -> None:
        self._fd = fd
        self._received = received
        self._terminal = SilentTerminal(fd, marks_pastes=marks_pastes)
        self._is_open = self._has_read = False
        self._look_again: asyncio.TimerHandle | None = None
        self._until_closed = ExitStack()
        self._replaced: dict[signal.Signals, Handler] = {}

    def open(self) -> None:
        """Begin, within the running loop.

        Raises:
            OSError: The loop cannot watch it.
            termios.error: It is no terminal.
        """
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        try:
            self._take()
        except BaseException:
            self._terminal.give_back()
            raise
        self._until_closed.enter_context(put_in_order_before_death(self._terminal.give_back))
        if threading.current_thread() is threading.main_thread():  # signals can be handled nowhere else
            self._handle(signal.SIGCONT, self._take)
            if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
                self._handle(signal.SIGTSTP, self._stop)

    def close(self) -> None:
        """Give the terminal back as it was found, and nothing of a paste to the shell; a second call does nothing."""
        self._is_open = False
        self._until_closed.close()
        while self._replaced:
            number, handler = self._replaced.popitem()
            signal.signal(number, handler or signal.SIG_DFL)
        self._let_go(flush=self._has_read)

    def _take(self) -> None:
        self._stop_looking()
        if not self._is_open:  # a signal of a moment ago
            return
        if is_lent_to_others(self._fd):
            self._look_again = self._loop.call_later(_AGAIN_OURS, self._take)
            return
        self._terminal.take()
        self._loop.add_reader(self._fd, self._read)

    def _let_go(self, *, flush: bool) -> None:
        self._stop_looking()
        self._loop.remove_reader(self._fd)
        self._terminal.give_back(flush=flush)

    def _stop_looking(self) -> None:
        if self._look_again:
            self._look_again.cancel()
            self._look_again = None

    def _read(self) -> None:
        if is_lent_to_others(self._fd):
            self._loop.remove_reader(self._fd)
            self._take()
            return
        try:
            data = os.read(self._fd, _READ_AT_ONCE)
        except BlockingIOError:  # somebody else was faster
            return
        except OSError:  # pragma: no cover - EIO while the terminal is being hung up; as a rule it has been by now
            data = b""
        self._has_read = True
        if not data:
            self._let_go(flush=False)
        self._received(data)

    def _handle(self, number: signal.Signals, what: Callable[[], None]) -> None:
        def handler(_number: int, _frame: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(what)

        self._replaced[number] = signal.signal(number, handler)

    def _stop(self) -> None:
        # Shells differ in whether they mend the settings of a terminal that a stopped job left behind, so we leave
        # it in order, stop as Ctrl-Z always stops a program, and begin anew when we are continued.
        self._let_go(flush=False)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._take()
