"""One listener and one browser window for several links, which are made one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from oauth_helper.desk import Desk
from oauth_helper.events import Event
from oauth_helper.listener import Listener
from oauth_helper.wiring.opening import Opening
from oauth_helper.wiring.ways import Ways


class Sitting:
    """Keeps both open while its context is.

    Raises:
        PortTakenError: On entering, the port cannot be had.
        MachineError: On entering, there is no listening on 127.0.0.1 at all.
    """

    def __init__(self, ways: Ways, tell: Callable[[Event], None]) -> None:
        self.listener: Listener = Listener(ways.port, preference=ways.preference)
        self.opening: Opening = Opening(ways, self.listener, tell, keeps_window=True)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.opening)
            await stack.enter_async_context(self.listener)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)


class ListenerForOne:
    """The listener of a sitting, as one story of it knows it: to leave it closes nothing."""

    def __init__(self, listener: Listener, *, more_to_come: bool) -> None:
        self._listener = listener
        self._more_to_come = more_to_come

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def serve(self, desk: Desk) -> str:
        """Serve ``desk`` from now on; return the address to open, KEY included."""
        return await self._listener.serve(desk, more_to_come=self._more_to_come)

    def start_over(self, onward: str | None) -> str:
        """See :meth:`Listener.start_over`."""
        return self._listener.start_over(onward)
