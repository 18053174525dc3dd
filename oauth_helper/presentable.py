"""Text from a provider made fit for a terminal, a page or a log line. No I/O."""

from __future__ import annotations

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
