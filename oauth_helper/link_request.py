"""What a user who wants a link asks for. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from oauth_helper.authorization import RepoType, is_legal_name, what_is_wrong_in
from oauth_helper.errors import IllegalNameError


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
