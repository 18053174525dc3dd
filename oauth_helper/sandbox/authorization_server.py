"""What the sandbox's ServiceStage needs of whoever asks users for their consent (RFC 6749 section 1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from oauth_helper.authorization import RepoType
from oauth_helper.secret import Secret


@dataclass(frozen=True, slots=True)
class OAuthApplication:
    """An application registered with a Git host (RFC 6749 section 2)."""

    repo_type: RepoType
    client_id: str
    redirect_uri: str
    scope: str
    response_type: str | None = "code"
    """What its authorization requests say that they want (section 3.1.1); None where they leave it out."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a Git host tells about its user."""

    host: str
    login: str
    home: str
    avatar: str


class AuthorizationServer(Protocol):
    """Asks for consent, hands out codes, and takes them back in exchange."""

    def register(self, repo_type: RepoType, *, redirect_uri: str) -> OAuthApplication:
        """Return ServiceStage's application for a type, whose answers go to ``redirect_uri`` and nowhere else."""

    def authorization_endpoint(self, application: OAuthApplication, /) -> str:
        """Return the address where it asks for consent (RFC 6749 section 3.1), perhaps with a query of its own."""

    async def exchange(self, application: OAuthApplication, code: Secret) -> Account | None:
        """Return whose consent ``code`` stands for; None where it refuses.

        Raises:
            InternalError: It gave no usable answer.
        """
