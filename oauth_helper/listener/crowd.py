"""How many connections may stand open: everybody on the machine can open some, and ours must always get one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from oauth_helper.listener import web

_MOST: Final = 256
"""Connections."""
_SHARE: Final = 4
"""The part of the files that this process may have open: more are those that are being closed, and what else we do."""
_AT_ONCE: Final = 16
"""Connections; what came before waits for all of them."""
_ROUNDS: Final = 8
"""How often so many are accepted until what came first was read: five turns of the loop, and some for who is slow."""


class Crowd:
    """The open connections, the one longest without a request first.

    Where there are too many, that one is closed: a browser opens another when it needs one. A connection whose
    request is being answered is never closed.
    """

    def __init__(self) -> None:
        self._most = min(_MOST, _open_files_limit() // _SHARE)
        self.at_once: int = max(1, min(_AT_ONCE, self._most // _ROUNDS))
        """How many to accept before anything else is done: so few that none is closed before it was read once."""
        self._idle: dict[web.RequestHandler, None] = {}
        self._busy: set[web.RequestHandler] = set()

    def enter(self, connection: web.RequestHandler) -> None:
        """Count a connection in."""
        self._idle[connection] = None
        if len(self._idle) + len(self._busy) > self._most:
            longest_idle = next(iter(self._idle))
            del self._idle[longest_idle]
            if longest_idle.transport:  # pragma: no branch - aiohttp takes it away as it closes one
                longest_idle.transport.abort()

    def leave(self, connection: web.RequestHandler) -> None:
        """Count a connection out."""
        self._idle.pop(connection, None)
        self._busy.discard(connection)

    @contextmanager
    def busy(self, connection: web.RequestHandler) -> Iterator[None]:
        """Know that a request of it is being answered."""
        self._idle.pop(connection, None)
        self._busy.add(connection)
        try:
            yield
        finally:
            # It may be closed meanwhile.
            if connection in self._busy:
                self._busy.remove(connection)
                self._idle[connection] = None


def _open_files_limit() -> int:
    """Return how many files, connections among them, this process may have open; macOS allows 256."""
    if sys.platform == "win32":  # pragma: no cover - Windows has no such limit
        return _SHARE * _MOST
    import resource  # noqa: PLC0415 - Windows has none

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _SHARE * _MOST if limit == resource.RLIM_INFINITY else limit
