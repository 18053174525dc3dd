"""A connection that stands ready, over real TLS: the request that comes opens none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from fake_servicestage import KEY, RawServer, json_answer, reset

from oauth_helper.errors import UnreachableError
from oauth_helper.servicestage.transport import Connection, StandbyPace

OFTEN = StandbyPace(renewal=0.02, after_sign=0)
UNASKED = StandbyPace(renewal=3600, after_sign=0)
"""Nothing is opened again without a sign."""


@dataclass
class Endpoint:
    """Keeps its connections; the test closes those that it wants closed."""

    tls: ssl.SSLContext
    ca_bundle: Path
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    ended: int = 0
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    answer: Callable[[asyncio.StreamWriter], None] = lambda writer: writer.write(json_answer(b"{}"))

    @asynccontextmanager
    async def connected(self, timing: StandbyPace) -> AsyncIterator[Connection]:
        self.server = RawServer(self._serve, self.tls)
        async with self.server:
            endpoint = self.server.endpoint
            async with Connection(endpoint, credentials=KEY, ca_bundle=self.ca_bundle, standby=timing) as connection:
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


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return Endpoint(context, tmp_path / "ca.pem")


async def test_a_post_takes_the_connection_that_stands_and_nothing_is_asked_for_its_sake(endpoint: Endpoint) -> None:
    async with endpoint.connected(UNASKED) as connection:
        async with connection.kept_ready():
            await endpoint.handshakes(1)
            assert endpoint.server.heads == []
        await connection.request("POST", "/x", body=b"{}")
        assert len(endpoint.writers) == len(endpoint.server.heads) == 1


async def test_it_is_renewed_every_25_seconds_and_the_old_one_is_closed(endpoint: Endpoint) -> None:
    assert StandbyPace().renewal == 25
    async with endpoint.connected(OFTEN) as connection:
        async with connection.kept_ready():
            await endpoint.handshakes(4)
            async with endpoint.came:
                await endpoint.came.wait_for(lambda: endpoint.ended >= 3)
        await connection.request("POST", "/x", body=b"{}")
        assert len(endpoint.server.heads) == 1


@pytest.mark.parametrize("away", [50, 3600])
async def test_nothing_is_sent_on_a_connection_that_grew_old_while_the_machine_slept(
    endpoint: Endpoint, away: float
) -> None:
    now = 1000.0
    async with endpoint.connected(StandbyPace(wall=lambda: now)) as connection:
        await connection.request("GET", "/x")
        async with connection.kept_ready():
            for _ in range(9):
                await asyncio.sleep(0)
        now += away
        await connection.request("POST", "/x", body=b"{}")
        assert (len(endpoint.writers), len(endpoint.server.heads)) == (2, 2)


async def test_many_signs_open_one_connection(endpoint: Endpoint) -> None:
    async with endpoint.connected(StandbyPace(renewal=3600, after_sign=3600)) as connection, connection.kept_ready():
        await endpoint.handshakes(1)
        for _ in range(100):
            connection.expect_request()
            await asyncio.sleep(0)
        await connection.request("POST", "/x", body=b"{}")
        assert len(endpoint.writers) == 1


async def test_the_connection_of_the_last_call_is_kept(endpoint: Endpoint) -> None:
    async with endpoint.connected(StandbyPace()) as connection:
        await connection.request("GET", "/x")
        async with connection.kept_ready():
            await asyncio.sleep(0)
        await connection.request("POST", "/x", body=b"{}")
        assert len(endpoint.writers) == 1


async def test_a_server_that_closes_soon_is_connected_again_when_somebody_comes(endpoint: Endpoint) -> None:
    async with endpoint.connected(UNASKED) as connection:
        await connection.request("GET", "/x")
        async with connection.kept_ready():
            await endpoint.close(0)
            while len(endpoint.writers) < 2:  # it may not have noticed yet
                connection.expect_request()
                await asyncio.sleep(0.005)


async def test_two_waits_share_one_connection(endpoint: Endpoint) -> None:
    async with endpoint.connected(StandbyPace()) as connection:
        async with connection.kept_ready():
            await endpoint.handshakes(1)
            async with connection.kept_ready():
                await asyncio.sleep(0)
            await connection.request("POST", "/x", body=b"{}")
        assert len(endpoint.writers) == 1


async def test_nothing_of_it_is_left(endpoint: Endpoint) -> None:
    async with endpoint.connected(UNASKED) as connection, connection.kept_ready():
        await endpoint.handshakes(1)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "keeps a connection ready"]


async def test_an_endpoint_that_is_down_disturbs_nobody(endpoint: Endpoint) -> None:
    async with endpoint.connected(UNASKED) as connection:
        async with connection.kept_ready():
            await endpoint.handshakes(1)
            endpoint.server.stop_listening()
            await endpoint.close(0)
            connection.expect_request()
        with pytest.raises(UnreachableError) as raised:
            await connection.request("POST", "/x", body=b"{}")
    assert raised.value.sent is False


async def test_a_connection_that_breaks_with_the_post_is_no_answer(endpoint: Endpoint) -> None:
    endpoint.answer = reset
    async with endpoint.connected(StandbyPace()) as connection:
        async with connection.kept_ready():
            await endpoint.handshakes(1)
        with pytest.raises(UnreachableError) as raised:
            await connection.request("POST", "/x", body=b"{}")
    assert raised.value.sent is True
    assert len(endpoint.writers) == 1, "and it is not sent again"
