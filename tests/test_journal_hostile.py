"""A journal that somebody or something spoilt: it is told in clear words, never followed, never repeated."""

import json
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_entries import ENTRY, NOW, SECOND, TARGET, made_at, pending
from other_users import NOBODY, names_in, needs_root

from oauth_helper.authorization import RepoType
from oauth_helper.errors import MachineError
from oauth_helper.journal import Journal
from oauth_helper.pending import CODE_LIFETIME

WRITTEN = json.dumps(pending().to_json())
Spoil = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pending"


@pytest.fixture
def journal(folder: Path) -> Journal:
    journal = Journal(folder)
    journal.write(pending("untouched"))
    return journal


def refusal(journal: Journal) -> str:
    """What is told where the entry is looked for; none of what it holds is in it, nor in what a debugger shows."""
    with pytest.raises(MachineError) as refused:
        journal.find(TARGET, RepoType.GITHUB)
    told = refused.value.message + refused.value.hint
    assert "planted" not in told + "".join(traceback.format_exception(refused.value))
    return told


def with_field(key: str, value: object) -> bytes:
    return json.dumps({**pending().to_json(), key: value}).encode()


SPOILT = {
    "empty": b"",
    "truncated": WRITTEN[:-20].encode(),
    "doubled": (WRITTEN + WRITTEN).encode(),
    "binary rubbish": b"planted\x00\xff\xfe" * 50,
    "no object": b'["planted"]',
    "nested too deep": b"[" * 60_000,
    "too long": b'"' + b"planted" * 10_000 + b'"',
    "of another format": with_field("format", 2),
    "of an unknown type": with_field("repo_type", "planted"),
    "of another type": with_field("repo_type", "gitlab"),
    "of another name": with_field("name", "planted"),
    "of an illegal name": with_field("name", "../planted"),
    "of another endpoint": with_field("endpoint", "https://planted.example"),
    "of no text that can be written": with_field("endpoint", "planted\ud800"),
    "with a code of another kind": with_field("code", ["planted"]),
    "in year 1 east of Greenwich": with_field("captured_at", "0001-01-01T00:00:00+14:00"),
    "with a time of creation of another kind": with_field("stood_since", "planted"),
    "with a deletion of another kind": with_field("is_deleted", "planted"),
    "without a zone": with_field("captured_at", "2025-03-01T12:00:00"),
    "with a number no machine holds": WRITTEN.replace('"stood_since": null', '"stood_since": ' + "9" * 5000).encode(),
}


@pytest.mark.parametrize("content", SPOILT.values(), ids=SPOILT)
def test_what_cannot_be_read_is_told_left_alone_for_ten_minutes_then_removed(
    journal: Journal, folder: Path, content: bytes
) -> None:
    (folder / ENTRY).write_bytes(content)
    (folder / ENTRY).chmod(0o600)
    made_at(folder / ENTRY, NOW)
    refusal(journal)
    entries, (trouble,) = journal.read_all()
    assert entries == [pending("untouched")]
    assert trouble.startswith(f"{folder / ENTRY} ")
    assert "planted" not in trouble
    for moment, is_kept in [(NOW + CODE_LIFETIME, True), (NOW + CODE_LIFETIME + SECOND, False)]:
        assert journal.forget_expired(moment) == []
        assert (folder / ENTRY).exists() == is_kept
    (folder / ENTRY).write_bytes(content)
    journal.write(pending())
    assert journal.find(TARGET, RepoType.GITHUB) == pending()
    (folder / ENTRY).write_bytes(content)
    journal.remove(pending())
    assert not (folder / ENTRY).exists()


def a_link(path: Path) -> None:
    (path.parent.parent / "elsewhere").write_text(WRITTEN)
    path.symlink_to(path.parent.parent / "elsewhere")


