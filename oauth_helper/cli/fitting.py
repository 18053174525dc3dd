"""Text on a terminal of so many columns: how wide it is, and where its lines are broken."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_WIDE: Final = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6"
)
"""Scripts without blanks between words, in which a line may be broken at every character (UAX #14, class ID)."""
_CLOSING: Final = "，。、：；？！）」』》”’…"
"""What never begins a line (UAX #14, classes CL and EX)."""
_OPENING: Final = "（「『《“‘"
"""What never ends one (class OP)."""
_ATOM: Final = rf"\s+|`[^`]*`|[{_OPENING}]*[{_WIDE}][{_CLOSING}]*|[^\s`{_WIDE}]+|[{_CLOSING}]+|`"
"""Compiled when it is first needed: a help in English needs it not, and it takes longer than most imports."""


def width_of(text: str) -> int:
    """Return how many columns a terminal takes for ``text``, which has no control characters."""
    return sum(_width(character) for character in text)


def padded(text: str, width: int) -> str:
    """Return ``text`` with blanks behind it, up to so many columns."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int) -> str:
    """Return what of ``text`` fits into so many columns."""
    columns = 0
    for position, character in enumerate(text):
        columns += _width(character)
        if columns > width:
            return text[:position]
    return text


def fitted(text: str, width: int, *, indent: str = "") -> list[str]:
    """Break ``text`` into lines of so many columns, the second and later ones behind ``indent``.

    What stands between backticks is a command, to be copied whole: it is never broken, nor is a word.
    """
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        start = indent if lines else ""
        if line and width_of(start + line + piece.rstrip()) > width:
            lines.append(start + line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, (indent if lines else "") + line.rstrip()]


def _pieces(text: str) -> list[str]:
    """Return what no line is broken within, each with the blanks behind it."""
    pieces: list[str] = []
    may_break = True
    for atom in re.findall(_ATOM, text):
        if atom.isspace():
            pieces[-1:] = ["".join(pieces[-1:]) + " "]
            may_break = True
            continue
        is_wide = re.match(f"[{_WIDE}{_OPENING}]", atom) is not None
        if (pieces and not (may_break or is_wide)) or atom[0] in _CLOSING:
            pieces[-1:] = ["".join(pieces[-1:]) + atom]
        else:
            pieces.append(atom)
        may_break = is_wide and atom[-1] not in _OPENING
    return pieces


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
