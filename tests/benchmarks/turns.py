"""How often and in which order: each pair in turn, so that what else the machine does falls on all alike."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Took = TypeVar("Took")


@dataclass(frozen=True)
class Plan:
    """What the command line asks for."""

    runs: int
    is_quick: bool = False
    """Whether each is to be run once only, to see that it runs: its figures say little."""

    def rounds(self, things: Sequence[Key]) -> Iterator[Sequence[Key]]:
        """Every round; each second one is the other way round."""
        for number in range(1 if self.is_quick else self.runs):
            yield things[:: -1 if number % 2 else 1]


async def in_turn(
    plan: Plan, measures: Mapping[Key, Callable[[], Awaitable[Took]]], *, warm: bool = False
) -> dict[Key, list[Took]]:
    """Measure each as often as planned; where they are to be warm, one run before is not counted."""
    took: defaultdict[Key, list[Took]] = defaultdict(list)
    if warm and not plan.is_quick:
        for measure in measures.values():
            await measure()
    for keys in plan.rounds(tuple(measures)):
        for key in keys:
            took[key].append(await measures[key]())
    return took


def progress(text: str) -> None:
    """Tell who waits for the table how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
