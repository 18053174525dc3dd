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
from types import FrameType
from typing import Final, Self

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.i18n import Text, _, ngettext

try:
    import termios
except ImportError:  # Windows
    HAS_SETTINGS: bool = False
else:
    HAS_SETTINGS = True
    _ENDING: Final = (
        *(signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2),
        *(signal.SIGXCPU, signal.SIGVTALRM, signal.SIGPROF),
    )
    """Signals that end a program at once, unless it handles them."""

LONGEST: Final = 65_536
"""Characters. A longer text is not an address; only as much of it is kept as shows that it is too long."""
QUIET: Final = 0.25
"""Seconds without input after a line break, before a text without marks is complete."""
REMINDER: Final = 2.0
"""Seconds before a user who has typed, and sees nothing of it, is reminded to press Enter."""
END_OF_PASTE: Final = 5.0
"""Seconds without input within a bracketed paste, before its end is not expected any more."""
_OUTPUT_TIMEOUT: Final = 0.1
_CHECK_FOREGROUND_EVERY: Final = 1.0
"""Seconds. Shells send no signal to a background job that was not stopped when it comes to the foreground."""

WHAT_TO_PASTE: Final = _("Paste the final address from the browser, then press Enter.")

# Bracketed paste and the other sequences are described in xterm's "XTerm Control Sequences"; the general form of a
# control sequence is ECMA-48 section 5.4.
_PASTE_BEGINS: Final = "\x1b[200~"
_INPUT: Final = re.compile(
    r"""
      \x1b\[200~ (?P<paste> .*?) \x1b\[201~
    | \x1b (?: \[ (?!200~) [0-?]{0,32} [\ -/]{0,8} [@-~]  # arrow and function keys, focus reports
             | O [@-~]                                     # the same from a keypad
             | [^\[O\x1b] )                                # a key with Alt
    | (?P<text> [^\x00-\x1f\x7f]+ | [\r\n] )
    | (?P<erase> [\b\x7f] )
    | (?P<clear> \x15 )                                    # Ctrl-U
    | (?P<close> \x04 )                                    # Ctrl-D
    | (?! \x1b\[200~ | \x1b (?: O | \[ [0-?]{0,32} [\ -/]{0,8} )? \Z ) .  # other control characters, broken sequences
    """,
    re.DOTALL | re.VERBOSE,
)


def can_prompt(fd: int = 0) -> bool:
    """Return whether ``fd`` is a terminal that we may read: no other job of our session is in its foreground.

    A terminal that does not control our session counts too: job control stops no process there, and a program that
    started us with it as standard input (``setsid``) wants us to read it. Windows consoles have no such settings.
    """
    return HAS_SETTINGS and os.isatty(fd) and not _is_lent_to_others(fd)


