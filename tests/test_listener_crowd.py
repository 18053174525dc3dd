"""However many connections strangers open, the genuine redirect gets one, and who is served is not disturbed."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from listener_desk import ADDRESS, LINKED, Open, RedirectReceiver, ask, genuine, listening, paste, say, told

from oauth_helper.events import RejectedRequest

SILENT = 1000
MOST = 256


@contextmanager
def silent_connections(opened: Open, count: int) -> Iterator[list[socket.socket]]:
    """Open so many that say nothing."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for sock in sockets:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", opened.port))
        yield sockets


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def test_a_thousand_silent_connections_keep_nobody_out() -> None:
    async with listening(RedirectReceiver()) as opened:
        with silent_connections(opened, SILENT) as sockets:
            await genuine(opened)
            still_open = [sock for sock in sockets if not is_closed(sock)]
            assert len(still_open) <= MOST
            assert still_open == sockets[-len(still_open) :], "the oldest were closed"


async def test_who_waits_for_an_answer_is_not_closed_for_others() -> None:
    receiver = RedirectReceiver(ending=None)
    async with listening(receiver) as opened:
        start = opened.listener.start(held=True, good_once=False)
        held = asyncio.create_task(ask(opened.port, f"/start?k={start.key.reveal()}"))
        pasting = asyncio.create_task(paste(opened, ADDRESS))
        await receiver.arrivals.get()
        with silent_connections(opened, SILENT):
            assert (await say(opened.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 404
            start.lead(None)
            assert (await held).status == 303
            receiver.end(LINKED)
            assert told(await pasting) == "linked"


async def test_with_few_files_to_open_fewer_connections_are_kept() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with listening(RedirectReceiver()) as before:
        await genuine(before)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        async with listening(RedirectReceiver()) as opened:
            with silent_connections(opened, 60):
                await genuine(opened)
            with silent_connections(opened, 60):
                assert (await ask(opened.port, "/")).status == 404
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("request_", "rejected"),
    [
        ("GET /favicon.ico HTTP/1.1\r\nHost: HERE\r\n\r\n", RejectedRequest.UNKNOWN_PATH),
        ("GET /start?k=wrong HTTP/1.1\r\nHost: HERE\r\n\r\n", RejectedRequest.WRONG_KEY),
        ("HEAD /servicestage/oauth HTTP/1.1\r\nHost: HERE\r\n\r\n", RejectedRequest.WRONG_METHOD),
        ("GET / HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", RejectedRequest.LOCALHOST),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", RejectedRequest.FOREIGN_HOST),
        ("GET / HTTP/1.0\r\n\r\n", RejectedRequest.FOREIGN_HOST),
        (
            "GET /servicestage/oauth HTTP/1.1\r\nHost: HERE\r\nOrigin: https://e.example\r\n\r\n",
            RejectedRequest.FOREIGN_ORIGIN,
        ),
        ("GET /servicestage/oauth HTTP/1.1\r\nHost: HERE\r\nSec-Purpose: prefetch\r\n\r\n", RejectedRequest.PREFETCH),
        (
            "GET /servicestage/oauth HTTP/1.1\r\nHost: HERE\r\nSec-Fetch-Dest: image\r\n\r\n",
            RejectedRequest.SUB_RESOURCE,
        ),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", RejectedRequest.HTTPS),
        ("nonsense\r\n\r\n", RejectedRequest.NOT_HTTP),
    ],
)
async def test_what_comes_no_further_is_counted_by_its_kind(request_: str, rejected: RejectedRequest) -> None:
    async with listening(RedirectReceiver()) as opened:
        here = request_.replace("HERE", f"127.0.0.1:{opened.port}").replace("LOCALHOST", f"localhost:{opened.port}")
        answer = await say(opened.port, here.encode("latin-1"))
        assert answer.status in {400, 404, 405}
        assert opened.receiver.strays == [rejected]
        await genuine(opened)
