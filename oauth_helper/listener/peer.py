"""Whose the other end of a connection is: on Linux, the system tells of each TCP socket which user has opened it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio import Transport
from pathlib import Path
from typing import Final, NamedTuple

Address = tuple[str, int]

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""proc(5)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""RFC 4291 section 2.5.5.2: what stands before an IPv4 address in one of IPv6."""
_ROOT: Final = 0


async def is_held_by_another(transport: Transport | None) -> bool:
    """Whether another user holds the far end of a connection. A client that has left already counts as another user.

    The system's tables are read in a thread: with thousands of connections that takes milliseconds.
    """
    if transport is None:
        return True
    if not _is_told():
        return False
    ends = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return await asyncio.to_thread(is_another_users, *ends)


def is_another_users(theirs: Address, ours: Address) -> bool:
    """Whether the end ``theirs`` of a connection within this machine is another user's than ours or root's.

    On other systems this is unknown, and root may open pages as another user: there the answer is no. An end that its
    program has closed counts as another user's: its program does not wait for an answer.
    """
    if not _is_told():
        return False
    tables = b"".join(_table(path) for path in _TABLES)
    if not any(_owner(tables, end) for end in _ends(ours, theirs)):
        return False  # If not even our own end is shown, the tables tell nothing.
    owners = [_owner(tables, end) for end in _ends(theirs, ours)]
    return not any(owner and owner.is_open and owner.user in {_ROOT, os.geteuid()} for owner in owners)


def _is_told() -> bool:
    return sys.platform == "linux" and os.geteuid() != _ROOT


def _ends(near: Address, far: Address) -> list[tuple[str, str]]:
    """Return how a connection's one end may be spelt: a socket of IPv6 can speak IPv4 as well."""
    spellings = zip(_spelt(near), _spelt(far), strict=True)
    return list(spellings)


def _spelt(address: Address) -> tuple[str, str]:
    host, port = socket.inet_aton(address[0]), f"{address[1]:04X}"
    return f"{_in_words(host)}:{port}", f"{_in_words(_MAPPED + host)}:{port}"


def _in_words(address: bytes) -> str:
    """Spell an address as the tables do: words of 32 bits, each in the byte order of the machine."""
    words = (address[at : at + 4] for at in range(0, len(address), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


class _Owner(NamedTuple):
    user: int
    is_open: bool
    """Whether a program still holds the socket: an orphan has no inode, and its user may be shown as root."""


def _table(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _owner(tables: bytes, ends: tuple[str, str]) -> _Owner | None:
    """Return who holds the end of a connection with these two addresses; None if the tables do not show it."""
    near, far = ends
    _, found, rest = tables.partition(f" {near} {far} ".encode())
    if not found:
        return None
    _state, _queues, _timer, _retransmits, user, _timeout, inode, *_ = rest.split(b"\n", 1)[0].split()
    return _Owner(int(user), int(inode) != 0)
