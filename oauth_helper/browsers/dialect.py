"""What the two families of browsers have in common, seen from a window: the seam between window and family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from yarl import URL

from oauth_helper.browsers.answers import Answer
from oauth_helper.browsers.remote import JsonObject, Remote
from oauth_helper.secret import Secret

FIRST_PAGE: Final = "start.html"
"""The file that a browser is started on."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds each step may take. Where all is well it takes a fifth of that, or less."""

    endpoint: float = 15
    """Until the browser says where it takes connections."""
    command: float = 8
    session: float = 30
    """Firefox answers the first command when its first window is up."""
    self_test: float = 15
    farewell: float = 1
    """Until a browser that was asked to end is asked less politely. Most take 0.1 to 0.5, Firefox sometimes 5: a
    profile that is thrown away is no reason to wait for that."""


@dataclass(frozen=True, slots=True)
class Held:
    """A request that does not leave the browser before it is answered or refused."""

    request: str
    """The browser's name for it."""
    address: Secret


@dataclass(frozen=True, slots=True)
class AllClosed:
    """The user has closed the last page."""


class Dialect(Protocol):
    """How a family is started, told to hold requests, and answered."""

    speaks_over_pipe: bool
    endpoint_path: str
    """What is missing from the address that the browser prints."""

    undriven_for: float
    """Seconds after which the first page goes on by itself. Where all is well its tab is driven sooner, and then waits
    for the Git host as long as that takes (tried)."""

    def furnish(self, profile: Path) -> None:
        """Write the preferences into a fresh profile."""

    def switches(self, profile: Path) -> Iterable[str]:
        """Return the command line between program and address."""

    async def arm(self, remote: Remote, origin: URL) -> None:
        """Have every request to ``origin`` held from now on, in all pages and popups there are or will be."""

    async def go(self, remote: Remote, address: Secret) -> None:
        """Open ``address`` in the place of the first page, where that is there by now; :meth:`arm` comes before."""

    def understand(self, event: JsonObject) -> Held | AllClosed | None:
        """Return what an event means, if anything."""

    async def answer(self, remote: Remote, held: Held, answer: Answer) -> None:
        """Have the page shown as if it came from the real host."""

    async def refuse(self, remote: Remote, held: Held) -> None:
        """Let the request fail."""

    async def close(self, remote: Remote) -> None:
        """Ask the browser to end."""


class Pages:
    """The pages that are open."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def opened(self, page: str) -> None:
        """Count it in."""
        self._open.add(page)

    def closed(self, page: str) -> AllClosed | None:
        """Count it out; say if it was the last one."""
        if page not in self._open:
            return None
        self._open.remove(page)
        return None if self._open else AllClosed()
