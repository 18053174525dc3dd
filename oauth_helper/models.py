"""The records of ServiceStage's API, and what a link request and a pending exchange hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from shlex import quote
from typing import Final, Literal, Self

from oauth_helper.errors import IllegalNameError
from oauth_helper.i18n import Text, _, ngettext
from oauth_helper.secret import Secret, is_plain_word
from oauth_helper.values import named

STATUS_NORMAL: Final = 0

_LONGEST_NAME: Final = 63
_LEGAL_NAME: Final = re.compile(r"[A-Za-z0-9._-]{4,63}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_ILLEGAL_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]+")


class RepoType(StrEnum):
    """A kind of Git host, spelt as ServiceStage spells it on the wire (lower case)."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEE = "gitee"
    BITBUCKET = "bitbucket"
    DEVCLOUD = "devcloud"

    @property
    def display_name(self) -> str:
        """The name its owner gives it, for people."""
        return _KNOWN[self].display_name

    @property
    def git_credential(self) -> Literal["token", "password"]:
        """What ServiceStage takes where there is no browser: a personal access token, or a user's password."""
        return _KNOWN[self].git_credential

    @property
    def site(self) -> str:
        """The host of its official site; empty: it differs by region."""
        return _KNOWN[self].site

    @property
    def has_oauth(self) -> bool:
        """Whether a link in a browser is documented; where it is not, that is let through all the same."""
        return _KNOWN[self].has_oauth


@dataclass(frozen=True, slots=True)
class _Known:
    """What we know of a type, beside its word."""

    display_name: str
    git_credential: Literal["token", "password"]
    site: str = ""
    """The host of the official site; empty: it differs by region."""
    has_oauth: bool = True


# Proofs: API reference, "Creating Private Token Authorization" and "Creating Password Authorization"; most editions
# have no GitHub in the latter, and GitHub takes no password since 2021; most have no OAuth for CodeArts.
_KNOWN: Final[Mapping[RepoType, _Known]] = {
    RepoType.GITHUB: _Known("GitHub", "token", "github.com"),
    RepoType.GITLAB: _Known("GitLab", "token", "gitlab.com"),
    RepoType.GITEE: _Known("Gitee", "token", "gitee.com"),
    RepoType.BITBUCKET: _Known("Bitbucket", "password", "bitbucket.org"),
    RepoType.DEVCLOUD: _Known("CodeArts", "password", has_oauth=False),
}


@dataclass(frozen=True, slots=True)
class Authorization:
    """The record ServiceStage keeps of a link (API page "Creating OAuth Authorization", table 5).

    The fields bear the API's names, ``avartar`` included. A field the API left out is an empty string, zero,
    or ``None``: what a server leaves out is data, not an error.
    """

    name: str
    repo_type: str
    """As the API spells it; a plain string, because a server may know types that we do not."""
    repo_host: str = ""
    """API address of the Git host, such as ``https://api.github.com``."""
    repo_home: str = ""
    """Address of the account's page."""
    repo_user: str = ""
    avartar: str = ""
    token_type: str = ""
    """``oauth``, ``personal`` or ``password``."""
    create_time: int = 0
    """Milliseconds since the epoch (the unit is not documented; other ServiceStage times are so)."""
    update_time: int = 0
    status: int | None = None
    """0 normal, 1 expired, 2 unauthenticated."""
    tag: str | None = None
    record: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    """The API's object as it came, unknown fields and order included."""

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Authorization:
        """Read the API's object.

        Raises:
            ValueError: ``name`` is missing, so it cannot be told which record this is.
        """
        name = _text(record, "name")
        if not name:
            raise ValueError("an authorization without a name")
        tag = record.get("tag")
        return cls(
            name=name,
            repo_type=_text(record, "repo_type"),
            repo_host=_text(record, "repo_host"),
            repo_home=_text(record, "repo_home"),
            repo_user=_text(record, "repo_user"),
            avartar=_text(record, "avartar"),
            token_type=_text(record, "token_type"),
            create_time=_integer(record, "create_time") or 0,
            update_time=_integer(record, "update_time") or 0,
            status=_integer(record, "status"),
            tag=tag if isinstance(tag, str) else None,
            record=dict(record),
        )

    def to_json(self) -> dict[str, object]:
        """Return the API's object as it came, or the known fields where there is none."""
        if self.record:
            return dict(self.record)
        return {slot: getattr(self, slot) for slot in self.__slots__ if slot != "record"}

    @property
    def works(self) -> bool:
        """Whether nothing that ServiceStage says speaks against using this authorization."""
        return self.status in {None, STATUS_NORMAL}

    def is_of(self, repo_type: RepoType) -> bool:
        """Whether this record is of that type, however the server spells it."""
        return self.repo_type.casefold() == repo_type.value


def is_legal_name(name: str) -> bool:
    """Whether ``name`` has 4 to 63 characters of ``A-Za-z0-9._-`` (user guide servicestage_03_0076)."""
    return _LEGAL_NAME.fullmatch(name) is not None


