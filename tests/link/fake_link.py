"""A ServiceStage, a journal and a session in memory, and links with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from link.scripted_service import CREATED, HURRIED, NAME, MemoryJournal
from support.redirect_cases import AUTHORIZATION_URL, STATE, redirect

from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import AnyOutcome, Event, Failed, Linked, Waiting, Way
from oauth_helper.journal import Journal
from oauth_helper.link_steps import link_in_browser
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, RepoType
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions, Session

OURS = redirect(code="planted-code", state=STATE)

User = Callable[[RedirectReceiver], Awaitable[None]]


@dataclass
class FakeService(ServiceStageClient):
    """ServiceStage as a list; each call raises the errors that the test puts into ``fails`` under its name."""

    existing: list[Authorization] = field(default_factory=list)
    fails: Mapping[str, OAuthHelperError | Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    is_creating: asyncio.Event | None = None
    """Set when the authorization is to be created; then the call never ends."""
    endpoint: str = "https://servicestage.paper.example"
    project_id: str = "0123456789abcdef0123456789abcdef"
    url: str = AUTHORIZATION_URL

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if error := self.fails.get(call.split(maxsplit=1)[0]):
            raise error

    @asynccontextmanager
    async def kept_open(self, *, until: datetime | None = None) -> AsyncIterator[None]:
        self.calls.append("ready")
        yield
        self.calls.append("over")

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        self._called("list")
        return self.existing

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        self._called(f"url {repo_type} {tag}")
        return self.url

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        self._called(f"create {repo_type} {name} {code.reveal()} {state.reveal() == STATE} {tag}")
        if self.is_creating:
            self.is_creating.set()
            await asyncio.Event().wait()
        return CREATED

    async def create_personal(
        self, repo_type: RepoType, *, name: str, token: Secret, host: str | None = None
    ) -> Authorization:
        self._called(f"create {repo_type} {name} {host}")
        return CREATED

    async def create_password(self, repo_type: RepoType, *, name: str, user: str, password: Secret) -> Authorization:
        self._called(f"create {repo_type} {name} {user}")
        return CREATED

    async def delete_authorization(self, name: str) -> None:
        self._called(f"delete {name}")

    @property
    def requests(self) -> list[str]:
        """The calls that send a request."""
        return [call for call in self.calls if call not in {"ready", "over"}]


def journal_with(*entries: Pending) -> MemoryJournal:
    journal = MemoryJournal()
    journal.entries.extend(entries)
    return journal


async def consents(receiver: RedirectReceiver) -> None:
    receiver.judge(OURS, Way.PAGE)


async def does_nothing(receiver: RedirectReceiver) -> None:
    return


class FakeSession(Session):
    """A session whose browser is ``user``; everything else is real.

    Args:
        user: Acts for the user as soon as the browser is to open.
        starts_over: How often the user starts over.
        pastes: What the user pastes into the terminal, which is judged at once.
    """

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
        self.outcome: asyncio.Task[AnyOutcome] | None = None
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
            self.outcome = asyncio.create_task(receiver.outcome())
        await self.user(receiver)

    async def may_start_over(self, error: OAuthHelperError, *, seconds: float = 0) -> bool:
        self.refusals.append(error.message)
        return len(self.refusals) <= self._starts_over


async def link_with(
    session: FakeSession, service: FakeService, *, timeout: float = 5, if_exists: IfExists = IfExists.KEEP
) -> Linked:
    request = LinkRequest(RepoType.GITHUB, NAME, "intl", if_exists, timeout)
    async with session:
        return await link_in_browser(request, service, session)


async def fail_with(
    error: type[OAuthHelperError],
    service: FakeService,
    user: User = consents,
    *,
    timeout: float = 5,
    if_exists: IfExists = IfExists.KEEP,
) -> tuple[OAuthHelperError, FakeSession]:
    """Link, and check that the caller, the page and the events agree on the error."""
    session = FakeSession(user)
    with pytest.raises(error) as raised:
        await link_with(session, service, timeout=timeout, if_exists=if_exists)
    assert session.told[-1] == Failed(raised.value)
    if session.outcome:
        assert await session.outcome == Failed(raised.value)
    return raised.value, session
