"""The faults of the sandbox: each at each call, and what our client makes of it; its ports and connections."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress

import pytest
from sandbox.sandbox_user import NAME, OF_SERVICESTAGE, SandboxUser, sandbox_user
from support.link_script import until

from oauth_helper.errors import (
    CredentialsError,
    NotPermittedError,
    OAuthHelperError,
    RefusedError,
    UnavailableError,
    UnreachableError,
    UnusableAnswerError,
    UsageError,
)
from oauth_helper.sandbox.faults import Call, Fault, Kind

ENDINGS: dict[Kind, tuple[type[OAuthHelperError], str | None]] = {
    Kind.DROP_BEFORE: (UnreachableError, None),
    Kind.DROP_AFTER: (UnreachableError, None),
    Kind.TRUNCATE: (UnreachableError, None),
    Kind.UNAUTHORIZED: (CredentialsError, "APIGW.0301"),
    Kind.FORBIDDEN: (NotPermittedError, "IAM.0003"),
    Kind.NOT_FOUND: (RefusedError, "404"),
    Kind.TOO_MANY_REQUESTS: (UnusableAnswerError, "APIGW.0308"),
    Kind.INTERNAL_ERROR: (UnusableAnswerError, "SVCSTG.REPO.0500"),
    Kind.INTERNAL_ERROR_AFTER: (UnusableAnswerError, "SVCSTG.REPO.0500"),
    Kind.BAD_GATEWAY: (UnusableAnswerError, "502"),
    Kind.UNAVAILABLE: (UnusableAnswerError, "503"),
    Kind.GATEWAY_TIMEOUT: (UnusableAnswerError, "APIGW.0203"),
    Kind.GATEWAY_TIMEOUT_BEFORE: (UnusableAnswerError, "APIGW.0203"),
}
"""What the client raises, with which code. Faults of connections are tested below."""
HANDLED = {Kind.DROP_AFTER, Kind.TRUNCATE, Kind.HANG_AFTER, Kind.INTERNAL_ERROR_AFTER}


async def is_done(user: SandboxUser, call: Call) -> bool:
    """Whether ServiceStage has handled the call."""
    exists = NAME in await user.names()
    return exists if call is Call.EXCHANGE else not exists


@pytest.mark.parametrize("kind", ENDINGS)
@pytest.mark.parametrize("call", Call)
async def test_a_call_fails_as_requested(call: Call, kind: Kind) -> None:
    # Always: what answers nothing to a GET or DELETE is asked a second time by the HTTP library itself.
    async with sandbox_user(f"{call}={kind}:always") as user:
        await user.prepare(call)
        error, code = ENDINGS[kind]
        for _ in range(2):
            with pytest.raises(error) as caught:
                await user.make(call)
            assert caught.value.code == code
            assert not isinstance(caught.value, UnavailableError) or caught.value.sent
        assert user.sandbox.calls[call] >= 2
        if call in {Call.EXCHANGE, Call.DELETE}:
            assert await is_done(user, call) == (kind in HANDLED)
        if call is Call.EXCHANGE:
            assert [one.created for one in user.sandbox.exchanges] == [kind in HANDLED, False]


@pytest.mark.parametrize("kind", [Kind.HANG, Kind.HANG_AFTER])
@pytest.mark.parametrize("call", Call)
async def test_a_hanging_call_gets_no_response(call: Call, kind: Kind) -> None:
    async with sandbox_user(f"{call}={kind}") as user:
        await user.prepare(call)
        making = asyncio.create_task(user.make(call))
        await until(lambda: user.sandbox.calls[call])
        assert await asyncio.wait({making}, timeout=0.1) == (set(), {making})
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        assert user.sandbox.calls[call] == 1
        if call in {Call.EXCHANGE, Call.DELETE}:
            assert await is_done(user, call) == (kind in HANDLED)


async def test_the_faults_of_one_call_come_in_order() -> None:
    async with sandbox_user("list=403:2", "delete=500", "list=429") as user:
        for error in (NotPermittedError, NotPermittedError, UnusableAnswerError):
            with pytest.raises(error):
                await user.names()
        assert await user.names() == []
        assert user.sandbox.calls == {"list": 4}


async def test_a_list_after_an_exchange_is_a_look() -> None:
    async with sandbox_user("look=500:always", "exchange=drop-before") as user:
        await user.consent()
        await user.names()
        with pytest.raises(UnreachableError):
            await user.exchange()
        for _ in range(2):
            with pytest.raises(UnusableAnswerError):
                await user.names()
        await user.consent()
        await user.names()
        assert user.sandbox.calls == {"list": 2, "look": 2, "redirect-url": 2, "exchange": 1}


async def test_after_a_gateway_timeout_the_exchange_is_still_handled() -> None:
    async with sandbox_user("exchange=504", duration=0.3) as user:
        await user.consent()
        with pytest.raises(UnusableAnswerError):
            await user.exchange()
        assert await user.names() == []
        async with asyncio.timeout(5):
            while user.sandbox.exchanges[0].ended_at is None:
                await user.names()
        assert await user.names() == [NAME]
        assert user.sandbox.exchanges[0].created


@pytest.mark.parametrize(("times", "meant"), [("", 1), (":1", 1), (":12", 12), (":always", None)])
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("call", OF_SERVICESTAGE)
def test_every_fault_can_be_parsed(call: Call, kind: Kind, times: str, meant: int | None) -> None:
    assert Fault.parse(f"{call}={kind}{times}") == Fault(call, kind, meant)
    assert call.description
    assert kind.description


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("", Call),
        ("lists=429", Call),
        ("LIST=429", Call),
        ("=429", Call),
        ("list", Kind),
        ("list=", Kind),
        ("list=418", Kind),
        ("list=\x1b[31m429", Kind),
        ("list=429:", ("number", "always")),
        ("list=429:0", ("number", "always")),
        ("list=429:-1", ("number", "always")),
        ("list=429:²", ("number", "always")),
        ("list=429:1000000", ("number", "always")),
        ("iam-token=refuse", ("ServiceStage",)),
    ],
)
def test_an_unknown_word_is_a_usage_error_that_lists_the_known_ones(text: str, known: Iterable[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Fault.parse(text)
    assert all(word in caught.value.message for word in known)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("call", OF_SERVICESTAGE)
async def test_a_refused_call_is_not_sent(call: Call) -> None:
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


async def test_a_stale_fault_closes_a_reused_connection() -> None:
    async with sandbox_user("exchange=stale") as user:
        await user.consent()
        with pytest.raises(UnreachableError, match="closed the connection") as caught:
            await user.exchange()
        assert caught.value.sent
        assert not user.sandbox.exchanges[0].created
        await user.exchange()


@pytest.mark.parametrize("fault", ["exchange=hang", "exchange=hang-after", "exchange=504", "look=refuse"])
async def test_a_sandbox_closes_quickly_during_a_fault(fault: str) -> None:
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
