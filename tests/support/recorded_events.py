"""The events of a link, which a test can wait for."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from oauth_helper.events import Event, Warned

Kind = TypeVar("Kind", bound=Event)


class RecordedEvents(list[Event]):
    """Record the events; call it with each."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.append(event)
        self._changed.set()

    async def until(self, kind: type[Kind], number: int = 1) -> Kind:
        """Wait for so many events of this kind; return the last of them."""
        async with asyncio.timeout(40):
            while len(found := self.of(kind)) < number:
                self._changed.clear()
                await self._changed.wait()
        return found[number - 1]

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self if isinstance(event, kind)]

    def warnings(self) -> str:
        return "\n".join(event.message for event in self if isinstance(event, Warned))
