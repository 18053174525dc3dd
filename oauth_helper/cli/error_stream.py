"""Standard error: lines for people and, on a terminal, one line at the bottom that is replaced as time goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from textwrap import wrap
from typing import Final, TextIO

_USUAL_WIDTH: Final = 80
"""Columns, where a terminal does not say how many it has."""
_NARROWEST: Final = 20
_CLEAR_LINE: Final = "\r\x1b[2K"


class ErrorStream:
    """Whoever listened may have gone (``2>&1 | head``): what we say must never end what we do."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self.is_terminal: bool = self.stream.isatty()
        self._has_bottom_line = False

    def line(self, text: str) -> None:
        """Show a line as it is."""
        self._show(f"{_CLEAR_LINE if self._has_bottom_line else ''}{text}\n")

    def bottom_line(self, texts: Sequence[str]) -> None:
        """Show, until something else is shown, the first of ``texts`` that fits the width, or what fits of the last."""
        room = self._width() - 1
        text = next((text for text in texts if len(text) <= room), texts[-1][:room])
        self._show(f"{_CLEAR_LINE}{text}")
        self._has_bottom_line = True

    def clear_bottom_line(self) -> None:
        """Take the line at the bottom away."""
        if self._has_bottom_line:
            self._show(_CLEAR_LINE)
            self._has_bottom_line = False

    def fitted(self, words: str) -> list[str]:
        """Break words into lines that fit the terminal, but no line that begins with blanks: it is to be copied."""
        lines: list[str] = []
        for line in words.splitlines():
            stays = line.startswith(" ") or not self.is_terminal
            lines += [line] if stays else wrap(line, max(self._width() - 1, _NARROWEST))
        return lines

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_WIDTH
        except (OSError, ValueError):
            return _USUAL_WIDTH

    def _show(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()
