"""Read pasted addresses and keys from the terminal."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import select
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType, MappingProxyType, TracebackType
from typing import Final, Self

from msgspec import Struct

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.i18n import Text, _, ngettext

LONGEST: Final = 65_536
"""Bytes. A longer text is not an address; only as much of it is kept as shows that it is too long."""

_PASTE_BEGINS: Final = b"\x1b[200~"
_PASTE_ENDS_LENGTH: Final = 6


# Bracketed paste and the other sequences are described in xterm's "XTerm Control Sequences"; the general form of a
# control sequence is ECMA-48 section 5.4.
_INPUT: Final = re.compile(
    rb"""
      \x1b\[200~ (?P<paste> .*?) \x1b\[201~
    | \x1b (?: \[ (?!200~) [0-?]{0,32} [\ -/]{0,8} [@-~]  # arrow and function keys, focus reports
             | O [@-~]                                     # the same from a keypad
             | [^\[O\x1b] )                                # a key with Alt
    | (?P<text> [^\x00-\x1f\x7f]+ )
    | (?P<enter> [\r\n] )
    | (?P<erase> [\b\x7f] )
    | (?P<clear> \x15 )                                    # Ctrl-U
    | (?P<close> \x04 )                                    # Ctrl-D
    | [^\x1b]                                              # other control characters
    """,
    re.DOTALL | re.VERBOSE,
)
_UNFINISHED: Final = re.compile(rb"\x1b\[200~ | \x1b (?: O | \[ [0-?]{0,32} [\ -/]{0,8} )? \Z", re.VERBOSE)


class Keyboard:
    """Splits what a terminal sends into inputs, however it is divided into reads."""

    def __init__(self) -> None:
        self._has_gap = False
        """Whether something was left out since the last text, so that the texts before and after it are separate."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = b""

    @property
    def paste_is_open(self) -> bool:
        """Whether a bracketed paste has begun and not ended."""
        return self._pending.startswith(_PASTE_BEGINS)

    def reset(self) -> None:
        """Drop an incomplete input."""
        self._pending = b""
        self._decoder.reset()

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Return the inputs that ``data`` completes: the group of the pattern, and the text. Keep an incomplete one."""
        self._pending += data
        inputs = []
        position = 0
        while position < len(self._pending):
            found = _INPUT.match(self._pending, position)
            if found is None and _UNFINISHED.match(self._pending, position):
                break
            if found and found.lastgroup:
                inputs.append((found.lastgroup, self._read(found.lastgroup, found[found.lastgroup])))
            else:
                self._has_gap = True
            position = found.end() if found else position + 1  # a broken sequence: its Escape alone is dropped
        self._pending = self._pending[position:]
        if len(self._pending) > LONGEST + len(_PASTE_BEGINS) + _PASTE_ENDS_LENGTH:
            self._pending = _PASTE_BEGINS + self._pending[-LONGEST - _PASTE_ENDS_LENGTH :]
        return inputs

    def _read(self, kind: str, data: bytes) -> str:
        has_gap, self._has_gap = self._has_gap, False
        if kind == "text":  # of which a read may have cut the last character
            return " " * has_gap + self._decoder.decode(data)
        self._decoder.reset()
        return data.decode(errors="replace")


try:
    import termios
except ImportError:  # Windows
    HAS_SETTINGS: bool = False
else:
    HAS_SETTINGS = True

_INPUT_FLAGS: Final = 0
_LOCAL_FLAGS: Final = 3
_CONTROL_CHARACTERS: Final = 6
"""Indexes into what :func:`termios.tcgetattr` returns."""

_OUTPUT_TIMEOUT: Final = 0.1
"""Seconds to wait for blocked output."""
_CHECK_FOREGROUND_EVERY: Final = 1.0
"""Seconds. Shells send no signal to a background job that was not stopped when it comes to the foreground."""

_DEADLY_SIGNALS: Final = ("SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGVTALRM", "SIGPROF")
"""Signals that end a program at once, unless it handles them."""

Handler = Callable[[int, FrameType | None], object] | int | None

_BRACKETED_PASTE_ON: Final = b"\x1b[?2004h"
_BRACKETED_PASTE_OFF: Final = b"\x1b[?2004l"


def can_prompt(fd: int = 0) -> bool:
    """Return whether ``fd`` is a terminal that we may read: no other job of our session is in its foreground.

    A terminal that does not control our session counts too: job control stops no process there, and a program that
    started us with it as standard input (``setsid``) wants us to read it.

    Always False on Windows, whose consoles have no such settings; there the page takes the address.
    """
    return HAS_SETTINGS and os.isatty(fd) and not is_lent_to_others(fd)


def is_lent_to_others(fd: int) -> bool:
    """Return whether another job of our session is in the foreground.

    A process that reads the terminal then, or changes its settings, is stopped by SIGTTIN or SIGTTOU (POSIX, General
    Terminal Interface, 11.1.4).
    """
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not the terminal that controls our session
        return False


@contextmanager
def restored_before_death(restore: Callable[[], None], *more: str) -> Iterator[None]:
    """Within the context, call ``restore`` before a signal without a handler ends the process as it always does.

    ``more`` are further signals, which other code usually handles.
    """
    replaced: dict[int, Handler] = {}

    def die(number: int, _frame: FrameType | None) -> None:
        restore()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    if threading.current_thread() is threading.main_thread():  # signals can be handled nowhere else
        for name in (*_DEADLY_SIGNALS, *more):
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
    """Do not echo what is typed at the terminal ``fd`` within the context; lines can be edited as usual.

    While Ctrl-Z stops the process, and after every signal that ends it, the terminal has its former settings.

    Raises:
        termios.error: It is not a terminal.
    """
    saved = termios.tcgetattr(fd)
    hidden = termios.tcgetattr(fd)
    hidden[_LOCAL_FLAGS] &= ~termios.ECHO

    def hide() -> None:
        # At once: Ctrl-S may stop the output for any time. What was typed before was echoed: drop it.
        termios.tcflush(fd, termios.TCIFLUSH)
        termios.tcsetattr(fd, termios.TCSANOW, hidden)

    def show() -> None:
        if not is_lent_to_others(fd):
            with suppress(termios.error):  # hung up
                termios.tcsetattr(fd, termios.TCSANOW, saved)

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
        with restored_before_death(show, "SIGTERM", "SIGHUP"):
            if can_be_stopped:
                signal.signal(signal.SIGTSTP, stop)
            yield
    finally:
        if can_be_stopped:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        show()


class TerminalReader:
    """Reads a terminal without echo, byte by byte and with marked pastes, while this process is in its foreground.

    Ctrl-C, Ctrl-Z and the like stay signals. ``received`` is called with what was read, and with nothing at the
    terminal's end.
    """

    def __init__(self, fd: int, received: Callable[[bytes], None], *, marks_pastes: bool) -> None:
        self._fd = fd
        self._received = received
        self._marks_pastes = marks_pastes
        self._saved: list[int | list[bytes | int]] | None = None
        self._is_open = self._has_read = False
        self._timer: asyncio.TimerHandle | None = None
        self._until_closed = ExitStack()
        self._handlers: dict[signal.Signals, Handler] = {}

    def open(self) -> None:
        """Start to read, within the running loop.

        Raises:
            OSError: The loop cannot watch it.
            termios.error: It is not a terminal.
        """
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        try:
            self._take()
        except BaseException:
            self._restore()
            raise
        self._until_closed.enter_context(restored_before_death(self._restore))
        if threading.current_thread() is threading.main_thread():  # signals can be handled nowhere else
            self._handle(signal.SIGCONT, self._take)
            if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
                self._handle(signal.SIGTSTP, self._stop)

    def close(self) -> None:
        """Restore the terminal, and leave nothing of a paste to the shell; a second call does nothing."""
        self._is_open = False
        self._until_closed.close()
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler or signal.SIG_DFL)
        self._release(flush=self._has_read)

    def _take(self) -> None:
        """Silence the terminal and read it; again after another program has changed it."""
        self._cancel_timer()
        if not self._is_open:  # a signal of a moment ago
            return
        if is_lent_to_others(self._fd):
            self._timer = self._loop.call_later(_CHECK_FOREGROUND_EVERY, self._take)
            return
        silent = termios.tcgetattr(self._fd)
        self._saved = self._saved or termios.tcgetattr(self._fd)
        # Not canonical: the kernel would cut a line at 4096 bytes. And no carriage return becomes a line feed: CRLF
        # would look like a blank line, which ends an address.
        silent[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
        # No Ctrl-S either: it would stop what we write to the terminal, the end of the marks included.
        silent[_INPUT_FLAGS] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
        silent[_CONTROL_CHARACTERS][termios.VMIN] = 1
        silent[_CONTROL_CHARACTERS][termios.VTIME] = 0
        # At once: to wait until output is written could take forever if the user stops it with Ctrl-S.
        termios.tcsetattr(self._fd, termios.TCSANOW, silent)
        self._write(_BRACKETED_PASTE_ON)
        self._loop.add_reader(self._fd, self._read)

    def _release(self, *, flush: bool) -> None:
        self._cancel_timer()
        self._loop.remove_reader(self._fd)
        self._restore(flush=flush)

    def _restore(self, *, flush: bool = False) -> None:
        """Restore the settings; ``flush`` drops what was not read yet."""
        saved, self._saved = self._saved, None
        if saved is None or is_lent_to_others(self._fd):  # the settings are another job's by now
            return
        self._write(_BRACKETED_PASTE_OFF)
        with suppress(termios.error):  # it was hung up
            if flush:  # while nothing is echoed
                termios.tcflush(self._fd, termios.TCIFLUSH)
            termios.tcsetattr(self._fd, termios.TCSANOW, saved)

    def _write(self, sequence: bytes) -> None:
        # To the terminal itself: standard output and error may lead elsewhere.
        if self._marks_pastes and select.select([], [self._fd], [], _OUTPUT_TIMEOUT)[1]:  # else its output is blocked
            with suppress(OSError):  # opened for reading only, or hung up: without marks, silence ends a paste
                os.write(self._fd, sequence)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _read(self) -> None:
        if is_lent_to_others(self._fd):
            self._loop.remove_reader(self._fd)
            self._take()
            return
        try:
            data = os.read(self._fd, LONGEST)
        except BlockingIOError:  # another process has read it
            return
        except OSError:  # pragma: no cover - EIO while the terminal is being hung up; as a rule it has been by now
            data = b""
        self._has_read = True
        if not data:
            self._release(flush=False)
        self._received(data)

    def _handle(self, number: signal.Signals, action: Callable[[], None]) -> None:
        def handler(_number: int, _frame: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(action)

        self._handlers[number] = signal.signal(number, handler)

    def _stop(self) -> None:
        # Not every shell restores the settings of a terminal that a stopped job changed. So restore them, stop as
        # Ctrl-Z always stops a program, and silence the terminal again when the process continues.
        self._release(flush=False)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._take()


WHAT_TO_PASTE: Final = _("Paste the final address from the browser, then press Enter.")
_TOO_LONG: Final = _("That is too long for an address. Copy only the address, and paste it again.")
_UNFINISHED_PASTE: Final = _("The paste was cut off. Paste the address again.")
_CLOSED: Final = _("The prompt is closed; you can still paste the address on the page.")


class PromptTiming(Struct, frozen=True):
    """How long the prompt waits, in seconds."""

    quiet: float = 0.25
    """Without input after a line break, before a text without marks is complete."""
    reminder: float = 2.0
    """Before a user who has typed, and sees nothing of it, is reminded to press Enter."""
    end_of_paste: float = 5.0
    """Without input within a bracketed paste, before its end is not expected any more."""


_TIMING: Final = PromptTiming()


class TerminalPrompt:
    """Read the terminal ``fd`` while the context is open, and pass every pasted text to ``offer``.

    Nothing that is typed or pasted is echoed: it contains the code. A bracketed paste ends at its mark. Without marks,
    a text ends with a line break that is followed by a quarter of a second without input: a wrapped address arrives
    as several lines, and the first of them could contain a part of the code.

    Args:
        offer: Takes a text; it raises :class:`RedirectRejectedError` if the wait goes on.
        say: Prints a message.
        keys: The actions of words that are typed alone and followed by Enter; the wait goes on.
        fd: A terminal for which :func:`can_prompt` is true.
        timing: How long it waits.
        environ: If ``TERM`` is ``dumb``, the terminal is not asked to mark pastes.
    """

    def __init__(
        self,
        *,
        offer: Callable[[str], None],
        say: Callable[[Text], None],
        keys: Mapping[str, Callable[[], None]] = MappingProxyType({}),
        fd: int = 0,
        timing: PromptTiming = _TIMING,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._offer = offer
        self._say = say
        self._keys = keys
        self._timing = timing
        self._reader = TerminalReader(fd, self._received, marks_pastes=environ.get("TERM") != "dumb")
        self._keyboard = Keyboard()
        self._typed = ""
        self._is_done = False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._reader.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish()
        self._reader.close()

    def _received(self, data: bytes) -> None:
        if self._is_done:
            return  # what follows is read and dropped: the end of a paste is not a command for the user's shell
        self._schedule(None)
        if not data:
            self._close()
            return
        for kind, text in self._keyboard.feed(data):
            if not self._is_done:
                self._take(kind, text)
        if self._keyboard.paste_is_open:
            self._schedule(self._abandon_paste, self._timing.end_of_paste)
        elif self._typed.endswith(("\r", "\n")):
            self._schedule(self._submit_typed, self._timing.quiet)
        elif self._typed.strip():
            self._schedule(self._remind, self._timing.reminder)

    def _take(self, kind: str, text: str) -> None:
        match kind:
            case "paste":
                self._typed = ""  # keys pressed by mistake, or the end of an abandoned paste
                self._submit(text)
            case "text" | "enter":
                self._typed = (self._typed + text)[-LONGEST - 1 :]
            case "erase":
                self._typed = self._typed[:-1]
            case "clear":
                self._typed = ""
            case _:  # Ctrl-D
                self._close()

    def _submit_typed(self) -> None:
        text, self._typed = self._typed, ""
        if press := self._keys.get(text.strip().casefold()):
            press()
        else:
            self._submit(text)

    def _submit(self, text: str) -> None:
        if not text.strip():
            self._say(WHAT_TO_PASTE)
        elif len(text.encode()) > LONGEST:
            self._say(_TOO_LONG)
        else:
            try:
                self._offer(text)
            except RedirectRejectedError as rejected:
                self._say(_("{message}. {hint}", message=rejected.message, hint=rejected.hint))
            else:
                self._say(ngettext("received {count} character", "received {count} characters", len(text.strip())))
                self._finish()

    def _remind(self) -> None:
        self._say(
            ngettext(
                "received {count} character so far; press Enter at the end of the address",
                "received {count} characters so far; press Enter at the end of the address",
                len(self._typed.strip()),
            )
        )

    def _abandon_paste(self) -> None:
        self._keyboard.reset()
        self._say(_UNFINISHED_PASTE)

    def _close(self) -> None:
        self._finish()
        self._reader.close()
        self._say(_CLOSED)

    def _finish(self) -> None:
        self._is_done = True
        self._schedule(None)
        self._typed = ""
        self._keyboard.reset()

    def _schedule(self, what: Callable[[], None] | None, seconds: float = 0.0) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, what) if what else None
