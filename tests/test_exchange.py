"""The rules of sending again: what is sent, what is looked at, and what is said, for every kind of trouble."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

import pytest
from paper_doors import CREATED, HURRIED, NAME, STANDING
from scripted_exchange import (
    BUSY,
    HANGS,
    LATE,
    NO_LIST,
    OTHER,
    RESET,
    TAKEN,
    UNSENT,
    USED,
    Answer,
    Look,
    Run,
    ScriptedService,
)

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    NameTakenError,
    NotPermittedError,
    OutcomeUnknownError,
    RefusedError,
    UnusableAnswerError,
)
from oauth_helper.events import Exchanging, Looking
from oauth_helper.i18n import _
from oauth_helper.models import Authorization


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
    busy = UnusableAnswerError(_("busy"), sent=True, status=status)
    run = Run(ScriptedService([busy, CREATED]))
    assert await run.exchange().carry_out() == CREATED
    assert run.order == ["create", "list", "create"]
    there = Run(ScriptedService([busy], looks=[[CREATED]]))
    assert await there.exchange().carry_out() == CREATED
    assert there.order == ["create", "list"]
    assert not there.is_kept


@pytest.mark.parametrize("trouble", [RESET, LATE, UnusableAnswerError(_("cut"), sent=True, status=200), HANGS], ids=str)
async def test_what_may_still_be_carried_out_is_sent_again_only_after_four_looks_and_the_whole_time(
    trouble: Answer,
) -> None:
    due = [moment for moment in HURRIED.looks if trouble != HANGS or moment >= HURRIED.answer]
    looks: list[float] = []
    while len(looks) < len(due):  # where the machine stood still for so long that two fell together
        run = Run(ScriptedService([trouble, CREATED]))
        assert await run.exchange().carry_out() == CREATED
        first, second = run.service.made("create")
        assert second - first >= HURRIED.settled_after
        assert run.order[0] == run.order[-1] == "create"
        looks = [at - first for at in run.service.made("list")]
    # uvloop counts in whole milliseconds.
    assert all(look > moment - 0.001 for look, moment in zip(looks[-len(due) :], due, strict=True))


Given = TypeVarTuple("Given")


class EarlyLoop(asyncio.SelectorEventLoop):
    """Wakes sleepers a little early, as a loop does that counts whole milliseconds (uvloop)."""

    def call_at(
        self, when: float, callback: Callable[[*Given], object], *given: *Given, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(when - 0.005, callback, *given, context=context)


def test_a_clock_that_is_coarse_costs_no_further_look() -> None:
    run = Run(ScriptedService([RESET, CREATED]))

    async def carry_out() -> Authorization:
        return await run.exchange().carry_out()

    with asyncio.Runner(loop_factory=EarlyLoop) as runner:
        assert runner.run(carry_out()) == CREATED
    assert run.order == ["create", *["list"] * len(HURRIED.looks), "create"]


async def test_what_comes_late_is_found() -> None:
    run = Run(ScriptedService([LATE], looks=[[], [], [CREATED]]))
    assert await run.exchange().carry_out() == CREATED
    assert run.order == ["create", "list", "list", "list"]
    assert run.told.count(Looking(NAME)) == 3


@pytest.mark.parametrize("failed", [UNSENT, RESET, BUSY, RefusedError(_("no")), HANGS], ids=str)
async def test_a_look_that_failed_tells_nothing_and_nothing_is_sent_on_it(failed: Look) -> None:
    run = Run(ScriptedService([BUSY], looks=[failed]))
    with pytest.raises(OutcomeUnknownError):
        await run.exchange().carry_out()
    assert len(run.service.made("create")) == 1
    assert len(run.service.made("list")) > 1
    assert run.is_kept


async def test_where_listing_is_not_permitted_nothing_is_sent_again_and_it_is_said() -> None:
    for may_list, looks in ((False, []), (True, [NO_LIST])):
        run = Run(ScriptedService([RESET], looks=looks))
        with pytest.raises(OutcomeUnknownError, match="cannot be known") as raised:
            await run.exchange(may_list=may_list).carry_out()
        assert run.order == ["create"] + ["list"] * may_list
        assert "ask who may list" in raised.value.hint
        assert run.is_kept


async def test_what_was_never_sent_is_sent_again_even_where_listing_is_not_permitted() -> None:
    run = Run(ScriptedService([UNSENT, CREATED], looks=[NO_LIST]))
    assert await run.exchange(may_list=False).carry_out() == CREATED


async def test_a_gateway_that_refuses_every_call_ends_the_looking() -> None:
    refused = NotPermittedError(_("not subscribed"), code="APIGW.0302")
    run = Run(ScriptedService([RESET], looks=[refused]))
    with pytest.raises(NotPermittedError, match="not subscribed"):
        await run.exchange().carry_out()
    assert run.order == ["create", "list"]
    assert run.is_kept


@pytest.mark.parametrize("refusal", [USED, TAKEN], ids=["0402", "0403"])
async def test_a_refusal_of_the_second_sending_may_be_the_work_of_the_first(refusal: RefusedError) -> None:
    run = Run(ScriptedService([RESET, refusal], looks=[[], [], [], [], [CREATED]]))
    assert await run.exchange().carry_out() == CREATED
    assert len(run.service.made("create")) == 2
    gone = Run(ScriptedService([RESET, type(refusal)(_("refused"))], looks=[[]]))
    exchange = gone.exchange()
    with pytest.raises(type(refusal)):
        await exchange.carry_out()
    assert gone.order[-1] == "list"
    assert gone.is_kept == (refusal is TAKEN)
    exchange.forget()
    assert not gone.is_kept


async def test_a_plain_refusal_of_the_first_sending_ends_it() -> None:
    for error in (RefusedError(_("no")), NameTakenError(_("taken"))):
        run = Run(ScriptedService([error]))
        exchange = run.exchange(known=())
        with pytest.raises(type(error)):
            await exchange.carry_out()
        assert run.order == ["create"]
        assert run.is_kept == isinstance(error, NameTakenError), "a refused name costs neither code nor state"
        exchange.forget()
        assert not run.is_kept


async def test_what_appeared_in_the_meantime_is_named() -> None:
    run = Run(ScriptedService([CodeOrStateInvalidError(_("used"))], looks=[[OTHER, STANDING]]))
    with pytest.raises(CodeOrStateInvalidError, match='In the meantime "console-made" appeared') as raised:
        await run.exchange(known={NAME}).carry_out()
    assert "is yours" in raised.value.hint
    assert run.order == ["create", "list"]


@pytest.mark.parametrize("look", [[STANDING], NO_LIST, CredentialsError(_("gone")), RESET], ids=str)
async def test_a_used_code_is_said_to_be_used_where_nothing_else_is_known(look: Look) -> None:
    run = Run(ScriptedService([CodeOrStateInvalidError(_("used"))], looks=[look]))
    with pytest.raises(CodeOrStateInvalidError, match=r"^used$"):
        await run.exchange(known={NAME}).carry_out()
    assert not run.is_kept


async def test_credentials_that_are_refused_cost_no_redirect() -> None:
    run = Run(ScriptedService([CredentialsError(_("expired"), hint=_("Get a new token."))]))
    with pytest.raises(CredentialsError, match="expired") as raised:
        await run.exchange().carry_out()
    assert "Get a new token." in raised.value.hint
    assert "resume" in raised.value.hint
    assert run.journal.entries[-1]
    assert run.journal.entries[-1].sent_at is None, "a gateway that refuses has handed nothing on"
    looking = Run(ScriptedService([RESET], looks=[CredentialsError(_("expired"))]))
    with pytest.raises(CredentialsError):
        await looking.exchange().carry_out()
    assert looking.is_kept
