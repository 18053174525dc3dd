"""The journal of captured redirects: written, found, forgotten."""

import subprocess
import sys
import traceback
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from journal_entries import NOW, SECOND, TARGET, made_at, pending, without_secrets
from other_users import NOBODY, acting_as, folder_of_nobody, mode_of, names_in, needs_root

from oauth_helper.authorization import RepoType
from oauth_helper.errors import MachineError
from oauth_helper.journal import KEPT_WITHOUT_SECRETS, Journal
from oauth_helper.journal_folder import has_entries
from oauth_helper.pending import CODE_LIFETIME


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "pending"


@pytest.fixture
def journal(folder: Path) -> Journal:
    return Journal(folder)


def entry_of(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_is_written_is_found_by_target_and_type_until_it_is_removed(journal: Journal, folder: Path) -> None:
    written = pending()
    assert journal.find(TARGET, RepoType.GITHUB) is None
    journal.write(written)
    found = journal.find(TARGET, RepoType.GITHUB)
    assert found == written
    assert "planted" not in f"{found!r}{found}"
    assert names_in(folder) == [f"pending-{TARGET.digest}-github.json"]
    assert (mode_of(folder), mode_of(entry_of(folder))) == (0o700, 0o600)
    assert journal.find(TARGET, RepoType.GITLAB) is None
    assert journal.find(replace(TARGET, name="other"), RepoType.GITHUB) is None
    journal.remove(written)
    assert journal.find(TARGET, RepoType.GITHUB) is None
    assert names_in(folder) == []
    journal.remove(written)


def test_nothing_is_made_before_something_is_written(journal: Journal, folder: Path) -> None:
    assert journal.read_all() == ([], [])
    assert journal.forget_expired(NOW) == []
    journal.remove(pending())
    assert not folder.parent.exists()


def test_an_entry_takes_the_place_of_the_one_before_and_is_not_removed_in_its_stead(journal: Journal) -> None:
    older, newer = pending(age=SECOND), replace(pending(), sent_at=NOW, stood_since=7, is_deleted=True)
    journal.write(older)
    journal.write(newer)
    assert journal.read_all() == ([newer], [])
    journal.remove(older)
    assert journal.find(TARGET, RepoType.GITHUB) == newer
    journal.remove(replace(newer, sent_at=None))
    assert journal.read_all() == ([], [])


def test_all_are_read_the_oldest_first(journal: Journal) -> None:
    entries = [pending(f"name-{age}", SECOND * age) for age in (3, 1, 5, 2, 4)]
    entries.append(pending("name-3", SECOND * 6, RepoType.GITEE))
    for entry in entries:
        journal.write(entry)
    assert journal.read_all() == (sorted(entries, key=lambda entry: entry.captured_at), [])


def test_the_users_journal_lies_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    Journal.of_the_user().write(pending())
    assert entry_of(tmp_path / "xdg" / "oauth-helper" / "pending").is_file()


@needs_root
def test_a_user_without_name_and_home_has_no_journal_and_is_told(tmp_path: Path) -> None:
    script = """
import os
from journal_entries import NOW, TARGET, pending
from oauth_helper.authorization import RepoType
from oauth_helper.errors import MachineError
from oauth_helper.journal import Journal
del os.environ["HOME"]
os.setuid(54321)
journal = Journal.of_the_user()
print(journal.forget_expired(NOW), journal.read_all(), journal.find(TARGET, RepoType.GITHUB))
try:
    journal.write(pending())
except MachineError as error:
    print(error)
"""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})" + script,
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    nothing, refused = ended.stdout.splitlines()
    assert nothing == "[] ([], []) None"
    assert "/dev/null/pending cannot be had as a folder of ours" in refused


@needs_root
def test_a_folder_that_cannot_be_listed_is_told() -> None:
    with folder_of_nobody() as folder, acting_as(NOBODY):
        journal = Journal(folder / "pending")
        journal.write(pending())
        (folder / "pending").chmod(0o300)
        assert journal.read_all() == ([], [f"{folder}/pending cannot be read (Permission denied)"])
        assert has_entries(folder / "pending"), "for all that can be seen"
        (folder / "pending").chmod(0o700)
        assert journal.read_all() == ([pending()], [])


