"""Secret values, and provider text made safe to show."""

from __future__ import annotations

import hmac
import html
import json
import re
import unicodedata
from collections.abc import Collection
from typing import Final
from urllib.parse import quote, quote_plus

_STARS: Final = "********"


class Secret:
    """Hold a code, state, token, key or password so that it cannot be shown by accident.

    ``str``, ``repr``, formatting and dataclass helpers give stars. Only :meth:`reveal` gives the value, so a
    search for that word finds every place where a secret leaves its wrapper. It cannot be pickled, and a plain
    class with slots is not unpacked by ``dataclasses.asdict``.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def matches(self, other: str) -> bool:
        """Compare with ``other`` in a time that does not depend on where they differ (RFC 9700 section 4.7)."""
        return hmac.compare_digest(self._value.encode(), other.encode("utf-8", "surrogatepass"))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return self.matches(other._value) if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({_STARS!r})"

    def __str__(self) -> str:
        return _STARS

    def __format__(self, format_spec: str) -> str:
        return format(_STARS, format_spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled: it would be written out in the clear")


_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
"""Control, format (bidirectional overrides, zero widths), private, unassigned, surrogates, separators."""


def safe_text(text: str, *, limit: int = 200) -> str:
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


_MASK: Final = "********"


def redact(text: str, secrets: Collection[Secret], *, limit: int) -> str:
    """Return provider text presentable, cut to ``limit`` characters, with stars where it repeats a secret of ours.

    The gateway echoes the request it could not verify, a security token included. Stars come before the cut: the
    first half of a secret is too much.
    """
    line = safe_text(text, limit=max(len(text), 1))
    forms = {form for secret in secrets for form in _forms(secret.reveal())} - {""}
    for form in sorted(forms, key=len, reverse=True):
        line = re.sub(re.escape(form), _MASK, line, flags=re.IGNORECASE)
    return safe_text(line, limit=limit)


def _forms(value: str) -> tuple[str, ...]:
    escaped = (quoted(value, safe=safe, errors="replace") for quoted in (quote, quote_plus) for safe in ("", "/"))
    as_shown = safe_text(value, limit=max(len(value), 1))
    return (value, as_shown, json.dumps(value)[1:-1], html.escape(value), *escaped)
