"""Hostile traffic to the callback of a tool that waits for an OAuth redirect, and the table of all attacks."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

HOST = "127.0.0.1"
TIMEOUT = 1.0
"""Seconds to wait for the answer to a hostile request; without one its connection stays open, as a browser's does."""
STOLEN = "hostile-code"
"""The code in requests that have the genuine state but must not count: who exchanges it has taken such a request."""
SCRIPT, LINE_BREAK = "<script>alert(1)</script>", "a\r\nX-Injected: 1\r\n\r\n<b>"
ESCAPE, LONG = "\x1b[2J\x1b]0;owned\x07\x9b31m", "a" * 100_000
FIELDS = ("code", "state", "error", "error_description", "error_uri", "iss", "scope")
"""What a Git host fills in (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207)."""


@dataclass(frozen=True)
class Answer:
    status: int
    head: str
    body: bytes

    def header(self, name: str) -> str:
        fields = (line.partition(":") for line in self.head.split("\r\n")[1:])
        return next((value.strip() for found, _, value in fields if found.strip().lower() == name), "")


async def connect(port: int, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection, and send ``said`` in one go, as a browser does."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    try:
        sock.setblocking(False)
        with suppress(BlockingIOError):
            sock.connect((HOST, port))
        sent = 0
        try:
            sent = sock.send(said)
        except BlockingIOError:  # the queue is full
            await loop.sock_connect(sock, (HOST, port))
        await loop.sock_sendall(sock, said[sent:])
        return await asyncio.open_connection(sock=sock, limit=2**20)
    except BaseException:
        sock.close()
        raise


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> Answer | None:
    """Read an answer to its end; None if it breaks off or is not HTTP."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        answer = Answer(int(head.split()[1]), head, b"")
        length = answer.header("content-length")
        body = await (reader.readexactly(int(length)) if length else reader.read()) if has_body else b""
    except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError):
        return None
    return Answer(answer.status, head, body)


@dataclass(frozen=True)
class Callback:
    """A redirect URI on loopback, with the genuine response to it."""

    port: int
    authority: str  # the Host that the tool's own redirect URI names
    path: str
    query: str  # the genuine response, encoded
    method: str = "GET"
    """How the genuine response comes: by GET, or by POST with ``response_mode=form_post``."""

    @classmethod
    def at(cls, redirect_uri: str, query: str, method: str = "GET") -> Self:
        uri = urlsplit(redirect_uri)
        assert uri.port
        return cls(uri.port, uri.netloc, uri.path or "/", query, method)

    @property
    def code(self) -> str:
        return dict(parse_qsl(self.query))["code"]

    @property
    def genuine(self) -> bytes:
        """The genuine redirect, with the headers that browsers send when a site redirects a tab."""
        fetch = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        return self.request(self.query, headers=fetch | {"Accept": "text/html"})

    @property
    def stolen(self) -> str:
        """The genuine response with another code, which shows who has taken it."""
        return self.response(code=STOLEN)

    @property
    def forged(self) -> str:
        return self.response(code="forged-code", state="forged-state")

    def response(self, **changes: str) -> str:
        return urlencode(dict(parse_qsl(self.query)) | changes)

    def request(self, query: str, *, path: str = "", headers: Mapping[str, str] | None = None) -> bytes:
        target = path or self.path
        if self.method == "GET":
            return self.raw("GET", f"{target}?{query}", headers)
        return self.raw("POST", target, FORM | dict(headers or {}), query.encode())

    def raw(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", host: str = ""
    ) -> bytes:
        fields = {"Host": host or self.authority} | dict(headers or {})
        if body and "Transfer-Encoding" not in fields:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


@dataclass
class Attacker:
    """What a stranger says at the callback's port, keeps open, and is answered."""

    callback: Callback
    earlier: str = ""
    """The response to an earlier attempt of the same tool."""
    answers: list[Answer] = field(default_factory=list)
    _open: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def say(self, said: bytes, *, has_body: bool = True) -> None:
        """Send ``said`` on a new connection; read the answer if it comes in time."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await connect(self.callback.port, said)
                self._open.append(writer)
                if answer := await read_answer(reader, has_body=has_body):
                    self.answers.append(answer)
                writer.close()

    async def hold(self, said: bytes = b"") -> None:
        """Send ``said`` on a connection that stays open until the end."""
        with suppress(OSError):
            self._open.append((await connect(self.callback.port, said))[1])

    async def hold_many(self, times: int) -> None:
        """Open silent connections; those that the full queue refuses try again until the end."""
        self._tasks += (tasks := [asyncio.create_task(self._hold_at_last()) for _ in range(times)])
        await asyncio.wait(tasks, timeout=2 * TIMEOUT)

    async def _hold_at_last(self) -> None:
        for tries in range(20):
            with suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT / 4 * 2**tries):
                    await self.hold()
                    return

    async def drip(self, said: bytes, every: float) -> None:

        async def dripping() -> None:
            with suppress(OSError):
                _, writer = await connect(self.callback.port)
                self._open.append(writer)
                for byte in said:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(every)

        self._tasks.append(asyncio.create_task(dripping()))
        await asyncio.sleep(0)

    async def flood(self, requests: Iterable[bytes], *, connections: int, seconds: float) -> None:
        """Send these one after the other as fast as they are answered, over so many connections at once."""
        queue = iter(requests)

        async def pouring() -> None:
            with suppress(OSError):
                for said in queue:
                    reader, writer = await connect(self.callback.port, said)
                    try:
                        await read_answer(reader)
                    finally:
                        writer.close()

        self._tasks += (tasks := [asyncio.create_task(pouring()) for _ in range(connections)])
        await asyncio.wait(tasks, timeout=seconds)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._open:
            writer.close()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
FRAME = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
PREFETCH = IMAGE | {"Sec-Fetch-Dest": "empty", "Sec-Purpose": "prefetch"}

Run = Callable[[Attacker], Awaitable[None]]


def sends(*requests: Callable[[Callback], bytes], has_body: bool = True) -> Run:
    async def run(attacker: Attacker) -> None:
        for request in requests:
            await attacker.say(request(attacker.callback), has_body=has_body)

    return run


def by_method(method: str) -> Run:
    """The genuine response by another method."""

    def request(callback: Callback) -> bytes:
        if method == "HEAD":  # RFC 9110 section 9.2.1: it changes nothing; link checkers send it
            return callback.raw("HEAD", f"{callback.path}?{callback.stolen}")
        other = "GET" if method == callback.method else method
        body = b"" if other == "GET" else callback.stolen.encode()
        return callback.raw(other, f"{callback.path}?{callback.stolen}", FORM if body else None, body)

    return sends(request, has_body=method != "HEAD")


def with_host(host: str | None) -> Run:
    """The genuine response with another Host, or none (RFC 9112 section 3.2)."""

    def request(callback: Callback) -> bytes:
        line = f"Host: {host}:{callback.port}\r\n".encode() if host else b""
        return callback.request(callback.stolen).replace(f"Host: {callback.authority}\r\n".encode(), line, 1)

    return sends(request)


def in_each_field(text: str) -> Run:
    def request(field: str) -> Callable[[Callback], bytes]:
        response = {"error" if field.startswith("error") else "code": "forged", "state": "forged"} | {field: text}
        return lambda callback: callback.request(urlencode(response, quote_via=quote))

    return sends(*map(request, FIELDS))


async def wrong_state_at_full_speed(attacker: Attacker) -> None:
    callback = attacker.callback
    forged = (callback.request(callback.response(code=f"c{n}", state=f"s{n}")) for n in range(10_000))
    await attacker.flood(forged, connections=4, seconds=30)


async def chunked(attacker: Attacker) -> None:
    """A whole body in chunks, and one whose last chunk never comes."""
    callback, forged = attacker.callback, attacker.callback.forged.encode()
    chunk = b"%x\r\n%s\r\n" % (len(forged), forged)
    head = callback.raw("POST", callback.path, FORM | {"Transfer-Encoding": "chunked"})
    await attacker.say(head + chunk + b"0\r\n\r\n")
    await attacker.hold(head + chunk)


@cache
def bomb() -> bytes:
    return gzip.compress(bytes(100_000_000), compresslevel=9)


def tls_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context = ssl.create_default_context()
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@dataclass(frozen=True)
class Attack:
    name: str
    run: Run
    is_after: bool = False  # whether it comes after the genuine redirect
    genuine: int = 1  # how many times the genuine redirect comes, all at once
    is_loud: bool = False  # whether it needs the machine for itself
    only_ip_literal: bool = False  # whether it is hostile only where the redirect URI names 127.0.0.1


ATTACKS = (
    Attack("no attack", sends()),
    Attack("favicon first", sends(lambda c: c.raw("GET", "/favicon.ico", IMAGE))),
    Attack("one silent connection", Attacker.hold),
    Attack("six silent connections", lambda a: a.hold_many(6)),
    Attack("500 silent connections", lambda a: a.hold_many(500), is_loud=True),
    Attack("half a request line", lambda a: a.hold(f"GET {a.callback.path}?co".encode())),
    Attack("slow headers, a byte every 0.8 s", lambda a: a.drip(a.callback.raw("GET", a.callback.path), 0.8)),
    Attack("forged `error`", sends(lambda c: c.request("error=access_denied&error_description=no"))),
    Attack("forged code", sends(lambda c: c.request("code=forged-code"), lambda c: c.request(c.forged))),
    Attack("wrong state, 10,000 times", wrong_state_at_full_speed, is_loud=True),
    Attack("HEAD", by_method("HEAD")),
    Attack("OPTIONS", by_method("OPTIONS")),
    Attack("POST (where POST is genuine: GET)", by_method("POST")),
    Attack("PUT", by_method("PUT")),
    Attack("TLS hello", lambda a: a.hold(tls_hello())),
    # A name that is rebound to 127.0.0.1 makes another site's script our neighbour.
    Attack("foreign Host", with_host("evil.example")),
    # RFC 8252 section 8.3: the redirect URI names 127.0.0.1, so no redirect says this.
    Attack("`localhost` Host", with_host("localhost"), only_ip_literal=True),
    Attack("missing Host", with_host(None)),
    # RFC 9112 section 3.2.2: the target names another server, whatever Host says.
    Attack("absolute-form target", sends(lambda c: c.request(c.stolen, path=f"http://evil.example{c.path}"))),
    Attack("cross-site Origin", sends(lambda c: c.request(c.stolen, headers={"Origin": "https://evil.example"}))),
    Attack("an image's request", sends(lambda c: c.raw("GET", f"{c.path}?{c.stolen}", IMAGE))),
    Attack("a frame's request", sends(lambda c: c.request(c.stolen, headers=FRAME))),
    Attack("prefetch", sends(lambda c: c.raw("GET", f"{c.path}?{c.stolen}", PREFETCH))),
    Attack("wrong path", sends(lambda c: c.request(c.stolen, path=f"{c.path.rstrip('/')}/wrong"))),
    # RFC 6749 section 3.1: no parameter may come twice.
    Attack(
        "duplicated parameters",
        sends(lambda c: c.request(f"{c.stolen}&code=again"), lambda c: c.request(f"{c.stolen}&state=another")),
    ),
    Attack("100 KB query", sends(lambda c: c.raw("GET", f"{c.path}?{c.forged}&more={'a' * 100_000}"))),
    Attack("1 MB body", sends(lambda c: c.raw("POST", c.path, FORM, f"{c.forged}&m=".encode() + b"a" * 1_000_000))),
    Attack("chunked body", chunked),
    Attack("gzip bomb", sends(lambda c: c.raw("POST", c.path, FORM | {"Content-Encoding": "gzip"}, bomb()))),
    Attack("three genuine at once", sends(), genuine=3),
    Attack("callback of an earlier attempt", lambda a: a.say(a.callback.request(a.earlier))),
    Attack(
        "callback after the end",
        sends(
            lambda c: c.request(c.stolen),
            lambda c: c.request(c.response(error="access_denied")),
            lambda c: c.request(c.forged),
        ),
        is_after=True,
    ),
    Attack("CRLF in every provider field", in_each_field(LINE_BREAK)),
    Attack("script in every provider field", in_each_field(SCRIPT)),
    Attack("escape codes in every provider field", in_each_field(ESCAPE)),
    Attack("100 KB in every provider field", in_each_field(LONG)),
)
