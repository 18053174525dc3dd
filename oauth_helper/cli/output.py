"""Write for scripts, and tables: standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import click

from oauth_helper import events
from oauth_helper.cli.console import padded, print_text, translate, width_of, writer_of
from oauth_helper.errors import OAuthHelperError
from oauth_helper.i18n import Text, _
from oauth_helper.models import Authorization, RepoType
from oauth_helper.secret import Secret, safe_text

_FIELDS: Final[Mapping[type[events.Event], tuple[str, tuple[str, ...]]]] = {
    events.Checked: ("checked", ("name", "repo_type")),
    events.Waiting: ("waiting", ("listener", "authorization_url", "expires_at")),
    events.Opened: ("opened", ("browser", "window")),
    events.Ignored: ("ignored", ("reason", "count")),
    events.Captured: ("captured", ("way", "redirect")),
    events.Exchanging: ("exchanging", ("attempt", "replaces", "kept")),
    events.Looking: ("looking", ("name",)),
    events.Linked: ("linked", ("authorization", "kept")),
    events.Failed: ("failed", ("error",)),
}
"""The events for scripts, with their public names and fields (`output.schema.json`). Other events are for people."""


class EventLines:
    """Writes events as JSON, one on each line of standard output.

    A reader that has gone, or a full disk, does not end the command: :meth:`check` raises at the end. A reader that
    pauses does not stop it either.
    """

    def __init__(self) -> None:
        self._writer = writer_of(sys.stdout)
        self._has_ended = False

    def tell(self, event: events.Event) -> None:
        """Write a line for ``event``, if it is one for scripts. Only the first outcome is written."""
        if type(event) not in _FIELDS or self._has_ended:
            return
        self._has_ended = isinstance(event, events.Outcome)
        name, fields = _FIELDS[type(event)]
        line = {"event": name, "at": _json(datetime.now(UTC))}
        line |= {field: _json(value) for field in fields if (value := getattr(event, field)) is not None}
        self._writer.write(json.dumps(line) + "\n", limit=None)

    def check(self) -> None:
        """Wait until everything is written.

        Raises:
            OSError: It could not be written.
        """
        self._writer.drain(None)
        if self._writer.error:
            raise self._writer.error


def _json(value: object) -> object:
    match value:
        case datetime():  # RFC 3339 section 5.6, in UTC
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Authorization() | OAuthHelperError():
            return value.to_json()
        case Secret():  # the redirect of a capture
            return value.reveal()
        case _:
            return value


def print_json(value: object) -> None:
    """Print one JSON value on its own line; everything outside ASCII is escaped, so it cannot harm a terminal."""
    click.echo(json.dumps(value))


def print_authorization(authorization: Authorization, *, as_json: bool) -> None:
    """Print one authorization: the API's record as JSON, or a short block for people."""
    if as_json:
        print_json(authorization.to_json())
        return
    host = host_name(authorization)
    if authorization.repo_host:
        host = _("{host} ({address})", host=host, address=authorization.repo_host)
    fields = (
        (_("Name"), authorization.name),
        (_("Git host"), host),
        (_("Account"), authorization.repo_user),
        (_("Method"), _method(authorization)),
        (_("Created"), _local_time(authorization, "%Y-%m-%d %H:%M:%S")),
        (_("Status"), "" if authorization.status == 0 else status_text(authorization)),
    )
    print_columns([(label, value) for label, value in fields if value])


def print_table(authorizations: Sequence[Authorization]) -> None:
    """Print a line for each authorization, in columns."""
    head = (_("NAME"), _("GIT HOST"), _("ACCOUNT"), _("METHOD"), _("CREATED"), _("STATUS"))
    rows = [
        (one.name, host_name(one), one.repo_user, _method(one), _local_time(one, "%Y-%m-%d"), status_text(one))
        for one in authorizations
    ]
    print_columns([head, *rows])


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns."""
    shown = [[one_line(translate(cell)) for cell in row] for row in rows]
    widths = [max(width_of(cell) for cell in column) for column in zip(*shown, strict=True)]
    for row in shown:
        print_text("  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())


def one_line(text: str) -> str:
    """Return provider text on one line without control characters, but not cut: a clone URL must be right."""
    return safe_text(text, limit=max(len(text), 1))


def host_name(authorization: Authorization) -> str:
    """Return what people call the Git host."""
    known = next((one for one in RepoType if authorization.is_of(one)), None)
    return known.display_name if known else authorization.repo_type


_METHODS: Final = {"oauth": "OAuth", "personal": _("personal access token"), "password": _("password")}
_STATUSES: Final = {None: _("unknown"), 0: _("normal"), 1: _("expired"), 2: _("unauthenticated")}


def _method(authorization: Authorization) -> str:
    return _METHODS.get(authorization.token_type, authorization.token_type)


def status_text(authorization: Authorization) -> Text:
    """Return the documented meaning of the record's status, or its number."""
    return _STATUSES.get(authorization.status) or Text(str(authorization.status))


def _local_time(authorization: Authorization, form: str) -> str:
    milliseconds = authorization.create_time
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone().strftime(form) if milliseconds > 0 else ""
    except (OverflowError, ValueError, OSError):  # beyond the calendar; the unit is not documented
        return str(milliseconds)
