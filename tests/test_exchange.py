"""The rules of sending again: what is sent, what is looked at, and what is said, for every kind of trouble."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from paper_doors import CREATED, HURRIED, NAME, STANDING, PaperJournal

from oauth_helper.authorization import Authorization, RepoType
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
from oauth_helper.events import Deleted, Event, Exchanging, Looking, Warned
from oauth_helper.exchange import Exchange
from oauth_helper.pending import CODE_LIFETIME, Pending, Target
from oauth_helper.secret import Secret

PENDING = Pending(
    Target("https://servicestage.paper.example", "project", NAME),
    RepoType.GITHUB,
    datetime.now(UTC),
    Secret("planted-code"),
    Secret("planted-state"),
)
UNSENT = UnreachableError("refused", sent=False)
RESET = UnreachableError("reset", sent=True)
BUSY = UnusableAnswerError("status 503", sent=True, status=503)
LATE = UnusableAnswerError("status 504", sent=True, status=504)
USED = CodeOrStateInvalidError("used", code="SVCSTG.REPO.0402")
TAKEN = NameTakenError("taken", code="SVCSTG.REPO.0403")
NO_LIST = NotPermittedError("may not list")
OTHER = Authorization("console-made", "github", create_time=9)
HANGS = "hangs"

Answer = OAuthHelperError | Authorization | str
Look = OAuthHelperError | list[Authorization] | str


@dataclass
class ScriptedService:
    """Answers each call with the next of what it was given; the last of it again and again."""

    creates: Sequence[Answer] = (CREATED,)
    looks: Sequence[Look] = field(default_factory=lambda: [[]])
    deletes: Sequence[OAuthHelperError | str | None] = (None,)
    calls: list[tuple[str, float]] = field(default_factory=list)

    async def _next(self, call: str, script: Sequence[object]) -> object:
        done = len(self.made(call))
        self.calls.append((call, asyncio.get_running_loop().time()))
        answer = script[min(done, len(script) - 1)]
        if answer == HANGS:
            await asyncio.Event().wait()
        if isinstance(answer, OAuthHelperError):
            raise answer
        return answer

    def made(self, call: str) -> list[float]:
        return [at for name, at in self.calls if name == call]

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        assert (repo_type, name, code.reveal(), state.reveal(), tag) == (
            RepoType.GITHUB,
            NAME,
            "planted-code",
            "planted-state",
            None,
        )
        created = await self._next("create", self.creates)
        assert isinstance(created, Authorization)
        return created

    async def list_authorizations(self) -> list[Authorization]:
        listed = await self._next("list", self.looks)
        assert isinstance(listed, list)
        return listed

    async def delete_authorization(self, name: str) -> None:
        assert name == NAME
        await self._next("delete", self.deletes)


@dataclass
class Run:
    service: ScriptedService
    journal: PaperJournal = field(default_factory=PaperJournal)
    told: list[Event] = field(default_factory=list)

    def exchange(
        self,
        pending: Pending = PENDING,
        *,
        known: Collection[str] | None = None,
        may_look: bool = True,
        is_resumed: bool = False,
    ) -> Exchange:
        return Exchange(
            replace(pending, captured_at=datetime.now(UTC)),
            self.service,
            self.journal,
            self.told.append,
            pace=HURRIED,
            known=known,
            may_look=may_look,
            is_resumed=is_resumed,
        )

    @property
    def order(self) -> list[str]:
        return [name for name, _ in self.service.calls]

    @property
    def is_kept(self) -> bool:
        return bool(self.journal.entries) and self.journal.entries[-1] is not None


async def test_the_redirect_is_written_down_before_it_is_sent_and_forgotten_when_it_is_known() -> None:
    run = Run(ScriptedService())
    assert await run.exchange().carry_out() == CREATED
    written, removed = run.journal.entries
    assert written
    assert written.sent_at, "what may have been sent is marked so"
    assert removed is None
    assert run.order == ["create"]
    assert run.told == [Exchanging(1, kept=True)]


async def test_what_was_never_sent_is_sent_again_without_looking() -> None:
    run = Run(ScriptedService([UNSENT, UNSENT, CREATED]))
    assert await run.exchange().carry_out() == CREATED
    assert run.order == ["create"] * 3
    assert [event.attempt for event in run.told if isinstance(event, Exchanging)] == [1, 2, 3]


async def test_what_is_never_sent_is_kept_as_never_sent() -> None:
    run = Run(ScriptedService([UNSENT]))
    with pytest.raises(OutcomeUnknownError, match="could not be asked to create my-auth: refused") as raised:
        await run.exchange().carry_out()
    assert "resume" in raised.value.hint
    assert run.journal.entries[-1]
    assert run.journal.entries[-1].sent_at is None


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_after_a_plain_refusal_to_answer_one_look_decides(status: int) -> None:
    busy = UnusableAnswerError("busy", sent=True, status=status)
    run = Run(ScriptedService([busy, CREATED]))
    assert await run.exchange().carry_out() == CREATED
    assert run.order == ["create", "list", "create"]
    there = Run(ScriptedService([busy], looks=[[CREATED]]))
    assert await there.exchange().carry_out() == CREATED
    assert there.order == ["create", "list"]
    assert not there.is_kept


@pytest.mark.parametrize("trouble", [RESET, LATE, UnusableAnswerError("cut", sent=True, status=200), HANGS], ids=str)
async def test_what_may_still_be_carried_out_is_sent_again_only_after_four_looks_and_the_whole_time(
    trouble: Answer,
) -> None:
    run = Run(ScriptedService([trouble, CREATED]))
    assert await run.exchange().carry_out() == CREATED
    first, second = run.service.made("create")
    assert second - first >= HURRIED.settled_after
    assert run.order[0] == run.order[-1] == "create"
    looks = [at - first for at in run.service.made("list")]
    due = [moment for moment in HURRIED.looks if trouble != HANGS or moment >= HURRIED.answer]
    assert len(looks) >= len(due)
    assert all(look >= moment for look, moment in zip(looks[-len(due) :], due, strict=True))


async def test_what_comes_late_is_found() -> None:
    run = Run(ScriptedService([LATE], looks=[[], [], [CREATED]]))
    assert await run.exchange().carry_out() == CREATED
    assert run.order == ["create", "list", "list", "list"]
    assert run.told.count(Looking(NAME)) == 3


@pytest.mark.parametrize("failed", [UNSENT, RESET, BUSY, RefusedError("no"), HANGS], ids=str)
async def test_a_look_that_failed_tells_nothing_and_nothing_is_sent_on_it(failed: Look) -> None:
    run = Run(ScriptedService([BUSY], looks=[failed]))
    with pytest.raises(OutcomeUnknownError):
        await run.exchange().carry_out()
    assert len(run.service.made("create")) == 1
    assert len(run.service.made("list")) > 1
    assert run.is_kept


async def test_where_listing_is_not_permitted_nothing_is_sent_again_and_it_is_said() -> None:
    for may_look, looks in ((False, []), (True, [NO_LIST])):
        run = Run(ScriptedService([RESET], looks=looks))
        with pytest.raises(OutcomeUnknownError, match="cannot be known") as raised:
            await run.exchange(may_look=may_look).carry_out()
        assert run.order == ["create"] + ["list"] * may_look
        assert "ask who may list" in raised.value.hint
        assert run.is_kept


async def test_what_was_never_sent_is_sent_again_even_where_listing_is_not_permitted() -> None:
    run = Run(ScriptedService([UNSENT, CREATED], looks=[NO_LIST]))
    assert await run.exchange(may_look=False).carry_out() == CREATED


@pytest.mark.parametrize("refusal", [USED, TAKEN], ids=["0402", "0403"])
async def test_a_refusal_of_the_second_sending_may_be_the_work_of_the_first(refusal: RefusedError) -> None:
    run = Run(ScriptedService([RESET, refusal], looks=[[], [], [], [], [CREATED]]))
    assert await run.exchange().carry_out() == CREATED
    assert len(run.service.made("create")) == 2
    gone = Run(ScriptedService([RESET, type(refusal)("refused")], looks=[[]]))
    with pytest.raises(type(refusal)):
        await gone.exchange().carry_out()
    assert gone.order[-1] == "list"
    assert not gone.is_kept


async def test_a_plain_refusal_of_the_first_sending_ends_it() -> None:
    for error in (RefusedError("no"), NameTakenError("taken")):
        run = Run(ScriptedService([error]))
        with pytest.raises(type(error)):
            await run.exchange(known=()).carry_out()
        assert run.order == ["create"]
        assert not run.is_kept


async def test_what_the_console_itself_made_is_named() -> None:
    run = Run(ScriptedService([CodeOrStateInvalidError("used")], looks=[[OTHER, STANDING]]))
    with pytest.raises(CodeOrStateInvalidError, match="console itself created console-made") as raised:
        await run.exchange(known={NAME}).carry_out()
    assert "delete it" in raised.value.hint
    assert run.order == ["create", "list"]


@pytest.mark.parametrize("look", [[STANDING], NO_LIST, CredentialsError("gone"), RESET], ids=str)
async def test_a_used_code_is_said_to_be_used_where_nothing_else_is_known(look: Look) -> None:
    run = Run(ScriptedService([CodeOrStateInvalidError("used")], looks=[look]))
    with pytest.raises(CodeOrStateInvalidError, match=r"^used$"):
        await run.exchange(known={NAME}).carry_out()
    assert not run.is_kept


async def test_credentials_that_are_refused_cost_no_redirect() -> None:
    run = Run(ScriptedService([CredentialsError("expired", hint="Get a new token.")]))
    with pytest.raises(CredentialsError, match="expired") as raised:
        await run.exchange().carry_out()
    assert "Get a new token." in raised.value.hint
    assert "resume" in raised.value.hint
    assert run.journal.entries[-1]
    assert run.journal.entries[-1].sent_at is None, "a gateway that refuses has handed nothing on"
    looking = Run(ScriptedService([RESET], looks=[CredentialsError("expired")]))
    with pytest.raises(CredentialsError):
        await looking.exchange().carry_out()
    assert looking.is_kept


REPLACING = replace(PENDING, stood_since=STANDING.create_time)


async def test_what_is_replaced_is_deleted_after_the_redirect_is_written_down() -> None:
    run = Run(ScriptedService())
    assert await run.exchange(REPLACING).carry_out() == CREATED
    first, second, third, removed = run.journal.entries
    assert first
    assert (first.sent_at, first.is_deleted) == (None, False)
    assert second
    assert (second.sent_at, second.is_deleted) == (None, True)
    assert third
    assert third.sent_at
    assert removed is None
    assert run.order == ["delete", "create"]
    assert run.told == [Deleted(NAME), Exchanging(1, replaces=True, kept=True)]


async def test_a_deletion_of_which_nothing_came_is_sent_again() -> None:
    run = Run(ScriptedService(deletes=[UNSENT, None]))
    assert await run.exchange(REPLACING).carry_out() == CREATED
    assert run.order == ["delete", "delete", "create"]
    busy = Run(ScriptedService(deletes=[BUSY, None], looks=[[STANDING]]))
    assert await busy.exchange(REPLACING).carry_out() == CREATED
    assert busy.order == ["delete", "list", "delete", "create"]
    done = Run(ScriptedService(deletes=[BUSY]))
    assert await done.exchange(REPLACING).carry_out() == CREATED
    assert done.order == ["delete", "list", "create"]


async def test_a_taken_name_that_may_not_be_listed_is_to_be_deleted_by_hand() -> None:
    run = Run(ScriptedService([NameTakenError("taken")]))
    with pytest.raises(NameTakenError) as raised:
        await run.exchange(may_look=False).carry_out()
    assert f"oauth-helper delete {NAME}" in raised.value.hint


@pytest.mark.parametrize("trouble", [RESET, LATE, HANGS], ids=str)
async def test_a_deletion_that_may_still_be_carried_out_is_waited_for(trouble: OAuthHelperError | str) -> None:
    """Were it late, it would take the new authorization with it."""
    run = Run(ScriptedService(deletes=[trouble], looks=[[STANDING], []]))
    assert await run.exchange(REPLACING).carry_out() == CREATED
    assert run.order == ["delete", "list", "list", "create"]
    again = Run(ScriptedService(deletes=[RESET, NoSuchAuthorizationError("none")], looks=[[STANDING]]))
    assert await again.exchange(REPLACING).carry_out() == CREATED
    first, second = again.service.made("delete")
    assert second - first >= HURRIED.settled_after


async def test_a_deletion_that_never_succeeds_costs_neither_authorization_nor_redirect() -> None:
    run = Run(ScriptedService(deletes=[UNSENT]))
    with pytest.raises(OutcomeUnknownError, match="could not be deleted, so none was created"):
        await run.exchange(REPLACING).carry_out()
    assert "create" not in run.order
    assert run.is_kept


async def test_what_is_gone_is_said_wherever_it_is_gone() -> None:
    for error in (CodeOrStateInvalidError("used"), RESET, CredentialsError("no")):
        run = Run(ScriptedService([error]))
        with pytest.raises(OAuthHelperError, match="authorization that was named my-auth is deleted"):
            await run.exchange(REPLACING).carry_out()


async def test_the_record_that_stood_before_is_not_taken_for_the_new_one() -> None:
    deleted = replace(REPLACING, is_deleted=True)
    run = Run(ScriptedService([BUSY, CREATED], looks=[[STANDING]]))
    assert await run.exchange(deleted).carry_out() == CREATED
    assert run.order == ["create", "list", "create"]
    timeless = replace(CREATED, create_time=0)
    silent = Run(ScriptedService([BUSY], looks=[[timeless]]))
    assert await silent.exchange(replace(deleted, stood_since=0)).carry_out() == timeless


@pytest.mark.parametrize(
    "stranger", [replace(CREATED, name="another"), replace(CREATED, repo_type="gitlab")], ids=["name", "type"]
)
async def test_a_record_of_another_name_or_type_is_not_ours(stranger: Authorization) -> None:
    run = Run(ScriptedService([BUSY, CREATED], looks=[[stranger]]))
    assert await run.exchange().carry_out() == CREATED
    assert run.order == ["create", "list", "create"]


async def test_what_an_earlier_run_may_have_sent_is_looked_for_before_anything_is_sent() -> None:
    just_sent = replace(PENDING, sent_at=datetime.now(UTC))
    run = Run(ScriptedService(looks=[[], [CREATED]]))
    assert await run.exchange(just_sent, is_resumed=True).carry_out() == CREATED
    assert run.order == ["list", "list"]
    long_ago = replace(PENDING, sent_at=datetime.now(UTC) - timedelta(minutes=1))
    lost = Run(ScriptedService())
    assert await lost.exchange(long_ago, is_resumed=True).carry_out() == CREATED
    assert lost.order == ["list", "create"]
    used = Run(ScriptedService([USED], looks=[[], [CREATED]]))
    assert await used.exchange(long_ago, is_resumed=True).carry_out() == CREATED
    assert used.order == ["list", "create", "list"]


async def test_the_life_of_the_code_ends_it_too() -> None:
    old = datetime.now(UTC) - CODE_LIFETIME + timedelta(seconds=0.2)
    run = Run(ScriptedService([UNSENT]))
    began = asyncio.get_running_loop().time()
    exchange = Exchange(replace(PENDING, captured_at=old), run.service, run.journal, run.told.append, pace=HURRIED)
    with pytest.raises(OutcomeUnknownError):
        await exchange.carry_out()
    assert asyncio.get_running_loop().time() - began < HURRIED.total


async def test_without_a_journal_it_goes_on_and_promises_nothing() -> None:
    service = ScriptedService([RESET])
    exchange = Exchange(PENDING, service, None, lambda _event: None, pace=HURRIED)
    with pytest.raises(OutcomeUnknownError) as raised:
        await exchange.carry_out()
    assert "resume" not in raised.value.hint
    assert f"show {NAME}" in raised.value.hint


class FullJournal(PaperJournal):
    """Takes ``room`` entries; then the disk is full."""

    room = 0

    def write(self, pending: Pending) -> None:
        if len(self.entries) >= self.room:
            raise MachineError("the disk is full")
        super().write(pending)


async def test_a_journal_that_cannot_be_written_is_said_once_and_costs_nothing() -> None:
    run = Run(ScriptedService(), journal=FullJournal())
    assert await run.exchange(REPLACING).carry_out() == CREATED
    assert [event for event in run.told if isinstance(event, Warned)] == [Warned("the disk is full")]


async def test_an_entry_that_is_not_true_any_more_is_removed_rather_than_left() -> None:
    journal = FullJournal()
    journal.room = 1
    run = Run(ScriptedService([RESET]), journal=journal)
    with pytest.raises(OutcomeUnknownError) as raised:
        await run.exchange(REPLACING).carry_out()
    assert journal.entries[-1] is None, "it said that nothing was sent"
    assert "resume" not in raised.value.hint
