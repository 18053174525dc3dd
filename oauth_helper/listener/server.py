"""The loopback HTTP server: socket, connection limit, peer check."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from asyncio.trsock import TransportSocket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from aiohttp.http import HttpProcessingError

# `aiohttp.web` also imports the router and the runner, which are not needed here and take 9 ms.
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server as LowLevelServer

from oauth_helper.errors import MachineError, PortTakenError, UsageError, safe_traceback
from oauth_helper.events import RejectedRequest
from oauth_helper.i18n import _
from oauth_helper.values import BLOCKED_PORTS

if sys.platform != "win32":  # pragma: no branch - Windows has no such module
    import resource

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 1024
"""Connections that wait to be accepted. If the queue is full, Linux lets a browser retry only after a second."""


def listen(port: int | None, *, option: str = "--port") -> socket.socket:
    """Return a socket that listens on 127.0.0.1 and shares its port with no other program.

    ``port`` None means any free port that browsers do not block; ``option`` set it otherwise.

    While it listens, neither SO_REUSEADDR nor SO_REUSEPORT is set (RFC 8252 appendix B); on Windows,
    SO_EXCLUSIVEADDRUSE keeps others from a port in use. On Linux, SO_REUSEADDR is set before: there it never shares a
    port, and lets ``--port`` be used again while closed connections are remembered (RFC 9293 section 3.6.1).

    Raises:
        UsageError: Browsers block the port.
        PortTakenError: Another program uses the port, or the system reserves it.
        MachineError: Nothing can listen on 127.0.0.1.
    """
    if port in BLOCKED_PORTS:
        raise UsageError(_("Browsers block port {port}; use another one, such as {other}", port=port, other=8765))
    try:
        with ExitStack() as blocked:
            while (sock := _listen(port or 0)).getsockname()[1] in BLOCKED_PORTS:
                blocked.enter_context(sock)  # Kept open until another port is found.
            return sock
    except OSError as error:
        why = os.strerror(error.errno or 0)  # socket extends ``error.strerror``
        if not port or error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            hint = _(
                "If a limit is reached, close other programs or raise it (`ulimit -n 1024`, `ulimit -v unlimited`). If "
                "the loopback interface is down, bring it up: `ip link set lo up`."
            )
            raise MachineError(_("Cannot listen on 127.0.0.1: {why}", why=why), hint=hint) from error
        message = _("Port {port} on {host} is not available ({why})", port=port, host=HOST, why=why)
        hint = _("Leave out {option} to take any free port, or name another one above 1023.", option=option)
        raise PortTakenError(message, hint=hint) from error


def _listen(port: int) -> socket.socket:
    with ExitStack() as on_error:
        sock = on_error.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        if sys.platform == "win32":  # pragma: no cover - Windows alone knows this option
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        _set_reuse_address(sock, True)
        sock.bind((HOST, port))
        sock.listen()
        _set_reuse_address(sock, False)
        sock.setblocking(False)
        on_error.pop_all()
        return sock


def _set_reuse_address(sock: socket.socket | TransportSocket, reuse: bool) -> None:
    if sys.platform == "linux":  # pragma: no branch - elsewhere the port would be shared
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)


def hold_ipv6(port: int) -> socket.socket | None:
    """Bind ``[::1]:port`` without listening, so that no other program can; None if that is not possible.

    Browsers try ``[::1]`` first for ``localhost``, so a user who writes that name instead of 127.0.0.1 would send the
    redirect to whichever program listens there.
    """
    with ExitStack() as on_error, suppress(OSError):
        sock = on_error.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        sock.bind(("::1", port))
        on_error.pop_all()
        return sock
    return None


_MAX_CONNECTIONS: Final = 256


def _connection_limit() -> int:
    """Return a quarter of the files that this process may open, or less. macOS allows only 256."""
    if sys.platform == "win32":  # pragma: no cover - Windows has no such limit
        return _MAX_CONNECTIONS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MAX_CONNECTIONS if limit == resource.RLIM_INFINITY else min(limit // 4, _MAX_CONNECTIONS)


Address = tuple[str, int]

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""proc(5). Addresses are 32-bit words in hexadecimal, each in the byte order of the machine."""
_IPV4_MAPPED: Final = "0000000000000000FFFF0000" if sys.byteorder == "little" else "00000000000000000000FFFF"
"""How an IPv6 address begins that contains an IPv4 address (RFC 4291 section 2.5.5.2): IPv6 sockets have IPv4 peers."""
_ROOT: Final = 0


async def is_peer_other_user(transport: asyncio.Transport | None) -> bool:
    """Whether another user of this machine is connected. A client that has left counts as another user."""
    if transport is None:
        return True
    if sys.platform != "linux" or os.geteuid() == _ROOT:
        return False
    # With thousands of connections, reading the tables takes milliseconds.
    addresses = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return await asyncio.to_thread(is_other_user, *addresses)


def is_other_user(peer: Address, ours: Address) -> bool:
    """Whether the end ``peer`` of a connection within this machine belongs to a user other than us and root.

    The answer is False if the system's tables do not even show our own end. An end that its program has closed counts
    as another user.
    """
    tables = b""
    for path in _TABLES:
        with suppress(OSError):
            tables += path.read_bytes()
    if not _find_socket(tables, ours, peer):
        return False
    owner = _find_socket(tables, peer, ours)
    return owner is None or owner[0] not in {_ROOT, os.geteuid()} or not owner[1]


