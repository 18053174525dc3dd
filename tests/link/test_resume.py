"""Pending exchanges of earlier runs: finished by the next link of that name or by ``resume``, or reported as lost."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from link.scripted_link import (
    CREATED,
    EXISTING,
    HURRIED,
    NAME,
    NO_LIST,
    USED,
    Lost,
    MemoryJournal,
    Script,
    UserSession,
    link_with,
)
from msgspec.structs import replace
from support.other_users import NOBODY, acting_as, folder_of_nobody, needs_root

from oauth_helper.errors import CodeOrStateInvalidError, MachineError, OAuthHelperError, OutcomeUnknownError
from oauth_helper.events import Event, Failed, Linked, Outcome, Refused, Resumed, Warned
from oauth_helper.i18n import _
from oauth_helper.journal import Journal
from oauth_helper.link_steps import resume_all
from oauth_helper.models import CODE_LIFETIME, Pending, RepoType, Target
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.single_instance import lock_path, runtime_folder, try_lock


def left_behind(*, is_deleted: bool = False, has_expired: bool = False) -> Pending:
    """What a run that was just stopped left in the journal."""
    return Pending(
        target=Target("https://servicestage.example", "project", NAME),
        repo_type=RepoType.GITHUB,
        captured_at=datetime.now(UTC) - (CODE_LIFETIME if has_expired else 0 * CODE_LIFETIME),
        code=Secret("planted-code"),
        state=Secret("planted-state"),
        existing_since=EXISTING.create_time if is_deleted else None,
        is_deleted=is_deleted,
    )


async def linked_again(pending: Pending, script: Script) -> UserSession:
    session = UserSession(journal=MemoryJournal(pending))
    assert await link_with(session, script) == Linked(CREATED)
    return session


def warnings(told: list[Event]) -> list[str]:
    return [event.message for event in told if isinstance(event, Warned)]


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_an_expired_redirect_is_reported_as_lost_and_the_user_is_asked_for_another(is_deleted: bool) -> None:
    session = await linked_again(left_behind(is_deleted=is_deleted, has_expired=True), Script())
    gone = f". The authorization that was named {NAME} is deleted" if is_deleted else ""
    assert warnings(session.told) == [
        f"An earlier redirect for {NAME} expired before it was known to be exchanged{gone}."
    ]
    assert isinstance(session.journal, MemoryJournal)
    assert session.journal.entries[1] is None, "it is removed before another is written"
    assert len(session.opened) == 1


async def test_a_redirect_that_is_refused_is_reported_and_the_user_is_asked_for_another() -> None:
    session = await linked_again(left_behind(), Script([USED, CREATED]))
    assert Refused() in session.told
    [warning] = warnings(session.told)
    assert warning.startswith(f"The earlier redirect for {NAME} was refused: ")


async def test_a_redirect_whose_outcome_is_unknown_is_kept_and_the_user_is_not_asked() -> None:
    journal = MemoryJournal(left_behind())
    session = UserSession(journal=journal)
    with pytest.raises(OutcomeUnknownError, match="refused"):
        await link_with(session, Script([Lost.UNSENT]))
    assert session.opened == []
    assert journal.last


async def test_a_redirect_that_would_delete_is_not_finished_by_a_link_that_keeps() -> None:
    would_delete = replace(left_behind(), existing_since=EXISTING.create_time)
    session, script = UserSession(journal=MemoryJournal(would_delete)), Script(lists=[[EXISTING]])
    assert await link_with(session, script) == Linked(EXISTING, kept=True)
    assert script.order == "list"


async def resumed(
    pending: Pending, script: Script, journal: Journal | None = None
) -> tuple[list[tuple[Pending, Outcome]], list[Event]]:
    told: list[Event] = []
    async with script.serving() as service:

        @asynccontextmanager
        async def connected(target: Target) -> AsyncIterator[ServiceStageClient]:
            assert target == pending.target
            yield service

        return await resume_all([pending], journal or MemoryJournal(pending), connected, told.append, HURRIED), told


async def error_of(pending: Pending, script: Script, journal: Journal) -> OAuthHelperError:
    [(_pending, outcome)], told = await resumed(pending, script, journal)
    assert isinstance(outcome, Failed)
    assert told[-1] == outcome
    return outcome.error


@pytest.mark.parametrize("has_expired", [False, True])
async def test_resume_finishes_a_fresh_redirect_and_finds_what_an_expired_one_created(has_expired: bool) -> None:
    pending = left_behind(has_expired=has_expired)
    journal = MemoryJournal(pending)
    [(_pending, outcome)], told = await resumed(pending, Script(lists=[[CREATED]] if has_expired else [[]]), journal)
    assert outcome == Linked(CREATED)
    assert [type(event) for event in told if isinstance(event, Resumed | Linked)] == [Resumed, Linked]
    assert journal.last is None


@pytest.mark.parametrize(
    ("pending", "answers", "kind", "words", "hint", "is_kept"),
    [
        (
            left_behind(has_expired=True, is_deleted=True),
            {},
            CodeOrStateInvalidError,
            f"no authorization was created from it. The authorization that was named {NAME} is deleted",
            f"oauth-helper link github --name {NAME}",
            False,
        ),
        (
            left_behind(has_expired=True),
            {"lists": [NO_LIST]},
            OutcomeUnknownError,
            "whether it was created cannot be known: ",
            f"oauth-helper link github --name {NAME}",
            False,
        ),
        (
            left_behind(has_expired=True),
            {"lists": [Lost.UNSENT]},
            OutcomeUnknownError,
            f"could not be asked about {NAME}: ",
            "resume",
            True,
        ),
        (left_behind(), {"creates": [USED]}, CodeOrStateInvalidError, USED, "", False),
        (left_behind(), {"creates": [Lost.UNSENT]}, OutcomeUnknownError, "could not be asked", "resume", True),
    ],
    ids=["expired", "may not list", "unreachable", "refused", "unknown"],
)
async def test_resume_reports_why_it_could_not_finish(
    pending: Pending,
    answers: dict[str, Any],
    kind: type[OAuthHelperError],
    words: str,
    hint: str,
    is_kept: bool,
) -> None:
    journal = MemoryJournal(replace(pending, captured_at=pending.captured_at))
    error = await error_of(pending, Script(**answers), journal)
    assert type(error) is kind
    assert words in error.message
    assert hint in error.hint
    assert (journal.last is not None) is is_kept


@needs_root
async def test_an_entry_that_cannot_be_removed_is_reported_and_changes_no_outcome() -> None:
    pending = left_behind(has_expired=True)
    with folder_of_nobody() as folder, acting_as(NOBODY):
        journal = Journal(folder / "pending")
        journal.write(pending)
        (folder / "pending").chmod(0o500)
        [(_pending, outcome)], told = await resumed(pending, Script(lists=[[CREATED]]), journal)
        (folder / "pending").chmod(0o700)
    assert outcome == Linked(CREATED)
    assert any("cannot be removed (Permission denied)" in warning for warning in warnings(told))


@contextmanager
def locked(target: Target) -> Iterator[None]:
    lock = try_lock(lock_path(runtime_folder(), target))
    assert lock
    with lock:
        yield


async def test_what_another_process_is_linking_is_left_to_it() -> None:
    pending, script = left_behind(), Script()
    journal = MemoryJournal(pending)
    with locked(pending.target):
        [(_pending, outcome)], _told = await resumed(pending, script, journal)
    assert isinstance(outcome, Failed)
    assert "Another oauth-helper is linking my-auth" in outcome.error.message
    assert "when the other one has ended" in outcome.error.hint
    assert script.calls == []
    assert journal.last == pending


async def test_what_another_process_finished_meanwhile_is_omitted() -> None:
    pending = left_behind()
    with locked(pending.target):
        assert (await resumed(pending, Script(), MemoryJournal()))[0] == []
    assert (await resumed(pending, Script(), MemoryJournal()))[0] == []


async def test_an_entry_that_was_damaged_meanwhile_is_reported_and_omitted(tmp_path: Path) -> None:
    pending, script, journal = left_behind(), Script(), Journal(tmp_path / "pending")
    journal.write(pending)
    next((tmp_path / "pending").iterdir()).write_text("planted")
    settled, told = await resumed(pending, script, journal)
    assert (settled, script.calls) == ([], [])
    assert "is not an entry of this version of oauth-helper" in warnings(told)[0]


async def test_without_a_runtime_folder_a_redirect_is_finished_all_the_same() -> None:
    (Path(os.environ["XDG_RUNTIME_DIR"]) / "oauth-helper").touch()
    [(_pending, outcome)], told = await resumed(left_behind(), Script())
    assert outcome == Linked(CREATED)
    assert "other runs will not find this one" in warnings(told)[0]


class DamagedJournal(MemoryJournal):
    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        raise MachineError(_("damaged"))


async def test_a_journal_that_cannot_be_read_is_reported_and_the_link_continues() -> None:
    session = UserSession(journal=DamagedJournal())
    assert await link_with(session, Script()) == Linked(CREATED)
    assert warnings(session.told)[0] == "What an earlier run left cannot be read: damaged."
