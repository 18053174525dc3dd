"""Read secrets and texts from standard input or the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Timer
from typing import Final

import click

from oauth_helper.cli.console import Console, in_words
from oauth_helper.environment import is_build_service
from oauth_helper.errors import StoppedError, UsageError
from oauth_helper.i18n import Text, _
from oauth_helper.secret import Secret, escaped, is_plain_path

LONGEST: Final = 64 * 1024
"""Bytes."""
_STREAMS: Final = ("/dev/fd/", "/proc/self/fd/")
"""Where a shell puts what a command prints: `<(…)`."""
_MOMENT: Final = 1.0
"""Seconds without input, after which the user is told that it is read."""


def can_ask() -> bool:
    """Whether there is a terminal to ask on, and somebody at it: some build services bring one."""
    return not is_build_service(os.environ) and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: Text) -> str:
    """Ask on the terminal."""
    return _asked(question, hidden=False)


def ask_for_secret(question: Text) -> Secret:
    """Ask on the terminal, which does not show what is typed."""
    return Secret(_asked(question, hidden=True))


def read_secret(what: Text, *, quiet: bool) -> Secret:
    """Read the one line that standard input has, without its line break; say so after a moment, if nothing comes.

    Raises:
        UsageError: There is none, more than one, or no text.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            _("The {what} is asked for on a terminal, or piped in, and there is neither", what=what),
            hint=_how(what),
        )
    try:
        given = read_to_end(sys.stdin.fileno(), _("Reading the {what} from standard input…", what=what), quiet=quiet)
    except OSError as error:
        raise UsageError(
            _("Standard input cannot be read: {strerror}", strerror=error.strerror), hint=_how(what)
        ) from None
    if len(given) > LONGEST:
        raise UsageError(_("What standard input has is too long for a {what}", what=what), hint=_how(what))
    line = _single_line(given)
    if isinstance(line, Secret):
        return line
    raise UsageError(
        _("Standard input {trouble}, and the {what} was to be its one line", trouble=line, what=what),
        hint=_how(what),
    )


def read_secret_file(path: Path, what: Text) -> Secret:
    """Read the one line that a plain file has, without its line break.

    Raises:
        UsageError: It cannot be read, or has more than one line, or no text.
    """
    hint = _("Put the {what} into that file, on a line of its own.", what=what)
    from oauth_helper.settings import UnreadableFileError  # noqa: PLC0415 - there is none, as a rule

    try:
        line = _single_line(read_given(path))
    except FileNotFoundError as error:
        # The secret itself may have been given in place of the file.
        name = str(path) if is_plain_path(str(path)) else _("The file of the {what}", what=what)
        raise UsageError(_("{path} cannot be read: {error}", path=name, error=error.strerror), hint=hint) from None
    except UnreadableFileError as error:
        raise UsageError(_('"{path}" {reason}', path=path, reason=error.reason), hint=hint) from None
    if isinstance(line, Secret):
        return line
    raise UsageError(
        _("{path} {trouble}, and the {what} was to be its one line", path=path, trouble=line, what=what),
        hint=hint,
    )


def read_to_end(descriptor: int, waiting: Text | None = None, *, quiet: bool = True, longest: int = LONGEST) -> bytes:
    """Read all, but little more than ``longest`` bytes; if nothing has come after a moment, say what is waited for.

    It reads piece by piece: in a single call of Python's for all of it, a Ctrl-C between two pieces would be missed.

    Raises:
        StoppedError: Ctrl-C was pressed.
    """
    notice = Timer(_MOMENT, Console(quiet=quiet).say, [waiting]) if waiting and not quiet else None
    given = b""
    try:
        if notice:
            notice.daemon = True
            notice.start()
        while len(given) <= longest and (piece := os.read(descriptor, longest)):
            given += piece
            if notice:
                notice.cancel()
    except KeyboardInterrupt:
        raise _interrupted() from None
    finally:
        if notice:
            notice.cancel()
    return given


def read_given(path: Path, waiting: Text | None = None, *, quiet: bool = True) -> bytes:
    """Read a file that the user named; ``-`` is standard input, and a shell may put what a command prints in /dev/fd.

    Raises:
        FileNotFoundError: It is not there.
        UnreadableFileError: It cannot be read, is another device or pipe, or longer than 1 MB.
    """
    from oauth_helper.settings import MOST_BYTES, UnreadableFileError, read_bytes  # noqa: PLC0415 - most commands read none

    name = str(path)
    is_stdin = name in {"-", "/dev/stdin"}
    if not is_stdin and not name.startswith(_STREAMS):
        return read_bytes(path)
    try:
        if is_stdin:
            given = read_to_end(sys.stdin.fileno(), waiting, quiet=quiet, longest=MOST_BYTES) if sys.stdin else b""
        else:
            with path.open("rb", buffering=0) as file:
                given = read_to_end(file.fileno(), waiting, quiet=quiet, longest=MOST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableFileError(_("cannot be read: {why}", why=error.strerror)) from None
    if len(given) > MOST_BYTES:
        raise UnreadableFileError(_("is larger than 1 MB"))
    return given


def is_utf_16(given: bytes) -> bool:
    """Whether that is UTF-16, as Windows PowerShell writes it: it has a byte order mark, or NULs between letters."""
    return given.startswith((b"\xff\xfe", b"\xfe\xff")) or given[:200].count(b"\0") * 3 > len(given[:200])


def _single_line(given: bytes) -> Secret | Text:
    """Return the one line, or what is wrong; not an exception, which would hold what was given."""
    if len(given) > LONGEST:
        return _("is too long")
    if is_utf_16(given):
        return _("is UTF-16 instead of UTF-8")
    try:
        first, *more = given.decode("utf-8-sig").splitlines() or [""]
    except UnicodeDecodeError:
        return _("is no text (UTF-8)")
    if first and not any(more):
        return Secret(first)
    return _("has more than one line") if first or any(more) else _("is empty")


def _asked(question: Text, *, hidden: bool) -> str:
    try:
        answer: str = _typed_unseen(question) if hidden else click.prompt(escaped(in_words(question)), err=True)
    except (click.Abort, EOFError, KeyboardInterrupt):
        click.echo(err=True)  # the cursor is behind the question
        raise _interrupted() from None
    return answer


def _typed_unseen(question: Text) -> str:
    """Ask until there is an answer.

    Raises:
        EOFError: There will be none: Ctrl-D was typed.
    """
    from oauth_helper.terminal_prompt import HAS_SETTINGS, hidden_typing  # noqa: PLC0415 - a pipe needs no prompt

    if not HAS_SETTINGS:  # a Windows console
        from getpass import getpass  # noqa: PLC0415 - as above

        return getpass(f"{escaped(in_words(question))}: ", sys.stderr)
    with hidden_typing(sys.stdin.fileno()):
        while True:
            click.echo(f"{escaped(in_words(question))}: ", err=True, nl=False)
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            click.echo(err=True)  # the line break that was typed is not shown either
            if answer := line.rstrip("\r\n"):
                return answer


def _interrupted() -> StoppedError:
    stopped = StoppedError(_("Interrupted. Nothing was created"))
    stopped.nothing_created = True
    return stopped


def _how(what: Text) -> Text:
    command = f"`oauth-helper link REPO_TYPE --with-{what} <FILE`"
    return _("Pipe the {what} in: {command}.", what=what, command=command)
