"""A browser that takes commands and tells what happens: the part that the DevTools protocol and BiDi share."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from oauth_helper.browsers.trouble import BrowserTroubleError, CommandRefusedError, ConnectionLostError, reading
from oauth_helper.browsers.wire import Wire
from oauth_helper.phrase import phrase

JsonObject = dict[str, Any]

_LOST: Final = phrase("closed the connection over which it is driven")


class Remote:
    """The far end of a wire. What it answers and tells may bear the code, so nothing of it is quoted anywhere."""

    def __init__(self, wire: Wire, *, patience: float) -> None:
        self._wire = wire
        self._patience = patience
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[JsonObject]] = {}
        self._events: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._lost = False

    @classmethod
    @asynccontextmanager
    async def over(cls, wire: Wire, *, patience: float) -> AsyncIterator[Remote]:
        """Listen while the context is open. ``patience`` is how many seconds a command may take."""
        remote = cls(wire, patience=patience)
        listening = asyncio.create_task(remote._listen())
        try:
            yield remote
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def call(self, method: str, *, patience: float | None = None, **parameters: object) -> JsonObject:
        """Send a command and return its result.

        Raises:
            ConnectionLostError: The browser does not listen any more.
            BrowserTroubleError: It refuses the command, or does not answer in time.
        """
        if self._lost:
            raise ConnectionLostError(_LOST)
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        seconds = patience or self._patience
        try:
            async with asyncio.timeout(seconds):
                await self._send({"id": number, "method": method, "params": parameters})
                reply = await answer
        except TimeoutError:
            raise BrowserTroubleError(
                phrase("did not answer {method} within {seconds:g} seconds", method=method, seconds=seconds)
            ) from None
        finally:
            del self._answers[number]
        if "result" not in reply:
            raise CommandRefusedError(
                phrase("does not do {method} as it is asked to here; it may be too old", method=method)
            )
        result: JsonObject = reply["result"]
        return result

    async def tell(self, method: str, **parameters: object) -> None:
        """Send a command that may be answered too late to be waited for.

        Raises:
            ConnectionLostError: The browser does not listen any more.
        """
        await self._send({"id": next(self._numbers), "method": method, "params": parameters})

    async def _send(self, command: JsonObject) -> None:
        try:
            await self._wire.send(json.dumps(command))
        except OSError:
            raise ConnectionLostError(_LOST) from None

    async def events(self) -> AsyncIterator[JsonObject]:
        """Give what the browser tells, from the beginning, until it does not listen any more."""
        while (event := await self._events.get()) is not None:
            yield event

    async def _listen(self) -> None:
        try:
            async for message in self._wire.messages():
                with suppress(BrowserTroubleError):  # the rest can be read, or the command is not answered in time
                    self._take(message)
        finally:
            self._lost = True
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionLostError(_LOST))
            self._events.put_nowait(None)

    def _take(self, text: str) -> None:
        with reading():
            message = json.loads(text)
            answer = self._answers.get(message["id"]) if "id" in message else None
        if "id" not in message:
            self._events.put_nowait(message)
        elif answer and not answer.done():
            answer.set_result(message)
