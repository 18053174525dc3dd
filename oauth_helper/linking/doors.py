"""The seams that the story needs of the doors; it knows none of them by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from oauth_helper import exchange
from oauth_helper.authorization import RepoType
from oauth_helper.desk import Desk
from oauth_helper.diagnosis import MOMENTS
from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import Event
from oauth_helper.pending import Pending, Target


class Service(exchange.Service, Protocol):
    """ServiceStage: the three calls of an exchange, and the one that begins it all."""

    @property
    def endpoint(self) -> str:
        """Where it is; with the project, what a link is kept apart by from those elsewhere."""

    @property
    def project_id(self) -> str:
        """Whose authorizations these are."""

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        """Ask where the user is to authorize; its state is good for one exchange."""


class Journal(exchange.Journal, Protocol):
    """The journal, which also knows what earlier runs have left."""

    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        """Return what an earlier run has left of a link to ``target``, if that is of this type."""


class Listening(Protocol):
    """The loopback listener; entering its context binds it."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def serve(self, desk: Desk) -> str:
        """Bring every redirect that comes to ``desk``; return the address to open, KEY included."""

    def start_over(self, onward: str | None) -> str:
        """Send whoever waits for the end to ``onward``, or to the page where that is None; return a fresh address."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What the story is handed."""

    listener: Listening
    prepare: Callable[[], Awaitable[None]]
    """Find out how a browser will be opened; an error says that none can be where one must."""
    open_browser: Callable[[str, Desk], Awaitable[None]]
    """Bring the listener's address before the user, tell how, and end when no more is to be done. It is stopped when
    the story ends; an error of it ends the wait."""
    prompt: Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]
    """Offer what is pasted into the terminal, while the context is open."""
    may_start_over: Callable[[OAuthHelperError], Awaitable[bool]]
    """Ask the user, who learns of the error by it, whether to begin again with a fresh state."""
    announced: Callable[[Desk], AbstractContextManager[object]]
    """Let other runs find this one, and know the redirect it waits for, while the context is open."""
    journal: Journal | None
    """Where a redirect is written down before it is exchanged; None: nowhere."""
    tell: Callable[[Event], None]
    pace: exchange.Pace = exchange.PACE
    kept_ready: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    """Have the exchange need no more than its one round trip when it comes, while the context is open."""
    advice_after: Sequence[float] = MOMENTS
    """Seconds of waiting, after which it is told what may keep the redirect from coming."""
