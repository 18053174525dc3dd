"""Whose the other end of a connection is: on Linux, the system tells of each TCP socket which user has opened it."""

from __future__ import annotations

import os
import socket
import sys
from asyncio import Transport
from collections.abc import Iterator
from pathlib import Path
from typing import Final

Address = tuple[str, int]

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""proc(5)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""RFC 4291 section 2.5.5.2: what stands before an IPv4 address in one of IPv6."""
_ESTABLISHED: Final = "01"
_ROOT: Final = 0


def is_held_by_another(transport: Transport | None) -> bool:
    """Whether another user holds the far end of a connection; who has left it does not wait for an answer."""
    return transport is None or is_another_users(
        transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    )


def is_another_users(theirs: Address, ours: Address) -> bool:
    """Whether the end ``theirs`` of a connection within this machine is another user's than ours or root's.

    On other systems that is not known, and who is root has reasons to open pages as somebody else: then it is not. An
    end that is closing or gone is another's: who made it does not wait for an answer.
    """
    if sys.platform != "linux" or os.geteuid() == _ROOT:
        return False
    owners = dict(_owners())
    if not any(end in owners for end in _ends(ours, theirs)):
        return False  # Where not even our own end is shown, the tables tell nothing.
    found = [owners[end] for end in _ends(theirs, ours) if end in owners]
    return not any(state == _ESTABLISHED and user in {_ROOT, os.geteuid()} for state, user in found)


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


def _owners() -> Iterator[tuple[tuple[str, str], tuple[str, int]]]:
    """Give, by its own address and that of its far end, each connection's state and user."""
    for table in _TABLES:
        try:
            rows = table.read_text(encoding="utf-8").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for row in rows:
            _, near, far, state, _, _, _, user, *_ = row.split()
            yield (near, far), (state, int(user))
