"""A whole link against a sandbox that misbehaves, and what must hold of it whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import ClientSession
from msgspec import structs
from sandbox.sandbox_user import NAME, SandboxUser

from oauth_helper.credentials import Credentials
from oauth_helper.errors import OAuthHelperError, RefusedError
from oauth_helper.events import Event, Exchanging, Failed, Linked, Outcome
from oauth_helper.exchange import Timing
from oauth_helper.journal import Journal
from oauth_helper.link_steps import link_in_browser, resume_all
from oauth_helper.models import IfExists, LinkRequest, Pending, RepoType, Target
from oauth_helper.sandbox import Sandbox, play_user
from oauth_helper.sandbox.faults import Call, Fault, Kind
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import Retries, Transport
from oauth_helper.session import BrowserOptions, Session

HURRIED: Final = Timing(
    total=6.0,
    connecting=2.0,
    answer=2.1,
    list_call=1.0,
    verify_after=(0.05, 0.15, 0.35, 0.75),
    first_pause=0.025,
    longest_pause=0.2,
)
"""Twenty times as fast as for people, but with a fifth of their patience: a busy machine may stand still. What comes to
a good end in it needs a second."""
RESIGNED: Final = structs.replace(HURRIED, total=2.2, connecting=1.0, answer=1.1, list_call=0.5)
"""For what comes to no good end: as long as a second sending takes, and no longer."""
AGO: Final = timedelta(seconds=25)
"""After this time nothing comes any more of what an earlier run may have sent."""
LATE: Final = 0.1
"""Seconds after which the sandbox handles what its gateway gave up: a twentieth of what it takes for people."""

UNANSWERED: Final = frozenset(
    {
        Kind.DROP_BEFORE,
        Kind.DROP_AFTER,
        Kind.TRUNCATE,
        Kind.HANG,
        Kind.HANG_AFTER,
        Kind.STALE,
        Kind.BAD_GATEWAY,
        Kind.GATEWAY_TIMEOUT,
    }
)
"""After which a POST may still be carried out, as far as can be known here."""


LIMIT: Final = 5.0
"""Less than the client's own, in seconds, and more than a busy machine stands still."""


class HurriedClient(ServiceStageClient):
    """Has shorter timeouts; ``limit`` is the number of seconds for one answer.

    As with the client's own limits, a call that times out is not retried.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        project_id: str,
        credentials: Credentials,
        limit: float = LIMIT,
    ) -> None:
        super().__init__(endpoint, project_id=project_id, credentials=credentials)
        self._transport = Transport(
            endpoint,
            credentials=credentials,
            project_id=project_id,
            timeout=aiohttp.ClientTimeout(total=limit, connect=limit * 0.9),
            retries=Retries(pauses=(0.02, 0.05, 0.1), within=limit * 0.6),
        )


class PassingSandbox(Sandbox):
    """A sandbox whose user has consented before, and whose faults end with :meth:`heal`."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        super().__init__(decision="authorize", faults=faults, fault_duration=LATE)

    @property
    def struck(self) -> list[tuple[Call, Kind]]:
        """What went wrong, in order."""
        return self._injector.happened

    def heal(self) -> None:
        for queue in self._injector.queues.values():
            queue.clear()


