"""What is of other runs: pending exchanges that one of them is at, and links that have gone or wait for another."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from journal_entries import ENTRY, pending
from paper_doors import CREATED, HURRIED, PaperService
from support.listener import ADDRESS, LINKED, RedirectReceiver
from waiting_runs import taken, waiting

from oauth_helper.api import deliver_to_waiting, resume_all, waiting_links
from oauth_helper.errors import MachineError, OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import Event, Failed, Linked, Warned
from oauth_helper.journal import Journal
from oauth_helper.link_steps import Settled
from oauth_helper.models import Pending, Target
from oauth_helper.private_files import private_folder
from oauth_helper.single_instance import runtime_folder

FOREIGN = "https://console.example/?code=c&state=of-another"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "pending")


@pytest.fixture
def entry(journal: Journal) -> Pending:
    """It has just been written."""
    entry = replace(pending(), captured_at=datetime.now(UTC))
    journal.write(entry)
    return entry


async def resumed(entry: Pending, journal: Journal) -> tuple[list[Settled], list[Event], PaperService]:
    service = PaperService()
    told: list[Event] = []

    @asynccontextmanager
    async def connected(_target: Target) -> AsyncIterator[PaperService]:
        yield service

    return await resume_all([entry], journal, connected, told.append, HURRIED), told, service


async def test_what_another_run_is_at_is_left_to_it_and_kept(journal: Journal, entry: Pending) -> None:
    with taken(runtime_folder(), entry.target):
        [settled], _, service = await resumed(entry, journal)
    assert isinstance(settled.outcome, Failed)
    assert "Another oauth-helper is linking my-auth" in settled.outcome.error.message
    assert "when the other one has ended" in settled.outcome.error.hint
    assert service.calls == []
    assert journal.read_all() == ([entry], [])
    [settled], _, _ = await resumed(entry, journal)
    assert settled.outcome == Linked(CREATED)


async def test_what_another_run_has_finished_meanwhile_is_left_out(journal: Journal, entry: Pending) -> None:
    journal.remove(entry)
    with taken(runtime_folder(), entry.target):
        assert (await resumed(entry, journal))[0] == []
    assert (await resumed(entry, journal))[0] == []


async def test_what_was_spoilt_meanwhile_is_told_and_left_out(journal: Journal, entry: Pending, tmp_path: Path) -> None:
    (tmp_path / "pending" / ENTRY).write_text("planted")
    settled, told, service = await resumed(entry, journal)
    assert (settled, service.calls) == ([], [])
    [warned] = told
    assert isinstance(warned, Warned)
    assert "is not an entry of this version of oauth-helper" in warned.message


async def test_where_runs_cannot_meet_it_is_finished_all_the_same(journal: Journal, entry: Pending) -> None:
    (Path(os.environ["XDG_RUNTIME_DIR"]) / "oauth-helper").touch()
    [settled], told, _ = await resumed(entry, journal)
    assert settled.outcome == Linked(CREATED)
    assert isinstance(told[0], Warned)
    assert "other runs will not find this one" in told[0].message


async def test_all_links_that_wait_are_found_and_none_is_told() -> None:
    with pytest.raises(MachineError, match="No link of yours is waiting"):
        waiting_links()
    async with waiting(runtime_folder(), RedirectReceiver()) as notice:
        assert waiting_links() == [notice]


async def test_a_link_that_has_gone_is_passed_over_for_one_that_waits(tmp_path: Path) -> None:
    async with waiting(private_folder(tmp_path / "a"), RedirectReceiver()) as gone:
        pass
    async with waiting(private_folder(tmp_path / "b"), RedirectReceiver()) as there:
        assert await deliver_to_waiting([gone, there], ADDRESS) == (there, LINKED)


async def test_where_the_only_link_has_gone_it_is_not_known_whether_it_took_it(tmp_path: Path) -> None:
    async with waiting(private_folder(tmp_path / "a"), RedirectReceiver()) as gone:
        pass
    with pytest.raises(OutcomeUnknownError, match="The link of my-auth has gone without a word") as unknown:
        await deliver_to_waiting([gone], ADDRESS)
    assert "`oauth-helper resume` finishes it" in unknown.value.hint


async def test_a_redirect_of_none_of_them_is_refused_in_the_words_of_the_first(tmp_path: Path) -> None:
    first, second = RedirectReceiver(), RedirectReceiver()
    one, other = (private_folder(tmp_path / name) for name in "ab")
    async with waiting(one, first) as notice, waiting(other, second) as another:
        with pytest.raises(RedirectRejectedError, match="not ours: foreign-state") as refused:
            await deliver_to_waiting([notice, another], FOREIGN)
    assert first.ignored == second.ignored == ["foreign-state"]
    assert refused.value.hint.startswith("my-auth and my-auth still wait")
