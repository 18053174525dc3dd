"""Raw connections to a listener on 127.0.0.1, and whole answers read from them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass

HOST = "127.0.0.1"
_LIMIT = 2**20
"""Bytes of an answer's head; what some tools reflect is long."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    """An answer that came whole."""

    status: int
    head: str
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        for line in self.head.split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.strip().lower() == name:
                return value.strip()
        return None


async def connect(port: int) -> Connection:
    """Open a connection.

    Raises:
        OSError: Nobody listens, or nobody any more.
    """
    return await asyncio.open_connection(HOST, port, limit=_LIMIT)


async def connect_and_say(port: int, said: bytes) -> Connection:
    """Open a connection and send ``said`` in one go, as a browser does: the loop's other connections come later.

    Raises:
        OSError: Nobody listens, or nobody any more.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    try:
        sock.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):  # always, as it says so when it is but begun
            sock.connect((HOST, port))
        try:
            sent = sock.send(said)
        except BlockingIOError:  # there is no place in the queue
            await loop.sock_connect(sock, (HOST, port))
        await loop.sock_sendall(sock, said[sent:])
        return await asyncio.open_connection(sock=sock, limit=_LIMIT)
    except BaseException:
        sock.close()
        raise


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> Answer | None:
    """Read an answer to its end; None where it breaks off or is none."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        answer = Answer(int(head.split()[1]), head, b"")
        length = answer.header("content-length")
        if not has_body:
            return answer
        body = await (reader.read() if length is None else reader.readexactly(int(length)))
    except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError):
        return None
    return Answer(answer.status, head, body)
