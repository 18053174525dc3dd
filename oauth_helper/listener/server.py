"""The loopback HTTP server: socket, connection limit, peer check."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from asyncio import Transport
from asyncio.trsock import TransportSocket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpProcessingError, RawRequestMessage, StreamWriter
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from oauth_helper.errors import MachineError, PortTakenError, UsageError, cannot_listen, safe_traceback
from oauth_helper.events import RejectedRequest
from oauth_helper.i18n import _
from oauth_helper.values import BLOCKED_PORTS

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
        raise UsageError(_("Browsers block port {port}; use another one, such as {other}", port=port, other=8765))
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
        return PortTakenError(_("Port {port} on {host} is taken: another program listens there", port=port, host=HOST))
    if error.errno == errno.EACCES and port:
        return PortTakenError(
            _(
                "Port {port} on {host} is reserved: the system does not let this user listen there",
                port=port,
                host=HOST,
            ),
            hint=_("Leave out --port to take any free port, or name another one above 1023."),
        )
    return cannot_listen(error)


def lengthen_queue(sock: socket.socket) -> None:
    """Let more connections wait for us to accept them than asyncio accepts at once.

    Where the queue is full, Linux lets a browser try again only a second later.
    """
    sock.listen(_QUEUE)


_MOST: Final = 256
"""Connections."""
_SHARE: Final = 4
"""The part of the files that this process may have open: more are those that are being closed, and what else we do."""
_AT_ONCE: Final = 16
"""Connections; what came before waits for all of them."""
_ROUNDS: Final = 8
"""How often so many are accepted until what came first was read: five turns of the loop, and some for who is slow."""


class ConnectionLimiter:
    """The open connections, the one longest without a request first.

    Where there are too many, that one is closed: a browser opens another when it needs one. A connection whose
    request is being answered is never closed.
    """

    def __init__(self) -> None:
        self._most = min(_MOST, _open_files_limit() // _SHARE)
        self.at_once: int = max(1, min(_AT_ONCE, self._most // _ROUNDS))
        """How many to accept before anything else is done: so few that none is closed before it was read once."""
        self._idle: dict[web.RequestHandler, None] = {}
        self._busy: set[web.RequestHandler] = set()

    def enter(self, connection: web.RequestHandler) -> None:
        """Count a connection in."""
        self._idle[connection] = None
        if len(self._idle) + len(self._busy) > self._most:
            longest_idle = next(iter(self._idle))
            del self._idle[longest_idle]
            if longest_idle.transport:  # pragma: no branch - aiohttp takes it away as it closes one
                longest_idle.transport.abort()

    def leave(self, connection: web.RequestHandler) -> None:
        """Count a connection out."""
        self._idle.pop(connection, None)
        self._busy.discard(connection)

    @contextmanager
    def busy(self, connection: web.RequestHandler) -> Iterator[None]:
        """Know that a request of it is being answered."""
        self._idle.pop(connection, None)
        self._busy.add(connection)
        try:
            yield
        finally:
            # It may be closed meanwhile.
            if connection in self._busy:
                self._busy.remove(connection)
                self._idle[connection] = None


def _open_files_limit() -> int:
    """Return how many files, connections among them, this process may have open; macOS allows 256."""
    if sys.platform == "win32":  # pragma: no cover - Windows has no such limit
        return _SHARE * _MOST
    import resource  # noqa: PLC0415 - Windows has none

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _SHARE * _MOST if limit == resource.RLIM_INFINITY else limit


Address = tuple[str, int]

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""proc(5)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""RFC 4291 section 2.5.5.2: what stands before an IPv4 address in one of IPv6."""
_ROOT: Final = 0


async def is_held_by_another(transport: Transport | None) -> bool:
    """Whether another user holds the far end of a connection. A client that has left already counts as another user.

    The system's tables are read in a thread: with thousands of connections that takes milliseconds.
    """
    if transport is None:
        return True
    if not _is_told():
        return False
    ends = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return await asyncio.to_thread(is_another_users, *ends)


def is_another_users(theirs: Address, ours: Address) -> bool:
    """Whether the end ``theirs`` of a connection within this machine is another user's than ours or root's.

    On other systems this is unknown, and root may open pages as another user: there the answer is no. An end that its
    program has closed counts as another user's: its program does not wait for an answer.
    """
    if not _is_told():
        return False
    tables = b"".join(_table(path) for path in _TABLES)
    if not any(_owner(tables, end) for end in _ends(ours, theirs)):
        return False  # If not even our own end is shown, the tables tell nothing.
    owners = [_owner(tables, end) for end in _ends(theirs, ours)]
    return not any(owner and owner.is_open and owner.user in {_ROOT, os.geteuid()} for owner in owners)


def _is_told() -> bool:
    return sys.platform == "linux" and os.geteuid() != _ROOT


def _ends(near: Address, far: Address) -> list[tuple[str, str]]:
    """Return how a connection's one end may be spelt: a socket of IPv6 can speak IPv4 as well."""
    spellings = zip(_spelt(near), _spelt(far), strict=True)
    return list(spellings)


