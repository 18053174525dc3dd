"""What the bytes from a terminal mean: a paste, typed text, or one of a few keys. No I/O."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum
from typing import Final, NamedTuple

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
