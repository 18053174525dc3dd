"""Colours on a terminal, and none where the user wants none (no-color.org)."""

from __future__ import annotations

import os
from typing import TextIO

import click


def coloured(text: str, stream: TextIO, colour: str | None = None) -> str:
    """Return ``text`` in bold and in ``colour``, or as it is where ``stream`` is no terminal or NO_COLOR is set."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return click.style(text, fg=colour, bold=True)
