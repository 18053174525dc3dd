"""Whose a connection is: the end of another user of this machine is known, however it was made."""

import asyncio
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from urllib.parse import urlencode, urlsplit

import pytest
from listener_desk import ADDRESS, OURS, RedirectReceiver, listening, read_answer
from other_users import acting_as, needs_root

from oauth_helper.events import RejectedRequest, Way
from oauth_helper.listener.server import is_another_users

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
    by: int = US,
) -> bool:
    """Ask as one user about a connection that another has made."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        there = stack.enter_context(connected(user, server.getsockname()[1], family=family, source=source))
        with acting_as(by):
            here, theirs = server.accept()
            stack.enter_context(here)
            if closes:
                there.close()
            if half:
                there.shutdown(socket.SHUT_WR)
            return is_another_users(theirs, here.getsockname())


@needs_root
@needs_linux
@pytest.mark.parametrize("source", ["", "127.0.0.2"])
def test_another_users_connection_is_known_and_ours_and_roots_are_let_in(source: str) -> None:
    assert asked(ANOTHER, source=source)
    assert not asked(US, source=source)
    assert not asked(ROOT, source=source)


@needs_root
@needs_linux
def test_a_socket_of_ipv6_that_speaks_ipv4_hides_nobody() -> None:
    assert asked(ANOTHER, family=socket.AF_INET6)
    assert not asked(US, family=socket.AF_INET6)


@needs_root
@needs_linux
def test_who_closes_before_it_is_answered_is_nobody_of_ours() -> None:
    assert asked(ANOTHER, closes=True)
    assert asked(US, closes=True)
    assert asked(ANOTHER, half=True)
    assert not asked(US, half=True), "it has said all, but waits for the answer"


@needs_root
def test_root_lets_everybody_in_who_has_the_key() -> None:
    assert not asked(ANOTHER, by=ROOT)


@needs_root
def test_where_the_system_shows_no_such_connection_nothing_is_known() -> None:
    with acting_as(US):
        assert not is_another_users(("127.0.0.1", 1), ("127.0.0.1", 2))


@needs_root
@needs_linux
@pytest.mark.parametrize("path", ["/start", "/redirect", "/outcome", "/servicestage/oauth", "/done"])
async def test_another_user_is_refused_on_every_path_and_uses_nothing_up(path: str) -> None:
    """Even one that knows KEY, DONEKEY and the state."""
    async with listening(RedirectReceiver()) as opened:
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
                assert opened.receiver.authorization_url not in answer.body
                assert opened.receiver.untouched
                assert opened.receiver.strays == [RejectedRequest.OTHER_USER]
            else:
                assert answer.status in {200, 303}
        assert opened.receiver.strays == [RejectedRequest.OTHER_USER]


_WITHOUT_PROC = """
import os, sys
from oauth_helper.listener.server import is_another_users
os.setresuid(1, 1, 0)
told = is_another_users(("127.0.0.1", 1), ("127.0.0.1", 2))
os.setresuid(0, 0, 0)
sys.exit(told)
"""


@needs_root
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare, which hides /proc from a process, is missing")
def test_where_the_tables_are_hidden_nothing_is_known() -> None:
    command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    ended = subprocess.run([*command, sys.executable, "-c", _WITHOUT_PROC], check=False, capture_output=True, text=True)
    if "Operation not permitted" in ended.stderr or "permission denied" in ended.stderr:
        pytest.skip("this root may not mount")
    assert (ended.returncode, ended.stderr) == (0, "")
