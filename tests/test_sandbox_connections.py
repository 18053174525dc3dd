"""The sandbox's connections misbehave on request: refused, closed while kept, and closed with whatever goes on."""

import asyncio
import time
from contextlib import AsyncExitStack, closing, suppress

import pytest
from aiohttp import ClientConnectorError, ClientSession, web
from sandbox_user import OF_SERVICESTAGE, SandboxUser, sandbox_user

from oauth_helper.errors import NotPermittedError, UnreachableError, UnusableAnswerError
from oauth_helper.sandbox.faults import Call, address_of, open_port, serving


@pytest.mark.parametrize("call", OF_SERVICESTAGE)
async def test_a_refused_call_was_never_sent(call: Call) -> None:
    async with sandbox_user(f"{call}=refuse", "exchange=429") as user:
        match call:
            case Call.LIST:
                pass
            case Call.REDIRECT_URL:
                await user.names()
            case Call.EXCHANGE | Call.DELETE:
                await user.consent()
            case _:
                await user.consent()
                with pytest.raises(UnusableAnswerError):
                    await user.exchange()
        for _ in range(2):
            with pytest.raises(UnreachableError, match="refused") as caught:
                await user.make(call)
            assert not caught.value.sent
        assert call not in user.sandbox.calls
        assert len(user.sandbox.exchanges) == (call is Call.LOOK)


async def once_it_is_open(user: SandboxUser) -> list[str]:
    async with asyncio.timeout(5):
        while True:
            with suppress(UnreachableError):
                return await user.names()


async def test_after_a_refusal_the_same_port_is_open_again() -> None:
    async with sandbox_user("list=refuse", "redirect-url=refuse:2", duration=0.1) as user:
        for _ in range(2):
            assert await once_it_is_open(user) == []
            with pytest.raises(UnreachableError, match="refused"):
                await user.consent()
        assert await once_it_is_open(user) == []
        await user.consent()


async def test_a_refusal_closes_all_connections_that_were_kept() -> None:
    async with sandbox_user("exchange=refuse") as user:
        await asyncio.gather(*(user.names() for _ in range(3)))
        await user.consent()
        for _ in range(3):
            with pytest.raises(UnreachableError) as caught:
                await user.exchange()
            assert not caught.value.sent


async def test_a_door_that_is_shut_already_opens_when_it_would_have() -> None:
    with closing(open_port()) as port:
        address = address_of(port)
        async with serving(web.Application(), port) as closable_port, ClientSession() as session:
            await closable_port.shut(0.1)
            await closable_port.shut(60)
            with pytest.raises(ClientConnectorError):
                await session.get(address)
            status = None
            async with asyncio.timeout(5):
                while status is None:
                    with suppress(ClientConnectorError):
                        async with session.get(address) as response:
                            status = response.status
            assert status == 404


async def test_a_stale_connection_is_one_that_was_used_before() -> None:
    async with sandbox_user("exchange=stale") as user:
        await user.consent()
        with pytest.raises(UnreachableError, match="closed the connection") as caught:
            await user.exchange()
        assert caught.value.sent
        assert not user.sandbox.exchanges[0].created
        await user.exchange()


async def test_on_a_fresh_connection_nothing_is_stale_yet() -> None:
    async with sandbox_user("list=stale", "list=403") as user:
        await user.names()
        assert user.sandbox.calls["list"] == 1
        # The client asks a second time by itself, on a fresh connection: there the next fault has its turn.
        with pytest.raises(NotPermittedError):
            await user.names()
        assert user.sandbox.calls["list"] == 3


@pytest.mark.parametrize("fault", ["exchange=hang", "exchange=hang-after", "exchange=504", "look=refuse"])
async def test_a_sandbox_closes_quickly_whatever_goes_on_in_it(fault: str) -> None:
    async with AsyncExitStack() as stack:
        user = await stack.enter_async_context(sandbox_user(fault))
        await user.consent()
        exchange = asyncio.create_task(user.exchange())
        async with asyncio.timeout(5):
            while not user.sandbox.exchanges:
                with suppress(UnreachableError):
                    await user.names()
        started = time.monotonic()
        await user.sandbox.__aexit__(None, None, None)
        assert time.monotonic() - started < 1
        assert user.sandbox.exchanges[0].ended_at
        await asyncio.wait([exchange])
        assert (exchange.exception() is None) == (fault == "look=refuse")
        with pytest.raises(UnreachableError, match="refused"):
            await user.names()
