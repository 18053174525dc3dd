"""What goes to standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import click

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.cli.fitting import padded, width_of
from oauth_helper.cli.speech import in_words, print_text
from oauth_helper.phrase import Phrase, phrase, verbatim
from oauth_helper.presentable import presentable

_STATUS_WORDS: Final[Mapping[int | None, Phrase]] = {
    0: phrase("normal"),
    1: phrase("expired"),
    2: phrase("unauthenticated"),
}


def print_json(value: object) -> None:
    """Print one JSON value on a line of its own; everything outside ASCII is escaped, so no terminal is harmed."""
    click.echo(json.dumps(value))


def print_authorization(authorization: Authorization, *, as_json: bool) -> None:
    """Print one authorization: the API's record as JSON, or a short block for people."""
    if as_json:
        print_json(authorization.to_json())
        return
    host = _host_name(authorization.repo_type)
    if authorization.repo_host:
        host = phrase("{host} ({address})", host=host, address=authorization.repo_host)
    facts = (
        (phrase("Name"), authorization.name),
        (phrase("Git host"), host),
        (phrase("Account"), authorization.repo_user),
        (phrase("Home"), authorization.repo_home),
        (phrase("Type"), authorization.token_type),
        (phrase("Created"), _time(authorization.create_time)),
        (phrase("Status"), status_in_words(authorization)),
    )
    said = [(in_words(label), whole(in_words(value))) for label, value in facts if value]
    width = max(width_of(label) for label, _ in said)
    for label, value in said:
        print_text(f"{padded(label, width)}  {value}")


def print_table(authorizations: Sequence[Authorization]) -> None:
    """Print a line for each authorization, in columns."""
    head = (phrase("NAME"), phrase("GIT HOST"), phrase("ACCOUNT"), phrase("TYPE"), phrase("STATUS"))
    rows = [(one.name, one.repo_type, one.repo_user, one.token_type, status_in_words(one)) for one in authorizations]
    print_columns([head, *rows])


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of phrases and of provider text in columns, the first row being their names."""
    shown = [[whole(in_words(cell)) for cell in row] for row in rows]
    widths = [max(width_of(cell) for cell in column) for column in zip(*shown, strict=True)]
    for row in shown:
        print_text("  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())


def whole(text: str) -> str:
    """Return provider text on one line without control characters, but not cut: a clone URL must be right."""
    return presentable(text, limit=max(len(text), 1))


def status_in_words(authorization: Authorization) -> Phrase:
    """Return the record's status as a number with its documented meaning."""
    if authorization.status is None:
        return phrase("unknown")
    word = _STATUS_WORDS.get(authorization.status)
    if word is None:
        return verbatim(str(authorization.status))
    return phrase("{status} ({meaning})", status=authorization.status, meaning=word)


def _time(milliseconds: int) -> str:
    if milliseconds <= 0:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # the unit is not documented; a number beyond the calendar is shown
        return str(milliseconds)


def _host_name(repo_type: str) -> str:
    try:
        return RepoType(repo_type).display_name
    except ValueError:  # one that ServiceStage has learned since
        return repo_type
