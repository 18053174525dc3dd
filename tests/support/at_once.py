"""How many requests are under way at once: each is answered only once four are, or all that are left."""

import asyncio


class AtOnce:
    """Counts those that :meth:`meet`; ``expected`` will come in all."""

    def __init__(self, expected: int) -> None:
        self.most = 0
        self._expected = expected
        self._now = self._begun = 0
        self._is_draining = False
        self._changed = asyncio.Condition()

    async def meet(self) -> None:
        """Wait for others to be under way as well."""
        async with self._changed:
            self._now += 1
            self._begun += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._now >= 4 or self._begun >= self._expected or self._is_draining)
            self._is_draining = self._now > 1
            self._now -= 1
            self._changed.notify_all()
