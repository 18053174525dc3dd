"""Take a pasted address from the terminal while something else is waited for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Final, Self

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.phrase import Phrase, counted, phrase
from oauth_helper.terminal.keyboard import LONGEST, Input, Keyboard, Kind
from oauth_helper.terminal.reader import TerminalReader

_WHAT_TO_PASTE: Final = phrase("Paste the address of the page where the browser ended, then press Enter.")
_TOO_LONG: Final = phrase("That is too long for an address; copy the address alone and paste it again.")
_UNFINISHED: Final = phrase("The end of the paste did not arrive; paste the address again.")
_CLOSED: Final = phrase("The prompt is closed; the page still takes the address.")


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
        say: Callable[[Phrase], None],
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
            self._say(counted("received {count} character", "received {count} characters", len(text.strip())))
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
            counted(
                "received {count} character so far; press Enter at the end of the address",
                "received {count} characters so far; press Enter at the end of the address",
                len(self._typed.strip()),
            )
        )

    def _give_the_paste_up(self) -> None:
        self._keyboard.reset()
        self._say(_UNFINISHED)

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
