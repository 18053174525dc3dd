"""How runs of one user find each other: real files, dead and living processes, and what others put in the way."""

import json
import os
import stat
from pathlib import Path

import pytest
from waiting_runs import TARGET, taken, waiting_elsewhere

from oauth_helper.errors import MachineError
from oauth_helper.models import RepoType, Target
from oauth_helper.single_instance import find_instance, noticed, waiting_instances

KEY = "planted-key-canary-of-43-characters-0123456"
ADDRESS = f"http://127.0.0.1:8080/start?k={KEY}"
NOTICE = {"format": 1, "listener": ADDRESS, "pid": 1, "name": "my-auth", "repo_type": "github"}
PATH = f"{TARGET.digest}.json"


def test_a_notice_is_found_with_all_that_it_takes_to_speak_to_the_run(tmp_path: Path) -> None:
    with taken(tmp_path), noticed(tmp_path, TARGET, address=ADDRESS, repo_type=RepoType.GITLAB):
        assert stat.S_IMODE((tmp_path / PATH).stat().st_mode) == 0o600
        (notice,) = waiting_instances(tmp_path)
        assert find_instance(tmp_path, TARGET) == notice
    assert (notice.name, notice.repo_type, notice.digest) == ("my-auth", RepoType.GITLAB, TARGET.digest)
    assert (notice.pid, notice.port, notice.key.reveal()) == (os.getpid(), 8080, KEY)
    assert KEY not in f"{notice} {notice!r}"
    assert not (tmp_path / PATH).exists()
    assert waiting_instances(tmp_path) == []
    assert find_instance(tmp_path, TARGET) is None


def test_every_waiting_run_is_found(tmp_path: Path) -> None:
    other = Target(TARGET.endpoint, TARGET.project_id, "other-auth")
    with taken(tmp_path), noticed(tmp_path, TARGET, address=ADDRESS, repo_type=RepoType.GITHUB):
        with taken(tmp_path, other), noticed(tmp_path, other, address=ADDRESS, repo_type=RepoType.GITEE):
            assert {notice.name for notice in waiting_instances(tmp_path)} == {"my-auth", "other-auth"}
        assert find_instance(tmp_path, other) is None


def test_the_notice_is_taken_away_however_the_run_ends(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        taken(tmp_path),
        noticed(tmp_path, TARGET, address=ADDRESS, repo_type=RepoType.GITHUB),
    ):
        raise KeyboardInterrupt
    assert not (tmp_path / PATH).exists()


def test_a_notice_that_somebody_has_taken_away_already_is_no_trouble(tmp_path: Path) -> None:
    with taken(tmp_path), noticed(tmp_path, TARGET, address=ADDRESS, repo_type=RepoType.GITHUB):
        (tmp_path / PATH).unlink()
        assert waiting_instances(tmp_path) == []


def test_the_notice_of_a_killed_run_is_removed_and_not_returned(tmp_path: Path) -> None:
    with waiting_elsewhere(tmp_path) as run:
        (notice,) = waiting_instances(tmp_path)
        assert notice.pid == run.process.pid
        run.kill()
        assert (tmp_path / PATH).exists()
        assert waiting_instances(tmp_path) == []
        assert not (tmp_path / PATH).exists()


def test_a_notice_that_cannot_be_written_is_told_in_clear_words(tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match=f"{PATH} cannot be written: No such file"),
        noticed(tmp_path / "missing", TARGET, address=ADDRESS, repo_type=RepoType.GITHUB),
    ):
        pytest.fail("entered")
    assert waiting_instances(tmp_path / "missing") == []


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"pid": "1"},
        {"name": "../etc"},
        {"name": None},
        {"repo_type": "svn"},
        {"listener": f"https://127.0.0.1:8080/start?k={KEY}"},
        {"listener": f"http://localhost:8080/start?k={KEY}"},
        {"listener": f"http://evil.example:8080/start?k={KEY}"},
        {"listener": f"http://127.0.0.1:80@evil.example:80/start?k={KEY}"},
        {"listener": f"http://127.0.0.1.evil.example:80/start?k={KEY}"},
        {"listener": f"http://127.0.0.1/start?k={KEY}"},
        {"listener": f"http://127.0.0.1:0/start?k={KEY}"},
        {"listener": f"http://127.0.0.1:65536/start?k={KEY}"},
        {"listener": f"http://127.0.0.1:٨٠٨٠/start?k={KEY}"},
        {"listener": f"{ADDRESS}\n"},
        {"listener": f"{ADDRESS}&x=y"},
        {"listener": "http://127.0.0.1:8080/start?k=short"},
        {"listener": ["http://127.0.0.1:8080"]},
    ],
)
def test_a_notice_with_anything_else_in_it_is_passed_over(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / PATH
    with taken(tmp_path):
        for told, count in ((NOTICE, 1), (NOTICE | change, 0)):
            path.write_text(json.dumps(told))
            path.chmod(0o600)
            assert len(waiting_instances(tmp_path)) == count


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 60_000,
        json.dumps(NOTICE).encode()[:-1],
        json.dumps(NOTICE).encode("utf-16"),
        b"\xff\xfe\x00",
        json.dumps(NOTICE | {"padding": "x" * 70_000}).encode(),
    ],
)
def test_a_file_that_is_no_notice_is_passed_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / PATH
    with taken(tmp_path):
        path.write_bytes(content)
        path.chmod(0o600)
        assert waiting_instances(tmp_path) == []
        assert find_instance(tmp_path, TARGET) is None


def test_a_notice_that_is_a_link_a_folder_or_a_pipe_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(json.dumps(NOTICE))
    (tmp_path / "elsewhere").chmod(0o600)
    path = tmp_path / PATH
    with taken(tmp_path):
        path.symlink_to(tmp_path / "elsewhere")
        assert waiting_instances(tmp_path) == []
        path.unlink()
        path.mkdir()
        assert waiting_instances(tmp_path) == []
        path.rmdir()
        os.mkfifo(path)
        assert waiting_instances(tmp_path) == []
    assert (tmp_path / "elsewhere").exists()


def test_a_notice_that_others_can_write_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / PATH
    with taken(tmp_path):
        path.write_text(json.dumps(NOTICE))
        path.chmod(0o622)
        assert waiting_instances(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_notice_that_another_user_wrote_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / PATH
    with taken(tmp_path):
        path.write_text(json.dumps(NOTICE))
        path.chmod(0o600)
        assert len(waiting_instances(tmp_path)) == 1
        os.chown(path, 65534, 65534)
        assert waiting_instances(tmp_path) == []


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("notes.json", f"{'0' * 31}.json", f"{'A' * 32}.json", f"{'0' * 32}.txt")]
    for path in others:
        path.write_text(json.dumps(NOTICE))
    assert waiting_instances(tmp_path) == []
    assert all(path.exists() for path in others)
