"""Where a token or password comes from: one line of standard input, or a prompt that shows nothing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from oauth_helper.cli.speech import in_words
from oauth_helper.errors import StoppedError, UsageError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.secret import Secret
from oauth_helper.whereabouts import is_build_service

if TYPE_CHECKING:
    from pathlib import Path

LONGEST: Final = 64 * 1024
"""Bytes."""


def can_ask() -> bool:
    """Whether there is a terminal to ask on, and somebody at it: some build services bring one."""
    return not is_build_service(os.environ) and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: Phrase) -> str:
    """Ask on the terminal."""
    return _asked(question, hidden=False)


def ask_for_secret(question: Phrase) -> Secret:
    """Ask on the terminal, which does not show what is typed."""
    return Secret(_asked(question, hidden=True))


def read_secret(what: Phrase) -> Secret:
    """Read the one line that standard input has, without its line break.

    Raises:
        UsageError: There is none, more than one, or no text.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            phrase("The {what} is asked for on a terminal, or piped in, and there is neither", what=what),
            hint=_how(what),
        )
    try:
        given = _read_to_end(sys.stdin.fileno())
    except KeyboardInterrupt:
        raise _interrupted() from None
    except OSError as error:
        raise UsageError(
            phrase("Standard input cannot be read: {strerror}", strerror=error.strerror), hint=_how(what)
        ) from None
    if len(given) > LONGEST:
        raise UsageError(phrase("What standard input has is too long for a {what}", what=what), hint=_how(what))
    line = _single_line(given)
    if isinstance(line, Secret):
        return line
    raise UsageError(
        phrase("Standard input {trouble}, and the {what} was to be its one line", trouble=line, what=what),
        hint=_how(what),
    )


def read_secret_file(path: Path, what: Phrase) -> Secret:
    """Read the one line that a file has, or a pipe with a name, without its line break.

    Raises:
        UsageError: It cannot be read, or has more than one line, or no text.
    """
    hint = phrase("Put the {what} into that file, on a line of its own.", what=what)
    try:
        with path.open("rb", buffering=0) as file:
            line = _single_line(_read_to_end(file.fileno()))
    except KeyboardInterrupt:
        raise _interrupted() from None
    except OSError as error:
        raise UsageError(phrase("{path} cannot be read: {error}", path=path, error=error.strerror), hint=hint) from None
    if isinstance(line, Secret):
        return line
    raise UsageError(
        phrase("{path} {trouble}, and the {what} was to be its one line", path=path, trouble=line, what=what),
        hint=hint,
    )


def _read_to_end(descriptor: int) -> bytes:
    """Read piece by piece: in a single call of Python's for all of it, a Ctrl-C between two pieces would be missed."""
    given = b""
    while len(given) <= LONGEST and (piece := os.read(descriptor, LONGEST)):
        given += piece
    return given


def _single_line(given: bytes) -> Secret | Phrase:
    """Return the one line, or what is wrong; not an exception, which would hold what was given."""
    try:
        first, *more = given.decode("utf-8-sig").splitlines() or [""]
    except UnicodeDecodeError:
        return phrase("is no text (UTF-8)")
    if len(given) > LONGEST:
        return phrase("is too long")
    if first and not any(more):
        return Secret(first)
    return phrase("has more than one line") if first or any(more) else phrase("is empty")


def _asked(question: Phrase, *, hidden: bool) -> str:
    try:
        answer: str = _typed_unseen(question) if hidden else click.prompt(in_words(question), err=True)
    except (click.Abort, EOFError, KeyboardInterrupt):
        click.echo(err=True)  # the cursor is behind the question
        raise _interrupted() from None
    return answer


def _typed_unseen(question: Phrase) -> str:
    """Ask until there is an answer.

    Raises:
        EOFError: There will be none: Ctrl-D was typed.
    """
    from oauth_helper.terminal import HAS_SETTINGS, hidden_typing  # noqa: PLC0415 - a pipe needs no prompt

    if not HAS_SETTINGS:  # a Windows console
        from getpass import getpass  # noqa: PLC0415 - as above

        return getpass(f"{in_words(question)}: ", sys.stderr)
    with hidden_typing(sys.stdin.fileno()):
        while True:
            click.echo(f"{in_words(question)}: ", err=True, nl=False)
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            click.echo(err=True)  # the line break that was typed is not shown either
            if answer := line.rstrip("\r\n"):
                return answer


def _interrupted() -> StoppedError:
    return StoppedError(phrase("Interrupted. Nothing was created"))


def _how(what: Phrase) -> Phrase:
    command = f"`oauth-helper link REPO_TYPE --with-{what} <FILE`"
    return phrase("Pipe the {what} in: {command}.", what=what, command=command)
