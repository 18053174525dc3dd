"""Secret values, and text from others made safe to show."""

from __future__ import annotations

import hmac
import html
import json
import re
import unicodedata
from collections.abc import Collection
from typing import Final
from urllib.parse import quote, quote_plus

_MASK: Final = "********"
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
"""Unicode's control, format, private, unassigned and surrogate characters, and line and paragraph separators."""
_ESCAPED_CATEGORIES: Final = _HIDDEN_CATEGORIES - {"Co", "Cn"}
_WORD: Final = re.compile(r"(?:[A-Za-z]{1,12}[0-9]{0,4}|[0-9]{1,4})(?:[._-](?:[A-Za-z]{1,12}[0-9]{0,4}|[0-9]{1,4}))*")
_TOKEN: Final = re.compile(r"gh[a-z]_|github_pat|gl[a-z]{2,6}-|ATBB|AKIA|eyJ|sk-|xox")
"""How the tokens of Git hosts and other services begin."""
_SHORT: Final = 16


class Secret:
    """A code, state, token, key or password that cannot be shown by accident.

    ``str``, ``repr`` and formatting return a mask, and it cannot be pickled. Only :meth:`reveal` returns the value, so
    a search for that word finds every place where a secret leaves its wrapper.
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
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, format_spec: str) -> str:
        return format(_MASK, format_spec)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret cannot be pickled")


def decode_secret(_type: type, value: object) -> Secret:
    """Return the Secret for a text that msgspec reads; its ``dec_hook``."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return Secret(value)


def safe_text(text: str, *, limit: int = 200) -> str:
    """Return ``text`` on one line, without control and invisible characters, cut to ``limit`` characters.

    The text of a Git host or server is hostile: an escape sequence could change the terminal, and a line break could
    forge a line of ours.
    """
    spaced = "".join(" " if character in "\t\r\n" else character for character in text[: limit * 4])
    visible = "".join(c for c in spaced if unicodedata.category(c) not in _HIDDEN_CATEGORIES)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def redact(text: str, secrets: Collection[Secret], *, limit: int) -> str:
    """Return ``text`` as :func:`safe_text` does, with each of our secrets masked in every form that a server may echo.

    The mask comes before the cut, so no part of a secret is left.
    """
    line = safe_text(text, limit=max(len(text), 1))
    forms = {form for secret in secrets for form in _forms(secret.reveal())} - {""}
    for form in sorted(forms, key=len, reverse=True):
        line = re.sub(re.escape(form), _MASK, line, flags=re.IGNORECASE)
    return safe_text(line, limit=limit)


def _forms(value: str) -> tuple[str, ...]:
    encoded = (encode(value, safe=safe, errors="replace") for encode in (quote, quote_plus) for safe in ("", "/"))
    return (value, safe_text(value, limit=max(len(value), 1)), json.dumps(value)[1:-1], html.escape(value), *encoded)


def escaped(text: str, *, keep: str = "") -> str:
    """Return ``text``, such as a path, with each control and invisible character that is not in ``keep`` escaped."""
    if text.isprintable():
        return text
    hidden = {one for one in text if unicodedata.category(one) in _ESCAPED_CATEGORIES}.difference(keep)
    return "".join(one.encode("unicode_escape").decode() if one in hidden else one for one in text)


def is_plain_word(text: str) -> bool:
    """Whether ``text`` is a short word in small letters. It is then no secret, so an error may repeat it."""
    return len(text) <= _SHORT and text == text.lower() and is_plain_name(text)


def is_plain_name(text: str) -> bool:
    """Whether ``text`` consists of words and does not look like a token. An error may then repeat it."""
    return _WORD.fullmatch(text) is not None and not _TOKEN.match(text)


def is_plain_path(path: str) -> bool:
    """Whether an error may repeat the path of a file that does not exist."""
    parts = (part for part in path.split("/") if part not in {"", ".", "..", "~"})
    return all(is_plain_name(part.removeprefix(".")) for part in parts)
