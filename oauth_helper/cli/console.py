"""Write for people: the language of the command line, wrapped lines, the status line, output that may block."""

from __future__ import annotations

import gettext
import os
import re
import sys
import threading
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO
from weakref import WeakKeyDictionary

import click

from oauth_helper.i18n import (
    DOMAIN,
    FOLDER,
    Language,
    Preference,
    Text,
    _,
    catalog_of,
    language_of,
    language_of_locale,
)
from oauth_helper.secret import escaped

LANGUAGE_VARIABLE: Final = "OAUTH_HELPER_LANG"
LANGUAGE_FLAG: Final = "--lang"


class _Chosen:
    """The language of this process, its environment before :func:`use_language` changed it, and typed flags."""

    preference = Preference(Language.ENGLISH)
    environ: Mapping[str, str] = os.environ
    flags = ""


@contextmanager
def use_language(arguments: Sequence[str]) -> Iterator[None]:
    """Choose the language for the context: ``--lang``, else ``OAUTH_HELPER_LANG``, else the locale.

    This comes before parsing, because help and usage errors need the language. The parser rejects unknown languages.
    """
    before = _Chosen.preference, _Chosen.environ, gettext.textdomain(), os.environ.get("LANGUAGE")
    _Chosen.flags = ""
    explicit = language_of(_language_argument(arguments) or os.environ.get(LANGUAGE_VARIABLE, ""))
    language = explicit or language_of_locale(os.environ) or Language.ENGLISH
    _Chosen.preference = Preference(language, is_demanded=explicit is not None)
    _Chosen.environ = dict(os.environ)
    # click's own messages use gettext's global domain, which finds its language in the environment.
    gettext.bindtextdomain(DOMAIN, FOLDER)
    gettext.textdomain(DOMAIN)
    if (gettext.find(DOMAIN, FOLDER) is None) is not (language is Language.ENGLISH):
        os.environ["LANGUAGE"] = language.replace("-", "_")
    try:
        yield
    finally:
        _Chosen.preference, _Chosen.environ, domain, variable = before
        gettext.textdomain(domain)
        os.environ.pop("LANGUAGE", None)
        if variable is not None:
            os.environ["LANGUAGE"] = variable


def _language_argument(arguments: Sequence[str]) -> str:
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == LANGUAGE_FLAG:
            return "".join(arguments[position + 1 : position + 2])
        if argument.startswith(f"{LANGUAGE_FLAG}="):
            return argument.removeprefix(f"{LANGUAGE_FLAG}=")
    return ""


def language_preference() -> Preference:
    """Return the language that :func:`use_language` has chosen."""
    return _Chosen.preference


def user_environ() -> Mapping[str, str]:
    """Return the environment as the user set it: a browser must not inherit the language of the command line."""
    return _Chosen.environ


def repeat_flags(flags: str) -> None:
    """Add these flags to every command that is printed for people, so that it acts as the one that prints it."""
    _Chosen.flags = flags


_PRINTED_COMMAND: Final = re.compile(
    r"`(oauth-helper (?:link|list|show|delete|repos|resume|apply|doctor)\b[^`]*?)( -- [^`]*)?`"
)


def _with_flags(text: str) -> str:
    def add(found: re.Match[str]) -> str:
        command, names = found[1], found[2] or ""
        is_complete = not _Chosen.flags or "--help" in command or "--sandbox" in command
        return found[0] if is_complete else f"`{command} {_Chosen.flags}{names}`"

    return _PRINTED_COMMAND.sub(add, text)


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


