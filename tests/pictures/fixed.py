"""What differs from run to run, and the same in every picture; and what must be in none."""

from __future__ import annotations

import re
from typing import Final

_FIXED: Final = (
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:40741"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "2026-01-31 09:31:12"),
    (re.compile(r"(?<![\d:])\d\d:\d\d:\d\d(?![\d:])"), "09:31:12"),
    (re.compile(r"(?<![\d:])\d{1,2}:\d\d(?![\d:])"), "9:58"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "0123456789abcdef" * 2),
)
"""Ports, moments, the time left and the ids of requests."""
_SECRET: Final = re.compile(r"[?&]k=(?!KEY)|\b(state|code)=|\$2a\$|(?<![\w-])[\w-]{43,}(?![\w-])|ghp_", re.ASCII)
"""A KEY has 43 characters, a state begins with ``$2a$``."""


def fixed(text: str) -> str:
    """Return ``text`` as every run says it."""
    for pattern, same in _FIXED:
        text = pattern.sub(same, text)
    return text


def secrets_in(text: str) -> list[str]:
    """Return what looks like a secret: it must never be in a picture, not even one of the sandbox."""
    return [found[0] for found in _SECRET.finditer(text)]


def refuse_secrets(text: str) -> None:
    """Raise where a picture's text looks like a secret; what it is is not told.

    Raises:
        ValueError: It does.
    """
    if found := secrets_in(text):
        raise ValueError(f"{len(found)} pieces of the picture look like secrets; it is not written")