class WatchedJournal(Journal):
    """A journal on the disk that remembers what was written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.written: list[Pending] = []

    def write(self, pending: Pending) -> None:
        super().write(pending)
        self.written.append(pending)


@dataclass
class Story:
    """One link, from its beginning to whatever end, and its resumption."""

    sandbox: PassingSandbox
    journal: WatchedJournal
    credentials: Credentials
    told: list[Event] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    """When each POST left, in the event loop's seconds, which are ``time.monotonic``'s."""
    stood: int = 0
    """How many exchanges were made before the story began."""

    def tell(self, event: Event) -> None:
        self.told.append(event)
        if isinstance(event, Exchanging):
            self.left.append(asyncio.get_running_loop().time())

    async def prepare_standing(self) -> None:
        """Let an authorization of the name stand before the story begins."""
        async with self._plain_client() as service, ClientSession() as session:
            await SandboxUser(self.sandbox, service, session).prepare(Call.DELETE)
            # The sandbox takes what is listed next for a list again, and not for a look.
            await service.authorization_url(RepoType.GITHUB)
        self.stood = len(self.sandbox.exchanges)

    async def link(
        self,
        service: ServiceStageClient,
        timing: Timing,
        if_exists: IfExists = IfExists.KEEP,
        *,
        tell: Callable[[Event], None] | None = None,
    ) -> Outcome:
        """Tell the story; return how it ends, which is the last that is told."""
        request = LinkRequest(RepoType.GITHUB, NAME, if_exists=if_exists, timeout=20)
        browser_options = BrowserOptions(simulated_user=play_user, environ={})
        try:
            session = Session(browser_options, tell or self.tell, journal=self.journal, timing=timing)
            async with session:
                return await link_in_browser(request, service, session)
        except OAuthHelperError as error:
            return Failed(error)

    @property
    def created(self) -> int:
        return sum(one.created for one in self.sandbox.exchanges[self.stood :])

    def check_sendings(self, timing: Timing) -> None:
        """At most one authorization; no second POST while the first may still run."""
        assert self.created <= 1
        arrived = self.sandbox.exchanges[self.stood :]
        for first, second in pairwise(arrived):
            assert first.ended_at is not None
            assert first.ended_at <= second.arrived_at
        struck = [kind for call, kind in self.sandbox.struck if call is Call.EXCHANGE]
        for kind, (first, second) in zip(struck, pairwise(arrived), strict=False):
            left = max(moment for moment in self.left if moment <= first.arrived_at)
            assert kind not in UNANSWERED or second.arrived_at - left >= timing.lost_after

    def check_failed(self, outcome: Failed) -> None:
        """What is said is something, and no secret."""
        assert self.told[-1] == outcome
        error = outcome.error
        assert error.message
        assert error.hint
        said = f"{error.message}\n{error.hint}\n{error!r}\n{error.to_json()}"
        for secret in self._secrets():
            assert secret not in said

    def _secrets(self) -> Iterable[str]:
        keys = (self.sandbox.access_key, self.sandbox.access_key_without_list)
        yield from (key.secret_key.reveal() for key in keys)
        yield self.sandbox.token.token.reveal()
        for pending in self.journal.written:
            assert pending.code
            assert pending.state
            yield from (pending.code.reveal(), pending.state.reveal())

    def entry(self, endpoint: str) -> Pending | None:
        return self.journal.find(Target(endpoint, self.sandbox.project_id, NAME), RepoType.GITHUB)

    def check_linked(self, linked: Linked, endpoint: str) -> None:
        """The one authorization stands, and nothing is kept."""
        assert self.told[-1] == linked
        assert linked.authorization.name == NAME
        assert not linked.kept
        assert self.created == 1
        assert self.entry(endpoint) is None

    async def check_what_is_gone(self, outcome: Failed) -> None:
        """Whether what stood before is gone is said as it is."""
        async with self._plain_client() as service, ClientSession() as session:
            await service.authorization_url(RepoType.GITHUB)
            exists = NAME in await SandboxUser(self.sandbox, service, session).names()
        assert ("is deleted" in outcome.error.message) == (self.stood > 0 and not exists)

    async def check_kept(self, endpoint: str) -> None:
        """The redirect is written down, and once the trouble is over, ``resume`` makes the authorization of it."""
        entry = self.entry(endpoint)
        assert entry
        assert entry.code
        assert entry.state
        assert entry.code == self.journal.written[0].code
        assert entry.state == self.journal.written[0].state
        self.sandbox.heal()
        # The user comes back half a minute later: what was sent is settled then, however it went.
        if entry.sent_at:
            entry = structs.replace(
                entry,
                captured_at=entry.captured_at - timedelta(seconds=25),
                sent_at=entry.sent_at - timedelta(seconds=25),
            )
            self.journal.write(entry)
        ((_pending, resumed),) = await resume_all([entry], self.journal, self._connected, self.told.append)
        assert isinstance(resumed, Linked), resumed
        self.check_linked(resumed, endpoint)

    def check_dropped(self, outcome: Failed, endpoint: str) -> None:
        """Nothing was created, and nothing is kept: there was no redirect in hand, or it was plainly refused."""
        assert self.created == 0
        assert self.entry(endpoint) is None
        assert isinstance(outcome.error, RefusedError) or not self.journal.written

    def _plain_client(self) -> ServiceStageClient:
        return ServiceStageClient(
            self.sandbox.endpoint, project_id=self.sandbox.project_id, credentials=self.sandbox.access_key
        )

    @asynccontextmanager
    async def _connected(self, target: Target) -> AsyncIterator[ServiceStageClient]:
        async with ServiceStageClient(
            target.endpoint,
            project_id=target.project_id,
            credentials=self.sandbox.access_key,
        ) as service:
            yield service
