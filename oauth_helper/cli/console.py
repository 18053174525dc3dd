"""Write for people: the language of the command line, wrapped lines, the status line, output that may block."""

from __future__ import annotations

import os
import re
import sys
import threading
import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise, takewhile
from typing import Any, Final, TextIO
from weakref import WeakKeyDictionary

import click

from oauth_helper.i18n import Language, Preference, Text, _, catalog_of, language_of, language_of_locale
from oauth_helper.secret import escaped

LANGUAGE_VARIABLE: Final = "OAUTH_HELPER_LANG"
LANGUAGE_FLAG: Final = "--lang"


class _Chosen:
    """The language of this process, and the connection flags that the user typed."""

    preference = Preference(Language.ENGLISH)
    flags = ""


def choose_language(arguments: Sequence[str]) -> None:
    """Choose the language: ``--lang``, else ``OAUTH_HELPER_LANG``, else the locale.

    This comes before parsing, because help and usage errors need the language. The parser rejects unknown languages.
    """
    typed = ""
    for word, following in pairwise([*takewhile("--".__ne__, arguments), ""]):
        if word == LANGUAGE_FLAG or word.startswith(f"{LANGUAGE_FLAG}="):
            typed = word.partition("=")[2] or following
            break
    explicit = language_of(typed or os.environ.get(LANGUAGE_VARIABLE, ""))
    language = explicit or language_of_locale(os.environ) or Language.ENGLISH
    _Chosen.preference = Preference(language, is_demanded=explicit is not None)
    _Chosen.flags = ""


def language_preference() -> Preference:
    """Return the language that :func:`choose_language` has chosen."""
    return _Chosen.preference


def repeat_flags(flags: str) -> None:
    """Add these flags to every command that is printed for people, so that it acts as the one that prints it."""
    _Chosen.flags = flags


_PRINTED_COMMAND: Final = re.compile(
    r"`(oauth-helper (?:link|list|show|delete|repos|resume|apply|doctor)\b(?![^`]*--(?:help|sandbox))[^`]*?)"
    r"( -- [^`]*)?`"
)


def translate(text: str) -> str:
    """Return a :class:`Text` in the language of the command line, and any other text as it is."""
    return text.translated(catalog_of(_Chosen.preference.language)) if isinstance(text, Text) else text


def print_text(text: str, styled_start: str = "") -> None:
    """Print text for people and a line break on standard output.

    Control characters are escaped, and so is what the encoding of standard output lacks. ``styled_start`` replaces the
    start of the text on a terminal: the same text in colour.
    """
    start = len(click.unstyle(styled_start))
    click.echo(styled_start + escaped(text[start:], keep="\n"), file=sys.stdout)


