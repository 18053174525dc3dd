"""When the exchange sends again, what it verifies before, and what it reports."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVarTuple

import pytest
from link.scripted_link import (
    CREATED,
    EXISTING,
    HURRIED,
    NAME,
    NO_LIST,
    NO_SERVICE,
    REFUSED,
    TAKEN,
    USED,
    Answer,
    Lost,
    MemoryJournal,
    Script,
)
from msgspec.structs import replace

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    MachineError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
)
from oauth_helper.events import Deleted, Deleting, Event, Exchanging, Looking, Warned
from oauth_helper.exchange import Exchange
from oauth_helper.i18n import _
from oauth_helper.models import CODE_LIFETIME, Authorization, Pending, RepoType, Target
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient

PENDING = Pending(
    Target("https://servicestage.example.com", "project", NAME),
    RepoType.GITHUB,
    datetime.now(UTC),
    Secret("a-code"),
    Secret("a-state"),
)
REPLACING = replace(PENDING, existing_since=EXISTING.create_time)
REPLACED = replace(REPLACING, is_deleted=True)

UNSENT, RESET, CUT, HANGS = Lost
EXPIRED = 401
APPEARED = Authorization("console-made", "github", create_time=9)
TIMELESS = replace(CREATED, create_time=0)
VERIFIED_FOUR_TIMES = "create list list list list create list"


@dataclass
class Run:
    """One exchange with a scripted ServiceStage."""

    creates: Sequence[Answer] = (CREATED,)
    lists: Sequence[Answer] = ((),)
    deletes: Sequence[Answer] = (204,)
    pending: Pending = PENDING
    journal: MemoryJournal | None = field(default_factory=MemoryJournal)
    names_before: frozenset[str] | None = None
    may_list: bool = True
    is_resumed: bool = False
    sent_ago: float | None = None
    captured_ago: float | None = None

    def __post_init__(self) -> None:
        self.told: list[Event] = []
        self.script = Script(self.creates, self.lists, self.deletes)

    async def end(self) -> Authorization:
        async with self.script.serving() as service:
            now = datetime.now(UTC)
            ago = (self.sent_ago or 0) if self.captured_ago is None else self.captured_ago
            sent_at = None if self.sent_ago is None else now - timedelta(seconds=self.sent_ago)
            pending = replace(self.pending, captured_at=now - timedelta(seconds=ago), sent_at=sent_at)
            if self.is_resumed and self.journal:
                self.journal.write(pending)
            self.exchange = Exchange(
                *(pending, service, self.told.append),
                journal=self.journal,
                timing=HURRIED,
                is_resumed=self.is_resumed,
            )
            self.exchange.names_before, self.exchange.may_list = self.names_before, self.may_list
            return await self.exchange.run()

    @property
    def is_kept(self) -> bool:
        return self.journal is not None and self.journal.last is not None


@pytest.mark.parametrize(
    ("order", "script"),
    [
        ("create", {}),
        ("create create create", {"creates": [UNSENT, UNSENT, CREATED]}),
        ("create create", {"creates": [UNSENT, CREATED], "lists": [NO_LIST], "may_list": False}),
        *(("create list create", {"creates": [number, CREATED]}) for number in (408, 425, 429, 500, 503)),
        ("create list", {"creates": [503], "lists": [[CREATED]]}),
        ("create list list list", {"creates": [504], "lists": [[], [], [CREATED]]}),
        ("create list", {"creates": [replace(CREATED, name="another")], "lists": [[CREATED]]}),
        *(
            ("create list create", {"creates": [503, CREATED], "lists": [[other]]})
            for other in (replace(CREATED, name="another"), replace(CREATED, repo_type="gitlab"))
        ),
        ("create list create", {"creates": [503, CREATED], "lists": [[EXISTING]], "pending": REPLACED}),
        (
            "create list",
            {"creates": [503], "lists": [[TIMELESS]], "pending": replace(REPLACED, existing_since=0)},
        ),
        (VERIFIED_FOUR_TIMES, {"creates": [RESET, USED], "lists": [[]] * 4 + [[CREATED]]}),
        (VERIFIED_FOUR_TIMES, {"creates": [RESET, TAKEN], "lists": [[]] * 4 + [[CREATED]]}),
        ("delete create", {"pending": REPLACING}),
        ("delete delete create", {"deletes": [UNSENT, 204], "pending": REPLACING}),
        ("delete list create", {"deletes": [503], "pending": REPLACING}),
        (
            "delete list delete create",
            {"deletes": [503, 204], "lists": [[EXISTING]], "pending": REPLACING},
        ),
        *(
            ("delete list list create", {"deletes": [failure], "lists": [[EXISTING], []], "pending": REPLACING})
            for failure in (504, HANGS)
        ),
        ("list delete create", {"lists": [[EXISTING]], "pending": REPLACING, "is_resumed": True}),
        ("list list", {"lists": [[], [CREATED]], "sent_ago": 0, "is_resumed": True}),
        ("list create", {"sent_ago": 60, "is_resumed": True}),
        ("list create list", {"creates": [USED], "lists": [[], [CREATED]], "sent_ago": 60, "is_resumed": True}),
        # The clock was set back since the POST.
        ("list list", {"lists": [[], [CREATED]], "sent_ago": 60, "captured_ago": 0, "is_resumed": True}),
    ],
)
async def test_the_calls_that_lead_to_an_authorization(order: str, script: dict[str, Any]) -> None:
    run = Run(**script)
    assert await run.end() in {CREATED, TIMELESS}
    assert run.script.order == order
    assert not run.is_kept
    assert run.told.count(Looking(NAME)) == order.split().count("list")


def failing(
    error: type[OAuthHelperError], message: str, hint: str = "", *, order: str = "", kept: bool = True, **script: object
) -> tuple[object, ...]:
    return error, message, hint, order, kept, script


@pytest.mark.parametrize(
    ("error", "message", "hint", "order", "is_kept", "script"),
    [
        # Never sent.
        failing(
            OutcomeUnknownError,
            'could not be asked to create "my-auth": ',
            "resume` finishes it",
            creates=[UNSENT],
        ),
        # The account may not list.
        *(
            failing(OutcomeUnknownError, "may not list", hint, order="create list", creates=[RESET], lists=[NO_LIST])
            for hint in ("Once you may list, `oauth-helper resume`", "Check in the console")
        ),
        failing(OutcomeUnknownError, "may not list", order="create", creates=[RESET], may_list=False),
        failing(NotPermittedError, ".", "resume", creates=[RESET], lists=[NO_SERVICE]),
        failing(NameTakenError, "name already", f"delete {NAME}", order="create", creates=[TAKEN], may_list=False),
        # Refused.
        failing(RefusedError, ".", kept=False, order="create", creates=[REFUSED]),
        failing(NameTakenError, "name already", order="create", creates=[TAKEN]),
        failing(CodeOrStateInvalidError, ".", kept=False, order=VERIFIED_FOUR_TIMES, creates=[RESET, USED]),
        failing(NameTakenError, "name already", order=VERIFIED_FOUR_TIMES, creates=[RESET, TAKEN]),
        *(
            failing(
                CodeOrStateInvalidError,
                message,
                kept=False,
                order="create list",
                creates=[USED],
                lists=[listed],
                names_before={NAME},
            )
            for listed, message in (
                ([APPEARED, EXISTING], 'In the meantime "console-made" appeared'),
                *((listed, "^(?!.*meantime)") for listed in ([EXISTING], NO_LIST, EXPIRED, 503)),
            )
        ),
        # Refused credentials.
        failing(CredentialsError, ".", "The redirect is kept: `", creates=[EXPIRED]),
        failing(CredentialsError, ".", "resume", order="create list", creates=[RESET], lists=[EXPIRED]),
        # The deletion of what is replaced.
        failing(OutcomeUnknownError, "could not be deleted, so", "resume", deletes=[UNSENT], pending=REPLACING),
        failing(
            OutcomeUnknownError,
            "tell whether .* was deleted",
            deletes=[504],
            lists=[503],
            pending=REPLACING,
        ),
        failing(
            NameTakenError,
            "created again in the meantime",
            "--if-exists replace",
            order="list",
            lists=[[replace(EXISTING, create_time=77)]],
            pending=REPLACING,
            is_resumed=True,
        ),
        *(
            failing(OAuthHelperError, "named my-auth is deleted", kept=kept, creates=[failure], pending=REPLACING)
            for failure, kept in ((USED, False), (RESET, True), (401, True))
        ),
        # Without a journal.
        failing(OutcomeUnknownError, "tell whether", f"show {NAME}", kept=False, creates=[RESET], journal=None),
        failing(
            OutcomeUnknownError,
            "may not list",
            "run the command again.",
            kept=False,
            creates=[RESET],
            may_list=False,
            journal=None,
        ),
    ],
)
async def test_the_calls_that_lead_to_an_error(
    error: type[OAuthHelperError], message: str, hint: str, order: str, is_kept: bool, script: dict[str, Any]
) -> None:
    run = Run(**script)
    with pytest.raises(error, match=message) as raised:
        await run.end()
    assert hint in raised.value.hint
    assert not order or run.script.order == order
    assert run.is_kept == is_kept
    run.exchange.forget()
    assert not run.is_kept


@pytest.mark.parametrize("failed", [UNSENT, RESET, 503, REFUSED, HANGS], ids=str)
async def test_nothing_is_sent_after_list_calls_that_fail(failed: Answer) -> None:
    run = Run([503], lists=[failed])
    with pytest.raises(OutcomeUnknownError):
        await run.end()
    assert len(run.script.times_of("create")) == 1
    assert len(run.script.times_of("list")) > 1
    assert run.is_kept


@pytest.mark.parametrize("failure", [RESET, 504, CUT, HANGS], ids=str)
async def test_a_post_that_may_still_be_processed_is_verified_four_times_before_the_next(failure: Answer) -> None:
    due = [moment for moment in HURRIED.verify_after if failure != HANGS or moment >= HURRIED.answer]
    lists: list[float] = []
    while len(lists) < len(due):  # repeat if the machine stood still for so long that two calls became one
        run = Run([failure, CREATED])
        assert await run.end() == CREATED
        first, second = run.script.times_of("create")
        assert second - first >= HURRIED.lost_after
        assert run.script.order.startswith("create list")
        lists = [at - first for at in run.script.times_of("list")]
    # uvloop counts in whole milliseconds.
    assert all(at > moment - 0.001 for at, moment in zip(lists[-len(due) :], due, strict=True))


async def test_a_deletion_that_may_still_be_processed_is_not_repeated_before_it_counts_as_lost() -> None:
    run = Run(deletes=[504, 204], lists=[[EXISTING]], pending=REPLACING)
    assert await run.end() == CREATED
    first, second = run.script.times_of("delete")
    assert second - first >= HURRIED.lost_after


Given = TypeVarTuple("Given")


class EarlyLoop(asyncio.SelectorEventLoop):
    """Wakes sleepers a little early, as a loop that counts whole milliseconds does (uvloop)."""

    def call_at(
        self, when: float, callback: Callable[[*Given], object], *given: *Given, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(when - 0.005, callback, *given, context=context)


def test_a_coarse_clock_costs_no_further_list_call() -> None:
    run = Run([RESET, CREATED])

    with asyncio.Runner(loop_factory=EarlyLoop) as runner:
        assert runner.run(run.end()) == CREATED
    assert run.script.order == "create list list list list create"


async def test_the_lifetime_of_the_code_ends_the_exchange() -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(OutcomeUnknownError):
        await Run([UNSENT], captured_ago=CODE_LIFETIME.total_seconds() - 0.2).end()
    assert asyncio.get_running_loop().time() - began < HURRIED.total


async def test_each_step_is_saved_before_it_happens() -> None:
    run = Run(pending=REPLACING)
    await run.end()
    assert run.journal
    before, deleted, sent, removed = run.journal.entries
    assert before
    assert deleted
    assert sent
    assert (before.sent_at, before.is_deleted) == (None, False)
    assert (deleted.sent_at, deleted.is_deleted) == (None, True)
    assert sent.sent_at
    assert removed is None
    assert run.told == [Deleting(NAME, kept=True), Deleted(NAME), Exchanging(1, replaces=True, kept=True)]


async def test_temporary_credentials_are_renewed_once_after_the_redirect_is_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def renew(_service: ServiceStageClient) -> None:
        if run.journal and run.journal.last:  # not when the client is opened
            assert run.journal.last.sent_at is None
            run.script.calls.append(("renew", 0.0))

    monkeypatch.setattr(ServiceStageClient, "must_renew_credentials", True)
    monkeypatch.setattr(ServiceStageClient, "renew_credentials", renew)
    run = Run(creates=[UNSENT, CREATED])
    await run.end()
    assert run.script.order == "renew create create"


@pytest.mark.parametrize("error", [UNSENT, EXPIRED], ids=str)
async def test_a_post_that_servicestage_did_not_get_is_not_saved_as_sent(error: Answer) -> None:
    run = Run([error])
    with pytest.raises((OutcomeUnknownError, CredentialsError)):
        await run.end()
    assert run.journal
    assert run.journal.last
    assert run.journal.last.sent_at is None


async def test_attempts_are_counted() -> None:
    run = Run([UNSENT, UNSENT, CREATED])
    await run.end()
    assert [event.attempt for event in run.told if isinstance(event, Exchanging)] == [1, 2, 3]


class FullJournal(MemoryJournal):
    """A disk with space for ``room`` entries."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, pending: Pending) -> None:
        if len(self.entries) >= self.room:
            raise MachineError(_("the disk is full"))
        super().write(pending)


class StuckJournal(MemoryJournal):
    """A disk that removes nothing."""

    def remove(self, pending: Pending) -> None:
        raise MachineError(_("the disk is read-only"))


@pytest.mark.parametrize(
    ("journal", "warning"), [(FullJournal(0), "the disk is full"), (StuckJournal(), "the disk is read-only")]
)
async def test_a_journal_that_fails_is_reported_once_and_the_link_goes_on(journal: MemoryJournal, warning: str) -> None:
    run = Run(journal=journal, pending=REPLACING)
    assert await run.end() == CREATED
    assert [event.message for event in run.told if isinstance(event, Warned)] == [warning]


async def test_an_entry_that_is_not_true_any_more_is_removed() -> None:
    run = Run([RESET], journal=FullJournal(1), pending=REPLACING)
    with pytest.raises(OutcomeUnknownError) as raised:
        await run.end()
    assert not run.is_kept, "it said that nothing was sent"
    assert "resume" not in raised.value.hint
