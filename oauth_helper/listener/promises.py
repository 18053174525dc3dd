"""Who is still owed something when the story ends: the answer to a request, a final page, the end as a document."""

from __future__ import annotations

import asyncio


class Promises:
    """Counts what is owed. Who was told to come back is owed what it comes back for."""

    def __init__(self) -> None:
        self._answers = 0
        self._pages = 0
        self._documents = 0
        self._kept = asyncio.Event()
        self._kept.set()

    def owe(self, *, answers: int = 0, pages: int = 0, documents: int = 0) -> None:
        """Owe so many more, or fewer. A page or document that was never promised may be fetched all the same."""
        self._answers += answers
        self._pages = max(0, self._pages + pages)
        self._documents = max(0, self._documents + documents)
        if self._answers or self._pages or self._documents:
            self._kept.clear()
        else:
            self._kept.set()

    async def kept(self) -> None:
        """Wait until nothing is owed any more."""
        await self._kept.wait()
