"""A signal that comes when a link has ended already, and all that is left to do is to close: the end stands."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec

import pytest
from aiohttp import ClientSession
from command import Ended, ended, error_of, records, running, surroundings
from link_script import LINK, consent, until
from yarl import URL

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Fault

SIGNALLED_AT_THE_END = """
import os, signal, sys

class Output:
    def __init__(self, whole):
        self._whole = whole

    def write(self, text):
        written = self._whole.write(text)
        if '"linked"' in text or '"failed"' in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return written

    def __getattr__(self, name):
        return getattr(self._whole, name)

sys.stdout = Output(sys.stdout)
from oauth_helper.cli import main
sys.exit(main())
"""
"""The command, which is terminated in the moment in which it tells a script the end."""
WITH_TOKEN = (*LINK, "--with-token")


async def link_with(token: str, sandbox: Sandbox) -> Ended:
    process = await create_subprocess_exec(
        *(sys.executable, "-c", SIGNALLED_AT_THE_END, *WITH_TOKEN, "--events"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=surroundings(sandbox),
    )
    return await ended(process, token.encode())


async def test_a_direct_link_that_has_ended_well_stays_so() -> None:
    async with Sandbox() as sandbox:
        end = await link_with(sandbox.personal_token.reveal(), sandbox)
        assert end.status == 0, end.err
        assert len(await records(sandbox)) == 1
    assert [json.loads(line)["event"] for line in end.out.splitlines()] == ["checked", "exchanging", "linked"]


async def test_a_direct_link_that_has_failed_keeps_its_reason() -> None:
    async with Sandbox() as sandbox:
        end = await link_with("another-token", sandbox)
        assert await records(sandbox) == []
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0451")
    assert json.loads(end.out.splitlines()[-1])["error"] == error_of(end.err)


async def test_a_link_whose_redirect_was_refused_keeps_its_reason() -> None:
    async with Sandbox(faults=[Fault.parse("exchange=0402")]) as sandbox:
        command = ("link", "github", "--no-browser", "--events")
        async with running(*command, environ=surroundings(sandbox), stdin=DEVNULL) as process:
            assert process.stdout
            async with asyncio.timeout(30):
                while (event := json.loads(await process.stdout.readline()))["event"] != "waiting":
                    pass
            redirect = await consent(event["authorization_url"])
            query = redirect.partition("?")[2]
            listener = event["listener"].partition("/start")[0]
            async with ClientSession() as browser:
                address = URL(f"{listener}/servicestage/oauth?{query}", encoded=True)
                async with browser.get(address, allow_redirects=False) as answer:
                    assert answer.status == 303
                async with asyncio.timeout(30):
                    while json.loads(await process.stdout.readline())["event"] != "failed":
                        pass
                # The browser has not yet fetched the page that tells of it, and the listener waits for that.
                process.send_signal(signal.SIGTERM)
                end = await ended(process)
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0402")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_who_stops_a_replacement_is_told_that_the_old_one_is_gone(number: signal.Signals) -> None:
    faults = map(Fault.parse, ("exchange=500-after", "exchange=hang"))
    async with Sandbox(faults=faults) as sandbox:
        token = sandbox.personal_token.reveal()
        assert (await link_with(token, sandbox)).status == 0
        command = (*WITH_TOKEN, "--if-exists", "replace", "--json")
        async with running(*command, environ=surroundings(sandbox), stdin=PIPE) as process:
            assert process.stdin
            process.stdin.write(token.encode())
            process.stdin.close()
            await until(lambda: sandbox.calls["exchange"] == 2)
            process.send_signal(number)
            end = await ended(process)
        assert await records(sandbox) == []
    assert end.status == 128 + number
    assert error_of(end.err)["message"].endswith(
        " while ServiceStage was asked to create my-auth. The authorization that was named my-auth is deleted"
    )
