"""The records of ServiceStage's API, the request for a link, and the captured redirect that is saved."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from shlex import quote
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from msgspec import Meta, Struct, structs

from oauth_helper.errors import IllegalNameError
from oauth_helper.i18n import Text, _, ngettext
from oauth_helper.secret import Secret, is_plain_word
from oauth_helper.values import named

CODE_LIFETIME: Final = timedelta(minutes=10)
"""The longest time that a code is valid: GitHub's lifetime, and the maximum of RFC 6749 section 4.1.2."""

CONNECTING: Final = 10.0
"""Seconds that a connection to ServiceStage may take, so a request may leave that much later than ``sent_at``."""

_LEGAL_NAME: Final = re.compile(r"[A-Za-z0-9._-]{4,63}")
_ILLEGAL_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]+")


class RepoType(StrEnum):
    """A kind of Git host, spelt as in ServiceStage's API."""

    display_name: str
    git_credential: Literal["token", "password"]
    """What a link without a browser needs: a personal access token, or a user's password (API reference)."""
    site: str  # the host of the official site; empty if it depends on the region
    has_oauth: bool  # Whether the API reference documents a link in a browser. We allow it in any case

    def __new__(cls, value: str, *facts: Any) -> Self:
        """Return a member with these facts."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.display_name, member.git_credential, member.site, member.has_oauth = facts
        return member

    GITHUB = "github", "GitHub", "token", "github.com", True
    GITLAB = "gitlab", "GitLab", "token", "gitlab.com", True
    GITEE = "gitee", "Gitee", "token", "gitee.com", True
    BITBUCKET = "bitbucket", "Bitbucket", "password", "bitbucket.org", True
    DEVCLOUD = "devcloud", "CodeArts", "password", "", False

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.DEVCLOUD if value == "codearts" else None


class IfExists(StrEnum):
    """What to do if an authorization has the name already."""

    KEEP = "keep"
    REPLACE = "replace"
    FAIL = "fail"


class Record(Struct, frozen=True, kw_only=True):
    """A record of the API. Two records are equal if the fields that we know are."""

    record: Mapping[str, object] = {}
    """The API's object, with its unknown fields and in its order. This is the last field."""

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Self:
        """Read the API's object. A field that is missing or of another type gets its default value."""
        values: dict[str, Any] = {"record": dict(record)}
        for field in structs.fields(cls)[:-1]:
            value = record.get(field.name)
            with suppress(msgspec.ValidationError):
                # Git hosts number their repositories; the API's manual calls the number a string.
                is_number = field.type is str and type(value) is int
                values[field.name] = str(value) if is_number else msgspec.convert(value, field.type, strict=False)
        read = cls(**values)
        if not read.key:
            raise ValueError("a record without a name")
        return read

    @property
    def key(self) -> str:
        """How the API identifies the record."""
        return str(getattr(self, "name", ""))

    def to_json(self) -> dict[str, object]:
        """Return the API's object, or the known fields if this record does not come from the API."""
        return dict(self.record) or dict(zip(self.__struct_fields__[:-1], self._values(), strict=True))

    def _values(self) -> tuple[object, ...]:
        return structs.astuple(self)[:-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())


class Authorization(Record, frozen=True):
    """The record that ServiceStage keeps of a link (API page "Creating OAuth Authorization", table 5).

    The fields have the API's names, ``avartar`` included.
    """

    name: str = ""
    repo_type: str = ""  # as the API spells it: a server may know types that we do not
    repo_host: str = ""  # the API of the Git host, such as https://api.github.com
    repo_home: str = ""  # the page of the account
    repo_user: str = ""
    avartar: str = ""
    token_type: str = ""  # oauth, personal or password
    create_time: int = 0  # Milliseconds since the epoch. The unit is not documented; other ServiceStage times use it
    update_time: int = 0
    status: int | None = None  # 0 normal, 1 expired, 2 unauthenticated
    tag: str | None = None

    @property
    def works(self) -> bool:
        """Whether ServiceStage reports no problem with this authorization."""
        return self.status in {None, 0}

    def is_of(self, repo_type: RepoType) -> bool:
        """Whether this record is of that type, in whatever case the server writes it."""
        return self.repo_type.casefold() == repo_type.value


