"""What goes to standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import click

from oauth_helper.authorization import Authorization
from oauth_helper.presentable import presentable

_STATUS_WORDS: Final[Mapping[int | None, str]] = {0: "normal", 1: "expired", 2: "unauthenticated"}
_COLUMNS: Final = ("NAME", "TYPE", "ACCOUNT", "MODE", "STATUS")


def print_json(value: object) -> None:
    """Print one JSON value on a line of its own; everything outside ASCII is escaped, so no terminal is harmed."""
    click.echo(json.dumps(value))


def print_authorization(authorization: Authorization, *, as_json: bool) -> None:
    """Print one authorization: the API's record as JSON, or a short block for people."""
    if as_json:
        print_json(authorization.to_json())
        return
    for label, value in (
        ("name", authorization.name),
        ("repo_type", authorization.repo_type),
        ("repo_user", authorization.repo_user),
        ("repo_home", authorization.repo_home),
        ("token_type", authorization.token_type),
        ("created", _time(authorization.create_time)),
        ("status", status_in_words(authorization)),
    ):
        if value:
            click.echo(f"{label:<12}{presentable(value)}")


def print_table(authorizations: Sequence[Authorization]) -> None:
    """Print a line for each authorization, in columns."""
    rows = [(one.name, one.repo_type, one.repo_user, one.token_type, status_in_words(one)) for one in authorizations]
    print_columns([_COLUMNS, *rows])


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of provider text in columns, the first row being their names."""
    shown = [[presentable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*shown, strict=True)]
    for row in shown:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def status_in_words(authorization: Authorization) -> str:
    """Return the record's status as a number with its documented meaning."""
    if authorization.status is None:
        return "unknown"
    word = _STATUS_WORDS.get(authorization.status)
    return f"{authorization.status} ({word})" if word else str(authorization.status)


def _time(milliseconds: int) -> str:
    if milliseconds <= 0:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # the unit is not documented; a number beyond the calendar is shown
        return str(milliseconds)
