"""What an earlier run has left: finished by the next link of that name or by ``resume``, or said to be lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from other_users import NOBODY, acting_as, folder_of_nobody, needs_root
from paper_doors import CREATED, HURRIED, NAME, STANDING, PaperDoors, PaperJournal, PaperService, User, consents

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    UnreachableError,
)
from oauth_helper.events import Event, Failed, Linked, Refused, Resumed, Warned
from oauth_helper.i18n import _
from oauth_helper.journal import Journal
from oauth_helper.link_steps import Settled, link, resume
from oauth_helper.models import CODE_LIFETIME, LinkRequest, Pending, RepoType, Target
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.secret import Secret

UNREACHABLE = UnreachableError(_("connection refused"), sent=False)
USED = CodeOrStateInvalidError(_("code or state is used"))


def left(service: PaperService, *, is_deleted: bool = False) -> Pending:
    """What a run that was cut off just now has left."""
    target = Target(service.endpoint, service.project_id, NAME)
    now = datetime.now(UTC)
    stood_since = STANDING.create_time if is_deleted else None
    code, state = Secret("planted-code"), Secret("planted-state")
    return Pending(target, RepoType.GITHUB, now, code, state, stood_since=stood_since, is_deleted=is_deleted)


def expired(pending: Pending) -> Pending:
    return replace(pending, captured_at=pending.captured_at - CODE_LIFETIME)


async def linked_again(service: PaperService, pending: Pending, user: User = consents) -> tuple[Linked, PaperDoors]:
    doors = PaperDoors(user, journal=PaperJournal([pending]))
    return await link(LinkRequest(RepoType.GITHUB, NAME), service, doors.as_doors()), doors


def warnings(told: list[Event]) -> list[str]:
    return [event.message for event in told if isinstance(event, Warned)]


async def test_an_earlier_redirect_that_has_expired_is_said_to_be_lost_and_the_user_asked_for_another() -> None:
    service = PaperService()
    linked, doors = await linked_again(service, expired(left(service)))
    assert linked == Linked(CREATED)
    assert warnings(doors.told) == [f"An earlier redirect for {NAME} expired before it was known to be exchanged."]
    assert doors.journal
    assert doors.journal.entries[1] is None, "it is removed before another is written"
    assert len(doors.opened) == 1


async def test_what_an_expired_redirect_was_to_replace_is_said_to_be_gone() -> None:
    service = PaperService()
    _, doors = await linked_again(service, expired(left(service, is_deleted=True)))
    assert f"{NAME} is deleted" in warnings(doors.told)[0]


async def test_an_earlier_redirect_that_is_refused_is_said_and_the_user_asked_for_another() -> None:
    service = PaperService(fails={"create": USED})

    async def consents_now(receiver: RedirectReceiver) -> None:
        service.fails.clear()
        await consents(receiver)

    linked, doors = await linked_again(service, left(service), consents_now)
    assert linked == Linked(CREATED)
    assert Refused() in doors.told
    assert warnings(doors.told) == [f"The earlier redirect for {NAME} came to nothing: code or state is used."]


async def test_an_earlier_redirect_of_which_nothing_can_be_known_yet_is_kept_and_no_other_asked_for() -> None:
    service = PaperService(fails={"create": UNREACHABLE})
    doors = PaperDoors(consents, journal=PaperJournal([left(service)]))
    with pytest.raises(OutcomeUnknownError, match="connection refused"):
        await link(LinkRequest(RepoType.GITHUB, NAME), service, doors.as_doors())
    assert doors.opened == []
    assert doors.journal
    assert doors.journal.entries[-1]


async def resumed(
    service: PaperService, pending: Pending, journal: PaperJournal | Journal
) -> tuple[Settled, list[Event]]:
    told: list[Event] = []

    @asynccontextmanager
    async def connected(target: Target) -> AsyncIterator[PaperService]:
        assert target == pending.target
        yield service

    return await resume(pending, journal, connected, told.append, HURRIED), told


def error_of(settled: Settled) -> OAuthHelperError:
    assert isinstance(settled.outcome, Failed)
    return settled.outcome.error


async def test_what_came_about_before_it_expired_is_found_by_resume() -> None:
    service = PaperService([CREATED])
    journal = PaperJournal()
    settled, told = await resumed(service, expired(left(service)), journal)
    assert settled.outcome == Linked(CREATED)
    assert [type(event) for event in told] == [Resumed, Linked]
    assert journal.entries == [None]


async def test_what_has_expired_and_was_not_created_is_to_be_linked_again() -> None:
    service = PaperService()
    settled, _ = await resumed(service, expired(left(service, is_deleted=True)), PaperJournal())
    error = error_of(settled)
    assert isinstance(error, CodeOrStateInvalidError)
    assert "has expired, and no authorization was created from it" in error.message
    assert f"{NAME} is deleted" in error.message
    assert f"oauth-helper link github --name {NAME}" in error.hint
    assert service.calls == ["list"], "nothing is sent"


async def test_what_has_expired_and_may_not_be_listed_cannot_be_known_and_is_kept_no_longer() -> None:
    service = PaperService(fails={"list": NotPermittedError(_("may not list"))})
    journal = PaperJournal()
    settled, _unused = await resumed(service, expired(left(service)), journal)
    error = error_of(settled)
    assert isinstance(error, OutcomeUnknownError)
    assert "whether it was created cannot be known: may not list" in error.message
    assert f"oauth-helper link github --name {NAME}" in error.hint
    assert journal.entries == [None]


async def test_what_has_expired_and_cannot_be_asked_about_is_kept_for_the_next_try() -> None:
    service = PaperService(fails={"list": UNREACHABLE})
    journal = PaperJournal()
    settled, _ = await resumed(service, expired(left(service)), journal)
    error = error_of(settled)
    assert isinstance(error, OutcomeUnknownError)
    assert f"could not be asked about {NAME}: connection refused" in error.message
    assert "resume" in error.hint
    assert journal.entries == []


@needs_root
async def test_an_entry_that_cannot_be_removed_is_said_and_the_outcome_stands() -> None:
    service = PaperService([CREATED])
    pending = expired(left(service))
    with folder_of_nobody() as folder, acting_as(NOBODY):
        journal = Journal(folder / "pending")
        journal.write(pending)
        (folder / "pending").chmod(0o500)
        settled, told = await resumed(service, pending, journal)
        (folder / "pending").chmod(0o700)
    assert settled.outcome == Linked(CREATED)
    assert "cannot be removed (Permission denied)" in warnings(told)[0]
