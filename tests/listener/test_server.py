"""The socket, the connection limit, the peer check, and what is not HTTP."""

from __future__ import annotations

import asyncio
import logging
import resource
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from listener.raw_client import (
    ADDRESS,
    CODE,
    DIRECT,
    GENUINE,
    LINKED,
    OURS,
    STATE,
    Open,
    WaitingLink,
    ask,
    genuine,
    is_bare,
    listening,
    paste,
    read_answer,
    say,
    told,
)
from support.command_runner import commands, error_of
from support.other_users import acting_as, needs_root

from oauth_helper import RepoType
from oauth_helper.events import RejectedRequest, Way
from oauth_helper.i18n import Language
from oauth_helper.listener.pages import Pages
from oauth_helper.listener.server import is_other_user

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


async def test_a_thousand_silent_connections_do_not_block_the_redirect(opened: Open) -> None:
    with silent_connections(opened, SILENT) as sockets:
        await genuine(opened)
        still_open = [sock for sock in sockets if not is_closed(sock)]
        assert len(still_open) <= MOST
        assert still_open == sockets[-len(still_open) :], "the oldest were closed"


async def test_a_connection_that_waits_for_an_answer_is_never_closed() -> None:
    receiver = WaitingLink(None)
    async with listening(receiver) as opened:
        start = opened.listener.start(held=True, good_once=False)
        held = asyncio.create_task(ask(opened.port, f"/start?k={start.key.reveal()}"))
        pasting = asyncio.create_task(paste(opened, ADDRESS))
        await receiver.redirect()
        with silent_connections(opened, SILENT):
            assert (await say(opened.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 404
            start.lead(None)
            assert (await held).status == 303
            receiver.end(LINKED)
            assert told(await pasting) == "linked"


async def test_the_connection_limit_respects_the_limit_of_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with listening(WaitingLink()) as before:
        await genuine(before)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        async with listening(WaitingLink()) as opened:
            with silent_connections(opened, 60):
                await genuine(opened)
            with silent_connections(opened, 60):
                assert (await ask(opened.port, "/")).status == 404
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


US, ANOTHER, ROOT = 61_001, 61_002, 0

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a socket is")


def connected(
    user: int, port: int, *, family: socket.AddressFamily = socket.AF_INET, source: str = ""
) -> socket.socket:
    """Connect as that user, who is the socket's as long as it is open."""
    with acting_as(user):
        there = socket.socket(family)
    if source:
        there.bind((source, 0))
    there.connect(("::ffff:127.0.0.1" if family == socket.AF_INET6 else "127.0.0.1", port))
    return there


def asked(
    user: int,
    *,
    family: socket.AddressFamily = socket.AF_INET,
    source: str = "",
    closes: bool = False,
    half: bool = False,
) -> bool:
    """Ask as one user about a connection that another has made."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        there = stack.enter_context(connected(user, server.getsockname()[1], family=family, source=source))
        with acting_as(US):
            here, theirs = server.accept()
            stack.enter_context(here)
            if closes:
                there.close()
            if half:
                there.shutdown(socket.SHUT_WR)
            return is_other_user(theirs, here.getsockname())


@needs_root
@needs_linux
@pytest.mark.parametrize("how", [{}, {"source": "127.0.0.2"}, {"family": socket.AF_INET6}], ids=str)
def test_a_connection_of_another_user_is_recognised(how: dict[str, Any]) -> None:
    """IPv6 sockets may have IPv4 peers."""
    assert asked(ANOTHER, **how)
    assert not asked(US, **how)
    assert not asked(ROOT, **how)


@needs_root
@needs_linux
def test_a_closed_connection_counts_as_another_users() -> None:
    assert asked(ANOTHER, closes=True)
    assert asked(US, closes=True)
    assert asked(ANOTHER, half=True)
    assert not asked(US, half=True), "it has said all, but waits for the answer"


@needs_root
def test_a_connection_that_the_system_does_not_show_is_accepted() -> None:
    with acting_as(US):
        assert not is_other_user(("127.0.0.1", 1), ("127.0.0.1", 2))


@needs_root
@needs_linux
@pytest.mark.parametrize("path", ["/start", "/redirect", "/outcome", "/servicestage/oauth", "/done"])
async def test_another_user_is_rejected_on_every_path_and_uses_up_nothing(path: str) -> None:
    """Even one that knows KEY, DONEKEY and the state."""
    # Import what the answers need: the other users may not read the files.
    await asyncio.to_thread(Pages(RepoType.GITHUB, None, Language.ENGLISH).message, "other user")
    async with listening(WaitingLink()) as opened:
        query = {"/servicestage/oauth": OURS, "/done": urlsplit(opened.listener.done_address).query}
        body = urlencode({"redirect": ADDRESS}) if path == "/redirect" else ""
        form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n" if body else ""
        line = f"{'POST' if body else 'GET'} {path}?{query.get(path, f'k={opened.first}')} HTTP/1.1"
        for user in (ANOTHER, US):
            there = connected(user, opened.port)
            reader, writer = await asyncio.open_connection(sock=there)
            writer.write(f"{line}\r\nHost: 127.0.0.1:{opened.port}\r\n{form}\r\n{body}".encode())
            with acting_as(US):
                if user == US and path == "/outcome":
                    opened.receiver.judge(ADDRESS, Way.TERMINAL)
                answer = await read_answer(reader)
            writer.close()
            if user == ANOTHER:
                assert answer.status == 404
                assert opened.receiver.request.url.reveal() not in answer.body
                assert opened.receiver.is_waiting
                assert opened.receiver.ignored == [RejectedRequest.OTHER_USER]
            else:
                assert answer.status in {200, 303}
        assert opened.receiver.ignored == [RejectedRequest.OTHER_USER]


async def test_closing_does_not_wait_for_idle_connections_or_missing_bodies() -> None:
    clock = asyncio.get_running_loop().time
    async with listening(WaitingLink()) as opened:
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
async def test_malformed_http_is_rejected_without_a_body_and_not_logged(
    noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(WaitingLink()) as opened:
        answer = await say(opened.port, noise)
        assert is_bare(answer, 400) or is_bare(answer, 404)
        assert len(opened.receiver.ignored) == 1
        assert opened.receiver.is_waiting
        await genuine(opened)
    assert CODE not in caplog.text
    assert quote(STATE, safe="") not in caplog.text
    assert "127.0.0.1" not in caplog.text


async def test_tls_is_recognised_and_rejected(opened: Open) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", opened.port, ssl=ssl.create_default_context())
    assert opened.receiver.ignored == [RejectedRequest.HTTPS]
    await genuine(opened)


async def test_every_answer_has_the_security_headers() -> None:
    async with listening(WaitingLink()) as opened:
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


async def test_an_internal_error_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(WaitingLink):
        def judge_query(self, query: str, way: Way) -> None:
            raise RuntimeError(f"a fault of ours, by {way} with {len(query)} characters")

    async with listening(Faulty()) as opened:
        answer = await ask(opened.port, GENUINE)
        assert answer.status == 500
        assert "fault of ours" not in answer.body
    assert "a fault of ours" in caplog.text
    assert CODE not in caplog.text


COMMANDS = (("link", "github", "--sandbox", "--port"), ("doctor", "--port"), ("sandbox", "--console-port"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
async def test_a_port_that_browsers_block_is_wrong_usage(command: tuple[str, ...]) -> None:
    end = await commands.run(*command, "6679", "--json", environ=commands.environ())
    assert (end.status, end.out) == (2, "")
    error = error_of(end.err)
    assert error["kind"] == "usage"
    assert command[-1] in error["message"]
    assert "port 6679" in error["message"]


FREE_PORT = "from oauth_helper.listener.server import listen; print(listen(None).getsockname()[1])"


@needs_root
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("unshare"), reason="the free ports cannot be chosen")
def test_a_free_port_is_never_a_blocked_one() -> None:
    """In a network of its own, where only one of the free ports is not blocked."""
    choose = 'ip link set lo up && echo "6665 6670" >/proc/sys/net/ipv4/ip_local_port_range && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", choose, "sh", sys.executable, "-c", FREE_PORT]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if "Operation not permitted" in ended.stderr or "Read-only file system" in ended.stderr:
        pytest.skip("this root may not change a network of its own")
    assert (ended.stdout.split(), ended.stderr) == (["6670"], "")
