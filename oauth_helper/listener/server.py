"""The listener's life: it opens, serves one story after the other, and closes within about a second."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, Self

from oauth_helper.language import Language, Preference
from oauth_helper.listener import port
from oauth_helper.listener.gate import authority
from oauth_helper.listener.redirect_desk import RedirectDesk
from oauth_helper.listener.start import Lasting, Start

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from oauth_helper.events import Stray
    from oauth_helper.listener import web, wire
    from oauth_helper.listener.reception import Reception

__all__ = ["Listener", "RedirectDesk", "Start"]

_ENGLISH: Final = Preference(Language.ENGLISH)
_PATIENCE: Final = 20.0
_FAREWELL: Final = 1.2
"""Seconds at the end for a browser to fetch the final page it was promised: a little more than the one second
after which a waiting page asks again."""
_FLUSHING: Final = 0.2
"""Seconds after that for answers half written."""


class Listener:
    """The loopback listener, open while its context is entered.

    Entering binds 127.0.0.1 and listens; who connects from then on is answered as soon as :meth:`serve` says for
    whom. Leaving lets answers on their way be read and promised pages be fetched, waits for nobody else, and gives
    the port back. ``port`` None takes any free one; ``patience`` is how many seconds a browser is kept waiting for
    the outcome (or we for the rest of its form) before it is given a page that waits instead. Pages are in the language
    of ``preference``, or, where the user has named none, in the one that the browser asks for.

    Raises:
        PortTakenError: On entering, the port cannot be had.
        MachineError: On entering, there is no listening on 127.0.0.1 at all.
    """

    def __init__(
        self, port: int | None = None, *, patience: float = _PATIENCE, preference: Preference = _ENGLISH
    ) -> None:
        self._port = port
        self._preference = preference
        self._patience = patience
        self._socket: socket.socket
        self._held: socket.socket | None
        self._lasting: Lasting
        self._loading: asyncio.Task[None]
        self._reception: Reception | None = None
        self._server: wire.Server | None = None

    async def __aenter__(self) -> Self:
        self._socket = port.listen(self._port)
        self._port = self._socket.getsockname()[1]
        self._held = port.hold_ipv6(self._port)
        self._lasting = Lasting(self._port)
        self._loading = asyncio.create_task(_load())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._loading
            if self._reception:
                await self._say_farewell(self._reception)
        finally:
            if self._server:
                await self._server.close(_FLUSHING)
            self._socket.close()
            if self._held:
                self._held.close()

    @property
    def address(self) -> str:
        """The listener's origin, ``http://127.0.0.1:PORT``; never ``localhost`` (RFC 8252 section 8.3)."""
        return f"http://{port.HOST}:{self._port}"

    async def serve(self, desk: RedirectDesk, *, more_to_come: bool = False) -> str:
        """Answer on behalf of ``desk`` from now on; return the address of the page, KEY included.

        May be called again, when the story before has ended. A tab that has seen that end, and was told that there is
        ``more_to_come``, goes on to :attr:`handed_on`.
        """
        await self._loading
        from oauth_helper.listener.reception import Reception  # noqa: PLC0415 - aiohttp's server costs 0.05 s

        origin, reception = authority(self._socket.getsockname()[1]), self._reception
        self._reception = Reception(
            desk,
            origin,
            self._lasting,
            patience=self._patience,
            preference=self._preference,
            more_to_come=more_to_come,
            is_next=reception is not None,
        )
        if reception is None:
            await self._open_doors()
        return self.start().address

    async def _open_doors(self) -> None:
        from oauth_helper.listener import wire  # noqa: PLC0415 - as above

        server = wire.Server(self._answer, on_stray=self._ignore)
        await server.accept(self._socket)
        self._server = server

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._serving.answer(request)

    def _ignore(self, stray: Stray) -> None:
        self._serving.ignore(stray)

    @property
    def handed_on(self) -> Start | None:
        """Where a tab goes on that has seen the end of the story before: held, until it is led somewhere."""
        return self._serving.again

    def start(self, *, held: bool = False, good_once: bool = True) -> Start:
        """Return a new address to begin at, with a KEY of its own; while held, who opens it waits.

        Its first use is exchanged for a cookie, unless it is not ``good_once``: that is for who can keep it from
        other users of the machine.
        """
        return self._serving.starts.add(held=held, good_once=good_once)

    def revoke(self, start: Start) -> None:
        """Let nobody begin there any more: a window was to, and somebody else may know its KEY."""
        self._serving.starts.revoke(start)

    def start_over(self, onward: str | None) -> str:
        """Send whoever waits for the end to ``onward``, or to the page where that is None; return a fresh address."""
        return self._serving.start_over(onward).address

    @property
    def done_address(self) -> str:
        """The final page's address; it opens this page alone."""
        return self._serving.done_address

    @property
    def _serving(self) -> Reception:
        if self._reception is None:
            raise RuntimeError("the listener does not serve yet")
        return self._reception

    async def _say_farewell(self, reception: Reception) -> None:
        reception.starts.let_go()
        await reception.stop()
        with suppress(TimeoutError):  # Leaving without the promised page fetched is the browser's choice.
            async with asyncio.timeout(_FAREWELL):
                await reception.settled()


async def _load() -> None:
    """Import aiohttp's server and what needs it: in a thread, so that what else is under way goes on meanwhile."""
    await asyncio.to_thread(import_module, "oauth_helper.listener.wire")
    await asyncio.to_thread(import_module, "oauth_helper.listener.reception")
