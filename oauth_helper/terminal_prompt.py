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
from dataclasses import dataclass
from enum import StrEnum
from types import FrameType, MappingProxyType, TracebackType
from typing import Final, NamedTuple, Self

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.i18n import Text, _, ngettext

LONGEST: Final = 65_536
"""Bytes. What is longer is no address; of it just enough is kept to see that it is too long."""

_PASTE_BEGINS: Final = b"\x1b[200~"
_PASTE_ENDS_LENGTH: Final = 6


class Kind(StrEnum):
    """What came; the values are the groups of the pattern below."""

    PASTE = "paste"
    TEXT = "text"
    ENTER = "enter"
    ERASE = "erase"
    CLEAR = "clear"
    CLOSE = "close"


class Input(NamedTuple):
    """One thing that came from the terminal."""

    kind: Kind
    text: str


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
    """Cuts what a terminal sends into inputs, wherever one read ended and the next began."""

    def __init__(self) -> None:
        self._has_gap = False
        """Whether something was left out since the last text: the texts before and behind it are not one."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = b""

    @property
    def paste_is_open(self) -> bool:
        """Whether a bracketed paste has begun and not ended."""
        return self._pending.startswith(_PASTE_BEGINS)

    def reset(self) -> None:
        """Forget what has begun and not ended."""
        self._pending = b""
        self._decoder.reset()

    def feed(self, data: bytes) -> list[Input]:
        """Return the inputs that ``data`` ends; what it begins is kept for the next call."""
        self._pending += data
        inputs: list[Input] = []
        position = 0
        while position < len(self._pending):
            found = _INPUT.match(self._pending, position)
            if found is None and _UNFINISHED.match(self._pending, position):
                break
            if found and found.lastgroup:
                inputs.append(self._read(Kind(found.lastgroup), found[found.lastgroup]))
            else:
                self._has_gap = True
            position = found.end() if found else position + 1  # a broken sequence: its Escape alone is dropped
        self._pending = self._pending[position:]
        if len(self._pending) > LONGEST + len(_PASTE_BEGINS) + _PASTE_ENDS_LENGTH:
            self._pending = _PASTE_BEGINS + self._pending[-LONGEST - _PASTE_ENDS_LENGTH :]
        return inputs

    def _read(self, kind: Kind, data: bytes) -> Input:
        has_gap, self._has_gap = self._has_gap, False
        if kind is Kind.TEXT:  # of which a read may have cut the last character
            return Input(kind, " " * has_gap + self._decoder.decode(data))
        self._decoder.reset()
        return Input(kind, data.decode(errors="replace"))


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
        self._verify_again: asyncio.TimerHandle | None = None
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
            self._verify_again = self._loop.call_later(_AGAIN_OURS, self._take)
            return
        self._terminal.take()
        self._loop.add_reader(self._fd, self._read)

    def _let_go(self, *, flush: bool) -> None:
        self._stop_looking()
        self._loop.remove_reader(self._fd)
        self._terminal.give_back(flush=flush)

    def _stop_looking(self) -> None:
        if self._verify_again:
            self._verify_again.cancel()
            self._verify_again = None

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


_WHAT_TO_PASTE: Final = _("Paste the address of the page where the browser ended, then press Enter.")
_TOO_LONG: Final = _("That is too long for an address; copy the address alone and paste it again.")
_UNFINISHED_PASTE: Final = _("The end of the paste did not arrive; paste the address again.")
_CLOSED: Final = _("The prompt is closed; the page still takes the address.")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the prompt waits for what, in seconds."""

    quiet: float = 0.25
    """Without anything more after a line break, before a text without marks is taken to be whole."""
    reminder: float = 2.0
    """Before somebody who has pasted or typed, and sees nothing of it, is told that Enter is awaited."""
    end_of_paste: float = 5.0
    """Without anything more within a bracketed paste, before its end is not expected any longer."""
    next_piece: float = 10.0
    """In which a rejected text may turn out to have been the first piece of a paste."""


