"""How a user may choose a browser, and for how long to be waited for. No I/O."""

from __future__ import annotations

from typing import Final

BROWSER_CHOICES: Final = ("auto", "default", "chromium", "firefox", "none")
"""Beside the path of a browser."""
MAXIMUM_TIMEOUT: Final = 3600
"""Seconds."""


def is_browser_choice(text: str) -> bool:
    """Whether ``text`` says how to open a browser: one of the choices, or a path (it has a separator in it)."""
    return text in BROWSER_CHOICES or "/" in text or "\\" in text
