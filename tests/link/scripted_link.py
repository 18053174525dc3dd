"""A ServiceStage that answers each call as the test says, over HTTP, and links through it with a user of the test."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from enum import Enum
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from support.fake_servicestage import AUTHS, KEY, PROJECT, FakeServiceStage, Received
from support.redirect_cases import AUTHORIZATION_URL, STATE, redirect

from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import AnyOutcome, Event, Failed, Linked, Waiting, Way
from oauth_helper.exchange import Timing
from oauth_helper.journal import Journal
from oauth_helper.link_steps import link_in_browser
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, RepoType, Target
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import Retries
from oauth_helper.session import BrowserOptions, Session

NAME = "my-auth"
CREATED = Authorization(NAME, "github", repo_user="octocat", create_time=2, status=0)
EXISTING = Authorization(NAME, "github", repo_user="hubot", create_time=1, status=0)
OURS = redirect(code="planted-code", state=STATE)
HURRIED = Timing(
    total=3.0,
    connecting=0.2,
    answer=0.8,
    list_call=0.8,
    verify_after=(0.04, 0.12, 0.3, 0.9),
    first_pause=0.02,
    longest_pause=0.2,
)
"""About ten times as fast as usual; a busy machine needs the time for an answer."""


class Lost(Enum):
    """How there may be no usable answer."""

    UNSENT = "connection refused"
    RESET = "connection reset"
    CUT = "not JSON"
    HANGS = "no answer"


USED, TAKEN, REFUSED = "SVCSTG.REPO.0402", "SVCSTG.REPO.0403", "SVCSTG.REPO.0451"
NO_LIST, NO_SERVICE = "SVCSTG.00100403", "APIGW.0302"

Answer = Authorization | Sequence[Authorization] | Lost | int | str
"""A record, a list of records, nothing, an HTTP status, or an error code."""


class _Reset(web.Response):
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if request.transport:
            request.transport.abort()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return


class Script:
    """Gives each call the next of its answers, and the last one again and again."""

    def __init__(
        self,
        creates: Sequence[Answer] = (CREATED,),
        lists: Sequence[Answer] = ((),),
        deletes: Sequence[Answer] = (204,),
        *,
        url: str = AUTHORIZATION_URL,
    ) -> None:
        self._answers = {"create": creates, "list": lists, "delete": deletes}
        self._url = url
        self.calls: list[tuple[str, float]] = []
        self.sent: list[dict[str, Any]] = []
        """The bodies of the POSTs."""
        self.is_asked = asyncio.Event()
        """Set when the authorization is to be created."""

    def times_of(self, call: str) -> list[float]:
        return [at for name, at in self.calls if name == call]

    @property
    def order(self) -> str:
        return " ".join(name for name, _ in self.calls)

    def _next(self, call: str) -> Answer:
        answers = self._answers[call]
        return answers[min(len(self.times_of(call)), len(answers) - 1)]

    async def respond(self, request: Received) -> web.Response:
        call = _call(request.method, request.target)
        answer: Answer = 200 if call == "url" else self._next(call)
        self.calls.append((call, asyncio.get_running_loop().time()))
        if call == "url":
            return web.json_response({"url": self._url})
        if call == "create":
            self.sent.append(json.loads(request.body))
            self.is_asked.set()
        match answer:
            case Lost.HANGS:
                await self._over.wait()
                return web.Response()
            case Lost.CUT:
                return web.Response(text="{", content_type="application/json")
            case Lost():
                return _Reset()
            case int():
                return web.json_response({}, status=answer)
            case str():
                status = 403 if answer in {NO_LIST, NO_SERVICE} else 400
                return web.json_response({"error_code": answer, "error_msg": "planted words"}, status=status)
            case Authorization():
                return web.json_response({"authorization": answer.to_json()})
            case _:
                return web.json_response({"authorizations": [one.to_json() for one in answer], "count": len(answer)})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ServiceStageClient]:
        """Serve the answers; return a client that asks once and has no connection for what is not sent."""
        connect = aiohttp.TCPConnector.connect

        async def connect_or_fail(
            pool: aiohttp.TCPConnector, request: aiohttp.ClientRequest, *more: Any, **options: Any
        ) -> aiohttp.connector.Connection:
            call = _call(request.method, request.url.raw_path)
            if call in self._answers and self._next(call) is Lost.UNSENT:
                self.calls.append((call, asyncio.get_running_loop().time()))
                raise aiohttp.ClientConnectorError(request.connection_key, OSError(errno.ECONNREFUSED, "refused"))
            return await connect(pool, request, *more, **options)

        self._over = asyncio.Event()
        with patch.object(aiohttp.TCPConnector, "connect", connect_or_fail):
            async with (
                FakeServiceStage(self.respond) as fake,
                ServiceStageClient(
                    fake.endpoint, project_id=PROJECT, credentials=KEY, retries=Retries(pauses=())
                ) as service,
            ):
                try:
                    yield service
                finally:
                    self._over.set()


def _call(method: str, target: str) -> str:
    if not target.startswith(AUTHS):
        return "open"
    is_url = target.partition("?")[0].endswith("/redirect")
    return "url" if is_url else {"GET": "list", "POST": "create", "DELETE": "delete"}[method]


class MemoryJournal(Journal):
    """Remembers what was written; None means that it was removed. It has one target only."""

    def __init__(self, *entries: Pending) -> None:
        super().__init__(None)
        self.entries: list[Pending | None] = list(entries)

    @property
    def last(self) -> Pending | None:
        return self.entries[-1] if self.entries else None

    def write(self, pending: Pending) -> None:
        self.entries.append(pending)

    def remove(self, pending: Pending) -> None:
        self.entries.append(None)

    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        return self.last


User = Callable[[RedirectReceiver], Awaitable[None]]


async def consents(receiver: RedirectReceiver) -> None:
    receiver.judge(OURS, Way.PAGE)


async def does_nothing(receiver: RedirectReceiver) -> None:
    return


class UserSession(Session):
    """A session whose browser is ``user``; ``starts_over`` is how often the user starts over."""

    def __init__(
        self,
        user: User = consents,
        *,
        journal: Journal | None = None,
        starts_over: int = 0,
        browser: str = "none",
        tell: Callable[[Event], None] | None = None,
        guidance_after: tuple[float, ...] = (15, 30, 60),
        prompt: Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]] = lambda _offer: nullcontext(),
    ) -> None:
        self.told: list[Event] = []
        options = BrowserOptions(browser=browser, environ={"PATH": ""})
        super().__init__(options, tell or self._record, journal=journal, timing=HURRIED, guidance_after=guidance_after)
        self.user = user
        self.receiver: RedirectReceiver | None = None
        self.outcome: asyncio.Future[AnyOutcome] | None = None
        self.opened: list[str] = []
        self.refusals: list[str] = []
        """The messages of the refusals after which the user could start over."""
        self._starts_over = starts_over
        self._prompt = prompt
        self.waits_again = asyncio.Event()

    def _record(self, event: Event) -> None:
        self.told.append(event)
        if self.kinds().count(Waiting) == 2:
            self.waits_again.set()

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.told]

    def prompt(self, offer: Callable[[str], None]) -> AbstractAsyncContextManager[object]:
        return self._prompt(offer)

    async def open_browser(self, start: str, receiver: RedirectReceiver) -> None:
        self.opened.append(start)
        if self.receiver is None:
            self.receiver = receiver
            self.outcome = receiver.outcome
        await self.user(receiver)

    async def may_start_over(self, error: OAuthHelperError, *, seconds: float = 0) -> bool:
        self.refusals.append(error.message)
        return len(self.refusals) <= self._starts_over


async def link_with(
    session: UserSession, script: Script, *, timeout: float = 5, if_exists: IfExists = IfExists.KEEP
) -> Linked:
    request = LinkRequest(RepoType.GITHUB, NAME, "intl", if_exists, timeout)
    async with script.serving() as service, session:
        return await link_in_browser(request, service, session)


async def fail_with(
    error: type[OAuthHelperError], script: Script, user: User = consents, **options: Any
) -> tuple[OAuthHelperError, UserSession]:
    """Link, and check that the caller, the page and the events agree on the error."""
    session = UserSession(user)
    with pytest.raises(error) as raised:
        await link_with(session, script, **options)
    assert session.told[-1] == Failed(raised.value)
    if session.outcome:
        assert await session.outcome == Failed(raised.value)
    return raised.value, session
