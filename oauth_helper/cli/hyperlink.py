"""Addresses that can be clicked on, in terminals that know how (OSC 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_MARKS: Final = (
    "KITTY_WINDOW_ID",
    "WT_SESSION",
    "KONSOLE_VERSION",
    "DOMTERM",
    "ALACRITTY_WINDOW_ID",
    "GHOSTTY_RESOURCES_DIR",
)
"""Variables of terminals, each of which has had hyperlinks for as long as it has set the variable, or for years."""
_PROGRAMS: Final = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "WarpTerminal", "rio", "Tabby"})
_VTE: Final = 5000
"""Version 0.50 of the library behind GNOME Terminal and others, as it stands in ``VTE_VERSION``."""
_MULTIPLEXERS: Final = ("screen", "tmux")
"""They stand between us and the terminal, and not every version passes the sequence on."""


def linked(address: str, environ: Mapping[str, str]) -> str:
    """Return ``address`` as a link to itself, where the terminal is known to show such a thing; else as it is.

    The form is that of https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda.
    """
    return f"\x1b]8;;{address}\x1b\\{address}\x1b]8;;\x1b\\" if _knows_links(environ) else address


def _knows_links(environ: Mapping[str, str]) -> bool:
    if environ.get("TERM", "dumb").startswith(("dumb", *_MULTIPLEXERS)) or environ.get("TMUX"):
        return False
    version = environ.get("VTE_VERSION", "")
    is_new_vte = version.isascii() and version.isdecimal() and int(version) >= _VTE
    return is_new_vte or environ.get("TERM_PROGRAM") in _PROGRAMS or any(environ.get(name) for name in _MARKS)
