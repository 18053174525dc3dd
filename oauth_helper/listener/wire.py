"""How requests are read, and what every answer bears on the wire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp.http import HttpProcessingError, StreamWriter

from oauth_helper.events import Stray
from oauth_helper.fault_trace import trace_of
from oauth_helper.listener import web
from oauth_helper.listener.crowd import Crowd
from oauth_helper.listener.port import forget_closed_connections, lengthen_queue

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDict

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

    __slots__ = ("_crowd", "_first_byte", "_on_stray")

    def __init__(self, server: Server, crowd: Crowd, on_stray: Callable[[Stray], None]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_CONNECTION)
        self._crowd = crowd
        self._on_stray = on_stray
        self._first_byte = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the port be had again at once after this connection was closed (see :func:`.port.listen`)."""
        forget_closed_connections(transport.get_extra_info("socket"), True)
        super().connection_made(transport)
        self._crowd.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        self._crowd.leave(self)
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
            self._on_stray(Stray.HTTPS if self._first_byte == _TLS_HANDSHAKE else Stray.NOT_HTTP)
            status = HTTPStatus.BAD_REQUEST
        else:
            # aiohttp's own log shows what libraries say, and they may say what they were called with.
            _log.error("A fault in an answer:\n%s", trace_of(exc) if exc else message)
        answer = web.Response(status=status)
        answer.force_close()
        return answer


class Server(web.Server):
    """aiohttp's low-level server with limits, connections and answers of our own."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        on_stray: Callable[[Stray], None],
    ) -> None:
        super().__init__(self._answer, request_factory=self._request)
        self._accepting: asyncio.Server
        self._give_answer = answer
        self._on_stray = on_stray
        self._crowd = Crowd()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, self._crowd, self._on_stray)

    async def accept(self, sock: socket.socket) -> None:
        """Accept connections from now on; ``sock`` listens already."""
        loop = asyncio.get_running_loop()
        self._accepting = await loop.create_server(self, sock=sock, backlog=self._crowd.at_once)
        lengthen_queue(sock)

    async def close(self, flushing: float) -> None:
        """Undo :meth:`accept`, and close what is open; answers half written have ``flushing`` seconds to be read."""
        self._accepting.close()
        await asyncio.sleep(0)  # A request that was just read is to be answered first.
        self.pre_shutdown()
        await self.shutdown(flushing)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        with self._crowd.busy(request.protocol):
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