def test_ten_minutes_after_the_capture_the_secrets_go_and_the_rest_stays(journal: Journal, folder: Path) -> None:
    young = pending("young", CODE_LIFETIME - SECOND)
    old = replace(pending("aged", CODE_LIFETIME), sent_at=NOW - SECOND, stood_since=7, is_deleted=True)
    for entry in (young, old):
        journal.write(entry)
    for _ in range(2):
        assert journal.forget_expired(NOW) == []
        assert journal.read_all() == ([without_secrets(old), young], [])
    texts = [path.read_text() for path in folder.iterdir()]
    assert sum("planted" in text for text in texts) == 1


@pytest.mark.parametrize("secret", ["code", "state"])
def test_half_of_a_secret_pair_goes_as_well(journal: Journal, secret: str) -> None:
    half = replace(pending(), code=None) if secret == "state" else replace(pending(), state=None)
    journal.write(half)
    journal.forget_expired(NOW)
    assert journal.read_all() == ([without_secrets(half)], [])


@pytest.mark.parametrize(
    ("set_back", "is_kept"), [(CODE_LIFETIME - SECOND, True), (CODE_LIFETIME, False), (timedelta(days=365), False)]
)
def test_a_clock_that_was_set_back_keeps_no_secret_for_long(
    journal: Journal, set_back: timedelta, is_kept: bool
) -> None:
    journal.write(pending())
    journal.forget_expired(NOW - set_back)
    assert journal.read_all() == ([pending() if is_kept else without_secrets(pending())], [])


def test_what_is_left_of_an_entry_goes_after_a_week(journal: Journal, folder: Path) -> None:
    journal.write(without_secrets(pending(age=KEPT_WITHOUT_SECRETS)))
    made_at(entry_of(folder), NOW - CODE_LIFETIME)
    journal.forget_expired(NOW)
    assert names_in(folder)
    journal.forget_expired(NOW + SECOND)
    assert names_in(folder) == []


def test_an_entry_as_old_as_that_is_told_about_once_before_it_goes(journal: Journal, folder: Path) -> None:
    journal.write(pending(age=2 * KEPT_WITHOUT_SECRETS))
    made_at(entry_of(folder), NOW - KEPT_WITHOUT_SECRETS)
    journal.forget_expired(NOW)
    made_at(entry_of(folder), NOW)
    journal.forget_expired(NOW + SECOND)
    assert journal.read_all() == ([without_secrets(pending(age=2 * KEPT_WITHOUT_SECRETS))], [])
    journal.forget_expired(NOW + CODE_LIFETIME + SECOND)
    assert names_in(folder) == []


def test_an_entry_that_others_could_read_is_read_mended_and_told_once(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    entry_of(folder).chmod(0o644)
    assert journal.forget_expired(NOW) == [f"{entry_of(folder)} could be read by other users"]
    assert mode_of(entry_of(folder)) == 0o600
    assert journal.forget_expired(NOW) == []
    assert journal.find(TARGET, RepoType.GITHUB) == pending()


def test_a_journal_that_cannot_be_is_named_without_the_secrets(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "pending")
    with pytest.raises(MachineError, match=r"could not be written down: .*/file/pending cannot be had") as refused:
        journal.write(pending())
    assert "planted" not in "".join(traceback.format_exception(refused.value)) + refused.value.hint
    assert journal.read_all() == ([], [])
    assert journal.find(TARGET, RepoType.GITHUB) is None
    journal.remove(pending())
    assert journal.forget_expired(NOW) == []


def test_a_name_that_is_taken_by_a_folder_is_told(journal: Journal, folder: Path) -> None:
    journal.write(pending())
    path = entry_of(folder)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    with pytest.raises(MachineError, match=r"could not be written down: .*: Is a directory; the link goes on"):
        journal.write(pending())
    with pytest.raises(MachineError, match=r"could not be removed \(Is a directory\)") as refused:
        journal.remove(pending())
    assert "by hand" in refused.value.hint
    journal.forget_expired(NOW + CODE_LIFETIME)
    assert (path / "inside").is_dir()
