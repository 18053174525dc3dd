"""``link`` ended by a signal: in order, and true about what may have been created."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, web
from command import ended, error_of, line_with, running, surroundings
from fake_servicestage import PROJECT, STATE, TOKEN, FakeServiceStage, Received
from support.promised_json import read_authorization
from yarl import URL

from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "Interrupted"), (signal.SIGTERM, "Terminated"), (signal.SIGHUP, "Hung up")]
)
async def test_a_signal_ends_the_wait_in_order_and_frees_the_port(
    sandbox: Sandbox, number: signal.Signals, word: str
) -> None:
    async with running("link", "github", "--no-browser", "--json", environ=surroundings(sandbox)) as process:
        start = await line_with(process.stderr, "/start?k=")
        process.send_signal(number)
        end = await ended(process)
    assert end.status == 128 + number
    assert f"error: {word}. Nothing was created" in end.err
    assert error_of(end.err)["kind"] == "stopped"
    with socket.socket() as again:
        again.bind(("127.0.0.1", int(start.split(":")[2].split("/")[0])))


async def waiting_redirect(process: asyncio.subprocess.Process) -> str:
    """Return the listener's address that brings the redirect straight to it, once it waits."""
    start = await line_with(process.stderr, "/start?k=")
    authorization_url = await line_with(process.stderr, "/login/oauth/authorize?")
    async with ClientSession() as browser, browser.get(authorization_url, allow_redirects=False) as answer:
        query = answer.headers["Location"].partition("?")[2]
    return f"{start.partition('/start')[0]}/servicestage/oauth?{query}"


async def test_a_signal_after_the_link_takes_nothing_of_it_back() -> None:
    async with Sandbox(decision="authorize") as sandbox:
        environ = surroundings(sandbox)
        async with running("link", "github", "--no-browser", "--json", environ=environ) as process:
            redirect = await waiting_redirect(process)
            async with ClientSession() as browser:
                async with browser.get(URL(redirect, encoded=True), allow_redirects=False) as answer:
                    assert answer.status == 303
                process.send_signal(signal.SIGINT)
                end = await ended(process)
    assert end.status == 0, end.err
    assert read_authorization(end.out)["repo_user"] == "octocat"


async def test_nobody_listening_to_what_is_said_takes_nothing_of_the_link_back() -> None:
    async with Sandbox(decision="authorize") as sandbox:
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "oauth_helper", "link", "github", "--no-browser", "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=writing,
            env=surroundings(sandbox),
        )
        os.close(writing)
        said = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(said), os.fdopen(reading, "rb", buffering=0)
        )
        process.stderr = said
        redirect = await waiting_redirect(process)
        transport.close()
        async with ClientSession() as browser, browser.get(URL(redirect, encoded=True)) as answer:
            assert 'data-outcome="linked"' in await answer.text()
        assert process.stdout
        out = await process.stdout.read()
        assert await process.wait() == 0
    assert read_authorization(out)["repo_user"] == "octocat"


async def test_a_hang_up_that_is_ignored_stays_ignored(sandbox: Sandbox) -> None:
    process = await asyncio.create_subprocess_exec(
        *("nohup", sys.executable, "-m", "oauth_helper", "link", "github", "--no-browser", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=surroundings(sandbox),
    )
    await line_with(process.stderr, "/start?k=")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert (await ended(process)).status == 143


async def test_a_signal_during_the_exchange_says_that_the_outcome_is_not_known() -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def respond(request: Received) -> web.Response:
        if request.method == "POST":
            asked.set()
            await over.wait()
        if request.target.endswith("/redirect"):
            return web.json_response({"url": f"http://127.0.0.1:1/authorize?state={STATE.reveal()}"})
        return web.json_response({"authorizations": [], "count": 0})

    async with FakeServiceStage(respond) as server:
        environ = surroundings(
            OAUTH_HELPER_ENDPOINT=server.endpoint,
            OAUTH_HELPER_PROJECT_ID=PROJECT,
            OAUTH_HELPER_TOKEN=TOKEN.token.reveal(),
        )
        async with running("link", "github", "--no-browser", environ=environ) as process:
            start = await line_with(process.stderr, "/start?k=")
            origin = start.partition("/start")[0]
            query = urlencode({"code": "abc", "state": STATE.reveal()})
            async with ClientSession() as browser:
                waiting = asyncio.create_task(browser.get(f"{origin}/servicestage/oauth?{query}"))
                await asked.wait()
                process.send_signal(signal.SIGTERM)
                async with await waiting as answer:
                    assert 'data-outcome="unknown"' in await answer.text()
            end = await ended(process)
            over.set()
    assert end.status == 143
    assert "error: Terminated while ServiceStage was asked to create github-" in end.err
    assert "hint: The redirect is kept: `oauth-helper resume` finishes it" in end.err
