"""An exchange that replaces, that goes on with an earlier run's work, or that cannot be written down."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from paper_doors import CREATED, HURRIED, NAME, STANDING, PaperJournal
from scripted_exchange import (
    BUSY,
    HANGS,
    LATE,
    PENDING,
    RESET,
    UNSENT,
    USED,
    Run,
    ScriptedService,
)

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    MachineError,
    NameTakenError,
    NoSuchAuthorizationError,
    OAuthHelperError,
    OutcomeUnknownError,
)
from oauth_helper.events import Deleted, Deleting, Exchanging, Warned
from oauth_helper.exchange import Exchange
from oauth_helper.i18n import _
from oauth_helper.models import CODE_LIFETIME, Authorization, Pending

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
    assert run.told == [Deleting(NAME, kept=True), Deleted(NAME), Exchanging(1, replaces=True, kept=True)]


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
    run = Run(ScriptedService([NameTakenError(_("taken"))]))
    with pytest.raises(NameTakenError) as raised:
        await run.exchange(may_list=False).carry_out()
    assert f"oauth-helper delete {NAME}" in raised.value.hint


@pytest.mark.parametrize("trouble", [RESET, LATE, HANGS], ids=str)
async def test_a_deletion_that_may_still_be_carried_out_is_waited_for(trouble: OAuthHelperError | str) -> None:
    """Were it late, it would take the new authorization with it."""
    run = Run(ScriptedService(deletes=[trouble], looks=[[STANDING], []]))
    assert await run.exchange(REPLACING).carry_out() == CREATED
    assert run.order == ["delete", "list", "list", "create"]
    again = Run(ScriptedService(deletes=[RESET, NoSuchAuthorizationError(_("none"))], looks=[[STANDING]]))
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
    for error in (CodeOrStateInvalidError(_("used")), RESET, CredentialsError(_("no"))):
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
    exchange = Exchange(replace(PENDING, captured_at=old), run.service, run.journal, run.told.append, timing=HURRIED)
    with pytest.raises(OutcomeUnknownError):
        await exchange.carry_out()
    assert asyncio.get_running_loop().time() - began < HURRIED.total


async def test_without_a_journal_it_goes_on_and_promises_nothing() -> None:
    service = ScriptedService([RESET])
    exchange = Exchange(PENDING, service, None, lambda _event: None, timing=HURRIED)
    with pytest.raises(OutcomeUnknownError) as raised:
        await exchange.carry_out()
    assert "resume" not in raised.value.hint
    assert f"show {NAME}" in raised.value.hint


async def test_where_nothing_is_kept_and_nothing_can_be_looked_at_it_is_said_who_to_ask() -> None:
    service = ScriptedService([RESET])
    exchange = Exchange(PENDING, service, None, lambda _event: None, timing=HURRIED, may_list=False)
    with pytest.raises(OutcomeUnknownError) as raised:
        await exchange.carry_out()
    assert "ask who may list" in raised.value.hint
    assert "resume" not in raised.value.hint


async def test_a_redirect_whose_code_is_gone_is_not_sent() -> None:
    run = Run(ScriptedService())
    with pytest.raises(ValueError, match="without code and state"):
        await run.exchange(replace(PENDING, code=None, state=None)).carry_out()
    assert run.order == []
    assert run.journal.entries == []


class FullJournal(PaperJournal):
    """Takes ``room`` entries; then the disk is full."""

    room = 0

    def write(self, pending: Pending) -> None:
        if len(self.entries) >= self.room:
            raise MachineError(_("the disk is full"))
        super().write(pending)


async def test_a_journal_that_cannot_be_written_is_said_once_and_costs_nothing() -> None:
    run = Run(ScriptedService(), journal=FullJournal())
    assert await run.exchange(REPLACING).carry_out() == CREATED
    assert [event for event in run.told if isinstance(event, Warned)] == [Warned(_("the disk is full"))]


async def test_an_entry_that_is_not_true_any_more_is_removed_rather_than_left() -> None:
    journal = FullJournal()
    journal.room = 1
    run = Run(ScriptedService([RESET]), journal=journal)
    with pytest.raises(OutcomeUnknownError) as raised:
        await run.exchange(REPLACING).carry_out()
    assert journal.entries[-1] is None, "it said that nothing was sent"
    assert "resume" not in raised.value.hint


class StuckJournal(PaperJournal):
    """Removes nothing."""

    def remove(self, pending: Pending) -> None:
        raise MachineError(_("the disk cannot be written any more"))


async def test_an_entry_that_cannot_be_removed_is_said_and_the_link_stands() -> None:
    run = Run(ScriptedService(), journal=StuckJournal())
    assert await run.exchange().carry_out() == CREATED
    assert run.told[-1] == Warned(_("the disk cannot be written any more"))


async def test_what_was_made_anew_since_is_not_deleted_on_behalf_of_an_earlier_run() -> None:
    run = Run(ScriptedService(looks=[[replace(STANDING, create_time=77)]]))
    with pytest.raises(NameTakenError, match="made anew") as raised:
        await run.exchange(REPLACING, is_resumed=True).carry_out()
    assert run.order == ["list"]
    assert "--if-exists replace" in raised.value.hint
    same = Run(ScriptedService(looks=[[STANDING]]))
    assert await same.exchange(REPLACING, is_resumed=True).carry_out() == CREATED
    assert same.order == ["list", "delete", "create"]


async def test_an_answer_about_another_authorization_is_no_plain_one() -> None:
    run = Run(ScriptedService([replace(CREATED, name="another")], looks=[[CREATED]]))
    assert await run.exchange().carry_out() == CREATED
    assert run.order == ["create", "list"]


async def test_a_clock_that_was_set_back_since_the_sending_shortens_no_wait() -> None:
    run = Run(ScriptedService(looks=[[], [CREATED]]))
    impossible = replace(PENDING, captured_at=datetime.now(UTC), sent_at=datetime.now(UTC) - timedelta(hours=2))
    exchange = Exchange(impossible, run.service, run.journal, run.told.append, timing=HURRIED, is_resumed=True)
    assert await exchange.carry_out() == CREATED
    assert run.order == ["list", "list"]


async def test_a_deletion_of_which_nothing_is_known_is_said_to_be_unknown() -> None:
    run = Run(ScriptedService(deletes=[RESET], looks=[BUSY]))
    with pytest.raises(OutcomeUnknownError, match=r"asked to delete .* whether it did is not known"):
        await run.exchange(REPLACING).carry_out()