def _is_lent_to_others(fd: int) -> bool:
    """Whether another job is in the foreground: SIGTTIN or SIGTTOU would stop us (POSIX, 11.1.4)."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not the terminal that controls our session
        return False


@contextmanager
def _handling(numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals that nobody handles. Only the main thread can."""
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in numbers if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _leaving(restore: Callable[[], None], resume: Callable[[], object]) -> Callable[[int, FrameType | None], None]:
    """Return a handler that restores the terminal before a signal ends or stops the process as it always does.

    Not every shell restores the settings of a terminal that a stopped job has changed.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        restore()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, leave)  # the process was stopped, and goes on
        resume()

    return leave


@contextmanager
def hidden_typing(fd: int) -> Iterator[None]:
    """Do not echo what is typed at the terminal ``fd`` within the context; lines can be edited as usual.

    While Ctrl-Z stops the process, and after every signal that ends it, the terminal has its former settings.

    Raises:
        termios.error: It is not a terminal.
    """
    saved = termios.tcgetattr(fd)
    hidden = termios.tcgetattr(fd)
    hidden[3] &= ~termios.ECHO

    def hide() -> None:
        # At once: Ctrl-S may stop the output for any time. What was typed before was echoed: drop it.
        termios.tcflush(fd, termios.TCIFLUSH)
        termios.tcsetattr(fd, termios.TCSANOW, hidden)

    def show() -> None:
        if not _is_lent_to_others(fd):
            with suppress(termios.error):  # hung up
                termios.tcsetattr(fd, termios.TCSANOW, saved)

    hide()
    try:
        # In the background, hide() stops us until we are in the foreground.
        numbers = (*_ENDING, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)
        with _handling(numbers, _leaving(show, hide)):
            yield
    finally:
        show()


class TerminalPrompt:
    """Read the terminal ``fd`` while the context is open, and pass every pasted text to ``offer``.

    Nothing that is typed or pasted is echoed: it contains the code. A bracketed paste ends at its mark. Without marks,
    a text ends with a line break that is followed by a quarter of a second without input: a wrapped address arrives
    as several lines, and the first of them could contain a part of the code. Ctrl-C, Ctrl-Z and the like stay signals.

    Args:
        offer: Takes a text; it raises :class:`RedirectRejectedError` if the wait goes on.
        say: Prints a message.
        keys: The actions of words that are typed alone and followed by Enter; the wait goes on.
        fd: A terminal for which :func:`can_prompt` is true.
    """

    def __init__(
        self,
        *,
        offer: Callable[[str], None],
        say: Callable[[Text], None],
        keys: Mapping[str, Callable[[], None]] = {},
        fd: int = 0,
    ) -> None:
        self._offer, self._say, self._keys, self._fd = offer, say, keys, fd
        self._saved: list[int | list[bytes | int]] | None = None
        self._is_open = self._has_read = self._is_done = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        """An incomplete sequence or paste."""
        self._typed = ""
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        """Silence the terminal.

        Raises:
            OSError: The loop cannot watch it.
            termios.error: It is not a terminal.
        """
        self._loop, self._is_open = asyncio.get_running_loop(), True

        def take_soon(*_signal: object) -> None:
            self._loop.call_soon_threadsafe(self._take)

        with ExitStack() as stack:
            stack.callback(self._release)
            # SIGCONT may follow a stop by which another program has changed the settings.
            stack.enter_context(_handling((signal.SIGCONT,), take_soon))
            stack.enter_context(_handling((*_ENDING, signal.SIGTSTP), _leaving(self._restore, take_soon)))
            self._take()
            self._until_closed = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._finish()
        self._until_closed.close()

    def _take(self) -> None:
        """Silence the terminal and read it, as soon as it is ours."""
        if not self._is_open:  # a signal of a moment ago
            return
        if _is_lent_to_others(self._fd):
            self._loop.call_later(_CHECK_FOREGROUND_EVERY, self._take)
            return
        silent = termios.tcgetattr(self._fd)
        self._saved = self._saved or termios.tcgetattr(self._fd)
        # Not canonical: the kernel would cut a line at 4096 bytes. And no carriage return becomes a line feed: CRLF
        # would look like a blank line, which ends an address.
        silent[3] &= ~(termios.ECHO | termios.ICANON)
        # No Ctrl-S either: it would stop what we write to the terminal, the end of the marks included.
        silent[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
        silent[6][termios.VMIN], silent[6][termios.VTIME] = 1, 0
        # At once: to wait until output is written could take forever if the user stops it with Ctrl-S.
        termios.tcsetattr(self._fd, termios.TCSANOW, silent)
        self._mark_pastes("h")
        self._loop.add_reader(self._fd, self._read)

    def _release(self) -> None:
        """Restore the terminal, and leave nothing of a paste to the shell."""
        self._is_open = False
        self._loop.remove_reader(self._fd)
        self._restore(flush=self._has_read)

    def _restore(self, *, flush: bool = False) -> None:
        saved, self._saved = self._saved, None
        if saved is None or _is_lent_to_others(self._fd):  # the settings are another job's by now
            return
        self._mark_pastes("l")
        with suppress(termios.error):  # it was hung up
            if flush:  # while nothing is echoed
                termios.tcflush(self._fd, termios.TCIFLUSH)
            termios.tcsetattr(self._fd, termios.TCSANOW, saved)

    def _mark_pastes(self, switch: str) -> None:
        # To the terminal itself: standard output and error may lead elsewhere. Its own output may be blocked.
        if os.environ.get("TERM") != "dumb" and select.select([], [self._fd], [], _OUTPUT_TIMEOUT)[1]:
            with suppress(OSError):  # opened for reading only, or hung up: without marks, silence ends a paste
                os.write(self._fd, f"\x1b[?2004{switch}".encode())

    def _read(self) -> None:
        if _is_lent_to_others(self._fd):
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
            self._loop.remove_reader(self._fd)
        if self._is_done:
            return  # what follows is read and dropped: the end of a paste is not a command for the user's shell
        if data:
            self._feed(self._decoder.decode(data))
        else:
            self._close()

    def _feed(self, text: str) -> None:
        """Take the inputs that ``text`` completes, however they are divided into reads; keep an incomplete one."""
        self._schedule(None)
        self._pending += text
        position = 0
        while not self._is_done and (found := _INPUT.match(self._pending, position)):
            position = found.end()
            self._take_input(found.lastgroup, found[found.lastgroup or 0])
        if self._is_done:
            return
        self._pending = self._pending[position:]
        if len(self._pending) > LONGEST + 2 * len(_PASTE_BEGINS):
            self._pending = _PASTE_BEGINS + self._pending[-LONGEST - len(_PASTE_BEGINS) :]
        if self._pending.startswith(_PASTE_BEGINS):
            self._schedule(self._abandon_paste, END_OF_PASTE)
        elif self._typed.endswith(("\r", "\n")):
            self._schedule(self._submit_typed, QUIET)
        elif self._typed.strip():
            self._schedule(self._remind, REMINDER)

    def _take_input(self, kind: str | None, text: str) -> None:
        match kind:
            case "paste":
                self._typed = ""  # keys pressed by mistake, or the end of an abandoned paste
                self._submit(text)
            case "text":
                self._typed = (self._typed + text)[-LONGEST - 1 :]
            case "erase":
                self._typed = self._typed[:-1]
            case "clear":
                self._typed = ""
            case "close":
                self._close()
            case _:  # what is left out separates the texts before and after it
                self._typed += " " if self._typed[-1:].strip() else ""

    def _submit_typed(self) -> None:
        text, self._typed = self._typed, ""
        if press := self._keys.get(text.strip().casefold()):
            press()
        else:
            self._submit(text)

    def _submit(self, text: str) -> None:
        if not text.strip():
            self._say(WHAT_TO_PASTE)
        elif len(text) > LONGEST:
            self._say(_("That is too long for an address. Copy only the address, and paste it again."))
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
        self._pending = ""
        self._say(_("The paste was cut off. Paste the address again."))

    def _close(self) -> None:
        self._finish()
        self._until_closed.close()
        self._say(_("The prompt is closed; you can still paste the address on the page."))

    def _finish(self) -> None:
        self._is_done = True
        self._schedule(None)
        self._typed = self._pending = ""

    def _schedule(self, what: Callable[[], None] | None, seconds: float = 0.0) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, what) if what else None
