"""Hostile connections: those that say nothing, too little, too slowly, or no HTTP at all."""

from __future__ import annotations

import ssl

from torture.attacker import Attacker


async def one_silent(attacker: Attacker) -> None:
    await attacker.hold()


async def six_silent(attacker: Attacker) -> None:
    await attacker.hold_many(6)


async def many_silent(attacker: Attacker) -> None:
    await attacker.hold_many(500)


async def half_a_request_line(attacker: Attacker) -> None:
    await attacker.hold(f"GET {attacker.callback.path}?co".encode())


async def slow_headers(attacker: Attacker) -> None:
    """A little more than one byte a second: at just one, chance would decide with who gives up after a second."""
    await attacker.drip(attacker.callback.raw("GET", attacker.callback.path), every=0.8)


async def tls_hello(attacker: Attacker) -> None:
    await attacker.hold(_client_hello())


def _client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without an answer")
