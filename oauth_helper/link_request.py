"""What a user who wants a link asks for. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from oauth_helper.authorization import RepoType


class IfExists(StrEnum):
    """What to do about an authorization that bears the name already."""

    KEEP = "keep"
    REPLACE = "replace"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What the user wants."""

    repo_type: RepoType
    name: str
    tag: str | None = None
    """Site tag, sent on both calls."""
    if_exists: IfExists = IfExists.KEEP
    timeout: float = 600.0
    """Seconds to wait for the user."""
