"""A simple receiver for the listener, and a client that sends exactly the bytes of a test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from oauth_helper import receiver
from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError
from oauth_helper.events import AnyOutcome, Failed, Linked, Outcome, RejectedRequest, Way
from oauth_helper.i18n import _
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import Authorization, RepoType
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATE = "$2a$10$planted.state.canary"
CODE = "planted-code-canary"
OURS = urlencode({"repo_type": "github", "code": CODE, "state": STATE})
DENIAL = urlencode({"error": "access_denied", "error_description": "<script>alert(1)</script>\r\nX: y", "state": STATE})
DIRECT = "/servicestage/oauth"
GENUINE = f"{DIRECT}?{OURS}"
ADDRESS = f"https://console.huaweicloud.com{DIRECT}?{OURS}"
LINKED = Linked(Authorization(name="my-auth", repo_type="github", repo_user="octo<b>cat", status=0))


@dataclass
class RedirectReceiver(receiver.RedirectReceiver):
    """Accepts redirects with its state, and ends with ``ending``."""

    ending: Outcome | None = LINKED
    """The outcome after the redirect; None: a test calls :meth:`end`."""
    authorization_url: str = 'https://github.com/login/oauth/authorize?client_id=1&state=s"><script>'
    repo_type: RepoType = RepoType.GITHUB
    taken: list[Way] = field(default_factory=list)
    arrivals: asyncio.Queue[Way] = field(default_factory=asyncio.Queue)
    """Those of ``taken``, for a test that waits for them."""
    ignored: list[str] = field(default_factory=list)
    rejected: list[RejectedRequest] = field(default_factory=list)
    way: Way | None = None
    visits: int = 0
    new_addresses: list[str] = field(default_factory=list)
    """The addresses that were announced after a second use."""
    known: asyncio.Future[AnyOutcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def request(self) -> AuthorizationRequest:  # type: ignore[override]  # a test may change the address
        return AuthorizationRequest(Secret(self.authorization_url), "github.com", Secret(STATE), None, self.repo_type)

    def judge(self, text: str, way: Way) -> None:
        self.judge_query(urlsplit(text.strip()).query, way)

    def judge_query(self, query: str, way: Way) -> None:
        values = parse_qs(query)
        if values.get("state") != [STATE]:
            self._reject("foreign-state" if "state" in values else "no-redirect")
        denied = values.get("error")
        if not denied and len(values.get("code", [])) != 1:
            self._reject("repeated-parameter" if "code" in values else "missing-code")
        self.taken.append(way)
        self.way = way
        self.arrivals.put_nowait(way)
        if denied:
            self.end(Failed(AuthorizationDeniedError(denied[0], values["error_description"][0])))
        elif self.ending:
            self.end(self.ending)

    def end(self, outcome: AnyOutcome) -> None:
        if not self.known.done():
            self.known.set_result(outcome)

    def ignore(self, reason: str) -> None:
        self.rejected.append(RejectedRequest(reason))

    def visit(self) -> None:
        self.visits += 1

    def warn_of_second_use(self, listener: str) -> None:
        self.new_addresses.append(listener)

    async def outcome(self) -> AnyOutcome:
        return await asyncio.shield(self.known)

    def _reject(self, reason: str) -> None:
        self.ignored.append(reason)
        raise RedirectRejectedError(reason, _("not ours: {reason}", reason=reason))

    @property
    def has_redirect(self) -> bool:
        return bool(self.taken)

    @property
    def untouched(self) -> bool:
        return not self.taken and not self.ignored and not self.known.done()


class Open(NamedTuple):
    listener: Listener
    receiver: RedirectReceiver
    port: int
    key: str
    """Good more than once: most tests use connections of their own, without cookies."""
    first: str
    """The one-time KEY that a browser would be opened with."""


@asynccontextmanager
async def listening(receiver: RedirectReceiver, *, patience: float = 20.0) -> AsyncIterator[Open]:
    """Open a listener for ``receiver``; closing it takes less than three seconds, whatever the test left open."""
    listener = Listener(timeout=patience)
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
    """Make a request. A header's underscores stand for hyphens; ``Host`` is right unless given."""
    fields = {"Host": f"127.0.0.1:{port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body or method == "POST":
        fields = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))} | fields
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return await say(port, f"{method} {target} HTTP/1.1\r\n{head}\r\n{body}")


async def paste(opened: Open, text: str, **headers: str) -> Answer:
    return await ask(
        opened.port, f"/redirect?k={opened.key}", method="POST", body=urlencode({"redirect": text}), **headers
    )


async def genuine(opened: Open) -> None:
    """Send the genuine redirect as a browser does, and follow it to the final page."""
    answer = await ask(opened.port, f"{DIRECT}?{OURS}")
    page = await ask(opened.port, answer.headers["location"])
    assert 'data-outcome="linked"' in page.body
    assert opened.receiver.taken == [Way.DIRECT]


class Forms(HTMLParser):
    """What a browser sees in a page: forms, fields, links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def told(answer: Answer) -> str | None:
    return Forms(answer.body).all("body")[0].get("data-outcome")


def is_bare(answer: Answer, status: int) -> bool:
    return (answer.status, answer.body) == (status, "") and "server" not in answer.headers
