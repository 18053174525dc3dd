"""How the story's end is told: once."""

from __future__ import annotations

from collections.abc import Callable

from oauth_helper.events import Event, Outcome


class Ending:
    """Tells how it ended: once, and before anything is closed."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._is_told = False

    def tell(self, outcome: Outcome) -> None:
        """Tell, unless it is told."""
        if not self._is_told:
            self._is_told = True
            self._tell(outcome)
