"""When the exchange sends again, what it verifies before, and what it reports."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVarTuple

import pytest
from link.scripted_service import (
    CREATED,
    EXISTING,
    HANGS,
    HURRIED,
    NAME,
    Answer,
    MemoryJournal,
    ScriptedService,
)
from msgspec.structs import replace

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    MachineError,
    NameTakenError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.events import Deleted, Deleting, Event, Exchanging, Looking, Warned
from oauth_helper.exchange import Exchange
from oauth_helper.i18n import _
from oauth_helper.models import CODE_LIFETIME, Authorization, Pending, RepoType, Target
from oauth_helper.secret import Secret

PENDING = Pending(
    Target("https://servicestage.example.com", "project", NAME),
    RepoType.GITHUB,
    datetime.now(UTC),
    Secret("a-code"),
    Secret("a-state"),
)
REPLACING = replace(PENDING, stood_since=EXISTING.create_time)
REPLACED = replace(REPLACING, is_deleted=True)

UNSENT = UnreachableError(_("refused"), sent=False)
RESET = UnreachableError(_("reset"), sent=True)
CUT = UnusableAnswerError(_("cut"), sent=True, status=200)
NO_LIST = NotPermittedError(_("may not list"))
NO_SERVICE = NotPermittedError(_("not subscribed"), code="APIGW.0302")
APPEARED = Authorization("console-made", "github", create_time=9)
TIMELESS = replace(CREATED, create_time=0)


def status(number: int) -> UnusableAnswerError:
    return UnusableAnswerError(_("busy"), sent=True, status=number)


def used() -> CodeOrStateInvalidError:
    return CodeOrStateInvalidError(_("used"), code="SVCSTG.REPO.0402")


def taken() -> NameTakenError:
    return NameTakenError(_("taken"), code="SVCSTG.REPO.0403")


@dataclass
class Run:
    """One exchange with a scripted service."""

    creates: Sequence[Answer] = (CREATED,)
    lists: Sequence[Answer] = ((),)  # type: ignore[assignment]
    deletes: Sequence[Answer] = (None,)
    journal: MemoryJournal | None = field(default_factory=MemoryJournal)
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = ScriptedService(self.creates, self.lists, self.deletes)

    def exchange(
        self,
        pending: Pending = PENDING,
        *,
        names_before: Collection[str] | None = None,
        may_list: bool = True,
        is_resumed: bool = False,
        sent_ago: float | None = None,
        captured_ago: float | None = None,
    ) -> Exchange:
        now = datetime.now(UTC)
        captured_at = now - timedelta(seconds=(sent_ago or 0) if captured_ago is None else captured_ago)
        sent_at = None if sent_ago is None else now - timedelta(seconds=sent_ago)
        pending = replace(pending, captured_at=captured_at, sent_at=sent_at)
        if is_resumed and self.journal:
            self.journal.write(pending)
        return Exchange(
            pending,
            self.service,
            self.told.append,
            journal=self.journal,
            timing=HURRIED,
            names_before=names_before,
            may_list=may_list,
            is_resumed=is_resumed,
        )

    @property
    def is_kept(self) -> bool:
        return self.journal is not None and self.journal.last is not None


@pytest.mark.parametrize(
    ("order", "script", "options"),
    [
        ("create", {}, {}),
        ("create create create", {"creates": [UNSENT, UNSENT, CREATED]}, {}),
        ("create create", {"creates": [UNSENT, CREATED], "lists": [NO_LIST]}, {"may_list": False}),
        *(("create list create", {"creates": [status(number), CREATED]}, {}) for number in (408, 425, 429, 500, 503)),
        ("create list", {"creates": [status(503)], "lists": [[CREATED]]}, {}),
        ("create list list list", {"creates": [status(504)], "lists": [[], [], [CREATED]]}, {}),
        ("create list", {"creates": [replace(CREATED, name="another")], "lists": [[CREATED]]}, {}),
        *(
            ("create list create", {"creates": [status(503), CREATED], "lists": [[other]]}, {})
            for other in (replace(CREATED, name="another"), replace(CREATED, repo_type="gitlab"))
        ),
        ("create list create", {"creates": [status(503), CREATED], "lists": [[EXISTING]]}, {"pending": REPLACED}),
        (
            "create list",
            {"creates": [status(503)], "lists": [[TIMELESS]]},
            {"pending": replace(REPLACED, stood_since=0)},
        ),
        ("create list list list list create list", {"creates": [RESET, used()], "lists": [[]] * 4 + [[CREATED]]}, {}),
        ("create list list list list create list", {"creates": [RESET, taken()], "lists": [[]] * 4 + [[CREATED]]}, {}),
        ("delete create", {}, {"pending": REPLACING}),
        ("delete delete create", {"deletes": [UNSENT, None]}, {"pending": REPLACING}),
        ("delete list create", {"deletes": [status(503)]}, {"pending": REPLACING}),
        (
            "delete list delete create",
            {"deletes": [status(503), None], "lists": [[EXISTING]]},
            {"pending": REPLACING},
        ),
        *(
            ("delete list list create", {"deletes": [failure], "lists": [[EXISTING], []]}, {"pending": REPLACING})
            for failure in (RESET, status(504), HANGS)
        ),
        ("list delete create", {"lists": [[EXISTING]]}, {"pending": REPLACING, "is_resumed": True}),
        ("list list", {"lists": [[], [CREATED]]}, {"sent_ago": 0, "is_resumed": True}),
        ("list create", {}, {"sent_ago": 60, "is_resumed": True}),
        (
            "list create list",
            {"creates": [used()], "lists": [[], [CREATED]]},
            {"sent_ago": 60, "is_resumed": True},
        ),
        # The clock was set back since the POST.
        ("list list", {"lists": [[], [CREATED]]}, {"sent_ago": 60, "captured_ago": 0, "is_resumed": True}),
    ],
)
async def test_the_calls_that_lead_to_an_authorization(
    order: str, script: dict[str, Any], options: dict[str, Any]
) -> None:
    run = Run(**script)
    authorization = await run.exchange(**options).run()
    assert authorization in {CREATED, TIMELESS}
    assert run.service.order == order
    assert not run.is_kept
    assert run.told.count(Looking(NAME)) == order.split().count("list")


@pytest.mark.parametrize(
    ("order", "script", "options", "error", "message", "hint", "is_kept"),
    [
        # Never sent.
        (None, {"creates": [UNSENT]}, {}, OutcomeUnknownError, "could not be asked to create my-auth: refused",
         "`oauth-helper resume` finishes it, until", True),
        # The account may not list.
        ("create", {"creates": [RESET]}, {"may_list": False}, OutcomeUnknownError, "cannot be known",
         "Once you may list, `oauth-helper resume`", True),
        ("create list", {"creates": [RESET], "lists": [NO_LIST]}, {}, OutcomeUnknownError, "cannot be known",
         "ask who may list", True),
        ("create list", {"creates": [RESET], "lists": [NO_SERVICE]}, {}, NotPermittedError, "not subscribed",
         "resume", True),
        ("create", {"creates": [taken()]}, {"may_list": False}, NameTakenError, "taken",
         f"oauth-helper delete {NAME}", True),
        # Refused.
        ("create", {"creates": [RefusedError(_("no"))]}, {"names_before": ()}, RefusedError, "^no$", "", False),
        ("create", {"creates": [taken()]}, {"names_before": ()}, NameTakenError, "^taken$", "", True),
        ("create list list list list create list", {"creates": [RESET, used()]}, {}, CodeOrStateInvalidError,
         "used", "", False),
        ("create list list list list create list", {"creates": [RESET, taken()]}, {}, NameTakenError,
         "taken", "", True),
        ("create list", {"creates": [used()], "lists": [[APPEARED, EXISTING]]}, {"names_before": {NAME}},
         CodeOrStateInvalidError, 'In the meantime "console-made" appeared', "is yours", False),
        *(
            ("create list", {"creates": [used()], "lists": [listed]}, {"names_before": {NAME}},
             CodeOrStateInvalidError, "^used$", "", False)
            for listed in ([EXISTING], NO_LIST, CredentialsError(_("gone")), RESET)
        ),
        # Refused credentials.
        ("create", {"creates": [CredentialsError(_("expired"), hint=_("Get a new token."))]}, {}, CredentialsError,
         "expired", "Get a new token. The redirect is kept: `oauth-helper resume`", True),
        ("create list", {"creates": [RESET], "lists": [CredentialsError(_("expired"))]}, {}, CredentialsError,
         "expired", "resume", True),
        # The deletion of what is replaced.
        (None, {"deletes": [UNSENT]}, {"pending": REPLACING}, OutcomeUnknownError,
         "could not be deleted, so none was created", "resume", True),
        (None, {"deletes": [RESET], "lists": [status(503)]}, {"pending": REPLACING}, OutcomeUnknownError,
         "asked to delete .* whether it did is not known", "resume", True),
        ("list", {"lists": [[replace(EXISTING, create_time=77)]]}, {"pending": REPLACING, "is_resumed": True},
         NameTakenError, "created again in the meantime", "--if-exists replace", True),
        *(
            (None, {"creates": [failure]}, {"pending": REPLACING}, OAuthHelperError,
             "authorization that was named my-auth is deleted", "", kept)
            for failure, kept in ((used(), False), (RESET, True), (CredentialsError(_("no")), True))
        ),
        # Without a journal.
        (None, {"creates": [RESET], "journal": None}, {}, OutcomeUnknownError, "not known", f"show {NAME}", False),
        ("create", {"creates": [RESET], "journal": None}, {"may_list": False}, OutcomeUnknownError, "cannot be known",
         "If not, run the command again.", False),
    ],
)  # fmt: skip
async def test_the_calls_that_lead_to_an_error(
    order: str | None,
    script: dict[str, Any],
    options: dict[str, Any],
    error: type[OAuthHelperError],
    message: str,
    hint: str,
    is_kept: bool,
) -> None:
    run = Run(**script)
    exchange = run.exchange(**options)
    with pytest.raises(error, match=message) as raised:
        await exchange.run()
    assert hint in raised.value.hint
    assert order is None or run.service.order == order
    assert run.is_kept == is_kept
    exchange.forget()
    assert not run.is_kept


@pytest.mark.parametrize("failed", [UNSENT, RESET, status(503), RefusedError(_("no")), HANGS], ids=str)
async def test_nothing_is_sent_after_list_calls_that_fail(failed: Answer) -> None:
    run = Run([status(503)], lists=[failed])
    with pytest.raises(OutcomeUnknownError):
        await run.exchange().run()
    assert len(run.service.times_of("create")) == 1
    assert len(run.service.times_of("list")) > 1
    assert run.is_kept


@pytest.mark.parametrize("failure", [RESET, status(504), CUT, HANGS], ids=str)
async def test_a_post_that_may_still_be_processed_is_verified_four_times_before_the_next(failure: Answer) -> None:
    due = [moment for moment in HURRIED.verify_after if failure != HANGS or moment >= HURRIED.answer]
    lists: list[float] = []
    while len(lists) < len(due):  # repeat if the machine stood still for so long that two calls became one
        run = Run([failure, CREATED])
        assert await run.exchange().run() == CREATED
        first, second = run.service.times_of("create")
        assert second - first >= HURRIED.lost_after
        assert run.service.order.startswith("create list")
        lists = [at - first for at in run.service.times_of("list")]
    # uvloop counts in whole milliseconds.
    assert all(at > moment - 0.001 for at, moment in zip(lists[-len(due) :], due, strict=True))


async def test_a_deletion_that_may_still_be_processed_is_not_repeated_before_it_counts_as_lost() -> None:
    run = Run(deletes=[RESET, NoSuchAuthorizationError(_("none"))], lists=[[EXISTING]])
    assert await run.exchange(REPLACING).run() == CREATED
    first, second = run.service.times_of("delete")
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

    async def carry_out() -> Authorization:
        return await run.exchange().run()

    with asyncio.Runner(loop_factory=EarlyLoop) as runner:
        assert runner.run(carry_out()) == CREATED
    assert run.service.order == "create list list list list create"


async def test_the_lifetime_of_the_code_ends_the_exchange() -> None:
    run = Run([UNSENT])
    began = asyncio.get_running_loop().time()
    with pytest.raises(OutcomeUnknownError):
        await run.exchange(captured_ago=CODE_LIFETIME.total_seconds() - 0.2).run()
    assert asyncio.get_running_loop().time() - began < HURRIED.total


async def test_each_step_is_saved_before_it_happens() -> None:
    run = Run()
    await run.exchange(REPLACING).run()
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


@pytest.mark.parametrize("error", [UNSENT, CredentialsError(_("expired"))], ids=str)
async def test_a_post_that_servicestage_did_not_get_is_not_saved_as_sent(error: OAuthHelperError) -> None:
    run = Run([error])
    with pytest.raises((OutcomeUnknownError, CredentialsError)):
        await run.exchange().run()
    assert run.journal
    assert run.journal.last
    assert run.journal.last.sent_at is None


async def test_attempts_are_counted() -> None:
    run = Run([UNSENT, UNSENT, CREATED])
    await run.exchange().run()
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
    run = Run(journal=journal)
    assert await run.exchange(REPLACING).run() == CREATED
    assert [event.message for event in run.told if isinstance(event, Warned)] == [warning]


async def test_an_entry_that_is_not_true_any_more_is_removed() -> None:
    run = Run([RESET], journal=FullJournal(1))
    with pytest.raises(OutcomeUnknownError) as raised:
        await run.exchange(REPLACING).run()
    assert not run.is_kept, "it said that nothing was sent"
    assert "resume" not in raised.value.hint
