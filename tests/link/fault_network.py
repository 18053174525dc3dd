"""The way to the sandbox, for the tests of what goes wrong on it: a name, a certificate, connections."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import trustme
from support.fake_servicestage import RawServer
from yarl import URL

from oauth_helper.credentials import Credentials
from oauth_helper.models import Authorization, RepoType
from oauth_helper.sandbox.faults import Call
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import Retries, Transport

NAME: Final = "localhost"
AUTHORITY: Final = trustme.CA()
_TRUSTED: Final = AUTHORITY.issue_cert(NAME)
_FOREIGN: Final = trustme.CA().issue_cert(NAME)

_LIMIT: Final = 5.0
"""Less than the client's own, in seconds, and more than a busy machine stands still."""


class Weather(Enum):
    """How the way is."""

    FAIR = auto()
    REFUSED = auto()
    DNS = auto()
    TLS = auto()


class Relay:
    """Leads whoever asks for ``NAME`` to the sandbox, over TLS, as the weather allows.

    ``getaddrinfo`` is to stand in the place of the event loop's: the one seam through which a name can lead somewhere
    else without the machine's files and servers being touched.
    """

    def __init__(self, sandbox_endpoint: str, *, tls: bool = True) -> None:
        self.weather = Weather.FAIR
        self._upstream = URL(sandbox_endpoint)
        self._tls = tls
        self._streams: set[asyncio.StreamWriter] = set()
        self._real = asyncio.get_running_loop().getaddrinfo

    @property
    def endpoint(self) -> str:
        return f"https://{NAME}:{self._port}" if self._tls else f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._nobody = socket.socket()
        self._nobody.bind(("127.0.0.1", 0))  # and does not listen, so whoever connects is refused
        self._fair = RawServer(self._relay, _server(_TRUSTED) if self._tls else None)
        self._foul = RawServer(self._relay, _server(_FOREIGN))
        await self._fair.__aenter__()
        await self._foul.__aenter__()
        self._port = self._fair.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nobody.close()
        await self._fair.__aexit__(kind, error, trace)
        await self._foul.__aexit__(kind, error, trace)

    async def getaddrinfo(self, host: str, port: int, **wanted: Any) -> list[Any]:
        if host != NAME:
            return await self._real(host, port, **wanted)
        if self.weather is Weather.DNS:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        refused: int = self._nobody.getsockname()[1]
        port = {Weather.REFUSED: refused, Weather.TLS: self._foul.port}.get(self.weather, self._fair.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    def clear_up(self) -> None:
        self.weather = Weather.FAIR

    def hang_up(self) -> int:
        """Close the clients' connections at this very moment; return how many there were."""
        open_ones = [stream for stream in self._streams if not stream.is_closing()]
        for stream in open_ones:
            # A copy: what a transport of uvloop's gives out cannot be shut down.
            with socket.socket(fileno=os.dup(stream.get_extra_info("socket").fileno())) as connection:
                connection.shutdown(socket.SHUT_RDWR)
        return len(open_ones)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        onward, upstream = await asyncio.open_connection(self._upstream.host, self._upstream.port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, upstream))
                both.create_task(_pump(onward, writer))
        finally:
            # A task that is cancelled before its first step does not run its own `finally`.
            upstream.close()
            writer.close()
            self._streams.discard(writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


class HurriedClient(ServiceStageClient):
    """Has shorter timeouts; ``limit`` is the number of seconds for one answer.

    As with the client's own limits, a call that times out is not retried.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        project_id: str,
        credentials: Credentials,
        ca_bundle: Path | None = None,
        limit: float = _LIMIT,
    ) -> None:
        super().__init__(endpoint, project_id=project_id, credentials=credentials, ca_bundle=ca_bundle)
        self._transport = Transport(
            endpoint,
            credentials=credentials,
            project_id=project_id,
            ca_bundle=ca_bundle,
            timeout=aiohttp.ClientTimeout(total=limit, connect=limit * 0.9),
            retries=Retries(pauses=(0.02, 0.05, 0.1), within=limit * 0.6),
        )


class TravellingClient(HurriedClient):
    """Opens a connection for every call, as whoever lets half a minute pass between two of them does.

    By then the one before is no longer kept, and the address that was found for the name is forgotten (aiohttp keeps
    them for 15 and 10 seconds). ``before`` is told which call comes.
    """

    before: Callable[[Call], None]
    _has_exchanged = False

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        await self._set_out_for(Call.LOOK if self._has_exchanged else Call.LIST)
        return await super().list_authorizations(retry=retry)

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        await self._set_out_for(Call.REDIRECT_URL)
        return await super().authorization_url(repo_type, tag=tag)

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        self._has_exchanged = True
        await self._set_out_for(Call.EXCHANGE)
        return await super().create_oauth(repo_type, name=name, code=code, state=state, tag=tag)

    async def delete_authorization(self, name: str) -> None:
        await self._set_out_for(Call.DELETE)
        await super().delete_authorization(name)

    async def _set_out_for(self, call: Call) -> None:
        await self.__aexit__(None, None, None)
        self.before(call)
        await self.__aenter__()
