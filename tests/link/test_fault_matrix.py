"""A link against a sandbox that fails, at each call and in every way: it ends as docs/interrupted-links.md promises."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import pytest
from aiohttp import ClientSession
from documents.documents import ROOT, text_of
from msgspec import structs
from sandbox.sandbox_user import NAME, SandboxUser
from support.thoroughness import at_most, some_of

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
"""Verifies twenty times as fast as usual, but has a fifth of the usual time, because a busy machine may stand still."""
RESIGNED: Final = structs.replace(HURRIED, total=2.2, connecting=1.0, answer=1.1, list_call=0.5)
"""For links that fail: as long as a second POST takes."""
LATER: Final = timedelta(seconds=25)
"""After this time, nothing happens any more because of what an earlier run sent."""
LIMIT: Final = 5.0
"""Seconds for one answer: less than the client's own limit."""

KINDS: Final = {
    "reset, not handled": Kind.DROP_BEFORE,
    "reset, handled": Kind.DROP_AFTER,
    "answer breaks off, handled": Kind.TRUNCATE,
    "no answer ever, not handled": Kind.HANG,
    "no answer ever, handled": Kind.HANG_AFTER,
    "kept connection closed": Kind.STALE,
    "429": Kind.TOO_MANY_REQUESTS,
    "500, not handled": Kind.INTERNAL_ERROR,
    "500, handled": Kind.INTERNAL_ERROR_AFTER,
    "502, a page of HTML": Kind.BAD_GATEWAY,
    "504, handled later": Kind.GATEWAY_TIMEOUT,
    "404, a page of HTML": Kind.NOT_FOUND,
    "401, the token expired": Kind.UNAUTHORIZED,
    "403, may not list": Kind.FORBIDDEN,
}
"""What the sandbox does, by the words of the page."""
ELSEWHERE: Final = {"connection refused", "no address for the name", "certificate not trusted"}
"""test_transport.py checks that nothing is sent then, and test_exchange.py that the call is sent again."""
UNANSWERED: Final = {
    *(Kind.DROP_BEFORE, Kind.DROP_AFTER, Kind.TRUNCATE, Kind.HANG, Kind.HANG_AFTER),
    *(Kind.STALE, Kind.BAD_GATEWAY, Kind.GATEWAY_TIMEOUT),
}
"""After these a POST may still be processed."""


class Case(NamedTuple):
    """One fault, and the end of a link that the page promises: ``linked``, or an exit status and ``, kept``."""

    kind: Kind
    call: Call
    times: int | None
    """None: always."""
    end: str

    def __str__(self) -> str:
        return f"{self.call}: {self.kind}, {self.times or 'always'}"


def rows() -> Iterator[tuple[str, dict[Call, str]]]:
    """Return what the page says about each failure at each call."""
    lines = re.findall(r"^\| (.*) \|$", text_of(ROOT / "docs" / "interrupted-links.md"), re.MULTILINE)
    head, *table = [line.split(" | ") for line in lines if line.count(" | ") == 5 and "---" not in line]
    for failures, *ends in table:
        for failure in failures.split("; "):
            yield failure, dict(zip((Call(name.strip("`")) for name in head[1:]), ends, strict=True))


def cases() -> Iterator[Case]:
    for failure, ends in rows():
        for call, cell in ends.items():
            if cell == "cannot be" or failure in ELSEWHERE:
                continue
            kind, (once, always) = KINDS[failure], cell.split(" / ") if "/" in cell else (cell, cell)
            yield Case(kind, call, 1, once)
            # aiohttp repeats a GET or DELETE after a lost connection, and our client calls without side effects.
            is_repeated = kind in {Kind.DROP_BEFORE, Kind.DROP_AFTER} and call in {Call.LOOK, Call.DELETE}
            if is_repeated or (kind, call) == (Kind.TRUNCATE, Call.DELETE) or cell == "linked / 7":
                yield Case(kind, call, 2, "linked")
            yield Case(kind, call, None, always)


def faults(case: Case) -> list[Fault]:
    if case.call is Call.LOOK:
        # The exchange has to be unclear. If no list call succeeds, a second POST would create a second authorization.
        first = Kind.INTERNAL_ERROR_AFTER if case.times else Kind.INTERNAL_ERROR
        return [Fault(Call.EXCHANGE, first), Fault(case.call, case.kind, case.times)]
    is_unlisted = case.kind is Kind.FORBIDDEN and case.call is Call.DELETE  # it does not see what it would delete
    return [Fault(Call.LIST if is_unlisted else case.call, case.kind, case.times)]


