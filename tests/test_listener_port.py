"""The port's twin of IPv6, to which ``localhost`` may lead: where it cannot be kept from others, we listen without.

Who keeps whom from the port itself is in ``test_listener_life.py``.
"""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from listener_desk import GENUINE, RedirectReceiver, ask

from oauth_helper.events import Way
from oauth_helper.listener.handlers import Listener
from oauth_helper.listener.server import hold_ipv6


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found: int = sock.getsockname()[1]
    return found


@contextmanager
def no_file_to_open() -> Iterator[None]:
    """Let this process open nothing more, sockets among it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_where_another_program_has_the_twin_the_redirect_is_taken_all_the_same(port: int) -> None:
    with socket.socket(socket.AF_INET6) as theirs:
        theirs.bind(("::1", port))
        receiver = RedirectReceiver()
        async with Listener(port) as listener:
            assert urlsplit(await listener.serve(receiver)).port == port
            answer = await ask(port, GENUINE)
            await ask(port, answer.headers["location"])
        assert theirs.getsockname()[1] == port, "theirs it still is"
    assert receiver.taken == [Way.DIRECT]


def test_where_no_socket_is_to_be_had_for_the_twin_there_is_none(port: int) -> None:
    with no_file_to_open():
        assert hold_ipv6(port) is None
