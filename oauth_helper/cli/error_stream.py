"""Standard error: lines for people and, on a terminal, one line at the bottom that is replaced as time goes."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TextIO
from weakref import WeakKeyDictionary, WeakSet

from oauth_helper.cli.fitting import cut, fitted, width_of
from oauth_helper.cli.hyperlink import linked
from oauth_helper.presentable import escaped

_USUAL_WIDTH: Final = 80
"""Columns, where a terminal does not say how many it has."""
_NARROWEST: Final = 20
_CLEAR_LINE: Final = "\r\x1b[2K"
_USUAL_WAIT: Final = 0.1
"""Seconds that a caller waits until its text is written: usually it is written at once, and lines stay in order."""
_LAST_WAIT: Final = 1.0
"""Seconds that the end of the program waits for an output that takes nothing more."""
_MOST_QUEUED: Final = 256 * 1024
"""Characters. What comes on top of that is dropped."""


class BackgroundWriter:
    """Write to a file descriptor from a thread, so that output that is blocked blocks nothing else.

    Ctrl-S, a text selection in a Windows console, or a reader that pauses can block a write for any time.
    """

    def __init__(self, descriptor: int, encoding: str, errors: str | None) -> None:
        # A text file of its own: the thread may block in it, and must not hold a lock of sys.stderr meanwhile.
        self._output = open(descriptor, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
        self._queue: deque[str] = deque()
        self._queued = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.error: OSError | None = None
        """Why the last failed write failed."""
        self.is_blocked = False
        """Whether the output has not taken in time what was written."""

    def write(self, text: str, *, limit: int | None = _MOST_QUEUED) -> None:
        """Write ``text``; return when it is written, or after a moment if the output is blocked."""
        with self._changed:
            if limit is not None and self._queued + len(text) > limit:
                return
            self._queue.append(text)
            self._queued += len(text)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves the thread behind
                self._thread = threading.Thread(target=self._run, name="output", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            if not self.is_blocked:
                self.is_blocked = not self._changed.wait_for(lambda: not self._queued, _USUAL_WAIT)

    def drain(self, seconds: float | None = _LAST_WAIT) -> None:
        """Wait until everything is written, but not longer than so many seconds in which nothing is."""
        with self._changed:
            while self._queue:
                if not self._changed.wait(seconds):
                    return

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                text = self._queue[0]
            try:
                self._output.write(text)
                self._output.flush()
            except OSError as error:
                self.error = error
            with self._changed:
                self._queue.popleft()
                self._queued -= len(text)
                self.is_blocked = self.is_blocked and bool(self._queue)
                self._changed.notify_all()


_writers: WeakKeyDictionary[TextIO, BackgroundWriter] = WeakKeyDictionary()
_with_bottom_line: WeakSet[TextIO] = WeakSet()
"""The streams whose last line is one that is replaced."""


def writer_of(stream: TextIO) -> BackgroundWriter | None:
    """Return the writer that this process uses for a standard stream; None if the stream is no file."""
    if stream not in _writers:
        try:
            _writers[stream] = BackgroundWriter(stream.fileno(), stream.encoding, stream.errors)
        except (OSError, ValueError):
            return None
    return _writers[stream]


def drain_writers() -> None:
    """Give blocked output a last moment, at the end of the program."""
    for writer in list(_writers.values()):
        writer.drain()


class ErrorStream:
    """What we say never ends or delays what we do: the reader may have gone (``2>&1 | head``), or pause."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self.is_terminal: bool = self.stream.isatty()
        self.is_lively: bool = self.is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        """Whether a line can be replaced."""

    def words(self, text: str, *, mark: str = "", shown_mark: str = "") -> None:
        """Show text, broken into lines that fit a terminal.

        ``mark`` stands before it, shown as ``shown_mark``, and further lines begin below the text, not the mark.
        """
        room = max(self._width() - 1, _NARROWEST)
        text = escaped(text)
        lines = fitted(mark + text, room, indent=" " * width_of(mark)) if self.is_terminal else [mark + text]
        self.lines([shown_mark + lines[0].removeprefix(mark), *lines[1:]])

    def whole(self, text: str) -> None:
        """Show an address or a command on a line of its own, never broken: it is to be copied."""
        text = escaped(text)
        self.lines([f"  {linked(text, os.environ) if self.is_terminal else text}"])

    def lines(self, lines: Sequence[str]) -> None:
        """Show lines as they are."""
        clearing = _CLEAR_LINE if self.stream in _with_bottom_line else ""
        _with_bottom_line.discard(self.stream)
        self._show(clearing + "\n".join([*lines, ""]))

    def bottom_line(self, texts: Sequence[str]) -> None:
        """Show, until something else is shown, the first of ``texts`` that fits the width, or what fits of the last.

        If the output is blocked, the line is dropped: a later one follows.
        """
        writer = writer_of(self.stream)
        if writer and writer.is_blocked:
            return
        room = self._width() - 1
        texts = [escaped(text) for text in texts]
        text = next((text for text in texts if width_of(text) <= room), cut(texts[-1], room))
        self._show(f"{_CLEAR_LINE}{text}")
        _with_bottom_line.add(self.stream)

    def clear_bottom_line(self) -> None:
        """Take the line at the bottom away."""
        if self.stream in _with_bottom_line:
            _with_bottom_line.discard(self.stream)
            self._show(_CLEAR_LINE)

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_WIDTH
        except (OSError, ValueError):
            return _USUAL_WIDTH

    def _show(self, text: str) -> None:
        if writer := writer_of(self.stream):
            writer.write(text)
            return
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()
