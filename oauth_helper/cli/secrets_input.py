"""Read secrets and texts from standard input, a file or the terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
from getpass import getpass
from pathlib import Path
from threading import Timer
from typing import Final

import click

from oauth_helper.cli.console import Console, translate
from oauth_helper.environment import is_build_service
from oauth_helper.errors import StoppedError, UsageError
from oauth_helper.i18n import Text, _
from oauth_helper.secret import Secret, escaped, is_plain_path
from oauth_helper.settings import MOST_BYTES, UnreadableFileError, read_bytes
from oauth_helper.terminal_prompt import HAS_SETTINGS, hidden_typing

MAXIMUM_SECRET: Final = 64 * 1024
"""Bytes."""
_STREAMS: Final = ("/dev/fd/", "/proc/self/fd/")
"""Where a shell puts the output of a command: `<(…)`."""
_MESSAGE_DELAY: Final = 1.0
"""Seconds without input, after which a message says what is read."""


def can_ask() -> bool:
    """Whether there is a terminal and a person to ask: some build services have a terminal."""
    return not is_build_service(os.environ) and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: Text) -> str:
    """Ask on the terminal until there is an answer.

    Raises:
        StoppedError: The user pressed Ctrl-C or Ctrl-D.
    """
    try:
        while True:
            if answer := _read_line(_prompt(question)):
                return answer
    except (EOFError, KeyboardInterrupt):
        click.echo(err=True)  # the cursor is behind the question
        raise _interrupted() from None


def ask_for_secret(question: Text) -> Secret:
    """Ask on the terminal, which does not show the answer, until there is one.

    Raises:
        StoppedError: The user pressed Ctrl-C or Ctrl-D.
    """
    try:
        if not HAS_SETTINGS:  # a Windows console
            return Secret(getpass(_prompt(question), sys.stderr))
        with hidden_typing(sys.stdin.fileno()):
            while True:
                answer = _read_line(_prompt(question))
                click.echo(err=True)  # the line break that was typed is not shown
                if answer:
                    return Secret(answer)
    except (EOFError, KeyboardInterrupt):
        click.echo(err=True)
        raise _interrupted() from None


def _prompt(question: Text) -> str:
    return escaped(translate(question)) + translate(_(": "))


def _read_line(prompt: str) -> str:
    """Read a line of the terminal without its line break.

    Raises:
        EOFError: The user pressed Ctrl-D.
    """
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


def _interrupted() -> StoppedError:
    stopped = StoppedError(_("Cancelled. Nothing was created"))
    stopped.nothing_created = True
    return stopped


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
    try:
        waiting = _("Reading the {what} from standard input…", what=what)
        content = read_to_end(sys.stdin.fileno(), waiting, quiet=quiet)
    except OSError as error:
        raise UsageError(_("Standard input cannot be read: {strerror}", strerror=error.strerror), hint=hint) from None
    return _single_line(content, _("Standard input"), what, hint)


def read_secret_file(path: Path, what: Text) -> Secret:
    """Read the one line of a plain file, without its line break.

    Raises:
        UsageError: The file cannot be read, or has more than one line, or no text.
    """
    hint = _("Put the {what} into that file, on a line of its own.", what=what)
    try:
        content = read_file_or_stdin(path)
    except FileNotFoundError as error:
        # The user may have given the secret itself in place of the file.
        name = str(path) if is_plain_path(str(path)) else _("The file of the {what}", what=what)
        raise UsageError(_("{path} cannot be read: {error}", path=name, error=error.strerror), hint=hint) from None
    except UnreadableFileError as error:
        raise UsageError(_('"{path}" {reason}', path=path, reason=error.reason), hint=hint) from None
    return _single_line(content, str(path), what, hint)


def _single_line(content: bytes, origin: str, what: Text, hint: Text) -> Secret:
    lines, problem = [""], None
    if len(content) > MAXIMUM_SECRET:
        problem = _("is too long")
    elif is_utf_16(content):
        problem = _("is UTF-16 instead of UTF-8")
    else:
        try:
            lines = content.decode("utf-8-sig").splitlines() or [""]
        except UnicodeDecodeError:
            problem = _("is no text (UTF-8)")
    if not problem and not any(lines):
        problem = _("is empty")
    if not problem and (not lines[0] or any(lines[1:])):
        problem = _("has more than one line")
    if problem:
        raise UsageError(
            _("{origin} {problem}, and the {what} was to be its one line", origin=origin, problem=problem, what=what),
            hint=hint,
        )
    return Secret(lines[0])


def read_to_end(
    descriptor: int, waiting: Text | None = None, *, quiet: bool = True, limit: int = MAXIMUM_SECRET
) -> bytes:
    """Read everything, but little more than ``limit`` bytes; after a moment without input print ``waiting``.

    It reads piece by piece: if Python read everything in one call, it would miss a Ctrl-C between two pieces.

    Raises:
        StoppedError: The user pressed Ctrl-C.
    """
    message = Timer(_MESSAGE_DELAY, Console(quiet=quiet).print, [waiting])
    message.daemon = True
    content = b""
    try:
        if waiting and not quiet:
            message.start()
        while len(content) <= limit and (piece := os.read(descriptor, limit)):
            content += piece
            message.cancel()
    except KeyboardInterrupt:
        raise _interrupted() from None
    finally:
        message.cancel()
    return content


def read_file_or_stdin(path: Path, waiting: Text | None = None, *, quiet: bool = True) -> bytes:
    """Read a file that the user named; ``-`` is standard input, and a shell may put a command's output in /dev/fd.

    Raises:
        FileNotFoundError: There is no such file.
        UnreadableFileError: It cannot be read, is another device or pipe, or longer than 1 MB.
    """
    name = str(path)
    is_stdin = name in {"-", "/dev/stdin"}
    if not is_stdin and not name.startswith(_STREAMS):
        return read_bytes(path)
    try:
        if not is_stdin:
            with path.open("rb", buffering=0) as file:
                content = read_to_end(file.fileno(), waiting, quiet=quiet, limit=MOST_BYTES)
        elif sys.stdin:
            content = read_to_end(sys.stdin.fileno(), waiting, quiet=quiet, limit=MOST_BYTES)
        else:
            content = b""
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableFileError(_("cannot be read: {why}", why=error.strerror)) from None
    if len(content) > MOST_BYTES:
        raise UnreadableFileError(_("is larger than 1 MB"))
    return content


def is_utf_16(content: bytes) -> bool:
    """Whether that is UTF-16, as Windows PowerShell writes it: it has a byte order mark, or NULs between letters."""
    return content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:200].count(b"\0") * 3 > len(content[:200])
