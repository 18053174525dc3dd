"""Read secrets and texts from standard input, a file or the terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import nullcontext
from getpass import getpass
from pathlib import Path
from threading import Timer
from typing import Final

import click

from oauth_helper.cli.console import Console, translate
from oauth_helper.environment import is_build_service
from oauth_helper.errors import StoppedError, UsageError
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.secret import Secret, escaped, is_plain_path
from oauth_helper.settings import MOST_BYTES, UnreadableFileError, decoded, read_bytes
from oauth_helper.terminal_prompt import HAS_SETTINGS, hidden_typing

_MAXIMUM_SECRET: Final = 64 * 1024
"""Characters."""
_STDIN: Final = ("-", "/dev/stdin")
_STREAMS: Final = ("/dev/fd/", "/proc/self/fd/")
"""Where a shell puts the output of a command: `<(…)`."""
_MESSAGE_DELAY: Final = 1.0
"""Seconds without input, after which a message says what is read."""


def can_ask() -> bool:
    """Whether there is a terminal and a person to ask: some build services have a terminal."""
    return not is_build_service(os.environ) and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: Text, *, default: str = "", is_hidden: bool = False) -> str:
    """Ask on the terminal until there is an answer; Enter alone is the ``default``.

    Raises:
        StoppedError: The user pressed Ctrl-C or Ctrl-D.
    """
    prompt = escaped(translate(question)) + (f" [{default}]" if default else "") + translate(_(": "))
    try:
        with hidden_typing(sys.stdin.fileno()) if is_hidden and HAS_SETTINGS else nullcontext():
            answer = ""
            while not answer:
                if is_hidden and not HAS_SETTINGS:  # a Windows console
                    answer = getpass(prompt, sys.stderr)
                else:
                    answer = _read_line(prompt) or default
                    if is_hidden:
                        click.echo(err=True)  # the line break that was typed is not shown
            return answer
    except (EOFError, KeyboardInterrupt):
        click.echo(err=True)  # the cursor is behind the question
        raise StoppedError(_("Cancelled")) from None


def confirm(question: Text, *, default: bool) -> bool:
    """Ask a question that is answered with y or n; raises as :func:`ask` does."""
    choices = "Y/n" if default else "y/N"
    answer = ask(question, default=choices)
    return default if answer == choices else answer.strip()[:1] in {"y", "Y"}


def ask_for_secret(question: Text) -> Secret:
    """Ask on the terminal, which does not show the answer; raises as :func:`ask` does."""
    return Secret(ask(question, is_hidden=True))


def _read_line(prompt: str) -> str:
    """Read a line of the terminal without its line break; raise EOFError if the user pressed Ctrl-D."""
    click.echo(prompt, err=True, nl=False)
    if HAS_SETTINGS:
        # Python runs a signal handler only between two of its instructions. If Ctrl-C came between the last one and a
        # blocking read, Python would notice it after the next line. select() returns at once then.
        woken, waking = os.pipe()
        os.set_blocking(waking, False)
        previous = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        try:
            select.select([sys.stdin, woken], [], [])
        finally:
            signal.set_wakeup_fd(previous)
            os.close(woken)
            os.close(waking)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


def read_secret(what: Text, *, quiet: bool) -> Secret:
    """Read the one line of standard input, without its line break; after a moment without input say so.

    Raises:
        UsageError: There is no input, more than one line, or no text.
    """
    hint = _("Pipe the {what} in: {command}.", what=what, command=f"`oauth-helper link REPO_TYPE --with-{what} <FILE`")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            _("The {what} is asked for on a terminal, or piped in, and there is neither", what=what), hint=hint
        )
    waiting = _("Reading the {what} from standard input…", what=what)
    return _single_line(Path("-"), what, hint, waiting=waiting, quiet=quiet)


def read_secret_file(path: Path, what: Text) -> Secret:
    """Read the one line of a plain file, without its line break.

    Raises:
        UsageError: The file cannot be read, or has more than one line, or no text.
    """
    return _single_line(path, what, _("Put the {what} into that file, on a line of its own.", what=what))


def _single_line(path: Path, what: Text, hint: Text, *, waiting: Text = NO_TEXT, quiet: bool = True) -> Secret:
    text = read_text(path, hint, waiting, quiet=quiet)
    lines = text.splitlines()
    if len(text) > _MAXIMUM_SECRET:
        problem = _("is too long")
    elif not any(lines):
        problem = _("is empty")
    elif not lines[0] or any(lines[1:]):
        problem = _("has more than one line")
    else:
        return Secret(lines[0])
    raise UsageError(
        _(
            "{origin} {problem}, and the {what} was to be its one line",
            origin=input_name(path),
            problem=problem,
            what=what,
        ),
        hint=hint,
    )


def read_address(*, quiet: bool) -> str:
    """Read an address, and any text around it, from standard input; raises UsageError if that is too long."""
    waiting = _("Reading the address from standard input…")
    return read_text(Path("-"), _("Pipe in the address alone."), waiting, quiet=quiet, is_address=True)


def input_name(path: Path) -> str:
    """Return what people call a file, or standard input."""
    return _("Standard input") if str(path) in _STDIN else str(path)


def read_text(path: Path, hint: Text, waiting: Text, *, quiet: bool, is_address: bool = False) -> str:
    """Read a file that the user named; ``-`` is standard input, and a shell may put a command's output in /dev/fd.

    After a moment without input, print ``waiting``.

    Raises:
        StoppedError: The user pressed Ctrl-C.
        UsageError: It cannot be read, is another device or pipe, longer than 1 MB, or no text; with that hint.
    """
    try:
        content = _read_bytes(path, waiting, quiet=quiet)
        if is_address:  # it is ASCII; the text around it may be in any encoding, or everything in UTF-16
            return content.replace(b"\0", b"").decode("utf-8", "replace")
        return decoded(content)
    except FileNotFoundError as error:
        # The user may have given a secret in place of the file.
        name = str(path) if is_plain_path(str(path)) else _("The file")
        raise UsageError(_("{file} cannot be read: {why}", file=name, why=error.strerror), hint=hint) from None
    except UnreadableFileError as error:
        message = _("{file} {reason}", file=input_name(path), reason=error.reason)
        raise UsageError(message, hint=error.hint or hint) from None


def _read_bytes(path: Path, waiting: Text, *, quiet: bool) -> bytes:
    is_stdin = str(path) in _STDIN
    if not is_stdin and not str(path).startswith(_STREAMS):
        return read_bytes(path)
    content = b""
    if is_stdin and sys.stdin is None:
        return content
    message = Timer(_MESSAGE_DELAY, Console(quiet=quiet).print, [waiting])
    message.daemon = True
    message.start()
    try:
        # Piece by piece: if Python read everything in one call, it would miss a Ctrl-C between two pieces.
        with open(sys.stdin.fileno() if is_stdin else path, "rb", buffering=0, closefd=not is_stdin) as file:
            while len(content) <= MOST_BYTES and (piece := file.read(MOST_BYTES)):
                content += piece
                message.cancel()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableFileError(_("cannot be read: {why}", why=error.strerror)) from None
    except KeyboardInterrupt:
        raise StoppedError(_("Cancelled")) from None
    finally:
        message.cancel()
    if len(content) > MOST_BYTES:
        raise UnreadableFileError(_("is larger than 1 MB"))
    return content
