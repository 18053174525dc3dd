"""kill -9 at any moment: what is pending is finished, what is not begins anew, and one authorization stands."""

import asyncio
import random
from contextlib import AsyncExitStack, suppress

import pytest
from command import records, surroundings
from forked_commands import run_command
from link_script import Script, brought, consent, created, holding, kill, scripted, secrets_of
from support.thoroughness import at_most

from oauth_helper.sandbox import Sandbox


@pytest.mark.parametrize("seed", range(40, 40 + at_most(20, by_default=8)))
async def test_killed_at_any_moment(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    events, seconds = (chance.randint(0, 5), 30.0) if seed % 2 else (99, chance.uniform(0.0, 0.7))
    seen: list[str] = []
    async with Sandbox() as sandbox:
        environ = surroundings(sandbox)
        async with scripted(environ=environ) as script:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await play(script, seen, events)
            await kill(script.process)
        end = await run_command("resume", environ=environ)
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
