"""Pending exchanges that another process has locked, and links that have gone or wait for another redirect."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.journal_entries import ENTRY, pending
from support.other_instances import CONSOLE, LINKED, REDIRECT, TARGET, waiting
from support.scripted_service import CREATED, HURRIED, ScriptedService

from oauth_helper.api import deliver_to_waiting, resume_all, waiting_links
from oauth_helper.errors import MachineError, OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import Event, Failed, Linked, Warned
from oauth_helper.journal import Journal
from oauth_helper.link_steps import Settled
from oauth_helper.models import Pending, Target
from oauth_helper.private_files import private_folder
from oauth_helper.single_instance import TargetLock, lock_path, runtime_folder


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "pending")


@pytest.fixture
def entry(journal: Journal) -> Pending:
    entry = replace(pending(), captured_at=datetime.now(UTC))
    journal.write(entry)
    return entry


async def resumed(entry: Pending, journal: Journal) -> tuple[list[Settled], list[Event], ScriptedService]:
    service = ScriptedService()
    told: list[Event] = []

    @asynccontextmanager
    async def connected(_target: Target) -> AsyncIterator[ScriptedService]:
        yield service

    return await resume_all([entry], journal, connected, told.append, HURRIED), told, service


def locked(entry: Pending) -> TargetLock:
    lock = TargetLock.try_acquire(lock_path(runtime_folder(), entry.target))
    assert lock
    return lock


async def test_what_another_process_has_locked_is_left_to_it_and_kept(journal: Journal, entry: Pending) -> None:
    with locked(entry):
        [settled], _, service = await resumed(entry, journal)
    assert isinstance(settled.outcome, Failed)
    assert "Another oauth-helper is linking my-auth" in settled.outcome.error.message
    assert "when the other one has ended" in settled.outcome.error.hint
    assert service.order == ""
    assert journal.read_all() == ([entry], [])
    [settled], _, _ = await resumed(entry, journal)
    assert settled.outcome == Linked(CREATED)


async def test_what_another_process_has_finished_meanwhile_is_left_out(journal: Journal, entry: Pending) -> None:
    journal.remove(entry)
    with locked(entry):
        assert (await resumed(entry, journal))[0] == []
    assert (await resumed(entry, journal))[0] == []


async def test_an_entry_that_became_invalid_is_reported(journal: Journal, entry: Pending, tmp_path: Path) -> None:
    (tmp_path / "pending" / ENTRY).write_text("planted")
    settled, told, service = await resumed(entry, journal)
    assert (settled, service.order) == ([], "")
    [warned] = told
    assert isinstance(warned, Warned)
    assert "is not an entry of this version of oauth-helper" in warned.message


async def test_without_a_runtime_folder_it_is_finished_all_the_same(journal: Journal, entry: Pending) -> None:
    (Path(os.environ["XDG_RUNTIME_DIR"]) / "oauth-helper").touch()
    [settled], told, _ = await resumed(entry, journal)
    assert settled.outcome == Linked(CREATED)
    assert isinstance(told[0], Warned)
    assert "other runs will not find this one" in told[0].message


async def test_all_waiting_links_are_found() -> None:
    with pytest.raises(MachineError, match="No link of yours is waiting"):
        waiting_links()
    async with waiting(runtime_folder()) as link:
        assert waiting_links() == [link.info]


async def test_a_redirect_reaches_only_the_link_whose_state_it_has(tmp_path: Path) -> None:
    other = replace(TARGET, name="other")
    async with waiting(tmp_path, target=other, state="another-state") as foreign, waiting(tmp_path) as link:
        assert await deliver_to_waiting([foreign.info, link.info], REDIRECT) == (link.info, LINKED)
        assert foreign.told == []
        with pytest.raises(RedirectRejectedError) as rejected:
            await deliver_to_waiting([foreign.info, link.info], f"{CONSOLE}?code=c&state=of-another")
        assert foreign.told == []
    assert rejected.value.reason == "foreign-state"
    assert rejected.value.hint.startswith("other and my-auth still wait")


async def test_a_link_that_has_gone_is_skipped_or_its_outcome_is_not_known(tmp_path: Path) -> None:
    async with waiting(private_folder(tmp_path / "a")) as gone:
        pass
    async with waiting(private_folder(tmp_path / "b")) as link:
        assert await deliver_to_waiting([gone.info, link.info], REDIRECT) == (link.info, LINKED)
    with pytest.raises(OutcomeUnknownError, match="The link of my-auth has gone without a word") as unknown:
        await deliver_to_waiting([gone.info], REDIRECT)
    assert "`oauth-helper resume` finishes it" in unknown.value.hint