class TerminalPrompt:
    """Read the terminal ``fd`` while the context is open, and bring every pasted text to ``offer``.

    Nothing that is typed or pasted is echoed: it bears the code. A bracketed paste ends at its mark. Without marks,
    a text ends when its last character is a line break and then nothing comes for a quarter of a second: a
    wrapped address arrives as several lines, and judging the first of them could take a code that is cut off.

    Args:
        offer: Judges a text. It raises :class:`RedirectRejectedError` where the text is not ours, and the prompt
            goes on; it returns where the text is ours, and the prompt is done.
        say: Says something to the user.
        keys: What a word does that is typed alone, with Enter behind it; the wait goes on.
        fd: A terminal, of which :func:`can_prompt` said that it is ours.
        patience: How long it waits for what.
        environ: A terminal that calls itself dumb (``TERM``) is not asked to mark pastes.
    """

    def __init__(
        self,
        *,
        offer: Callable[[str], None],
        say: Callable[[Text], None],
        keys: Mapping[str, Callable[[], None]] = MappingProxyType({}),
        fd: int = 0,
        patience: Patience = Patience(),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._offer = offer
        self._say = say
        self._keys = keys
        self._patience = patience
        self._reader = TerminalReader(fd, self._received, marks_pastes=environ.get("TERM") != "dumb")
        self._keyboard = Keyboard()
        self._typed = ""
        self._rejected = ""
        self._rejected_at = 0.0
        self._is_done = False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._reader.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._reader.close()

    def _received(self, data: bytes) -> None:
        if self._is_done:
            return  # read all the same: the tail of a paste is no command for the user's shell
        self._wait_for(None)
        if not data:
            self._close()
            return
        for each in self._keyboard.feed(data):
            if not self._is_done:
                self._take(each)
        if self._keyboard.paste_is_open:
            self._wait_for(self._give_the_paste_up, self._patience.end_of_paste)
        elif self._typed.endswith(("\r", "\n")):
            self._wait_for(self._submit_typed, self._patience.quiet)
        elif self._typed.strip():
            self._wait_for(self._remind, self._patience.reminder)

    def _take(self, entered: Input) -> None:
        match entered.kind:
            case Kind.PASTE:
                self._typed = ""  # a key pressed by mistake, or the tail of a paste that was given up
                self._submit(entered.text)
            case Kind.TEXT | Kind.ENTER:
                self._typed = (self._typed + entered.text)[-LONGEST - 1 :]
            case Kind.ERASE:
                self._typed = self._typed[:-1]
            case Kind.CLEAR:
                self._typed = ""
            case Kind.CLOSE:  # pragma: no branch - mypy: there is no other case
                self._close()

    def _submit_typed(self) -> None:
        text, self._typed = self._typed, ""
        if press := self._keys.get(text.strip().casefold()):
            press()
        else:
            self._submit(text)

    def _submit(self, text: str) -> None:
        if not text.strip():
            self._say(_WHAT_TO_PASTE)
        elif len(text.encode()) > LONGEST:
            self._say(_TOO_LONG)
        else:
            self._say(ngettext("received {count} character", "received {count} characters", len(text.strip())))
            self._judge(text)

    def _judge(self, text: str) -> None:
        """Offer ``text``, and after it what it may be the end of.

        A slow link delivers a paste in pieces. The piece alone goes first: where it is taken it has "code=" itself,
        so the code is not cut off at its front, and at its end it is no different with the earlier piece before it.
        The other order could take a wrong code, a cut-off address with a whole one glued to it. For the same reason
        nothing is put before a text that begins an address of its own.
        """
        is_recent = self._loop.time() - self._rejected_at <= self._patience.next_piece
        joined = self._rejected + text if is_recent and "://" not in text else text
        try:
            self._offer_either(text, joined)
        except RedirectRejectedError as rejected:
            self._rejected, self._rejected_at = joined[-LONGEST:], self._loop.time()
            self._say(rejected.message)
            self._say(rejected.hint)
        else:
            self._end()

    def _offer_either(self, text: str, joined: str) -> None:
        try:
            self._offer(text)
        except RedirectRejectedError:
            if joined == text:
                raise
            self._offer(joined)

    def _remind(self) -> None:
        self._say(
            ngettext(
                "received {count} character so far; press Enter at the end of the address",
                "received {count} characters so far; press Enter at the end of the address",
                len(self._typed.strip()),
            )
        )

    def _give_the_paste_up(self) -> None:
        self._keyboard.reset()
        self._say(_UNFINISHED_PASTE)

    def _close(self) -> None:
        self._end()
        self._reader.close()
        self._say(_CLOSED)

    def _end(self) -> None:
        self._is_done = True
        self._wait_for(None)
        self._typed = self._rejected = ""
        self._keyboard.reset()

    def _wait_for(self, what: Callable[[], None] | None, seconds: float = 0.0) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, what) if what else None
