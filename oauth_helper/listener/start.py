"""The addresses of ``/start``: each with a KEY of its own, and each may be held until it is known where it leads."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from oauth_helper.listener.gate import Path
from oauth_helper.secret import Secret

_KEY_BYTES: Final = 32


class Start:
    """One address at which a browser begins.

    While it is held, who opens it waits: a window of ours is being made ready, and the request cannot be taken back
    if that fails. :meth:`lead` lets who waits, and who comes later, go on.
    """

    def __init__(self, origin: str, *, held: bool) -> None:
        self.key = Secret(secrets.token_urlsafe(_KEY_BYTES))
        """KEY."""
        self.address = f"{origin}{Path.START}?k={self.key.reveal()}"
        self.was_asked = False
        """Whether a browser has asked here before."""
        self._onward: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        if not held:
            self.lead(None)

    def lead(self, onward: str | None) -> None:
        """Send whoever asks to ``onward``; to the page, where that is None."""
        if self._onward.done():
            self._onward = asyncio.get_running_loop().create_future()
        self._onward.set_result(onward)

    def lead_again(self, onward: str | None) -> None:
        """Where this led to the Git host, lead to ``onward`` instead; the page stays the page."""
        if self._onward.done() and self._onward.result() is not None:
            self.lead(onward)

    async def onward(self) -> str | None:
        """Wait until it is known where this address leads."""
        return await asyncio.shield(self._onward)

    def let_go(self) -> None:
        """Show the page to whoever still waits."""
        if not self._onward.done():
            self._onward.set_result(None)


def issue_done_key() -> Secret:
    """Return a KEY that opens the final page and nothing else."""
    return Secret(secrets.token_urlsafe(_KEY_BYTES))
