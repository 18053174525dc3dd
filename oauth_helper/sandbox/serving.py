"""A loopback port of the sandbox, and an application served on it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

LOOPBACK: Final = "127.0.0.1"

_SHUTDOWN_TIMEOUT: Final = 0.1
"""Seconds an answer under way is given; twice that with its cancellation, and four servers close in turn."""


def open_port() -> socket.socket:
    """Return a socket that listens on a free loopback port: its address is known before anything is served."""
    return socket.create_server((LOOPBACK, 0))


def address_of(port: socket.socket) -> str:
    """Return ``http://127.0.0.1:PORT``."""
    host, number = port.getsockname()
    return f"http://{host}:{number}"


@asynccontextmanager
async def serving(application: web.Application, port: socket.socket) -> AsyncIterator[None]:
    """Serve ``application`` on ``port`` within the context; afterwards the port is closed."""
    # No access log: the addresses bear codes and states.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        await web.SockSite(runner, port).start()
        yield
    finally:
        await runner.cleanup()
