"""The story for scripts: each event a line of JSON on standard output."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from oauth_helper.cli.error_stream import writer_of
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
