"""What an exchange needs of the doors; it knows none of them by name."""

from __future__ import annotations

from typing import Protocol

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.pending import Pending
from oauth_helper.secret import Secret


class Lists(Protocol):
    """The one call of ServiceStage that a look needs."""

    async def list_authorizations(self) -> list[Authorization]: ...  # noqa: D102


class Service(Lists, Protocol):
    """The three calls of ServiceStage that an exchange needs."""

    async def create_oauth(  # noqa: D102
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization: ...

    async def delete_authorization(self, name: str) -> None: ...  # noqa: D102


class Journal(Protocol):
    """Where a pending exchange is written down; MachineError says that it cannot be."""

    def write(self, pending: Pending) -> None: ...  # noqa: D102

    def remove(self, pending: Pending) -> None: ...  # noqa: D102
