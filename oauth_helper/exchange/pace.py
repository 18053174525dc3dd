"""When an exchange looks, and how long it waits for what. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from oauth_helper.pending import CONNECTING


@dataclass(frozen=True, slots=True)
class Pace:
    """How an exchange paces itself, in seconds."""

    total: float = 30.0
    """For everything, from the moment the redirect is in hand."""
    connecting: float = CONNECTING
    """For a connection to come about, at most: so late may a request leave."""
    answer: float = 11.0
    """For one answer, its connection included; more than that, so that it is known which of the two did not come."""
    look: float = 5.0
    """For the answer to one look."""
    looks: tuple[float, ...] = (1.0, 3.0, 7.0, 15.0)
    """When to look after a request came to nothing of which it is not known whether it is still being carried out. At
    the last of them it may be taken for lost."""
    first_pause: float = 0.5
    """Before a request of which nothing came is sent again; each further pause is twice as long."""
    longest_pause: float = 4.0
    """Between two such requests, and between looks after the last of ``looks``."""

    @property
    def settled_after(self) -> float:
        """When a request that was not answered may be taken for lost."""
        return self.looks[-1]

    def pauses(self) -> Iterator[float]:
        """Give the pauses before a request is sent again, without end."""
        return (min(self.first_pause * 2**number, self.longest_pause) for number in count())

    def moments(self, since: float, now: float) -> Iterator[float]:
        """Give the moments to look at, without end; for those that are past already, one look, now.

        Args:
            since: When the request had left for certain, by the clock of ``now``.
            now: The time.
        """
        due = [since + after for after in self.looks]
        ahead = [moment for moment in due if moment > now]
        if len(ahead) < len(due):
            yield now
        yield from ahead
        last = max(now, due[-1])
        yield from (last + self.longest_pause * number for number in count(1))


OVER: Final = frozenset({408, 425, 429, 500, 503})
"""HTTP statuses after which a request is not being carried out any more."""

PACE: Final = Pace()
"""The usual one."""
