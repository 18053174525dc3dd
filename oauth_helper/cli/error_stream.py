"""Standard error: lines for people and, on a terminal, one line at the bottom that is replaced as time goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TextIO

from oauth_helper.cli.fitting import cut, fitted, width_of
from oauth_helper.cli.hyperlink import linked
from oauth_helper.presentable import escaped

_USUAL_WIDTH: Final = 80
"""Columns, where a terminal does not say how many it has."""
_NARROWEST: Final = 20
_CLEAR_LINE: Final = "\r\x1b[2K"


class ErrorStream:
    """Whoever listened may have gone (``2>&1 | head``): what we say must never end what we do."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self.is_terminal: bool = self.stream.isatty()
        self.is_lively: bool = self.is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        """Whether a line can be replaced."""
        self._has_bottom_line = False

    def words(self, text: str, *, mark: str = "", shown_mark: str = "") -> None:
        """Show text, broken into lines that fit a terminal.

        ``mark`` stands before it, shown as ``shown_mark``, and further lines begin below the text, not the mark.
        """
        room = max(self._width() - 1, _NARROWEST)
        text = escaped(text)
        lines = fitted(mark + text, room, indent=" " * width_of(mark)) if self.is_terminal else [mark + text]
        self._lines([shown_mark + lines[0].removeprefix(mark), *lines[1:]])

    def whole(self, text: str) -> None:
        """Show an address or a command on a line of its own, never broken: it is to be copied."""
        text = escaped(text)
        self._lines([f"  {linked(text, os.environ) if self.is_terminal else text}"])

    def bottom_line(self, texts: Sequence[str]) -> None:
        """Show, until something else is shown, the first of ``texts`` that fits the width, or what fits of the last."""
        room = self._width() - 1
        texts = [escaped(text) for text in texts]
        text = next((text for text in texts if width_of(text) <= room), cut(texts[-1], room))
        self._show(f"{_CLEAR_LINE}{text}")
        self._has_bottom_line = True

    def clear_bottom_line(self) -> None:
        """Take the line at the bottom away."""
        if self._has_bottom_line:
            self._show(_CLEAR_LINE)
            self._has_bottom_line = False

    def _lines(self, lines: Sequence[str]) -> None:
        self._show((_CLEAR_LINE if self._has_bottom_line else "") + "\n".join([*lines, ""]))

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_WIDTH
        except (OSError, ValueError):
            return _USUAL_WIDTH

    def _show(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()