def a_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(a_link, "is a link"), (a_fifo, "is not a plain file"), (a_folder, "is not a plain file")],
)
def test_what_is_no_file_is_told_and_never_touched(journal: Journal, folder: Path, spoil: Spoil, reason: str) -> None:
    spoil(folder / ENTRY)
    before = (folder / ENTRY).lstat()
    assert f"{ENTRY} {reason}" in refusal(journal)
    assert journal.read_all() == ([pending("untouched")], [f"{folder / ENTRY} {reason}"])
    assert journal.forget_expired(datetime.fromtimestamp(before.st_mtime, NOW.tzinfo) + timedelta(days=1)) == []
    assert os.path.samestat((folder / ENTRY).lstat(), before)
    if spoil is a_link:
        journal.write(pending())
        assert journal.find(TARGET, RepoType.GITHUB) == pending()
        assert (folder.parent / "elsewhere").read_text() == WRITTEN


def test_a_second_name_of_an_entry_spoils_it_and_only_ours_is_removed(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    os.link(folder / ENTRY, folder.parent / "elsewhere")
    assert "has a second name elsewhere" in refusal(journal)
    made_at(folder / ENTRY, NOW - CODE_LIFETIME - SECOND)
    journal.forget_expired(NOW)
    assert not (folder / ENTRY).exists()
    assert "planted-code" in (folder.parent / "elsewhere").read_text()


def test_an_entry_that_others_can_write_is_not_read_and_goes_when_it_is_old(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    (folder / ENTRY).chmod(0o666)
    made_at(folder / ENTRY, NOW)
    assert "can be written by other users" in refusal(journal)
    assert journal.forget_expired(NOW) == [f"{folder / ENTRY} could be read by other users"]
    assert (folder / ENTRY).exists()
    journal.forget_expired(NOW + CODE_LIFETIME + SECOND)
    assert not (folder / ENTRY).exists()


@needs_root
def test_an_entry_of_another_user_is_told_and_never_touched(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    os.chown(folder / ENTRY, NOBODY, NOBODY)
    made_at(folder / ENTRY, NOW - timedelta(days=1))
    assert "belongs to another user" in refusal(journal)
    assert journal.forget_expired(NOW) == []
    assert "planted-code" in (folder / ENTRY).read_text()


def a_group_may_write(folder: Path) -> None:
    folder.chmod(0o770)


def a_link_instead(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("spoil", "reason"), [(a_group_may_write, "can be written by other users"), (a_link_instead, "is a link")]
)
def test_a_folder_that_is_not_ours_alone_is_told_and_nothing_in_it_touched(
    journal: Journal, folder: Path, spoil: Spoil, reason: str
) -> None:
    journal.write(pending())
    spoil(folder)
    assert f"{folder} {reason}" in refusal(journal)
    assert journal.read_all() == ([], [f"{folder} {reason}"])
    assert journal.forget_expired(NOW + timedelta(days=30)) == []
    with pytest.raises(MachineError, match=f"could not be written down: {folder} {reason}; the link goes on"):
        journal.write(pending("another"))
    with pytest.raises(MachineError, match=reason):
        journal.remove(pending())
    assert ENTRY in names_in(folder)
    assert len(names_in(folder)) == 2


def test_files_that_are_none_of_ours_are_left_alone(journal: Journal, folder: Path) -> None:
    for name in ("notes.txt", ENTRY.upper(), f"{ENTRY}~", f".{ENTRY}", "pending-1-github.json"):
        (folder / name).write_text(WRITTEN)
        made_at(folder / name, NOW - timedelta(days=30))
    before = names_in(folder)
    assert journal.read_all() == ([pending("untouched")], [])
    journal.forget_expired(NOW)
    assert names_in(folder) == before


MARKED = st.sampled_from(["planted-canary", "", "planted\ud800", "2025-03-01T12:00:00+00:00", "github", "my-auth"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | MARKED | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | MARKED, inner, max_size=3),
    max_leaves=8,
)
CHANGED = st.dictionaries(st.sampled_from([*pending().to_json(), "planted-key"]), VALUES, max_size=3)
CONTENTS = (
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | VALUES.map(lambda value: json.dumps(value).encode())
    | CHANGED.map(lambda changes: json.dumps({**pending().to_json(), **changes}).encode())
    | st.integers(0, len(WRITTEN)).map(lambda length: WRITTEN[:length].encode())
)


MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(content=CONTENTS, moment=MOMENTS)
def test_nothing_that_stands_in_an_entry_does_any_harm(
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
