"""Doors and a ServiceStage of paper, and the story told with them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pytest
from redirect_cases import AUTHORIZATION_URL, STATE, redirect

from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import Event, Failed, Linked, Outcome, Way
from oauth_helper.exchange import Timing
from oauth_helper.journal import Journal
from oauth_helper.link_steps import Doors, link
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, RepoType, Target
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient

NAME = "my-auth"
OURS = redirect(code="planted-code", state=STATE)
CREATED = Authorization(NAME, "github", repo_user="octocat", create_time=2, status=0)
STANDING = Authorization(NAME, "github", repo_user="hubot", create_time=1, status=0)

HURRIED = Timing(
    total=0.9,
    connecting=0.05,
    answer=0.25,
    list_call=0.2,
    verify_after=(0.02, 0.06, 0.14, 0.3),
    first_pause=0.01,
    longest_pause=0.08,
)
"""Fifty times as fast as for people."""

User = Callable[[RedirectReceiver], Awaitable[None]]


@dataclass
class PaperService(ServiceStageClient):
    """ServiceStage as a list; what the test puts into ``fails`` is raised by the call of that name."""

    existing: list[Authorization] = field(default_factory=list)
    fails: dict[str, OAuthHelperError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    answering: asyncio.Event | None = None
    endpoint: str = "https://servicestage.paper.example"
    project_id: str = "0123456789abcdef0123456789abcdef"

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        self._called("list")
        return self.existing

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        self._called(f"url {repo_type} {tag}")
        return AUTHORIZATION_URL

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        self.calls.append(f"create {repo_type} {name} {code.reveal()} {state.reveal() == STATE} {tag}")
        if self.answering:
            self.answering.set()
            await asyncio.Event().wait()
        if "create" in self.fails:
            raise self.fails["create"]
        return CREATED

    async def delete_authorization(self, name: str) -> None:
        self._called(f"delete {name}")


@dataclass
class PaperJournal(Journal):
    """A journal as a list of what was written, latest last; None where it was removed."""

    entries: list[Pending | None] = field(default_factory=list)

    def write(self, pending: Pending) -> None:
        self.entries.append(pending)

    def remove(self, pending: Pending) -> None:
        self.entries.append(None)

    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        last = self.entries[-1] if self.entries else None
        return last if last and (last.target, last.repo_type) == (target, repo_type) else None


@dataclass
class PaperDoors:
    """A listener that hands its desk to ``user``, who plays the browser."""

    user: User
    receiver: RedirectReceiver | None = None
    told: list[Event] = field(default_factory=list)
    prompt: Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]] = lambda _offer: nullcontext()
    outcome: asyncio.Task[Outcome] | None = None
    cannot: OAuthHelperError | None = None
    """Why no browser can be opened here."""
    is_open: bool = False
    journal: PaperJournal | None = None
    again: list[str] = field(default_factory=list)
    """What the user who is asked whether to start over is told; more than ``patience`` times is no."""
    patience: int = 0
    onward: list[str | None] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False

    async def prepare(self) -> None:
        if self.cannot:
            raise self.cannot

    async def serve(self, receiver: RedirectReceiver) -> str:
        assert self.is_open
        self.receiver = receiver
        self.outcome = asyncio.create_task(receiver.outcome())
        return "http://127.0.0.1:1/start?k=KEY"

    def start_over(self, onward: str | None) -> str:
        self.onward.append(onward)
        return f"http://127.0.0.1:1/start?again={len(self.onward)}&k=KEY"

    async def open_browser(self, address: str, receiver: RedirectReceiver) -> None:
        assert receiver is self.receiver
        assert address.endswith("k=KEY")
        self.opened.append(address)
        await self.user(receiver)

    async def may_start_over(self, error: OAuthHelperError) -> bool:
        self.again.append(error.message)
        return len(self.again) <= self.patience

    def as_doors(self) -> Doors:
        return Doors(
            listener=self,
            prepare=self.prepare,
            open_browser=self.open_browser,
            prompt=self.prompt,
            may_start_over=self.may_start_over,
            announced=nullcontext,
            journal=self.journal,
            tell=self.told.append,
            timing=HURRIED,
        )

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.told]


async def consents(receiver: RedirectReceiver) -> None:
    receiver.judge(OURS, Way.PAGE)


async def does_nothing(receiver: RedirectReceiver) -> None:
    return


async def run(
    service: PaperService, user: User = consents, *, timeout: float = 5, if_exists: IfExists = IfExists.KEEP
) -> tuple[Linked, PaperDoors]:
    doors = PaperDoors(user)
    request = LinkRequest(RepoType.GITHUB, NAME, "intl", if_exists, timeout)
    return await link(request, service, doors.as_doors()), doors


async def failed(
    error: type[OAuthHelperError],
    service: PaperService,
    user: User = consents,
    *,
    timeout: float = 5,
    if_exists: IfExists = IfExists.KEEP,
) -> tuple[OAuthHelperError, PaperDoors]:
    doors = PaperDoors(user)
    request = LinkRequest(RepoType.GITHUB, NAME, "intl", if_exists, timeout)
    with pytest.raises(error) as raised:
        await link(request, service, doors.as_doors())
    assert doors.told[-1] == Failed(raised.value)
    if doors.outcome:
        assert await doors.outcome == Failed(raised.value), "the page tells what the caller is told"
    return raised.value, doors
