"""``resume`` where more than one link was cut off, and where it is cut off itself."""

import asyncio
import json
import signal

from command import ended, error_of, records, running, surroundings
from forked_commands import run_command
from link_script import bring, entries, scripted, secrets_of, spend, until

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Fault


def misbehaving(*faults: str) -> Sandbox:
    return Sandbox(faults=map(Fault.parse, faults))


async def cut_off(name: str, sandbox: Sandbox) -> str:
    """Link up to where ServiceStage refuses the credentials; return the redirect, which is kept."""
    async with scripted("link", "github", "--name", name, environ=surroundings(sandbox)) as script:
        redirect = await script.consent()
        await bring(script.listener, redirect)
        assert (await script.ended()).status == 3
    return redirect


async def test_of_several_each_is_told_how_it_ended_and_the_first_failure_is_the_status() -> None:
    async with misbehaving("exchange=401", "exchange=401") as sandbox:
        await cut_off("the-first", sandbox)
        await spend(sandbox, await cut_off("the-second", sandbox))
        end = await run_command("resume", "--json", environ=surroundings(sandbox))
        assert [one["name"] for one in await records(sandbox)] == ["the-first"]
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0402")
    assert [one["name"] for one in json.loads(end.out)] == ["the-first"]
    told = end.err.splitlines()
    assert "Linked the-first." in told
    assert any(line.startswith("warning: the-second: ") for line in told)
    assert entries() == []


async def test_a_signal_leaves_what_is_not_finished_to_the_next_resume() -> None:
    async with misbehaving("exchange=401", "exchange=hang") as sandbox:
        redirect = await cut_off("my-auth", sandbox)
        environ = surroundings(sandbox)
        async with running("resume", environ=environ) as process:
            await until(lambda: sandbox.calls["exchange"] == 2)
            process.send_signal(signal.SIGTERM)
            end = await ended(process)
        assert end.status == 143
        assert "error: Terminated" in end.err
        assert "hint: What is not finished is kept: run `oauth-helper resume` again." in end.err
        [entry] = entries()
        assert secrets_of(redirect)[0] in await asyncio.to_thread(entry.read_text)
        end = await run_command("resume", environ=environ)
        assert end.status == 0, end.err
        assert "Name      my-auth" in end.out
    assert entries() == []
