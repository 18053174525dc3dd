"""Silence, noise and faults on a loopback port: the genuine redirect is not delayed, and nothing is given away."""

import asyncio
import logging
import ssl
from urllib.parse import quote

import pytest
from listener_desk import (
    CODE,
    DIRECT,
    GENUINE,
    STATE,
    RedirectReceiver,
    ask,
    genuine,
    is_bare,
    listening,
    paste,
    read_answer,
    say,
)

from oauth_helper.errors import AuthorizationDeniedError
from oauth_helper.events import Failed, Way


@pytest.mark.parametrize("connections", [1, 6])
@pytest.mark.parametrize("said", ["", "GET /servicestage/oau", f"GET {DIRECT} HTTP/1.1\r\nHost: "])
async def test_silent_and_half_finished_connections_delay_nothing(connections: int, said: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        opened_here = [await asyncio.open_connection("127.0.0.1", opened.port) for _ in range(connections)]
        for _, writer in opened_here:
            writer.write(said.encode())
        await genuine(opened)
    for reader, writer in opened_here:
        assert await reader.read() == b"", "the listener has closed it"
        writer.close()
        await writer.wait_closed()


async def test_closing_waits_neither_for_an_idle_connection_nor_for_a_body_that_never_comes() -> None:
    clock = asyncio.get_running_loop().time
    async with listening(RedirectReceiver()) as opened:
        idle, keep_alive = await asyncio.open_connection("127.0.0.1", opened.port)
        keep_alive.write(f"GET /start?k={opened.key} HTTP/1.1\r\nHost: 127.0.0.1:{opened.port}\r\n\r\n".encode())
        assert (await read_answer(idle)).status == 200
        slow, promising = await asyncio.open_connection("127.0.0.1", opened.port)
        promising.write(b"POST /nowhere HTTP/1.1\r\nHost: any\r\nContent-Length: 900\r\n\r\n")
        assert (await read_answer(slow)).status == 404
        began = clock()
    assert clock() - began < 1
    for writer in (keep_alive, promising):
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "noise",
    [
        f"GET {GENUINE}\r\n\r\n".encode(),
        f"GET {GENUINE} HTTP/9.9\r\n\r\n".encode(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nbroken\r\n\r\n",
        b"\x00\xff\xfe\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_without_a_word_and_leaves_no_trace(
    noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(RedirectReceiver()) as opened:
        answer = await say(opened.port, noise)
        assert is_bare(answer, 400) or is_bare(answer, 404)
        assert opened.receiver.untouched
        await genuine(opened)
    assert CODE not in caplog.text
    assert quote(STATE, safe="") not in caplog.text
    assert "127.0.0.1" not in caplog.text


async def test_a_browser_that_forces_https_is_turned_away() -> None:
    async with listening(RedirectReceiver()) as opened:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", opened.port, ssl=ssl.create_default_context())
        await genuine(opened)


async def test_line_breaks_in_a_redirect_reach_no_header() -> None:
    async with listening(RedirectReceiver()) as opened:
        query = f"error=a%0d%0aX-Injected:%201&error_description=%0d%0a%0d%0a<b>&state={quote(STATE)}"
        answer = await ask(opened.port, f"{DIRECT}?{query}")
        page = await ask(opened.port, answer.headers["location"])
        assert "x-injected" not in answer.headers | page.headers
        assert "<b>" not in page.body
        outcome = await opened.receiver.outcome()
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, AuthorizationDeniedError)


async def test_every_answer_bears_the_headers_that_keep_it_to_itself() -> None:
    async with listening(RedirectReceiver()) as opened:
        redirect = await ask(opened.port, GENUINE)
        answers = [
            redirect,
            await ask(opened.port, redirect.headers["location"]),
            await ask(opened.port, f"{DIRECT}?state=stale"),
            await paste(opened, "no redirect"),
            await ask(opened.port, "/favicon.ico"),
            await ask(opened.port, GENUINE, method="HEAD"),
            await say(opened.port, b"no HTTP\r\n\r\n"),
        ]
    assert [answer.status for answer in answers] == [303, 200, 400, 400, 404, 405, 400]
    for answer in answers:
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "server" not in answer.headers
        assert "set-cookie" not in answer.headers


async def test_a_fault_in_the_story_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(RedirectReceiver):
        def judge_query(self, query: str, way: Way) -> None:
            raise RuntimeError(f"a fault of ours, by {way} with {len(query)} characters")

    async with listening(Faulty()) as opened:
        answer = await ask(opened.port, GENUINE)
        assert answer.status == 500
        assert "fault of ours" not in answer.body
    assert "a fault of ours" in caplog.text
    assert CODE not in caplog.text