class HurriedClient(ServiceStageClient):
    """Has shorter timeouts; as with the client's own limits, a call that times out is not retried."""

    def __init__(self, sandbox: Sandbox, credentials: Credentials, limit: float = LIMIT) -> None:
        super().__init__(sandbox.endpoint, project_id=sandbox.project_id, credentials=credentials)
        self._transport = Transport(
            sandbox.endpoint,
            credentials=credentials,
            project_id=sandbox.project_id,
            timeout=aiohttp.ClientTimeout(total=limit, connect=limit * 0.9),
            retries=Retries(pauses=(0.02, 0.05, 0.1), within=limit * 0.6),
        )


class WatchedJournal(Journal):
    """A journal on the disk that remembers what was written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "pending")
        self.written: list[Pending] = []

    def write(self, pending: Pending) -> None:
        super().write(pending)
        self.written.append(pending)


class FaultyLink:
    """One link and its resumption."""

    def __init__(self, planned: Sequence[Fault], folder: Path, *, with_token: bool = False) -> None:
        self.sandbox = Sandbox(decision="authorize", faults=planned, fault_duration=0.1)
        self.journal = WatchedJournal(folder)
        self.credentials: Credentials = self.sandbox.token if with_token else self.sandbox.access_key
        self.told: list[Event] = []
        self.left: list[float] = []
        """When each POST left, by the loop's clock, which is ``time.monotonic``'s."""
        self.existed = 0
        """How many exchanges there were before."""

    def tell(self, event: Event) -> None:
        self.told.append(event)
        if isinstance(event, Exchanging):
            self.left.append(asyncio.get_running_loop().time())

    async def prepare_existing(self) -> None:
        """Create an authorization of the name before the link begins."""
        async with self._client() as service, ClientSession() as session:
            await SandboxUser(self.sandbox, service, session).prepare(Call.DELETE)
            # The sandbox takes the next list for the check before a link, and not for a look.
            await service.authorization_url(RepoType.GITHUB)
        self.existed = len(self.sandbox.exchanges)

    async def link(self, timing: Timing, if_exists: IfExists = IfExists.KEEP, limit: float = LIMIT) -> Outcome:
        request = LinkRequest(RepoType.GITHUB, NAME, if_exists=if_exists, timeout=20)
        options = BrowserOptions(simulated_user=play_user, environ={})
        try:
            async with (
                HurriedClient(self.sandbox, self.credentials, limit) as service,
                Session(options, self.tell, journal=self.journal, timing=timing) as session,
            ):
                return await link_in_browser(request, service, session)
        except OAuthHelperError as error:
            return Failed(error)

    @property
    def created(self) -> int:
        return sum(one.created for one in self.sandbox.exchanges[self.existed :])

    def check_posts(self, timing: Timing) -> None:
        """There is at most one authorization, and no second POST while the first may still be processed."""
        assert self.created <= 1
        arrived = self.sandbox.exchanges[self.existed :]
        for first, second in pairwise(arrived):
            assert first.ended_at is not None
            assert first.ended_at <= second.arrived_at
        failed = [kind for call, kind in self.sandbox._injector.happened if call is Call.EXCHANGE]
        for kind, (first, second) in zip(failed, pairwise(arrived), strict=False):
            left = max(moment for moment in self.left if moment <= first.arrived_at)
            assert kind not in UNANSWERED or second.arrived_at - left >= timing.lost_after

    def check_linked(self, linked: Outcome) -> None:
        """There is one authorization, and nothing is kept."""
        assert isinstance(linked, Linked), linked
        assert self.told[-1] == linked
        assert linked.authorization.name == NAME
        assert not linked.kept
        assert self.created == 1
        assert self._entry() is None

    async def check_failed(self, outcome: Failed, *, is_kept: bool) -> None:
        """The error says something, and no secret; the redirect is kept and can be resumed, or nothing was created."""
        assert self.told[-1] == outcome
        error = outcome.error
        assert error.message
        assert error.hint
        said = f"{error.message}\n{error.hint}\n{error!r}\n{error.to_json()}"
        keys = (self.sandbox.access_key, self.sandbox.access_key_without_list)
        secrets = [*(key.secret_key for key in keys), self.sandbox.token.token]
        secrets += [secret for pending in self.journal.written for secret in (pending.code, pending.state) if secret]
        assert not [secret for secret in secrets if secret.reveal() in said]
        if is_kept:
            async with self._client() as service, ClientSession() as session:
                await service.authorization_url(RepoType.GITHUB)
                exists = NAME in await SandboxUser(self.sandbox, service, session).names()
            assert ("is deleted" in error.message) == (self.existed > 0 and not exists)
            await self._check_resumes()
        else:
            assert self.created == 0
            assert self._entry() is None
            assert isinstance(error, RefusedError) or not self.journal.written

    async def _check_resumes(self) -> None:
        """After the failure ``resume`` creates the authorization from what is saved."""
        entry = self._entry()
        assert entry
        assert (entry.code, entry.state) == (self.journal.written[0].code, self.journal.written[0].state)
        for queue in self.sandbox._injector.queues.values():
            queue.clear()
        if entry.sent_at:
            captured_at, sent_at = entry.captured_at - LATER, entry.sent_at - LATER
            entry = structs.replace(entry, captured_at=captured_at, sent_at=sent_at)
            self.journal.write(entry)
        ((_pending, resumed),) = await resume_all([entry], self.journal, self._connected, self.told.append)
        self.check_linked(resumed)

    def _entry(self) -> Pending | None:
        return self.journal.find(Target(self.sandbox.endpoint, self.sandbox.project_id, NAME), RepoType.GITHUB)

    def _client(self) -> ServiceStageClient:
        sandbox = self.sandbox
        return ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key)

    @asynccontextmanager
    async def _connected(self, target: Target) -> AsyncIterator[ServiceStageClient]:
        assert target.endpoint == self.sandbox.endpoint
        async with self._client() as service:
            yield service


@pytest.mark.parametrize("case", some_of(list(cases()), one_in=3), ids=str)
async def test_a_link_ends_as_the_page_says(case: Case, tmp_path: Path) -> None:
    is_kept = case.end.endswith("kept")
    timing = RESIGNED if is_kept else HURRIED
    link = FaultyLink(faults(case), tmp_path, with_token=case.kind is Kind.UNAUTHORIZED)
    async with link.sandbox:
        if case.call is Call.DELETE:
            await link.prepare_existing()
        # A call without any answer lasts until the client's limit.
        is_silent = case.kind in {Kind.HANG, Kind.HANG_AFTER} and case.call in {Call.LIST, Call.REDIRECT_URL}
        if_exists = IfExists.REPLACE if case.call is Call.DELETE else IfExists.KEEP
        outcome = await link.link(timing, if_exists, 0.7 if is_silent else LIMIT)
        last = faults(case)[-1]
        assert link.sandbox._injector.happened.count((last.call, last.kind)) >= (case.times or 1)
        link.check_posts(timing)
        if case.end == "linked":
            link.check_linked(outcome)
            return
        assert isinstance(outcome, Failed)
        assert outcome.error.exit_status == int(case.end[0])
        if case.call is Call.LOOK:
            assert len(link.left) == 1, "a look that fails proves nothing, so nothing is sent"
        await link.check_failed(outcome, is_kept=is_kept)


def test_the_page_has_every_failure_at_every_call() -> None:
    found = dict(rows())
    assert found.keys() == KINDS.keys() | ELSEWHERE
    assert {tuple(ends) for ends in found.values()} == {
        (Call.LIST, Call.REDIRECT_URL, Call.EXCHANGE, Call.LOOK, Call.DELETE)
    }


EXAMPLES: Final = 40


def draw(seed: int) -> list[Fault]:
    """Return one to three faults, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a sequence to be repeated, not a secret
    calls = [Call.EXCHANGE, *(chance.choice((Call.EXCHANGE, Call.LOOK)) for _ in range(chance.randrange(3)))]
    return [Fault(call, chance.choice(list(Kind)), chance.choice((1, 1, 1, 2, 3, None))) for call in calls]


def name(planned: list[Fault]) -> str:
    return " ".join(f"{fault.call}={fault.kind}:{fault.times or 'always'}" for fault in planned)


@pytest.mark.parametrize("planned", [draw(seed) for seed in range(at_most(EXAMPLES, by_default=8))], ids=name)
async def test_after_any_sequence_of_faults_nothing_is_lost_and_nothing_created_twice(
    planned: list[Fault], tmp_path: Path
) -> None:
    link = FaultyLink(planned, tmp_path)
    async with link.sandbox:
        outcome = await link.link(RESIGNED)
        link.check_posts(RESIGNED)
        if isinstance(outcome, Linked):
            link.check_linked(outcome)
            return
        is_kept = not isinstance(outcome.error, RefusedError)
        assert not is_kept or outcome.error.exit_status in {3, 8}
        await link.check_failed(outcome, is_kept=is_kept)


def test_the_sequences_have_every_kind_of_fault_at_either_call() -> None:
    drawn = {(fault.call, fault.kind) for seed in range(EXAMPLES) for fault in draw(seed)}
    assert {kind for call, kind in drawn if call is Call.EXCHANGE} == set(Kind)
    assert len({kind for call, kind in drawn if call is Call.LOOK}) > len(Kind) // 2