def style(text: str, stream: TextIO, **attributes: Any) -> str:
    """Return ``text`` in click's style, or as it is if ``stream`` is no terminal or NO_COLOR is set."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return click.style(text, **attributes)


_WIDE: Final = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6"
)
"""Scripts without spaces between words; a line may be broken at every character (UAX #14, class ID)."""
_CLOSING: Final = "，。、：；？！）」』》”’…"
"""Never at the start of a line (UAX #14, classes CL and EX)."""
_OPENING: Final = "（「『《“‘"
"""Never at the end of a line (class OP)."""
_ATOM: Final = rf"[{_OPENING}]*(?:(?:`[^`]*`|[^\s`{_WIDE}{_OPENING}])+|[{_WIDE}`])[{_CLOSING}]*|\s+|[{_OPENING}]+|."
"""Text that is never broken: a command in backticks, a wide character with its punctuation, a word."""


def width_of(text: str) -> int:
    """Return how many columns a terminal needs for ``text``, which has no control characters."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def padded(text: str, width: int) -> str:
    """Return ``text`` with spaces behind it, up to ``width`` columns."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int) -> str:
    """Return as much of the start of ``text`` as fits into ``width`` columns."""
    while width_of(text) > width:
        text = text[:-1]
    return text


def wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """Break ``text`` into lines of ``width`` columns, the second and later ones behind ``indent``."""
    lines = [""]
    for atom in re.findall(_ATOM, text):
        if lines[-1].strip() and width_of(lines[-1] + atom.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append(indent + atom.lstrip())
        else:
            lines[-1] += re.sub(r"\s*[\n\r\t]\s*", " ", atom)
    return [*lines[:-1], lines[-1].rstrip()]


_USUAL_WAIT: Final = 0.1
"""Seconds that a caller waits until its text is written: usually it is written at once, and lines stay in order."""
_LAST_WAIT: Final = 1.0
"""Seconds that the end of the program waits for blocked output."""
_MAXIMUM_QUEUED: Final = 256 * 1024
"""Characters. Further text is dropped."""


class BackgroundWriter:
    """Writes to a standard stream from a thread, so that blocked output does not block the program.

    Ctrl-S, a text selection in a Windows console, or a reader that pauses can block a write for any time.
    """

    def __init__(self, stream: TextIO) -> None:
        self._output = stream
        with suppress(OSError, ValueError):
            # Its own text file: the thread may block in a write, and must not hold a lock of sys.stderr meanwhile.
            descriptor, encoding, errors = stream.fileno(), stream.encoding, stream.errors
            self._output = open(descriptor, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
        self._queue: deque[str] = deque()
        self._changed = threading.Condition()
        self.error: OSError | ValueError | None = None
        """Why the last failed write failed."""
        self.is_blocked: bool = False
        """Whether the output did not accept in time what was written."""
        self.has_status_line = False
        """Whether the last line is one that is replaced."""

    def write(self, text: str, *, limit: int | None = _MAXIMUM_QUEUED) -> None:
        """Write ``text``; return when it is written, or after a moment if the output is blocked."""
        with self._changed:
            if limit is not None and sum(map(len, self._queue)) + len(text) > limit:
                return
            self._queue.append(text)
            if len(self._queue) == 1:
                try:
                    threading.Thread(target=self._run, name="output", daemon=True).start()
                except RuntimeError:  # the system has no memory for a thread: the message that says so needs none
                    self._run()
            if not self.is_blocked:
                self.is_blocked = not self._changed.wait_for(lambda: not self._queue, _USUAL_WAIT)

    def drain(self, seconds: float | None = _LAST_WAIT) -> None:
        """Wait until everything is written, but at most ``seconds`` without progress."""
        with self._changed:
            while self._queue and self._changed.wait(seconds):
                pass

    def _run(self) -> None:
        """Write until the queue is empty."""
        is_empty = False
        while not is_empty:
            try:
                self._output.write(self._queue[0])
                self._output.flush()
            except (OSError, ValueError) as error:
                self.error = error
            with self._changed:
                self._queue.popleft()
                is_empty = not self._queue
                self.is_blocked = self.is_blocked and not is_empty
                self._changed.notify_all()


_writers: WeakKeyDictionary[TextIO, BackgroundWriter] = WeakKeyDictionary()


def writer_of(stream: TextIO) -> BackgroundWriter:
    """Return the writer that this process uses for a standard stream."""
    if stream not in _writers:
        _writers[stream] = BackgroundWriter(stream)
    return _writers[stream]


def drain_writers() -> None:
    """Wait a last moment for blocked output at the end of the program."""
    for writer in list(_writers.values()):
        writer.drain()


_CLEAR_LINE: Final = "\r\x1b[2K"


def columns_of(stream: TextIO) -> int:
    """Return the width of the terminal, or 80 if it is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


_TERMINALS_WITH_LINKS: Final = (
    *("ALACRITTY_WINDOW_ID", "DOMTERM", "KITTY_WINDOW_ID", "KONSOLE_VERSION"),
    *("TERM_PROGRAM", "VTE_VERSION", "WT_SESSION"),
)
"""Variables of terminals that show links, or ignore their escape sequences."""


def _shows_links(environ: Mapping[str, str]) -> bool:
    is_multiplexer = environ.get("TERM", "dumb").startswith(("dumb", "screen", "tmux")) or environ.get("TMUX")
    return not is_multiplexer and any(environ.get(name) for name in _TERMINALS_WITH_LINKS)


class Console:
    """Standard error. Output that fails or blocks never ends or delays the command."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.is_quiet = quiet
        """Whether the user wants only errors and prompts."""
        self.stream: TextIO = sys.stderr
        self.is_terminal: bool = self.stream.isatty()
        self.has_status_line: bool = self.is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        """Whether the terminal can replace a line."""
        self._writer = writer_of(self.stream)

    def print(self, text: Text) -> None:
        """Print a paragraph, unless the user wants quiet."""
        if not self.is_quiet:
            self.print_always(text)

    def print_always(self, text: Text, title: Text | None = None, colour: str | None = None) -> None:
        """Print a paragraph that the user needs even in quiet; its lines fit a terminal, and begin behind the title."""
        prefix = translate(title) if title else ""
        flags = f" {_Chosen.flags}" if _Chosen.flags else ""
        with_flags = _PRINTED_COMMAND.sub(lambda found: f"`{found[1]}{flags}{found[2] or ''}`", translate(text))
        lines = [prefix + escaped(with_flags)]
        if self.is_terminal:
            lines = wrapped(lines[0], max(columns_of(self.stream) - 1, 20), indent=" " * width_of(prefix))
        if prefix:
            label = prefix.rstrip()
            lines[0] = style(label, self.stream, fg=colour, bold=True) + lines[0].removeprefix(label)
        self.print_lines(lines)

    def print_whole(self, text: str) -> None:
        """Print an address or a command on its own line, never broken, so that it can be copied."""
        text = escaped(text)
        if self.is_terminal and text.startswith("http") and _shows_links(os.environ):
            # https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda
            text = f"\x1b]8;;{text}\x1b\\{text}\x1b]8;;\x1b\\"
        self.print_lines([f"  {text}"])

    def warn(self, message: Text, *, always: bool = False) -> None:
        """Print a warning, in quiet only if it is for ``always``."""
        if always or not self.is_quiet:
            self.print_always(message, _("warning: "), "yellow")

    def print_error(self, message: Text, hint: Text) -> None:
        """Print an error and what to do next."""
        self.print_always(message, _("error: "), "red")
        self.print_always(hint, _("hint: "))

    def print_lines(self, lines: Sequence[str]) -> None:
        """Print lines as they are."""
        self.clear_status_line()
        self._writer.write("\n".join([*lines, ""]))

    def set_status_line(self, candidates: Sequence[str]) -> None:
        """Show the first text that fits in the last line, or what fits of the last one, until the next output.

        If the output is blocked, the line is dropped: a later one follows.
        """
        if self._writer.is_blocked:
            return
        width = columns_of(self.stream) - 1
        texts = [escaped(text) for text in candidates]
        text = next((text for text in texts if width_of(text) <= width), cut(texts[-1], width))
        self._writer.write(f"{_CLEAR_LINE}{text}")
        self._writer.has_status_line = True

    def clear_status_line(self) -> None:
        """Remove the status line."""
        if self._writer.has_status_line:
            self._writer.has_status_line = False
            self._writer.write(_CLEAR_LINE)
