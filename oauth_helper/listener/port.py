"""The listening socket."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from oauth_helper.browser_choice import BLOCKED_PORTS
from oauth_helper.errors import MachineError, PortTakenError, UsageError, cannot_listen
from oauth_helper.phrase import phrase

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

HOST: Final = "127.0.0.1"
_QUEUE: Final = 1024
"""Connections that wait to be accepted."""


def listen(port: int | None) -> socket.socket:
    """Return a socket that listens on 127.0.0.1, on any free port if ``port`` is None, and shares it with nobody.

    A free port is never one that browsers block.

    RFC 8252 appendix B: neither SO_REUSEADDR nor SO_REUSEPORT while it listens; on Windows, where another program
    could take even a port in use, SO_EXCLUSIVEADDRUSE. On Linux SO_REUSEADDR is on until ``listen`` has returned:
    there it never shares a port someone listens on, and without it a ``--port`` could not be had again for the
    minute in which the last run's closed connections are remembered (RFC 9293 section 3.6.1, TIME-WAIT).

    Raises:
        UsageError: Browsers block the port.
        PortTakenError: Another program has the port, or the system keeps it for itself.
        MachineError: Nothing can listen on 127.0.0.1 at all.
    """
    if port in BLOCKED_PORTS:
        raise UsageError(phrase("Browsers block port {port}; use another one, such as {other}", port=port, other=8765))
    try:
        with ExitStack() as blocked:
            while (sock := _listening(port or 0)).getsockname()[1] in BLOCKED_PORTS and not port:
                blocked.enter_context(sock)  # kept until another one is found
            return sock
    except OSError as error:
        raise _no_port(port, error) from error


def _listening(port: int) -> socket.socket:
    with ExitStack() as undo:
        sock = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        if sys.platform == "win32":  # pragma: no cover - Windows alone knows this option
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        forget_closed_connections(sock, True)
        sock.bind((HOST, port))
        sock.listen()
        forget_closed_connections(sock, False)
        sock.setblocking(False)
        undo.pop_all()
        return sock


def hold_ipv6(port: int) -> socket.socket | None:
    """Keep ``[::1]:port`` from other programs, without listening there; None where it cannot be had.

    A user who writes ``localhost`` for 127.0.0.1 would bring the redirect to whoever listens there: browsers try it
    first.
    """
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        sock.bind(("::1", port))
    except OSError:
        sock.close()
        return None
    return sock


def forget_closed_connections(sock: socket.socket | TransportSocket, forget: bool) -> None:
    """Let the port be had again at once, or not, although connections to it were closed just now."""
    if sys.platform == "linux":  # pragma: no branch - elsewhere it would share the port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, forget)


def _no_port(port: int | None, error: OSError) -> MachineError:
    if error.errno == errno.EADDRINUSE and port:
        return PortTakenError(
            phrase("Port {port} on {host} is taken: another program listens there", port=port, host=HOST)
        )
    if error.errno == errno.EACCES and port:
        return PortTakenError(
            phrase(
                "Port {port} on {host} is reserved: the system does not let this user listen there",
                port=port,
                host=HOST,
            ),
            hint=phrase("Leave out --port to take any free port, or name another one above 1023."),
        )
    return cannot_listen(error)


def lengthen_queue(sock: socket.socket) -> None:
    """Let more connections wait for us to accept them than asyncio accepts at once.

    Where the queue is full, Linux lets a browser try again only a second later.
    """
    sock.listen(_QUEUE)
