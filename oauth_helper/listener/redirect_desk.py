"""The seam between the listener and the story it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from oauth_helper.authorization import RepoType
    from oauth_helper.events import Outcome, Stray, Way


class RedirectDesk(Protocol):
    """What the listener needs of the story it serves."""

    @property
    def authorization_url(self) -> str:
        """Where the user goes to consent. Bears the state."""

    @property
    def repo_type(self) -> RepoType:
        """The kind of Git host that is being linked."""

    @property
    def has_redirect(self) -> bool:
        """Whether a redirect is in hand."""

    def judge(self, text: str, way: Way) -> None:
        """Return if ``text``, which a user pasted, holds the redirect that is waited for, consent or denial.

        Raises:
            RedirectRejectedError: It does not. The wait goes on.
        """

    def judge_query(self, query: str, way: Way) -> None:
        """Judge a request to the redirect's path by its raw query, nothing searched for and nothing unwrapped.

        Raises:
            RedirectRejectedError: It is not the redirect that is waited for. The wait goes on.
        """

    def ignore(self, stray: Stray) -> None:
        """Count a request that got no further."""

    def visit(self) -> None:
        """Know that a browser that can reach us begins."""

    def warn_of_second_use(self, listener: str) -> None:
        """Have the user told that an address that is good once was used again, and of a new one."""

    async def outcome(self) -> Outcome:
        """Wait for the end of the story. May be awaited by many at once."""