def _find_socket(tables: bytes, *ends: Address) -> tuple[int, int] | None:
    """Return user and inode of the socket with these addresses; the inode is 0 if no program holds the socket."""
    words = [f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}" for host, port in ends]
    for prefix in ("", _IPV4_MAPPED):
        _, found, rest = tables.partition(f" {prefix}{words[0]} {prefix}{words[1]} ".encode())
        if found:
            _state, _queues, _timer, _retransmits, user, _timeout, inode, *_ = rest.split(b"\n", 1)[0].split()
            return int(user), int(inode)
    return None


_log = logging.getLogger(__name__)

FORM_LIMIT: Final = 64 * 1024
"""Bytes of a form. It contains an address, and browsers keep addresses of at most about this length."""
_LINE_LIMIT: Final = 64 * 1024
"""Bytes of a request line or header. Some codes are kilobytes long, and a browser sends the cookies of all programs on
127.0.0.1 (RFC 6265 section 8.5)."""
_TLS_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS connection (RFC 8446 section 5.1)."""
_CONNECTION_OPTIONS: Final[Mapping[str, Any]] = {
    "access_log": None,  # It would contain codes.
    "auto_decompress": False,  # So FORM_LIMIT limits the memory that is used.
    "lingering_time": 2.0,  # Seconds to read on after an answer, so that a client that still sends gets the answer.
    "max_field_size": _LINE_LIMIT,
    "max_line_size": _LINE_LIMIT,
}
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""RFC 9700 sections 4.2.4, 4.3 and 4.16: no address is kept, passed on or framed."""


class Server(LowLevelServer):
    """aiohttp's low-level server with our headers on every answer.

    It limits the open connections: it closes the one that is idle for the longest time.
    """

    def __init__(
        self,
        handler: Callable[[BaseRequest], Awaitable[StreamResponse]],
        *,
        on_rejected: Callable[[RejectedRequest], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            self._handle,
            request_factory=lambda message, payload, protocol, writer, task: _Request(
                message, payload, protocol, writer, task, loop, client_max_size=FORM_LIMIT
            ),
        )
        self._accepting: asyncio.Server
        self._handler = handler
        self.on_rejected = on_rejected
        self._limit = _connection_limit()
        # aiohttp's own list keeps lost connections for some turns of the event loop, or until their answers are made.
        self._idle: dict[RequestHandler, None] = {}
        self._busy: set[RequestHandler] = set()

    def __call__(self) -> _Connection:
        """Return the protocol of a new connection."""
        return _Connection(self)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count a new connection; close another one if there are too many."""
        # Lets the port be used again as soon as this connection is closed (see `listen`).
        _set_reuse_address(transport.get_extra_info("socket"), True)
        super().connection_made(handler, transport)
        self._idle[handler] = None
        if len(self._idle) + len(self._busy) > self._limit:
            longest_idle = next(iter(self._idle))
            del self._idle[longest_idle]
            if longest_idle.transport:  # pragma: no branch - aiohttp removes it while it closes a connection
                longest_idle.transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Count a connection no longer."""
        self._idle.pop(handler, None)
        self._busy.discard(handler)
        super().connection_lost(handler, exc)

    async def accept(self, sock: socket.socket) -> None:
        """Accept connections from now on; ``sock`` already listens."""
        loop = asyncio.get_running_loop()
        # asyncio uses the backlog also as the number of connections that it accepts at once. A new connection is read
        # within eight turns of the event loop; none should be closed before.
        self._accepting = await loop.create_server(self, sock=sock, backlog=max(1, min(16, self._limit // 8)))
        sock.listen(_BACKLOG)

    async def close(self, seconds: float) -> None:
        """Close all connections; clients have so many ``seconds`` to read answers that are being sent."""
        self._accepting.close()
        await asyncio.sleep(0)  # First answer a request that was just read.
        self.pre_shutdown()
        await self.shutdown(seconds)

    async def _handle(self, request: BaseRequest) -> StreamResponse:
        connection = request.protocol
        self._idle.pop(connection, None)
        self._busy.add(connection)
        try:
            return await self._handler(request)
        finally:
            if connection in self._busy:  # The client may have closed it.
                self._busy.remove(connection)
                self._idle[connection] = None


class _Connection(RequestHandler):
    """A connection from a browser or another client."""

    __slots__ = ("_first_byte", "_server")

    def __init__(self, server: Server) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_CONNECTION_OPTIONS)
        self._server = server
        self._first_byte = b""

    def data_received(self, data: bytes) -> None:
        self._first_byte = self._first_byte or data[:1]
        super().data_received(data)

    def handle_error(
        self,
        request: BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """Answer without a body. Log nothing of a malformed request: it may be half of a redirect."""
        if isinstance(exc, HttpProcessingError):
            is_tls = self._first_byte == _TLS_HANDSHAKE
            self._server.on_rejected(RejectedRequest.HTTPS if is_tls else RejectedRequest.NOT_HTTP)
            status = HTTPStatus.BAD_REQUEST
        else:
            # aiohttp would log the messages of libraries, which may quote their arguments.
            _log.error("An answer failed:\n%s", safe_traceback(exc) if exc else message)
        response = Response(status=status)
        response.force_close()
        return response


class _Request(BaseRequest):
    """A request whose answer has our headers, even if aiohttp makes the answer."""

    async def _prepare_hook(self, response: StreamResponse) -> None:
        response.headers.popall("Server", None)  # It names the versions of Python and aiohttp.
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
