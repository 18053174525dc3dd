"""A fake of ServiceStage that returns what the test tells it to, and keeps the requests.

:class:`FakeServiceStage` speaks HTTP as aiohttp does; :class:`RawServer` leaves every byte to the test.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web
from support.contract import vendor_authorization

from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.secret import Secret

PROJECT = "0123456789abcdef0123456789abcdef"
AUTHS = f"/v1/{PROJECT}/git/auths"
KEY = AccessKey("AccessKey", "SecretKey")
TOKEN = IamToken("MIIE-token")
CODE = Secret("fb32b45c3513bc3267f5")
STATE = Secret("$2a$10$.uQYThj5yKFs51w9s9ajeuQ0NSGshPH7IUfXoZLPlz7J/oAJ8Babc")
RECORD: dict[str, object] = {
    "name": "my-auth",
    "repo_type": "github",
    "repo_user": "octo",
    "avartar": "https://x/y.png",
    "status": 0,
}


@dataclass(frozen=True)
class Received:
    """A request; ``target`` is the unchanged request target."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def vendor_authorization(self, access_key: str, secret_key: str) -> str:
        """Return the Authorization that the vendor's SDK computes for this request."""
        return vendor_authorization(self.method, self.target, self.headers, self.body, access_key, secret_key)


Respond = Callable[[Received], web.Response | Awaitable[web.Response]]


def answering(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[Received], web.Response]:
    """Answer every request with the same JSON."""
    return lambda _request: web.json_response(document, status=status, headers=headers)


@dataclass
class FakeServiceStage:
    """Answer each request with ``respond``; ``received`` has them all, in order."""

    respond: Respond
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        self._runner = web.AppRunner(application, access_log=None, max_field_size=256 * 1024)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def handle(self, request: web.Request) -> web.Response:
        received = Received(request.method, request.raw_path, request.headers.copy(), await request.read())
        self.received.append(received)
        answer = self.respond(received)
        return answer if isinstance(answer, web.Response) else await answer


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Run ``script`` for every connection; ``heads`` has the request heads that scripts have read."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.heads: list[bytes] = []
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets:
            loop.remove_reader(listening.fileno())
        for _ in range(3):  # a connection that was just accepted would never be closed: a server must know it before
            await asyncio.sleep(0)
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for writer in self._connections.values():  # a task that is cancelled before its first step closes nothing
            writer.close()
        await self._server.wait_closed()

    def stop_listening(self) -> None:
        """Refuse further connections; the open ones continue."""
        self._server.close()

    async def read_request(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        """Return head and body of the next request on this connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head, await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[asyncio.create_task(self._serve(reader, writer))] = writer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A client that gives up closes its end; that is the end of the script too.
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._script(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def tunnel_to(port: int) -> AsyncIterator[RawServer]:
    """Run a proxy that leads every CONNECT to the server at ``port``."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            writer.write(part)
        writer.close()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy.read_request(reader)
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer))
        finally:
            upstream.close()
            await upstream.wait_closed()

    async with RawServer(script) as proxy:
        yield proxy


def json_answer(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    """Return a whole HTTP answer with a JSON body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with a reset (RST) instead of an end (FIN)."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