def what_is_wrong_in(name: str) -> Text:
    """Return what ServiceStage would refuse in a name that is not legal; a name that may be secret is not shown."""
    wrong = [_character(number, one) for number, one in enumerate(name, 1) if _ILLEGAL_CHARACTERS.match(one)]
    what = wrong[0] if wrong else ngettext("it has {count} character", "it has {count} characters", len(name))
    if is_plain_word(name):
        return _('Invalid name "{name}": {what}', name=name, what=what)
    return _("Invalid name: {what}", what=what)


def _character(number: int, character: str) -> Text:
    code = named(character)
    shown = Text(f'"{character}" ({code})' if character.isprintable() and not character.isspace() else code)
    return _("character {number} is {shown}", number=number, shown=shown)


def default_name(repo_type: RepoType, login_name: str) -> str:
    """Return ``REPO_TYPE-<login name>``, made legal, for a user who gave none.

    A login name that the legal characters cannot spell gets a suffix that is always the same for it, so that two users
    of a project do not share a name.
    """
    legal = _ILLEGAL_CHARACTERS.sub("-", login_name).strip("-")
    name = f"{repo_type.value}-{legal or 'user'}"
    if not login_name or (login_name.isascii() and legal and len(name) <= _LONGEST_NAME):
        return name
    suffix = sha256(login_name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{name[: _LONGEST_NAME - len(suffix) - 1].rstrip('-')}-{suffix}"


def as_argument(name: str) -> str:
    """Return a name as a command takes it in a shell, such as ``-- -name``."""
    return f"-- {quote(name)}" if name.startswith("-") else quote(name)


def _text(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""


def _integer(record: Mapping[str, object], key: str) -> int | None:
    """Return a number, also if the server writes it as text or as 1.0; None if there is none."""
    value = record.get(key)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A user, group or organization of a Git host (API page "Obtaining Namespaces").

    A field that the API left out is an empty string.
    """

    id: str
    name: str
    """The path at the Git host; a group within a group has a slash in it."""
    record: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    """The API's object as it came."""

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Namespace:
        """Read the API's object.

        Raises:
            ValueError: It has neither a name nor an id, so nothing can be asked of it.
        """
        number, name = _repository_text(record, "id"), _repository_text(record, "name")
        if not (number or name):
            raise ValueError("a namespace without a name")
        return cls(id=number, name=name, record=dict(record))

    @property
    def key(self) -> str:
        """What the API knows it by: its name, or its id where it has none."""
        return self.name or self.id

    def to_json(self) -> dict[str, object]:
        """Return the API's object as it came, or the known fields where there is none."""
        return dict(self.record) or {"id": self.id, "name": self.name}


@dataclass(frozen=True, slots=True)
class Project:
    """A repository of a Git host (API page "Obtaining All Projects of a Namespace").

    A field that the API left out is an empty string.
    """

    id: str
    name: str
    clone_url: str
    record: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    """The API's object as it came."""

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Project:
        """Read the API's object.

        Raises:
            ValueError: It has no name.
        """
        name = _repository_text(record, "name")
        if not name:
            raise ValueError("a project without a name")
        return cls(
            id=_repository_text(record, "id"),
            name=name,
            clone_url=_repository_text(record, "clone_url"),
            record=dict(record),
        )

    def to_json(self) -> dict[str, object]:
        """Return the API's object as it came, or the known fields where there is none."""
        return dict(self.record) or {"id": self.id, "name": self.name, "clone_url": self.clone_url}


def _repository_text(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    # Git hosts number what they have; the API's manual calls the number a string.
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


class IfExists(StrEnum):
    """What to do about an authorization that bears the name already."""

    KEEP = "keep"
    REPLACE = "replace"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What the user wants.

    Raises:
        IllegalNameError: ServiceStage would refuse the name.
    """

    repo_type: RepoType
    name: str
    tag: str | None = None
    """Site tag, sent on both calls."""
    if_exists: IfExists = IfExists.KEEP
    timeout: float = 600.0
    """Seconds to wait for the user."""

    def __post_init__(self) -> None:
        if not is_legal_name(self.name):
            raise IllegalNameError(what_is_wrong_in(self.name))


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
        name = _pending_text(record, "name")
        if not is_legal_name(name):
            raise ValueError("without a legal name")
        sent_at, stood_since, is_deleted = (record.get(key) for key in ("sent_at", "stood_since", "is_deleted"))
        if not (stood_since is None or type(stood_since) is int) or not isinstance(is_deleted, bool):
            raise ValueError("with fields of another kind")
        return cls(
            target=Target(_pending_text(record, "endpoint"), _pending_text(record, "project_id"), name),
            repo_type=_repo_type(_pending_text(record, "repo_type")),
            captured_at=_moment(_pending_text(record, "captured_at")),
            code=_secret(record, "code"),
            state=_secret(record, "state"),
            tag=None if record.get("tag") is None else _pending_text(record, "tag"),
            sent_at=None if sent_at is None else _moment(_pending_text(record, "sent_at")),
            stood_since=stood_since,
            is_deleted=is_deleted,
        )


def _pending_text(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"without a usable {key}")
    return value


def _repo_type(text: str) -> RepoType:
    if text not in set(RepoType):
        raise ValueError("of a type this version does not know")
    return RepoType(text)


def _secret(record: Mapping[str, object], key: str) -> Secret | None:
    return None if record.get(key) is None else Secret(_pending_text(record, key))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("with an unreadable time") from None
    raise ValueError("with a time of no zone")