def _spelt(address: Address) -> tuple[str, str]:
    host, port = socket.inet_aton(address[0]), f"{address[1]:04X}"
    return f"{_in_words(host)}:{port}", f"{_in_words(_MAPPED + host)}:{port}"


def _in_words(address: bytes) -> str:
    """Spell an address as the tables do: words of 32 bits, each in the byte order of the machine."""
    words = (address[at : at + 4] for at in range(0, len(address), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


class _Owner(NamedTuple):
    user: int
    is_open: bool
    """Whether a program still holds the socket: an orphan has no inode, and its user may be shown as root."""


def _table(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _owner(tables: bytes, ends: tuple[str, str]) -> _Owner | None:
    """Return who holds the end of a connection with these two addresses; None if the tables do not show it."""
    near, far = ends
    _, found, rest = tables.partition(f" {near} {far} ".encode())
    if not found:
        return None
    _state, _queues, _timer, _retransmits, user, _timeout, inode, *_ = rest.split(b"\n", 1)[0].split()
    return _Owner(int(user), int(inode) != 0)


_log = logging.getLogger(__name__)

FORM_LIMIT: Final = 64 * 1024
"""Bytes of a form. A redirect is an address; the longest that browsers keep are of this size."""

_LINE_LIMIT: Final = 64 * 1024
"""Bytes of a request line or header: some hosts' codes are kilobytes long, and a browser sends a port every cookie
of its host, those of other programs on 127.0.0.1 included (RFC 6265 section 8.5)."""

_TLS_HANDSHAKE: Final = b"\x16"
"""RFC 8446 section 5.1: the type of the record with which a client begins."""

_CONNECTION: Final[Mapping[str, Any]] = {
    "access_log": None,  # It would hold codes.
    "auto_decompress": False,  # FORM_LIMIT then counts what is held in memory.
    "lingering_time": 2.0,  # Seconds to read on past an answer, so that who still sends gets to see it.
    "max_field_size": _LINE_LIMIT,
    "max_line_size": _LINE_LIMIT,
}

ANSWER_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""RFC 9700 sections 4.2.4, 4.3 and 4.16: nothing of an address is kept, passed on or framed."""


class Connection(web.RequestHandler):
    """One browser's or stranger's connection."""

    __slots__ = ("_first_byte", "_limiter", "_on_rejected")

    def __init__(
        self, server: Server, limiter: ConnectionLimiter, on_rejected: Callable[[RejectedRequest], None]
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_CONNECTION)
        self._limiter = limiter
        self._on_rejected = on_rejected
        self._first_byte = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the port be had again at once after this connection was closed (see :func:`.port.listen`)."""
        forget_closed_connections(transport.get_extra_info("socket"), True)
        super().connection_made(transport)
        self._limiter.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        self._limiter.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Remember how it began: with TLS, it is told from other noise by that."""
        self._first_byte = self._first_byte or data[:1]
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP without a word, and log nothing of it: it may be half of a redirect."""
        if isinstance(exc, HttpProcessingError):
            self._on_rejected(RejectedRequest.HTTPS if self._first_byte == _TLS_HANDSHAKE else RejectedRequest.NOT_HTTP)
            status = HTTPStatus.BAD_REQUEST
        else:
            # aiohttp's own log shows what libraries say, and they may say what they were called with.
            _log.error("A fault in an answer:\n%s", safe_traceback(exc) if exc else message)
        answer = web.Response(status=status)
        answer.force_close()
        return answer


class Server(web.Server):
    """aiohttp's low-level server with limits, connections and answers of our own."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        on_rejected: Callable[[RejectedRequest], None],
    ) -> None:
        super().__init__(self._answer, request_factory=self._request)
        self._accepting: asyncio.Server
        self._give_answer = answer
        self._on_rejected = on_rejected
        self._limiter = ConnectionLimiter()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, self._limiter, self._on_rejected)

    async def accept(self, sock: socket.socket) -> None:
        """Accept connections from now on; ``sock`` listens already."""
        loop = asyncio.get_running_loop()
        self._accepting = await loop.create_server(self, sock=sock, backlog=self._limiter.at_once)
        lengthen_queue(sock)

    async def close(self, flushing: float) -> None:
        """Undo :meth:`accept`, and close what is open; answers half written have ``flushing`` seconds to be read."""
        self._accepting.close()
        await asyncio.sleep(0)  # A request that was just read is to be answered first.
        self.pre_shutdown()
        await self.shutdown(flushing)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        with self._limiter.busy(request.protocol):
            return await self._give_answer(request)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        _writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        writer = _AnswerWriter(protocol, loop)
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=FORM_LIMIT)


class _AnswerWriter(StreamWriter):
    """The one way out for every answer, aiohttp's own to malformed requests included."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        headers.popall("Server", None)  # It would name the versions of Python and aiohttp.
        for name, value in ANSWER_HEADERS.items():
            headers.setdefault(name, value)
        await super().write_headers(status_line, headers)
