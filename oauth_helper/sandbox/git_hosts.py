"""The Git hosts that the sandbox plays, one entry each.

Sources: each host's page on OAuth; the ServiceStage API reference, chapter "Git Repository Access". The manual has a
sample of scopes for GitHub alone; the others are what the same work needs there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from oauth_helper.authorization import RepoType

_PROFILE: Final = "read your profile"
_REPOSITORIES: Final = "read and write your repositories"
_HOOKS: Final = "write repository hooks"


@dataclass(frozen=True, slots=True)
class PlayedHost:
    """What is to be known of one."""

    proof: Literal["token", "password"]
    """What ServiceStage takes for it where there is no browser."""
    authorization_path: str = ""
    """Where it asks for consent; empty where it has no OAuth."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """What ServiceStage's application asks for, and what that means."""

    @property
    def has_oauth(self) -> bool:
        """Whether ServiceStage has an application there."""
        return bool(self.authorization_path)


PLAYED_HOSTS: Final[Mapping[str, PlayedHost]] = {
    RepoType.GITHUB: PlayedHost(
        "token",
        "/login/oauth/authorize",
        {"read:user": _PROFILE, "repo": _REPOSITORIES, "write:repo_hook": _HOOKS},
    ),
    RepoType.GITLAB: PlayedHost(
        "token", "/oauth/authorize", {"api": "use the whole API in your name", "read_user": _PROFILE}
    ),
    RepoType.GITEE: PlayedHost(
        "token", "/oauth/authorize", {"user_info": _PROFILE, "projects": _REPOSITORIES, "hook": _HOOKS}
    ),
    RepoType.BITBUCKET: PlayedHost(
        "password",
        "/site/oauth2/authorize",
        {"account": _PROFILE, "repository:write": _REPOSITORIES, "webhook": _HOOKS},
    ),
    # No edition of the manual that has its OAuth says where it asks for consent.
    RepoType.DEVCLOUD: PlayedHost("password"),
}
"""By the word on the wire, which is lower case only."""
