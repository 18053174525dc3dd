"""The journal of captured redirects: written, found and deleted; spoilt entries; runs that are killed."""

import json
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.journal_entries import ENTRY, NOW, SECOND, TARGET, as_json, made_at, pending
from support.other_users import NOBODY, acting_as, folder_of_nobody, mode_of, names_in, needs_root

from oauth_helper.errors import MachineError
from oauth_helper.journal import Journal
from oauth_helper.models import CODE_LIFETIME, Pending, RepoType

WRITTEN = json.dumps(as_json(pending()))
NO_TEXT: tuple[list[Pending], list[str]] = ([], [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "pending"


@pytest.fixture
def journal(folder: Path) -> Journal:
    return Journal(folder)


def refusal(journal: Journal) -> str:
    """Return the message for an entry that is looked for; it shows nothing of the content, nor does a traceback."""
    with pytest.raises(MachineError) as refused:
        journal.find(TARGET, RepoType.GITHUB)
    told = refused.value.message + refused.value.hint
    assert "planted" not in told + "".join(traceback.format_exception(refused.value))
    return told


def test_an_entry_is_found_by_target_and_type_until_it_is_removed(journal: Journal, folder: Path) -> None:
    written = pending()
    assert journal.find(TARGET, RepoType.GITHUB) is None
    assert journal.forget_expired(NOW) == journal.read_all() == NO_TEXT
    assert not folder.parent.exists()
    journal.write(written)
    found = journal.find(TARGET, RepoType.GITHUB)
    assert found == written
    assert "planted" not in f"{found!r}{found}"
    assert names_in(folder) == [ENTRY]
    assert (mode_of(folder), mode_of(folder / ENTRY)) == (0o700, 0o600)
    assert journal.find(TARGET, RepoType.GITLAB) is None
    assert journal.find(replace(TARGET, name="other"), RepoType.GITHUB) is None
    for _ in range(2):
        journal.remove(written)
        assert journal.find(TARGET, RepoType.GITHUB) is None
        assert names_in(folder) == []


def test_an_entry_of_an_earlier_release_is_read(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    (folder / ENTRY).write_text(
        f"""{{"format": 1, "target": {{"endpoint": "{TARGET.endpoint}", "project_id": "a-project", "name": "my-auth"}},
        "repo_type": "github", "captured_at": "2025-03-01T12:00:00Z", "code": "planted-code",
        "state": "$2a$10$planted-state", "tag": "intl", "sent_at": "2025-03-01T12:00:01Z", "existing_since": 7,
        "is_deleted": true}}"""
    )
    expected = replace(pending(), sent_at=NOW + SECOND, existing_since=7, is_deleted=True)
    assert journal.find(TARGET, RepoType.GITHUB) == expected


def test_entries_are_replaced_and_read_oldest_first(journal: Journal) -> None:
    older, newer = pending(age=SECOND), replace(pending(), sent_at=NOW, existing_since=7, is_deleted=True)
    other = pending(age=SECOND * 3, repo_type=RepoType.GITEE)
    for entry in (older, newer, other):
        journal.write(entry)
    assert journal.read_all() == ([other, newer], [])
    journal.remove(older)
    assert journal.find(TARGET, RepoType.GITHUB) == newer
    journal.remove(replace(newer, sent_at=None))
    assert journal.read_all() == ([other], [])


@needs_root
def test_a_folder_that_cannot_be_listed_is_reported() -> None:
    with folder_of_nobody() as folder, acting_as(NOBODY):
        journal = Journal(folder / "pending")
        journal.write(pending())
        (folder / "pending").chmod(0o300)
        assert journal.read_all() == ([], [f'"{folder}/pending" cannot be read (Permission denied)'])
        (folder / "pending").chmod(0o700)
        assert journal.read_all() == ([pending()], [])


@pytest.mark.parametrize(
    ("age", "is_kept"),
    [
        (CODE_LIFETIME - SECOND, True),
        (CODE_LIFETIME, False),
        (timedelta(days=9), False),
        (SECOND - CODE_LIFETIME, True),  # the clock was set back
        (-CODE_LIFETIME, False),
        (timedelta(days=-365), False),
    ],
    ids=str,
)
def test_an_entry_is_deleted_ten_minutes_after_the_capture(
    journal: Journal, folder: Path, age: timedelta, is_kept: bool
) -> None:
    entry = replace(pending(age=age), sent_at=NOW, existing_since=7, is_deleted=True)
    journal.write(entry)
    journal.write(pending("young"))
    for deleted in ([] if is_kept else [entry], []):
        assert journal.forget_expired(NOW) == (deleted, [])
    assert (folder / ENTRY).exists() == is_kept
    assert journal.find(replace(TARGET, name="young"), RepoType.GITHUB)


def test_an_entry_that_others_could_read_is_closed_and_reported_once(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    (folder / ENTRY).chmod(0o644)
    assert journal.forget_expired(NOW) == ([], [f'Other users could read "{folder / ENTRY}"'])
    assert mode_of(folder / ENTRY) == 0o600
    assert journal.forget_expired(NOW) == NO_TEXT
    assert journal.find(TARGET, RepoType.GITHUB) == pending()


def test_a_journal_that_cannot_be_written_is_named_without_the_secrets(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, reason in ((tmp_path / "file" / "pending", '/file/pending" cannot be created'), (None, "no home")):
        journal = Journal(folder)
        with pytest.raises(MachineError, match=f"could not be saved: .*{reason}.*XDG_STATE_HOME") as refused:
            journal.write(pending())
        assert "planted" not in "".join(traceback.format_exception(refused.value)) + refused.value.hint
        assert journal.read_all() == journal.forget_expired(NOW) == NO_TEXT
        assert journal.find(TARGET, RepoType.GITHUB) is None
        journal.remove(pending())


def test_a_folder_in_the_place_of_an_entry_is_reported_and_not_touched(journal: Journal, folder: Path) -> None:
    (folder / ENTRY / "inside").mkdir(parents=True)
    folder.chmod(0o700)
    with pytest.raises(MachineError, match=r"could not be saved: .* cannot be written \(Is a directory\)"):
        journal.write(pending())
    with pytest.raises(MachineError, match=r"cannot be removed \(Is a directory\)") as refused:
        journal.remove(pending())
    assert "yourself" in refused.value.hint
    journal.forget_expired(NOW + timedelta(days=1))
    assert (folder / ENTRY / "inside").is_dir()


def with_field(key: str, value: object) -> bytes:
    return json.dumps(as_json(pending()) | {key: value}).encode()


SPOILT = {
    "empty": b"",
    "truncated": WRITTEN[:-20].encode(),
    "binary rubbish": b"planted\x00\xff\xfe" * 50,
    "nested too deep": b"[" * 60_000,
    "too long": b'"' + b"planted" * 10_000 + b'"',
    "of another format": with_field("format", 2),
    "of another type": with_field("repo_type", "gitlab"),
    "of an illegal name": with_field("target", as_json(pending())["target"] | {"name": "../planted"}),
    "of another target": with_field("target", as_json(pending())["target"] | {"endpoint": "planted\ud800"}),
    "with a number no machine holds": WRITTEN.replace(
        '"existing_since": null', '"existing_since": ' + "9" * 5000
    ).encode(),
}


@pytest.mark.parametrize("content", SPOILT.values(), ids=SPOILT)
def test_an_unreadable_entry_is_reported_and_deleted_after_ten_minutes(
    journal: Journal, folder: Path, content: bytes
) -> None:
    journal.write(pending("untouched"))
    journal.write(pending())
    (folder / ENTRY).write_bytes(content)
    made_at(folder / ENTRY, NOW)
    refusal(journal)
    entries, (trouble,) = journal.read_all()
    assert entries == [pending("untouched")]
    assert trouble.startswith(f'"{folder / ENTRY}" ')
    assert "planted" not in trouble
    assert journal.forget_expired(NOW + CODE_LIFETIME - SECOND) == NO_TEXT
    assert (folder / ENTRY).exists()
    journal.forget_expired(NOW + CODE_LIFETIME + SECOND)
    assert names_in(folder) == []
    for content_goes in (journal.write, journal.remove):
        journal.write(pending())
        (folder / ENTRY).write_bytes(content)
        content_goes(pending())
        assert journal.find(TARGET, RepoType.GITHUB) == (pending() if content_goes == journal.write else None)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: folder.chmod(0o777), "every user can write to"),
        (lambda folder: folder.symlink_to(folder.rename(folder.parent / "a")), "is a symbolic link"),
    ],
    ids=["public", "link"],
)
def test_nothing_in_a_folder_that_is_not_private_is_touched(
    journal: Journal, folder: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    journal.write(pending())
    spoil(folder)
    assert reason in refusal(journal)
    entries, (trouble,) = journal.read_all()
    assert (entries, reason in trouble, str(folder) in trouble) == ([], True, True)
    assert journal.forget_expired(NOW + timedelta(days=30)) == NO_TEXT
    with pytest.raises(MachineError, match=f"could not be saved: .*{reason}"):
        journal.write(pending("another"))
    with pytest.raises(MachineError, match=reason):
        journal.remove(pending())
    assert names_in(folder) == [ENTRY]


def test_files_of_other_programs_are_left_alone(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    for name in ("notes.txt", ENTRY.upper(), f"{ENTRY}~", f".{ENTRY}", "pending-1-github.json"):
        (folder / name).write_text(WRITTEN)
        made_at(folder / name, NOW - timedelta(days=30))
    before = names_in(folder)
    assert journal.read_all() == ([pending()], [])
    journal.forget_expired(NOW)
    assert names_in(folder) == before


WRITES_FOR_EVER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from itertools import count
from pathlib import Path
from msgspec.structs import replace
from support.journal_entries import pending
from oauth_helper.journal import Journal
print("started", flush=True)
for number in count():
    Journal(Path(sys.argv[1])).write(replace(pending(), existing_since=number))
"""


def test_a_run_killed_at_any_moment_leaves_a_complete_entry_that_is_deleted_in_time(tmp_path: Path) -> None:
    folder = tmp_path / "pending"
    journal = Journal(folder)
    moments = random.SystemRandom()
    for _ in range(8):
        command = [sys.executable, "-W", "error", "-c", WRITES_FOR_EVER, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "started\n"
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        entries, troubles = journal.read_all()
        assert [replace(entry, existing_since=None) for entry in entries] in ([], [pending()])
        assert troubles == []
    for path in folder.iterdir():
        made_at(path, datetime.now(UTC) - CODE_LIFETIME - SECOND)
    journal.forget_expired(NOW + CODE_LIFETIME)
    assert names_in(folder) == []
