"""A loopback port of the sandbox, and an application served on it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from oauth_helper.browser_choice import BLOCKED_PORTS
from oauth_helper.errors import PortTakenError, cannot_listen
from oauth_helper.phrase import phrase

LOOPBACK: Final = "127.0.0.1"

_SHUTDOWN_TIMEOUT: Final = 0.1
"""Seconds an answer under way is given; twice that with its cancellation, and four servers close in turn."""


def open_port(number: int | None = None) -> socket.socket:
    """Return a socket that listens on that loopback port, or on a free one.

    Raises:
        PortTakenError: Port ``number`` is not available.
        MachineError: Nothing can listen on 127.0.0.1 at all.
    """
    try:
        with ExitStack() as blocked:
            while (sock := socket.create_server((LOOPBACK, number or 0))).getsockname()[
                1
            ] in BLOCKED_PORTS and not number:
                blocked.enter_context(sock)  # kept until another one is found
            return sock
    except OSError as error:
        if number is None or error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EPERM}:
            raise cannot_listen(error) from None
        raise PortTakenError(
            phrase(
                "Port {port} on {host} cannot be had ({why})", port=number, host=LOOPBACK, why=os.strerror(error.errno)
            ),
            hint=phrase("Name another one, or leave out --console-port to take any."),
        ) from None


def address_of(port: socket.socket) -> str:
    """Return ``http://127.0.0.1:PORT``."""
    host, number = port.getsockname()
    return f"http://{host}:{number}"


class Door:
    """The port of an application that is served: open, or shut for a while."""

    def __init__(self, runner: web.AppRunner, port: socket.socket) -> None:
        self._runner = runner
        self._port = port
        self._site = web.SockSite(runner, port)
        self._reopening: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def open(self) -> None:
        """Listen on the port."""
        await self._site.start()

    async def shut(self, seconds: float, *, staying: object = None) -> None:
        """Refuse connections for so many seconds, and close those that are open, ``staying`` apart.

        A door that is shut already opens when it would have.
        """
        if self._reopening is None or self._reopening.done():
            address = self._port.getsockname()
            await self._site.stop()
            self._port = _keep_without_listening(address)
            self._site = web.SockSite(self._runner, self._port)
            self._reopening = asyncio.create_task(self._reopen(seconds))
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection is not staying:
                connection.force_close()

    async def close(self) -> None:
        """Close the port and all connections."""
        self._closing.set()
        try:
            if self._reopening is not None:
                await self._reopening
        finally:
            await self._runner.cleanup()
            self._port.close()

    async def _reopen(self, seconds: float) -> None:
        # Not cancelled at the end: that would leave a site behind whose start was under way.
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            await self.open()


def _keep_without_listening(address: tuple[str, int]) -> socket.socket:
    """Return a socket bound to ``address``: nobody else gets the port, and whoever connects is refused."""
    port = socket.socket()
    # As socket.create_server does; elsewhere the option would let others share the port.
    if os.name == "posix":  # pragma: no branch - on Windows it is not
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(address)
    return port


@asynccontextmanager
async def serving(application: web.Application, port: socket.socket) -> AsyncIterator[Door]:
    """Serve ``application`` on ``port`` within the context; afterwards the port is closed.

    What handles a request is cancelled when its client leaves.
    """
    # No access log: the addresses bear codes and states.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT, handler_cancellation=True)
    await runner.setup()
    door = Door(runner, port)
    try:
        await door.open()
        yield door
    finally:
        await door.close()
