"""The journal of captured redirects: written, found and deleted; spoilt entries; runs that are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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


def test_only_writing_creates_the_folder(journal: Journal, folder: Path) -> None:
    assert journal.read_all() == NO_TEXT
    assert journal.forget_expired(NOW) == NO_TEXT
    journal.remove(pending())
    assert not folder.parent.exists()


def test_an_entry_replaces_the_one_before_and_is_not_removed_instead_of_it(journal: Journal) -> None:
    older, newer = pending(age=SECOND), replace(pending(), sent_at=NOW, existing_since=7, is_deleted=True)
    journal.write(older)
    journal.write(newer)
    assert journal.read_all() == ([newer], [])
    journal.remove(older)
    assert journal.find(TARGET, RepoType.GITHUB) == newer
    journal.remove(replace(newer, sent_at=None))
    assert journal.read_all() == NO_TEXT


def test_all_entries_are_read_oldest_first(journal: Journal) -> None:
    entries = [pending(f"name-{age}", SECOND * age) for age in (3, 1, 5, 2, 4)]
    entries.append(pending("name-3", SECOND * 6, RepoType.GITEE))
    for entry in entries:
        journal.write(entry)
    assert journal.read_all() == (sorted(entries, key=lambda entry: entry.captured_at), [])


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


def a_link(path: Path) -> None:
    (path.parent.parent / "elsewhere").write_text(WRITTEN)
    path.symlink_to(path.parent.parent / "elsewhere")


def a_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def an_entry_of_another_user(path: Path) -> None:
    path.write_text(WRITTEN)
    path.chmod(0o600)
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (a_link, "is a symbolic link"),
        (a_fifo, "is not a regular file"),
        (Path.mkdir, "cannot be read (Is a directory)"),
        pytest.param(an_entry_of_another_user, "belongs to another user", marks=needs_root),
    ],
)
def test_what_is_no_file_of_ours_is_reported_and_never_touched(
    journal: Journal, folder: Path, put: Callable[[Path], None], reason: str
) -> None:
    journal.write(pending("untouched"))
    put(folder / ENTRY)
    before = (folder / ENTRY).lstat()
    assert f'{ENTRY}" {reason}' in refusal(journal)
    assert journal.read_all() == ([pending("untouched")], [f'"{folder / ENTRY}" {reason}'])
    journal.forget_expired(datetime.fromtimestamp(before.st_mtime, UTC) + timedelta(days=1))
    assert os.path.samestat((folder / ENTRY).lstat(), before)
    if put is a_link:
        journal.write(pending())
        assert journal.find(TARGET, RepoType.GITHUB) == pending()
        assert (folder.parent / "elsewhere").read_text() == WRITTEN


def a_public_folder(folder: Path) -> None:
    folder.chmod(0o777)


def a_link_to_a_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("spoil", "reason"), [(a_public_folder, "every user can write to"), (a_link_to_a_folder, "is a symbolic link")]
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


MARKED = st.sampled_from(["planted-canary", "", "planted\ud800", "2025-03-01T12:00:00+00:00", "github", "my-auth"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | MARKED | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | MARKED, inner, max_size=3),
    max_leaves=8,
)
CHANGED = st.dictionaries(st.sampled_from([*as_json(pending()), "planted-key"]), VALUES, max_size=3)
CONTENTS = (
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | VALUES.map(lambda value: json.dumps(value).encode())
    | CHANGED.map(lambda changes: json.dumps({**as_json(pending()), **changes}).encode())
    | st.integers(0, len(WRITTEN)).map(lambda length: WRITTEN[:length].encode())
)


@given(content=CONTENTS, moment=st.datetimes(timezones=st.just(UTC)))
def test_no_content_of_an_entry_does_any_harm(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, moment: datetime
) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "pending"
    journal = Journal(folder)
    journal.write(pending())
    (folder / ENTRY).write_bytes(content)
    entries, troubles = journal.read_all()
    assert len(entries) + len(troubles) == 1
    if troubles:
        assert refusal(journal).startswith(troubles[0])
    for found in entries:
        assert found == journal.find(TARGET, RepoType.GITHUB)
        assert replace(found.target, endpoint=found.target.endpoint.casefold().rstrip("/")) == TARGET
        assert "planted-code" not in repr(found)
    journal.forget_expired(moment)
    assert set(names_in(folder)) <= {ENTRY}


PREAMBLE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from itertools import count
from pathlib import Path
from msgspec.structs import replace
from support.journal_entries import NOW, pending
from oauth_helper.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("started", flush=True)
"""
WRITES_FOR_EVER = """
for number in count():
    journal.write(replace(pending(), existing_since=number))
"""
WRITES_AND_REMOVES = """
for number in range(100):
    entry = replace(pending(), existing_since=number)
    journal.write(entry)
    assert journal.forget_expired(NOW) == ([], [])
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


def test_a_run_killed_at_any_moment_leaves_a_complete_entry_that_is_deleted_in_time(tmp_path: Path) -> None:
    folder = tmp_path / "pending"
    journal = Journal(folder)
    moments = random.SystemRandom()
    for _ in range(15):
        with run(folder, WRITES_FOR_EVER) as process, pytest.raises(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0, 0.02))
        assert process.returncode == -signal.SIGKILL
        entries, troubles = journal.read_all()
        assert [replace(entry, existing_since=None) for entry in entries] in ([], [pending()])
        assert troubles == []
        assert journal.forget_expired(NOW)[0] == []
    for path in folder.iterdir():
        made_at(path, datetime.now(UTC) - CODE_LIFETIME - SECOND)
    journal.forget_expired(NOW + CODE_LIFETIME)
    assert names_in(folder) == []


def test_runs_that_write_sweep_and_remove_the_same_entry_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "pending"
    with ExitStack() as stack:
        runs = [stack.enter_context(run(folder, WRITES_AND_REMOVES)) for _ in range(3)]
        for process in runs:
            assert (process.communicate(timeout=50)[1], process.returncode) == ("", 0)
    assert names_in(folder) == []
