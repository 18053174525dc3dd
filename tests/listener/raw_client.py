"""A receiver for the listener, and a client that sends exactly the bytes of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from sandbox.page_reader import elements

from oauth_helper.errors import AuthorizationDeniedError
from oauth_helper.events import Captured, Event, Failed, Ignored, Linked, OpenedTwice, Outcome, Way
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import Authorization, RepoType
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse

STATE = "$2a$10$planted.state.canary"
CODE = "planted-code-canary"
OURS = urlencode({"repo_type": "github", "code": CODE, "state": STATE})
DENIAL = urlencode({"error": "access_denied", "error_description": "<script>alert(1)</script>\r\nX: y", "state": STATE})
DIRECT = "/servicestage/oauth"
GENUINE = f"{DIRECT}?{OURS}"
ADDRESS = f"https://console.huaweicloud.com{DIRECT}?{OURS}"
LINKED = Linked(Authorization(name="my-auth", repo_type="github", repo_user="octo<b>cat", status=0))


def authorization_url(state: str = STATE, *, origin: str = "https://github.com") -> str:
    query = urlencode({"client_id": '1"><script>', "state": state})
    return f"{origin}/login/oauth/authorize?{query}"


class WaitingLink(RedirectReceiver):
    """The receiver of a link that ends with ``ending`` after its redirect; with None, a test calls :meth:`end`."""

    def __init__(
        self,
        ending: Outcome | None = LINKED,
        url: str = authorization_url(),
    ) -> None:
        self.events: list[Event] = []
        self._ending = ending
        super().__init__(AuthorizationRequest.parse(url, RepoType.GITHUB), self.events.append)

    def _take(self, judge: Callable[[str], AuthorizationResponse], offered: str, way: Way) -> None:
        super()._take(judge, offered, way)
        denial = self._redirect.exception()
        if isinstance(denial, AuthorizationDeniedError):
            self.end(Failed(denial))
        elif self._ending:
            self.end(self._ending)

    def ask_again(self) -> str:
        """Start over with another authorization URL, and return it."""
        url = authorization_url("fresh")
        self.start_over(AuthorizationRequest.parse(url, RepoType.GITHUB))
        return url

    @property
    def taken(self) -> list[Way]:
        return [event.way for event in self.events if isinstance(event, Captured)]

    @property
    def ignored(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Ignored)]

    @property
    def new_addresses(self) -> list[str]:
        """The addresses that were announced after a second use."""
        return [event.listener for event in self.events if isinstance(event, OpenedTwice)]

    @property
    def is_waiting(self) -> bool:
        return not self.was_answered and not self.outcome.done()


class Open(NamedTuple):
    listener: Listener
    receiver: WaitingLink
    port: int
    key: str
    """Good more than once: most tests use connections of their own, without cookies."""
    first: str
    """The one-time KEY that a browser would be opened with."""


@asynccontextmanager
async def listening(receiver: WaitingLink, *, timeout: float = 20.0) -> AsyncIterator[Open]:
    """Open a listener for ``receiver``; closing it takes less than three seconds, whatever the test left open."""
    listener = Listener(timeout=timeout)
    await listener.__aenter__()
    try:
        start = urlsplit(await listener.serve(receiver))
        key = listener.start(good_once=False).key.reveal()
        yield Open(listener, receiver, start.port or 0, key, parse_qs(start.query)["k"][0])
    finally:
        async with asyncio.timeout(3):
            await listener.__aexit__(None, None, None)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split()[1]), headers, body.decode())


async def say(port: int, text: str | bytes) -> Answer:
    """Send ``text`` on a connection of its own and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text.encode() if isinstance(text, str) else text)
        async with asyncio.timeout(5):
            return await read_answer(reader)
    finally:
        writer.close()


async def ask(port: int, target: str, *, method: str = "GET", body: str = "", **headers: str) -> Answer:
    """Make a request for a target or an address. A header's underscores stand for hyphens; empty ones are left out."""
    host = f"127.0.0.1:{port}"
    fields = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items() if value}}
    if body or method == "POST":
        fields = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))} | fields
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return await say(port, f"{method} {target.removeprefix(f'http://{host}')} HTTP/1.1\r\n{head}\r\n{body}")


async def paste(opened: Open, text: str, *, way: str = "", **headers: str) -> Answer:
    body = urlencode({"redirect": text, "way": way})
    return await ask(opened.port, f"/redirect?k={opened.key}", method="POST", body=body, **headers)


async def genuine(opened: Open) -> None:
    """Send the genuine redirect as a browser does, and follow it to the final page."""
    answer = await ask(opened.port, f"{DIRECT}?{OURS}")
    page = await ask(opened.port, answer.headers["location"])
    assert 'data-outcome="linked"' in page.body
    assert opened.receiver.taken == [Way.DIRECT]


def told(answer: Answer) -> str | None:
    return elements(answer.body, "body")[0].get("data-outcome")


def is_bare(answer: Answer, status: int) -> bool:
    return (answer.status, answer.body) == (status, "") and "server" not in answer.headers
