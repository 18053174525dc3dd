"""Runs that write, sweep and are killed at once: real processes on one journal."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from journal_entries import ENTRY, NOW, TARGET, pending, without_secrets
from other_users import names_in

from oauth_helper.authorization import RepoType
from oauth_helper.journal import Journal
from oauth_helper.pending import CODE_LIFETIME

PREAMBLE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from dataclasses import replace
from itertools import count
from pathlib import Path
from journal_entries import NOW, pending
from oauth_helper.journal import Journal
from oauth_helper.pending import CODE_LIFETIME
journal = Journal(Path(sys.argv[1]))
print("started", flush=True)
"""
WRITES_FOR_EVER = """
for number in count():
    journal.write(replace(pending(), stood_since=number))
"""
SWEEPS_FOR_EVER = """
while True:
    assert journal.forget_expired(NOW) == []
"""
WRITES_AND_REMOVES = """
for number in range(150):
    entry = replace(pending(), stood_since=number)
    journal.write(pending(age=CODE_LIFETIME))
    journal.write(entry)
    journal.forget_expired(NOW)
    found, troubles = journal.read_all()
    assert not troubles, troubles
    journal.remove(entry)
"""


@contextmanager
def run(folder: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + script, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "started\n"
            yield process
        finally:
            process.kill()


def test_a_run_killed_at_any_moment_leaves_its_entry_whole_and_no_secret_for_long(tmp_path: Path) -> None:
    folder = tmp_path / "pending"
    journal = Journal(folder)
    moments = random.SystemRandom()
    for _ in range(20):
        with run(folder, WRITES_FOR_EVER) as process, pytest.raises(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0, 0.02))
        assert process.returncode == -signal.SIGKILL
        entries, troubles = journal.read_all()
        assert [replace(entry, stood_since=None) for entry in entries] in ([], [pending()])
        assert troubles == []
        journal.forget_expired(NOW)
        assert not folder.exists() or names_in(folder) in ([], [ENTRY])
    journal.forget_expired(NOW + CODE_LIFETIME)
    (entry,), _ = journal.read_all()
    assert replace(entry, stood_since=None) == without_secrets(pending())
    assert "planted" not in (folder / ENTRY).read_text()


def test_a_sweep_never_overwrites_what_a_run_has_just_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "pending")
    journal.write(pending())
    with ExitStack() as stack:
        sweepers = [stack.enter_context(run(tmp_path / "pending", SWEEPS_FOR_EVER)) for _ in range(2)]
        for number in range(300):
            journal.write(pending(age=CODE_LIFETIME + timedelta(seconds=number)))
            fresh = replace(pending(), stood_since=number)
            journal.write(fresh)
            assert journal.find(TARGET, RepoType.GITHUB) == fresh
        assert [process.poll() for process in sweepers] == [None, None]


def test_runs_that_write_sweep_and_remove_the_same_entry_at_once_disturb_none(tmp_path: Path) -> None:
    folder = tmp_path / "pending"
    with ExitStack() as stack:
        runs = [stack.enter_context(run(folder, WRITES_AND_REMOVES)) for _ in range(3)]
        for process in runs:
            assert (process.communicate(timeout=50)[1], process.returncode) == ("", 0)
    assert names_in(folder) == []
