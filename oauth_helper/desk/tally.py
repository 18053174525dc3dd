"""What is ignored, counted by its reason and told: at first one by one, then now and then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from oauth_helper.events import Event, Ignored

_TOLD_AT_ONCE: Final = 10
"""Of each reason. Who floods us shall not flood the terminal, nor a script that reads slowly."""
_PAUSE: Final = 1.0
"""Seconds between two tellings of more."""


class Tally:
    """Counts what is ignored, and tells of it."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._counts: Counter[str] = Counter()
        self._untold: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reason: str) -> None:
        """Count one more."""
        self._counts[reason] += 1
        if self._counts[reason] <= _TOLD_AT_ONCE:
            self._tell(Ignored(reason, self._counts[reason]))
            return
        self._untold[reason] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self.tell_rest)

    def tell_rest(self) -> None:
        """Tell now what was counted since."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        untold, self._untold = self._untold, {}
        for reason in untold:
            self._tell(Ignored(reason, self._counts[reason]))
