"""Text from a provider made fit for a terminal, a page or a log line. No I/O."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
"""Control, format (bidirectional overrides, zero widths), private, unassigned, surrogates, separators."""


def presentable(text: str, *, limit: int = 200) -> str:
    """Return ``text`` without control characters, on one line, cut to ``limit`` characters.

    A Git host's or server's text is hostile until shown otherwise: an escape sequence could rewrite the
    terminal, a line break could forge a line of ours (RFC 6749 section 4.1.2.1 leaves the text to the host).
    """
    spaced = "".join(" " if character in "\t\r\n" else character for character in text[: limit * 4])
    visible = "".join(c for c in spaced if unicodedata.category(c) not in _HIDDEN_CATEGORIES)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


_ESCAPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_WORD: Final = re.compile(r"(?:[A-Za-z]{1,12}[0-9]{0,4}|[0-9]{1,4})(?:[._-](?:[A-Za-z]{1,12}[0-9]{0,4}|[0-9]{1,4}))*")
_TOKEN: Final = re.compile(r"gh[a-z]_|github_pat|gl[a-z]{2,6}-|ATBB|AKIA|eyJ|sk-|xox")
"""With what the tokens of Git hosts and others begin."""
_SHORT: Final = 16


def escaped(text: str, *, keep: str = "") -> str:
    """Return ``text`` with an escape for each control and invisible character that is not in ``keep``.

    A path or an argument may bear an escape sequence that would rewrite the terminal.
    """
    if text.isprintable():
        return text
    hidden = {one for one in text if unicodedata.category(one) in _ESCAPED_CATEGORIES}.difference(keep)
    return "".join(code_of(character) if character in hidden else character for character in text)


def code_of(character: str) -> str:
    """Return a character as Python writes it in a string."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_plain_word(text: str) -> bool:
    """Whether ``text`` can be repeated in an error: it is a short word in small letters, so no token, key or code.

    A user may have put a secret where something else belongs.
    """
    return len(text) <= _SHORT and text == text.lower() and is_plain_name(text)


def is_plain_name(text: str) -> bool:
    """Whether the name of something that does not exist can be repeated: it is made of words, as names are."""
    return _WORD.fullmatch(text) is not None and not _TOKEN.match(text)


def is_plain_path(path: str) -> bool:
    """Whether the name of a file that does not exist can be repeated."""
    parts = (part for part in path.split("/") if part not in {"", ".", "..", "~"})
    return all(is_plain_name(part.removeprefix(".")) for part in parts)
