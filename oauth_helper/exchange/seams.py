"""What an exchange needs of the doors; it knows none of them by name."""

from __future__ import annotations

from typing import Protocol

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.pending import Pending
from oauth_helper.secret import Secret


class Lists(Protocol):
    """The one call of ServiceStage that a look needs."""

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        """Return all authorizations of the project; without ``retry``, send one request only."""


class Service(Lists, Protocol):
    """The three calls of ServiceStage that an exchange needs."""

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        """Have ServiceStage turn code and state into an authorization of that name."""

    async def delete_authorization(self, name: str) -> None:
        """Delete the one of that name."""


class Journal(Protocol):
    """Where a pending exchange is written down; MachineError says that it cannot be."""

    def write(self, pending: Pending) -> None:
        """Write it down; it is on the disk when this returns."""

    def remove(self, pending: Pending) -> None:
        """Forget it: its outcome is known."""