_TERMINALS_WITH_LINKS: Final = (
    *("KITTY_WINDOW_ID", "WT_SESSION", "KONSOLE_VERSION"),
    *("DOMTERM", "ALACRITTY_WINDOW_ID", "GHOSTTY_RESOURCES_DIR"),
)
"""Each of these terminals had hyperlinks when it began to set its variable, or has had them for years."""
_PROGRAMS_WITH_LINKS: Final = frozenset(
    {"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "WarpTerminal", "rio", "Tabby"}
)
_VTE_WITH_LINKS: Final = 5000
"""``VTE_VERSION`` of version 0.50 of the library in GNOME Terminal and others."""


def hyperlink(url: str, environ: Mapping[str, str]) -> str:
    """Return ``url`` as a link to itself if the terminal is known to support that; else as it is.

    The form is that of https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda. A multiplexer is between
    us and the terminal; not every version passes the sequence on.
    """
    if environ.get("TERM", "dumb").startswith(("dumb", "screen", "tmux")) or environ.get("TMUX"):
        return url
    version = environ.get("VTE_VERSION", "")
    is_known = (
        (version.isascii() and version.isdecimal() and int(version) >= _VTE_WITH_LINKS)
        or environ.get("TERM_PROGRAM") in _PROGRAMS_WITH_LINKS
        or any(environ.get(name) for name in _TERMINALS_WITH_LINKS)
    )
    return f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\" if is_known else url


_USUAL_WAIT: Final = 0.1
"""Seconds that a caller waits until its text is written: usually it is written at once, and lines stay in order."""
_LAST_WAIT: Final = 1.0
"""Seconds that the end of the program waits for blocked output."""
_MAXIMUM_QUEUED: Final = 256 * 1024
"""Characters. Further text is dropped."""


class BackgroundWriter:
    """Writes to a standard stream from a thread, so that blocked output does not block the program.

    Ctrl-S, a text selection in a Windows console, or a reader that pauses can block a write for any time. A stream
    that is no file is written to directly.
    """

    def __init__(self, stream: TextIO) -> None:
        self._output = stream
        self._is_file = False
        with suppress(OSError, ValueError):
            # Its own text file: the thread may block in a write, and must not hold a lock of sys.stderr meanwhile.
            descriptor, encoding, errors = stream.fileno(), stream.encoding, stream.errors
            self._output = open(descriptor, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
            self._is_file = True
        self._queue: deque[str] = deque()
        self._queued = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.error: OSError | ValueError | None = None
        """Why the last failed write failed."""
        self.is_blocked: bool = False
        """Whether the output did not accept in time what was written."""
        self.has_status_line = False
        """Whether the last line is one that is replaced."""

    def write(self, text: str, *, limit: int | None = _MAXIMUM_QUEUED) -> None:
        """Write ``text``; return when it is written, or after a moment if the output is blocked."""
        if not self._is_file:
            self._write(text)
            return
        with self._changed:
            if limit is not None and self._queued + len(text) > limit:
                return
            self._queue.append(text)
            self._queued += len(text)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves the thread behind
                self._thread = threading.Thread(target=self._run, name="output", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the system has no memory for a thread: the message that says so needs none
                    self._is_file = False
                    while self._queue:
                        self._write(self._queue.popleft())
                    self._queued = 0
                    return
            self._changed.notify_all()
            if not self.is_blocked:
                self.is_blocked = not self._changed.wait_for(lambda: not self._queued, _USUAL_WAIT)

    def drain(self, seconds: float | None = _LAST_WAIT) -> None:
        """Wait until everything is written, but at most ``seconds`` without progress."""
        with self._changed:
            while self._queue:
                if not self._changed.wait(seconds):
                    return

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                text = self._queue[0]
            self._write(text)
            with self._changed:
                self._queue.popleft()
                self._queued -= len(text)
                self.is_blocked = self.is_blocked and bool(self._queue)
                self._changed.notify_all()

    def _write(self, text: str) -> None:
        try:
            self._output.write(text)
            self._output.flush()
        except (OSError, ValueError) as error:
            self.error = error


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


_DEFAULT_WIDTH: Final = 80
_MINIMUM_WIDTH: Final = 20
_CLEAR_LINE: Final = "\r\x1b[2K"


def columns_of(stream: TextIO) -> int:
    """Return the width of the terminal, or 80 if it is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError):
        return _DEFAULT_WIDTH


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

    def print_always(self, text: Text) -> None:
        """Print a paragraph that the user needs even in quiet."""
        self._print_paragraph(text)

    def print_whole(self, text: str) -> None:
        """Print an address or a command on its own line, never broken, so that it can be copied."""
        text = escaped(text)
        self.print_lines([f"  {hyperlink(text, os.environ) if self.is_terminal else text}"])

    def warn(self, message: Text, *, always: bool = False) -> None:
        """Print a warning, in quiet only if it is for ``always``."""
        if always or not self.is_quiet:
            self._print_paragraph(message, _("warning: "), "yellow")

    def print_error(self, message: Text, hint: Text) -> None:
        """Print an error and what to do next."""
        self._print_paragraph(message, _("error: "), "red")
        self._print_paragraph(hint, _("hint: "))

    def print_dim(self, text: Text) -> None:
        """Print a line of details that most users need not read."""
        self.print_lines([style(escaped(translate(text)), self.stream, dim=True)])

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

    def _print_paragraph(self, text: Text, title: Text | None = None, colour: str | None = None) -> None:
        """Print text, broken into lines that fit a terminal; further lines begin below the text, not the label."""
        prefix = translate(title) if title else ""
        lines = [prefix + escaped(_with_flags(translate(text)))]
        if self.is_terminal:
            width = max(columns_of(self.stream) - 1, _MINIMUM_WIDTH)
            lines = wrapped(lines[0], width, indent=" " * width_of(prefix))
        if prefix:
            label = prefix.rstrip()
            lines[0] = style(label, self.stream, fg=colour, bold=True) + lines[0].removeprefix(label)
        self.print_lines(lines)
