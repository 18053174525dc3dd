"""The connection that stays open while the user is in the browser, over real TLS."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from support.fake_servicestage import KEY, RawServer, json_answer, reset

from oauth_helper.errors import UnreachableError
from oauth_helper.servicestage import transport
from oauth_helper.servicestage.transport import Transport


@dataclass
class Endpoint:
    """A server that keeps connections open until the test closes them."""

    tls: ssl.SSLContext
    ca_bundle: Path
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    ended: int = 0
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    answer: Callable[[asyncio.StreamWriter], None] = lambda writer: writer.write(json_answer(b"{}"))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Transport]:
        self.server = RawServer(self._serve, self.tls)
        async with self.server:
            endpoint = self.server.endpoint
            async with Transport(endpoint, credentials=KEY, ca_bundle=self.ca_bundle) as connection:
                yield connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self.came:
            self.writers.append(writer)
            self.came.notify_all()
        try:
            while True:
                await self.server.read_request(reader)
                self.answer(writer)
                await writer.drain()
        finally:
            async with self.came:
                self.ended += 1
                self.came.notify_all()

    async def handshakes(self, number: int) -> None:
        """Wait until so many connections have come."""
        async with self.came:
            await self.came.wait_for(lambda: len(self.writers) >= number)

    async def close(self, number: int) -> None:
        self.writers[number].close()
        await self.writers[number].wait_closed()


async def is_open(connection: Transport) -> None:
    while connection._open is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return Endpoint(context, tmp_path / "ca.pem")


async def test_a_post_uses_the_open_connection_on_which_nothing_was_sent(endpoint: Endpoint) -> None:
    async with endpoint.connected() as connection:
        async with connection.kept_open():
            await is_open(connection)
            assert endpoint.server.heads == []
        await connection.request("POST", "/x", body=b"{}")
    assert len(endpoint.writers) == len(endpoint.server.heads) == 1


async def test_it_is_replaced_every_25_seconds_and_the_old_one_is_closed(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport.RENEWAL == 25
    monkeypatch.setattr(transport, "RENEWAL", 0.02)
    async with endpoint.connected() as connection:
        async with connection.kept_open():
            await endpoint.handshakes(4)
            async with endpoint.came:
                await endpoint.came.wait_for(lambda: endpoint.ended >= 3)
        await connection.request("POST", "/x", body=b"{}")
    assert len(endpoint.server.heads) == 1


@pytest.mark.parametrize(("asleep", "connections"), [(30, 1), (50, 2), (3600, 2)])
async def test_no_request_is_sent_on_a_connection_from_before_the_machine_slept(
    endpoint: Endpoint, asleep: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with endpoint.connected() as connection:
        async with connection.kept_open():
            await is_open(connection)
        wakes_at = time.time() + asleep
        monkeypatch.setattr("time.time", lambda: wakes_at)
        await connection.request("POST", "/x", body=b"{}")
    assert (len(endpoint.writers), len(endpoint.server.heads)) == (connections, 1)


async def test_a_post_on_a_connection_that_breaks_is_not_sent_again(endpoint: Endpoint) -> None:
    endpoint.answer = reset
    async with endpoint.connected() as connection:
        async with connection.kept_open():
            await is_open(connection)
        with pytest.raises(UnreachableError) as raised:
            await connection.request("POST", "/x", body=b"{}")
    assert raised.value.sent is True
    assert len(endpoint.writers) == 1
