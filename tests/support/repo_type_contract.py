"""The repository types as ServiceStage and the Git hosts document them, one line each, independent of our code.

Source: the ServiceStage API reference, chapter "Git Repository Access"; each host's page on OAuth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Contract:
    """What the documents say about one type."""

    authorization_path: str
    """Where its host asks for consent; empty where most editions of the manual have no OAuth."""
    git_credential: Literal["personal", "password"]
    """Which call links it without a browser."""


TYPES: Final = {
    "github": Contract("/login/oauth/authorize", "personal"),
    "gitlab": Contract("/oauth/authorize", "personal"),
    "gitee": Contract("/oauth/authorize", "personal"),
    "bitbucket": Contract("/site/oauth2/authorize", "password"),
    "devcloud": Contract("", "password"),
}
IN_BROWSER: Final = tuple(name for name, contract in TYPES.items() if contract.authorization_path)


def types_with(git_credential: str) -> set[str]:
    """Return the types that this call links without a browser."""
    return {name for name, contract in TYPES.items() if contract.git_credential == git_credential}
