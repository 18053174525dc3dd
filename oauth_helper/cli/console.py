"""Write for people: standard error, the status line, styles, wrapped lines."""

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
from typing import Final, TextIO
from weakref import WeakKeyDictionary, WeakSet

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

VARIABLE: Final = "OAUTH_HELPER_LANG"
OPTION: Final = "--lang"


class _Speech:
    """What was chosen; a process speaks one language."""

    preference = Preference(Language.ENGLISH)
    environ: Mapping[str, str] = os.environ


@contextmanager
def speaking(arguments: Sequence[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Speak what the user wants within the context: ``--lang`` over the variable over the locale.

    Before anything is parsed: help and the errors of parsing are to be in that language too. What is no language of
    ours is left for the parser to refuse.
    """
    before = _Speech.preference, _Speech.environ, gettext.textdomain(), os.environ.get("LANGUAGE")
    demanded = language_of(_given(arguments) or environ.get(VARIABLE, ""))
    language = demanded or language_of_locale(environ) or Language.ENGLISH
    _Speech.preference = Preference(language, is_demanded=demanded is not None)
    # click's own words go through the process's global domain, whose language is looked up in the environment.
    gettext.bindtextdomain(DOMAIN, FOLDER)
    gettext.textdomain(DOMAIN)
    _Speech.environ = dict(os.environ)
    if (gettext.find(DOMAIN, FOLDER) is None) is not (language is Language.ENGLISH):
        os.environ["LANGUAGE"] = language.replace("-", "_")
    try:
        yield
    finally:
        _Speech.preference, _Speech.environ, domain, variable = before
        gettext.textdomain(domain)
        os.environ.pop("LANGUAGE", None)
        if variable is not None:
            os.environ["LANGUAGE"] = variable


def users_environ() -> Mapping[str, str]:
    """Return the environment as the user set it: a browser must not inherit the language of :func:`speaking`."""
    return _Speech.environ


def print_text(text: str, shown_start: str = "") -> None:
    """Print text for people on standard output, and a line break.

    Control characters are escaped, and so is what the encoding of standard output lacks. ``shown_start`` replaces the
    start of the text on a terminal: the same in colour.
    """
    start = len(click.unstyle(shown_start))
    click.echo(shown_start + escaped(text[start:], keep="\n"), file=sys.stdout)


def spoken() -> Preference:
    """Return what :func:`speaking` has chosen."""
    return _Speech.preference


def in_words(text: str) -> str:
    """Return a phrase as it is said to people now; what is no phrase as it is."""
    return text.translated(catalog_of(spoken().language)) if isinstance(text, Text) else text


def in_language(english: str) -> str:
    """Return a text of the catalogs, such as a command's help, as it is said to people now."""
    return catalog_of(spoken().language).gettext(english)


def _given(arguments: Sequence[str]) -> str:
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == OPTION:
            return "".join(arguments[position + 1 : position + 2])
        if argument.startswith(f"{OPTION}="):
            return argument.removeprefix(f"{OPTION}=")
    return ""


_WIDE: Final = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6"
)
"""Scripts without blanks between words, in which a line may be broken at every character (UAX #14, class ID)."""
_CLOSING: Final = "，。、：；？！）」』》”’…"
"""What never begins a line (UAX #14, classes CL and EX)."""
_OPENING: Final = "（「『《“‘"
"""What never ends one (class OP)."""
_ATOM: Final = rf"\s+|`[^`]*`|[{_OPENING}]*[{_WIDE}][{_CLOSING}]*|[^\s`{_WIDE}]+|[{_CLOSING}]+|`"
"""Compiled when it is first needed: a help in English needs it not, and it takes longer than most imports."""


def width_of(text: str) -> int:
    """Return how many columns a terminal takes for ``text``, which has no control characters."""
    return sum(_width(character) for character in text)


def padded(text: str, width: int) -> str:
    """Return ``text`` with blanks behind it, up to so many columns."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int) -> str:
    """Return what of ``text`` fits into so many columns."""
    columns = 0
    for position, character in enumerate(text):
        columns += _width(character)
        if columns > width:
            return text[:position]
    return text


def fitted(text: str, width: int, *, indent: str = "") -> list[str]:
    """Break ``text`` into lines of so many columns, the second and later ones behind ``indent``.

    What stands between backticks is a command, to be copied whole: it is never broken, nor is a word.
    """
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        start = indent if lines else ""
        if line and width_of(start + line + piece.rstrip()) > width:
            lines.append(start + line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, (indent if lines else "") + line.rstrip()]


def _pieces(text: str) -> list[str]:
    """Return what no line is broken within, each with the blanks behind it."""
    pieces: list[str] = []
    may_break = True
    for atom in re.findall(_ATOM, text):
        if atom.isspace():
            pieces[-1:] = ["".join(pieces[-1:]) + " "]
            may_break = True
            continue
        is_wide = re.match(f"[{_WIDE}{_OPENING}]", atom) is not None
        if (pieces and not (may_break or is_wide)) or atom[0] in _CLOSING:
            pieces[-1:] = ["".join(pieces[-1:]) + atom]
        else:
            pieces.append(atom)
        may_break = is_wide and atom[-1] not in _OPENING
    return pieces


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


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


def coloured(text: str, stream: TextIO, colour: str | None = None) -> str:
    """Return ``text`` in bold and in ``colour``, or as it is where ``stream`` is no terminal or NO_COLOR is set."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return click.style(text, fg=colour, bold=True)


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


class Console:
    """What a command says besides its result."""

    def __init__(self, *, quiet: bool) -> None:
        self.is_quiet = quiet
        """Whether the user wants to hear of errors alone, and of what must be done."""
        self.stream: ErrorStream = ErrorStream()

    def say(self, words: Text) -> None:
        """Say something, unless the user wants quiet."""
        if not self.is_quiet:
            self.insist(words)

    def insist(self, words: Text) -> None:
        """Say something that the user needs even in quiet."""
        self.stream.words(in_words(words))

    def whole(self, text: str) -> None:
        """Show an address or a command, on a line of its own."""
        self.stream.whole(text)

    def warn(self, message: Text) -> None:
        """Say a warning, unless the user wants quiet."""
        if not self.is_quiet:
            self.insist_on_a_warning(message)

    def insist_on_a_warning(self, message: Text) -> None:
        """Say a warning even in quiet."""
        self._say_marked(_("warning:"), message, "yellow")

    def report(self, message: Text, hint: Text) -> None:
        """Say an error, and what to do next."""
        self._say_marked(_("error:"), message, "red")
        self._say_marked(_("hint:"), hint)

    def _say_marked(self, mark: Text, words: Text, colour: str | None = None) -> None:
        said = in_words(mark)
        shown = coloured(said, self.stream.stream, colour)
        self.stream.words(in_words(words), mark=f"{said} ", shown_mark=f"{shown} ")