class Namespace(Record, frozen=True):
    """A user, group or organization of a Git host (API page "Obtaining Namespaces")."""

    id: str = ""
    name: str = ""  # the path at the Git host; a nested group has a slash in it

    @property
    def key(self) -> str:
        """How the API identifies it: by its name, or by its id if it has no name."""
        return self.name or self.id


class Project(Record, frozen=True):
    """A repository of a Git host (API page "Obtaining All Projects of a Namespace")."""

    id: str = ""
    name: str = ""
    clone_url: str = ""


class LinkRequest(Struct, frozen=True):
    """What the user wants.

    Raises:
        IllegalNameError: ServiceStage would refuse the name.
    """

    repo_type: RepoType
    name: str
    tag: str | None = None  # site tag, sent with both calls
    if_exists: IfExists = IfExists.KEEP
    timeout: float = 600.0  # seconds to wait for the user

    def __post_init__(self) -> None:
        if not is_legal_name(self.name):
            raise IllegalNameError(what_is_wrong_in(self.name))


class Target(Struct, frozen=True):
    """The authorization that a link creates: one name, in one project, at one endpoint."""

    endpoint: str
    project_id: str
    name: Annotated[str, Meta(pattern=f"^{_LEGAL_NAME.pattern}$")]

    @property
    def digest(self) -> str:
        """A hash that identifies this target and can be part of a file name."""
        parts = (self.endpoint.rstrip("/").casefold(), self.project_id, self.name)
        return sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Pending(Struct, frozen=True, tag_field="format", tag=1):
    """A captured redirect. It is saved before the exchange, so that another run can finish it or say what happened."""

    target: Target
    repo_type: RepoType
    captured_at: Annotated[datetime, Meta(tz=True)]
    code: Secret
    state: Secret
    tag: str | None = None
    sent_at: Annotated[datetime, Meta(tz=True)] | None = None
    """When the exchange may have left for ServiceStage last; None if it certainly has not."""
    existing_since: int | None = None
    """``create_time`` of the authorization that had the name before; None if there was none."""
    is_deleted: bool = False  # that authorization is deleted, because it is to be replaced

    def is_fresh(self, now: datetime) -> bool:
        """Whether the code may still be valid. It is not if the clock was set back by more than its lifetime."""
        return abs(now - self.captured_at) < CODE_LIFETIME


def is_legal_name(name: str) -> bool:
    """Whether ``name`` has 4 to 63 characters of ``A-Za-z0-9._-`` (user guide servicestage_03_0076)."""
    return _LEGAL_NAME.fullmatch(name) is not None


def what_is_wrong_in(name: str) -> Text:
    """Return why ServiceStage would refuse this name. A name that may be secret is not repeated."""
    what = ngettext("it has {count} character", "it has {count} characters", len(name))
    if illegal := _ILLEGAL_CHARACTERS.search(name):
        character, code = illegal[0][0], named(illegal[0][0])
        shown = f'"{character}" ({code})' if character.isprintable() and not character.isspace() else code
        what = _("character {number} is {shown}", number=illegal.start() + 1, shown=shown)
    if is_plain_word(name):
        return _('Invalid name "{name}": {what}', name=name, what=what)
    return _("Invalid name: {what}", what=what)


def default_name(repo_type: RepoType, login_name: str) -> str:
    """Return ``REPO_TYPE-<login name>`` with legal characters only, for a user who gave no name.

    If characters of the login name are lost, a hash of it is appended, so that two users of a project do not get the
    same name.
    """
    legal = _ILLEGAL_CHARACTERS.sub("-", login_name).strip("-")
    name = f"{repo_type.value}-{legal or 'user'}"
    if not login_name or (login_name.isascii() and legal and is_legal_name(name)):
        return name
    suffix = sha256(login_name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{name[:56].rstrip('-')}-{suffix}"


def name_for(repo_type: RepoType) -> str:
    """Return the default name of an authorization, from the user's login name."""
    try:
        login_name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        login_name = ""
    return default_name(RepoType(repo_type), login_name)


def as_argument(name: str) -> str:
    """Return a name as an argument of a shell command, such as ``-- -name``."""
    return f"-- {quote(name)}" if name.startswith("-") else quote(name)
