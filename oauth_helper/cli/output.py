"""Write for scripts and tables: standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import click

from oauth_helper.cli.console import in_words, padded, print_text, width_of, writer_of
from oauth_helper.events import (
    Captured,
    Checked,
    Event,
    Exchanging,
    Failed,
    Ignored,
    Linked,
    Looking,
    Opened,
    Outcome,
    Waiting,
)
from oauth_helper.i18n import Text, _
from oauth_helper.models import Authorization, RepoType
from oauth_helper.secret import safe_text


class EventLines:
    """Writes the events that scripts are promised; what is said to people besides is on standard error.

    A reader who has gone, or a full disk, does not end what is being done: it is raised at the end. A reader who
    pauses does not stop it either.
    """

    def __init__(self) -> None:
        self._failure: OSError | None = None
        self._is_over = False
        self._writer = writer_of(sys.stdout)

    def tell(self, event: Event, at: datetime | None = None) -> None:
        """Write a line for ``event``, if it is one for scripts; it happened ``at`` that time, or now."""
        if isinstance(event, Linked | Failed):
            self.tell_end(event)
        elif told := _fields(event):
            self._write(told, at)

    def tell_end(self, outcome: Outcome) -> None:
        """Write the last line, unless it is written."""
        if not self._is_over:
            self._is_over = True
            self._write(_end(outcome), None)

    def check(self) -> None:
        """Say whether everything was written.

        Raises:
            OSError: It was not.
        """
        if self._writer:
            self._writer.drain(None)
            self._failure = self._writer.error
        if self._failure:
            raise self._failure

    def _write(self, told: dict[str, object], at: datetime | None) -> None:
        name, *_ = told.values()
        moment = _moment(at or datetime.now(UTC))
        line = json.dumps({"event": name, "at": moment} | told) + "\n"
        if self._writer:
            self._writer.write(line, limit=None)
            return
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
        except OSError as error:
            self._failure = error


def _fields(event: Event) -> dict[str, object] | None:
    match event:
        case Checked(name, repo_type):
            return {"event": "checked", "name": name, "repo_type": repo_type}
        case Waiting(listener, authorization_url, expires_at):
            addresses = {"listener": listener, "authorization_url": authorization_url}
            return {"event": "waiting", **addresses, "expires_at": _moment(expires_at)}
        case Opened(browser, window):
            return {"event": "opened", "browser": browser, "window": window}
        case Ignored(reason, count):
            return {"event": "ignored", "reason": reason, "count": count}
        case Captured(way):
            return {"event": "captured", "way": way}
        case Exchanging(attempt, replaces, kept):
            return {"event": "exchanging", "attempt": attempt, "replaces": replaces, "kept": kept}
        case Looking(name):
            return {"event": "looking", "name": name}
        case _:
            return None


def _end(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Failed):
        return {"event": "failed", "error": outcome.error.to_json()}
    return {"event": "linked", "authorization": outcome.authorization.to_json(), "kept": outcome.kept}


def _moment(moment: datetime) -> str:
    """Return a time as RFC 3339 section 5.6 writes it, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_STATUS_WORDS: Final[Mapping[int | None, Text]] = {
    0: _("normal"),
    1: _("expired"),
    2: _("unauthenticated"),
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
        host = _("{host} ({address})", host=host, address=authorization.repo_host)
    facts = (
        (_("Name"), authorization.name),
        (_("Git host"), host),
        (_("Account"), authorization.repo_user),
        (_("Home"), authorization.repo_home),
        (_("Type"), authorization.token_type),
        (_("Created"), _time(authorization.create_time)),
        (_("Status"), status_in_words(authorization)),
    )
    said = [(in_words(label), whole(in_words(value))) for label, value in facts if value]
    width = max(width_of(label) for label, _unused in said)
    for label, value in said:
        print_text(f"{padded(label, width)}  {value}")


def print_table(authorizations: Sequence[Authorization]) -> None:
    """Print a line for each authorization, in columns."""
    head = (_("NAME"), _("GIT HOST"), _("ACCOUNT"), _("TYPE"), _("STATUS"))
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
    return safe_text(text, limit=max(len(text), 1))


def status_in_words(authorization: Authorization) -> Text:
    """Return the record's status as a number with its documented meaning."""
    if authorization.status is None:
        return _("unknown")
    word = _STATUS_WORDS.get(authorization.status)
    if word is None:
        return Text(str(authorization.status))
    return _("{status} ({meaning})", status=authorization.status, meaning=word)


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
