"""Whose a connection is: the end of another user of this machine is known, however it was made."""

import json
import os
import subprocess
import sys

import pytest
from other_users import needs_root

from oauth_helper.listener.peer import is_another_users

US, ANOTHER, ROOT = 61_001, 61_002, 0

# All of it is imported before anybody becomes a user who may not read where Python lies.
_ASK = f"""
import json, os, socket, sys
from oauth_helper.listener.peer import is_another_users

user, family, source, closes = json.loads(sys.argv[1])
server = socket.create_server(("127.0.0.1", 0))
told, tell = os.pipe()
stay, leave = os.pipe()
if os.fork() == 0:
    os.close(leave)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    there = socket.socket(family)
    if source:
        there.bind((source, 0))
    there.connect(("::ffff:127.0.0.1" if family == socket.AF_INET6 else "127.0.0.1", server.getsockname()[1]))
    if closes:
        there.close()
    os.write(tell, b".")
    os.read(stay, 1)
    os._exit(0)
os.close(stay)
here, theirs = server.accept()
os.read(told, 1)
if os.environ["ASKED_BY"] != "0":
    os.setgroups([])
    os.setgid({US})
    os.setuid({US})
print(json.dumps(is_another_users(theirs, here.getsockname())))
"""


def asked(user: int, *, family: int = 2, source: str = "", closes: bool = False, by: int = US) -> bool:
    """Ask as one user about a connection that another has made."""
    command = [sys.executable, "-c", _ASK, json.dumps([user, family, source, closes])]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ended = subprocess.run(
        command, env=environ | {"ASKED_BY": str(by)}, capture_output=True, text=True, check=True, timeout=30
    )
    answer: bool = json.loads(ended.stdout)
    return answer


IPV6 = 10


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a socket is")
@pytest.mark.parametrize("source", ["", "127.0.0.2"])
def test_another_users_connection_is_known_and_ours_and_roots_are_let_in(source: str) -> None:
    assert asked(ANOTHER, source=source)
    assert not asked(US, source=source)
    assert not asked(ROOT, source=source)


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a socket is")
def test_a_socket_of_ipv6_that_speaks_ipv4_hides_nobody() -> None:
    assert asked(ANOTHER, family=IPV6)
    assert not asked(US, family=IPV6)


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a socket is")
def test_who_closes_before_it_is_answered_is_nobody_of_ours() -> None:
    assert asked(ANOTHER, closes=True)
    assert asked(US, closes=True)


@needs_root
def test_root_lets_everybody_in_who_has_the_key() -> None:
    assert not asked(ANOTHER, by=ROOT)


def test_where_the_system_shows_no_such_connection_nothing_is_known() -> None:
    assert not is_another_users(("127.0.0.1", 1), ("127.0.0.1", 2))
