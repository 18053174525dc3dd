"""kill -9 at each of the eight steps: nothing is wasted that need not be, and no secret stays."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from support.command_runner import Ended, commands, records
from support.link_script import (
    LINK,
    NAME,
    Script,
    bring,
    brought,
    consent,
    created,
    entries,
    faulty_sandbox,
    holding,
    kill,
    make_older,
    scripted,
    secrets_of,
    until,
)
from support.thoroughness import at_most, some_of

from oauth_helper.sandbox import Sandbox

NO_BROWSER = {"BROWSER": "/nonexistent"}


async def linked_by_hand(environ: dict[str, str]) -> None:
    """Link anew, from the start."""
    async with scripted(environ=environ) as script:
        redirect = await script.consent()
        await bring(script.listener, redirect)
        assert (await script.ended()).status == 0


async def assert_clean(sandbox: Sandbox, *secrets: str) -> None:
    """Nothing was in hand: the next command leaves no secret, nothing is pending, and a link begins anew."""
    environ = commands.environ(sandbox)
    assert (await commands.run("list", environ=environ)).status == 0
    assert holding(*secrets) == []
    resumed = await commands.run("resume", "--json", environ=environ)
    assert (resumed.status, resumed.out) == (0, "[]\n"), resumed.err
    assert await records(sandbox) == []
    await linked_by_hand(environ)
    assert len(await records(sandbox)) == created(sandbox) == 1


@pytest.mark.parametrize("call", ["list", "redirect-url"])
async def test_killed_before_it_waits(call: str) -> None:
    async with faulty_sandbox(f"{call}=hang") as sandbox:
        async with scripted(environ=commands.environ(sandbox)) as script:
            await until(lambda: sandbox.calls[call])
            await kill(script.process)
        await assert_clean(sandbox)


async def test_killed_while_it_waits() -> None:
    async with Sandbox() as sandbox:
        async with scripted(environ=commands.environ(sandbox)) as script:
            redirect = await script.consent()
            await bring(script.listener, "https://console.example/?code=abc&state=foreign")
            await script.event("ignored")
            await kill(script.process)
        assert len(secrets_of(redirect)) == 2
        await assert_clean(sandbox, *secrets_of(redirect))


@asynccontextmanager
async def killed(sandbox: Sandbox, call: str, *options: str) -> AsyncIterator[list[str]]:
    """Bring the redirect to a link, and kill it when ``call`` has arrived; give the code and the state."""
    before = sandbox.calls[call]
    async with scripted(*LINK, *options, environ=commands.environ(sandbox)) as script:
        redirect = await script.consent()
        async with brought(script.listener, redirect):
            await until(lambda: sandbox.calls[call] > before)
            await kill(script.process)
    assert holding(*secrets_of(redirect)) == entries()
    assert len(entries()) == 1
    yield secrets_of(redirect)


async def finished(way: str, sandbox: Sandbox) -> Ended:
    """Finish what is pending, by ``resume`` or by the next ``link``, which need not ask anybody for that."""
    environ = commands.environ(sandbox, **NO_BROWSER)
    if way == "resume":
        return await commands.run("resume", environ=environ)
    return await commands.run(*LINK, "--if-exists", "replace", "--browser", "default", environ=environ)


WAYS_ON = pytest.mark.parametrize("way", some_of(["link", "resume"], one_in=2))


@WAYS_ON
async def test_killed_as_the_redirect_is_written_down(way: str) -> None:
    async with faulty_sandbox("delete=hang") as sandbox:
        await linked_by_hand(commands.environ(sandbox))
        [old] = await records(sandbox)
        async with scripted(*LINK, "--if-exists", "replace", environ=commands.environ(sandbox)) as script:
            redirect = await script.consent()
            async with brought(script.listener, redirect):
                await until(lambda: entries() and sandbox.calls["delete"])
                await kill(script.process)
        assert await records(sandbox) == [old]
        end = await finished(way, sandbox)
        assert end.status == 0, end.err
        assert "Deleted the old authorization" in end.err
        [new] = await records(sandbox)
        assert new != old
        assert created(sandbox) == 2
        assert holding(*secrets_of(redirect)) == []


@WAYS_ON
@pytest.mark.parametrize(
    ("faults", "call"),
    [
        (("exchange=hang-after",), "exchange"),
        (("exchange=500-after", "look=hang"), "look"),
    ],
    ids=["asking", "looking"],
)
async def test_killed_during_the_exchange(way: str, faults: tuple[str, ...], call: str) -> None:
    async with faulty_sandbox(*faults) as sandbox, killed(sandbox, call) as secrets:
        end = await finished(way, sandbox)
        assert end.status == 0, end.err
        assert 'Finishing the link "my-auth", which you authorized at' in end.err
        assert [one["name"] for one in await records(sandbox)] == [NAME]
        assert created(sandbox) == 1
        assert holding(*secrets) == []
        assert (await commands.run("resume", environ=commands.environ(sandbox))).err == "No link is unfinished.\n"


async def test_killed_while_an_exchange_runs_that_never_ends() -> None:
    async with faulty_sandbox("exchange=hang") as sandbox, killed(sandbox, "exchange") as secrets:
        make_older(minutes=0.35)
        end = await finished("resume", sandbox)
        assert end.status == 0, end.err
        first, second = sandbox.exchanges
        assert second.arrived_at - first.arrived_at > 2.5  # it may run on for 15 seconds, of which 11 are over
        assert created(sandbox) == len(await records(sandbox)) == 1
        assert holding(*secrets) == []


async def test_killed_as_it_tells_the_truth() -> None:
    async with Sandbox() as sandbox:
        environ = commands.environ(sandbox)
        async with scripted(environ=environ) as script:
            redirect = await script.consent()
            async with brought(script.listener, redirect):
                await script.event("linked")
                await kill(script.process)
        assert holding(*secrets_of(redirect)) == []
        assert (await commands.run("resume", "--json", environ=environ)).out == "[]\n"
        assert len(await records(sandbox)) == created(sandbox) == 1


@pytest.mark.parametrize("command", [("list",), ("link", "--help")], ids=" ".join)
async def test_the_next_command_deletes_an_expired_redirect_and_says_so(command: tuple[str, ...]) -> None:
    async with faulty_sandbox("exchange=hang") as sandbox, killed(sandbox, "exchange") as secrets:
        environ = commands.environ(sandbox)
        make_older(minutes=11)
        end = await commands.run(*command, environ=environ)
        assert f'warning: The interrupted link "{NAME}" was not finished within 10 minutes' in end.err
        assert "`oauth-helper list`" in end.err
        assert (holding(*secrets), entries()) == ([], [])
        end = await commands.run("resume", "--json", environ=environ)
        assert (end.status, end.out) == (0, "[]\n"), end.err
        assert "warning" not in end.err


@pytest.mark.parametrize("seed", range(40, 40 + at_most(20, by_default=2)))
async def test_killed_at_any_moment(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    events, seconds = (chance.randint(0, 5), 30.0) if seed % 2 else (99, chance.uniform(0.0, 0.7))
    seen: list[str] = []
    async with Sandbox() as sandbox:
        environ = commands.environ(sandbox)
        async with scripted(environ=environ) as script:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await play(script, seen, events)
            await kill(script.process)
        for path in Path(environ["HOME"]).rglob("being-written-*"):
            os.utime(path, (0, 0))  # a young one may be in the hands of another process
        end = await commands.run("resume", environ=environ)
        assert end.status == 0, end.err
        async with scripted(environ=environ) as script:
            await play(script, seen)
            assert (await script.ended()).status == 0
        assert len(await records(sandbox)) == created(sandbox) == 1
        assert holding(*(secret for address in seen for secret in secrets_of(address))) == []


async def play(script: Script, seen: list[str], events: int = 99) -> None:
    """Play the user until so many events were told; note the addresses seen."""
    async with AsyncExitStack() as stack:
        while len(script.events) < events and (event := await script.next()):
            if event["event"] == "waiting":
                seen.append(event["authorization_url"])
                seen.append(await consent(seen[-1]))
                await stack.enter_async_context(brought(event["listener"], seen[-1]))
