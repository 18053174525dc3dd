"""A captured redirect whose exchange is not known to have ended, and what it is about. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from oauth_helper.authorization import RepoType, is_legal_name
from oauth_helper.secret import Secret

CODE_LIFETIME: Final = timedelta(minutes=10)
"""How long a code is good at the most: GitHub's, and the most RFC 6749 section 4.1.2 recommends."""

CONNECTING: Final = 10.0
"""Seconds that a connection to ServiceStage may take: a request may leave so much later than ``sent_at`` says."""

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Target:
    """The authorization that a link is to bring about: one name, in one project, at one endpoint."""

    endpoint: str
    project_id: str
    name: str

    @property
    def digest(self) -> str:
        """What tells this target from any other, in a form that can name a file."""
        parts = (self.endpoint.rstrip("/").casefold(), self.project_id, self.name)
        return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Pending:
    """What is written down before the exchange, so that another run can finish it, or say what happened."""

    target: Target
    repo_type: RepoType
    captured_at: datetime
    code: Secret | None
    """None once it is removed; so ``state``."""
    state: Secret | None
    tag: str | None = None
    sent_at: datetime | None = None
    """When the exchange may have left for ServiceStage last; None: it certainly has not."""
    stood_since: int | None = None
    """``create_time`` of the authorization that bore the name before; None where there was none."""
    is_deleted: bool = False
    """Whether that authorization is deleted, because it is to be replaced."""

    def is_fresh(self, now: datetime) -> bool:
        """Whether the code may still be good. A clock that was set back by more than that makes it stale too."""
        return self.code is not None and self.state is not None and abs(now - self.captured_at) < CODE_LIFETIME

    def to_json(self) -> dict[str, object]:
        """Return what is written into the journal: the one place where code and state leave their ``Secret``."""
        return {
            "format": _FORMAT,
            "endpoint": self.target.endpoint,
            "project_id": self.target.project_id,
            "name": self.target.name,
            "repo_type": self.repo_type.value,
            "tag": self.tag,
            "captured_at": self.captured_at.isoformat(),
            "sent_at": self.sent_at.isoformat() if self.sent_at else None,
            "stood_since": self.stood_since,
            "is_deleted": self.is_deleted,
            "code": self.code.reveal() if self.code else None,
            "state": self.state.reveal() if self.state else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Self:
        """Read what :meth:`to_json` gave.

        Raises:
            ValueError: It is not that; its text is not repeated.
        """
        if record.get("format") != _FORMAT:
            raise ValueError("not of a format this version knows")
        name = _text(record, "name")
        if not is_legal_name(name):
            raise ValueError("without a legal name")
        sent_at, stood_since, is_deleted = (record.get(key) for key in ("sent_at", "stood_since", "is_deleted"))
        if not (stood_since is None or type(stood_since) is int) or not isinstance(is_deleted, bool):
            raise ValueError("with fields of another kind")
        return cls(
            target=Target(_text(record, "endpoint"), _text(record, "project_id"), name),
            repo_type=_repo_type(_text(record, "repo_type")),
            captured_at=_moment(_text(record, "captured_at")),
            code=_secret(record, "code"),
            state=_secret(record, "state"),
            tag=None if record.get("tag") is None else _text(record, "tag"),
            sent_at=None if sent_at is None else _moment(_text(record, "sent_at")),
            stood_since=stood_since,
            is_deleted=is_deleted,
        )


def _text(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"without a usable {key}")
    return value


def _repo_type(text: str) -> RepoType:
    if text not in set(RepoType):
        raise ValueError("of a type this version does not know")
    return RepoType(text)


def _secret(record: Mapping[str, object], key: str) -> Secret | None:
    return None if record.get(key) is None else Secret(_text(record, key))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("with an unreadable time") from None
    raise ValueError("with a time of no zone")
