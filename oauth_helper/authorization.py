"""The Git hosts that can be linked, and the record ServiceStage keeps of a link. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

STATUS_NORMAL: Final = 0

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
    def proof(self) -> Literal["token", "password"]:
        """What ServiceStage takes where there is no browser: a personal access token, or a user's password."""
        return _KNOWN[self].proof

    @property
    def has_oauth(self) -> bool:
        """Whether a link in a browser is documented; where it is not, that is let through all the same."""
        return _KNOWN[self].has_oauth


@dataclass(frozen=True, slots=True)
class _Known:
    """What we know of a type, beside its word."""

    display_name: str
    proof: Literal["token", "password"]
    has_oauth: bool = True


# Proofs: API reference, "Creating Private Token Authorization" and "Creating Password Authorization"; most editions
# have no GitHub in the latter, and GitHub takes no password since 2021; most have no OAuth for CodeArts.
_KNOWN: Final[Mapping[RepoType, _Known]] = {
    RepoType.GITHUB: _Known("GitHub", "token"),
    RepoType.GITLAB: _Known("GitLab", "token"),
    RepoType.GITEE: _Known("Gitee", "token"),
    RepoType.BITBUCKET: _Known("Bitbucket", "password"),
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


def default_name(repo_type: RepoType, login_name: str) -> str:
    """Return ``REPO_TYPE-<login name>``, made legal, for a user who gave none."""
    suffix = _ILLEGAL_CHARACTERS.sub("-", login_name).strip("-") or "user"
    return f"{repo_type.value}-{suffix}"[:63]


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
