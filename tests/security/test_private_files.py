"""Files and folders that only this user can access: real ones, a real other user, and writers that are killed."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from support.other_users import NOBODY, acting_as, as_nobody, folder_of_nobody, mode_of, names_in, needs_root

from oauth_helper.errors import MachineError
from oauth_helper.private_files import (
    MOST_BYTES,
    private_folder,
    read_private,
    remove_leftovers,
    write_whole,
)

Look = Callable[[Path], object]
both_looks = pytest.mark.parametrize("look", [private_folder, partial(private_folder, create=False)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    private_folder(tmp_path / "folder")
    return tmp_path / "folder"


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("value", [0o000, 0o022, 0o077, 0o777], ids=oct)
def test_all_that_is_created_is_private_whatever_the_umask(tmp_path: Path, value: int) -> None:
    path = tmp_path / "state" / "oauth-helper" / "pending"
    with umask(value):
        assert private_folder(path)
        write_whole(path / "entry", b"secret")
    assert [mode_of(each) for each in (path.parent.parent, path.parent, path)] == [0o700] * 3
    assert mode_of(path / "entry") == 0o600
    assert read_private(path / "entry") == b"secret"
    assert names_in(path) == ["entry"]
    assert private_folder(path, create=False)


def test_looking_for_a_folder_creates_none(folder: Path) -> None:
    (folder / "file").touch()
    assert not private_folder(folder / "none" / "pending", create=False)
    assert not private_folder(folder / "file" / "pending", create=False)
    assert names_in(folder) == ["file"]


@both_looks
def test_a_folder_that_others_can_only_read_is_closed_to_them(folder: Path, look: Look) -> None:
    folder.chmod(0o755)
    assert look(folder)
    assert mode_of(folder) == 0o700


@both_looks
@pytest.mark.parametrize("mode", [0o702, 0o777, 0o1777], ids=oct)
def test_a_folder_that_others_can_write_is_refused(folder: Path, mode: int, look: Look) -> None:
    folder.chmod(mode)
    with pytest.raises(MachineError, match=f'every user can write to "{folder}"') as refused:
        look(folder)
    assert f"`chmod go-w {folder}`" in refused.value.hint
    assert mode_of(folder) == mode


@both_looks
def test_what_is_no_folder_is_refused(tmp_path: Path, look: Look) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    reasons = {"link": "is a symbolic link", "dangling": "is a symbolic link", "file": "is not a folder"}
    for name, reason in {**reasons, "loop/pending": r"cannot be \w+ \((Too many|File exists)"}.items():
        with pytest.raises(MachineError, match=f'{name}" {reason}'):
            look(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("path", ["file/pending", "file/deep/pending", "/proc/oauth-helper"])
def test_the_reason_why_a_folder_cannot_be_created_is_told(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=rf'{path}" cannot be created \((Not a directory|No such file)'):
        private_folder(tmp_path / path)


def test_a_folder_that_we_cannot_write_is_named_and_one_that_we_cannot_reach_is_missing() -> None:
    script = """
for create in (True, False):
    try:
        print(private_folder(path / "pending", create=create))
    except MachineError as error:
        print(error)
"""
    with folder_of_nobody() as folder:
        not_created = f'"{folder}/pending" cannot be created (Permission denied)'
        folder.chmod(0o500)
        assert as_nobody(script, folder).splitlines() == [not_created, "False"]
        folder.chmod(0o000)
        assert as_nobody(script, folder).splitlines() == [not_created, "False"]


def test_writing_replaces_a_file_or_a_link_but_nothing_behind_the_link(folder: Path) -> None:
    (folder / "elsewhere").write_text("untouched")
    (folder / "entry").symlink_to(folder / "elsewhere")
    for text in (b"first", b"second"):
        write_whole(folder / "entry", text)
        assert read_private(folder / "entry") == text
    assert (folder / "elsewhere").read_text() == "untouched"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(folder: Path) -> None:
    (folder / "taken" / "by").mkdir(parents=True)
    write_whole(folder / "entry", b"old")
    for name, text, error in (
        ("taken", b"text", IsADirectoryError),
        ("none/entry", b"text", FileNotFoundError),
        ("entry", b"x" * (MOST_BYTES + 1), OSError),
    ):
        with pytest.raises(error):
            write_whole(folder / name, text)
    assert names_in(folder) == ["entry", "taken"]
    assert read_private(folder / "entry") == b"old"


@needs_root
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare, which gives a test a disk of its own, is missing")
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    script = """
import os, sys
from contextlib import suppress
from pathlib import Path
from oauth_helper.private_files import read_private, write_whole
folder = Path(sys.argv[1])
write_whole(folder / "entry", b"old")
with suppress(OSError):
    (folder / "filler").write_bytes(bytes(1 << 20))
try:
    write_whole(folder / "entry", b"new")
except OSError as error:
    print(error.strerror, sorted(os.listdir(folder)), read_private(folder / "entry"))
"""
    mounted = 'mount -t tmpfs -o size=64k,mode=700 none "$3" && exec "$1" -c "$2" "$3"'
    command = ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, script, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if "Operation not permitted" in ended.stderr or "permission denied" in ended.stderr:
        pytest.skip("this root may not mount")
    assert ended.stdout == "No space left on device ['entry', 'filler'] b'old'\n", ended.stderr


def test_only_a_regular_file_with_one_name_is_read(folder: Path) -> None:
    assert read_private(folder / "none") is None
    write_whole(folder / "real", b"planted-secret")
    assert read_private(folder / "real" / "none") is None
    (folder / "link").symlink_to(folder / "real")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "device").symlink_to(os.devnull)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    os.link(folder / "real", folder / "second")
    reasons = dict.fromkeys(("link", "loop", "device"), "is a symbolic link")
    reasons |= {"fifo": "is not a regular file", "folder": r"cannot be read \(Is a directory"}
    reasons |= dict.fromkeys(("real", "second"), "has a second name") | {"socket": "cannot be read"}
    for name, reason in reasons.items():
        with pytest.raises(MachineError, match=f'{name}" {reason}') as refused:
            read_private(folder / name)
        assert "planted" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666], ids=oct)
def test_a_file_that_others_can_write_is_not_read(folder: Path, mode: int) -> None:
    write_whole(folder / "entry", b"planted-secret")
    (folder / "entry").chmod(mode)
    with pytest.raises(MachineError, match="other users can write to"):
        read_private(folder / "entry")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644], ids=oct)
def test_a_file_that_others_can_only_read_is_read_and_closed_to_them(folder: Path, mode: int) -> None:
    write_whole(folder / "entry", b"text")
    (folder / "entry").chmod(mode)
    assert read_private(folder / "entry") == b"text"
    assert mode_of(folder / "entry") == 0o600


@needs_root
def test_files_and_folders_of_another_user_are_refused(folder: Path) -> None:
    write_whole(folder / "entry", b"planted-secret")
    os.chown(folder / "entry", NOBODY, NOBODY)
    with pytest.raises(MachineError, match='entry" belongs to another user'):
        read_private(folder / "entry")
    os.chown(folder, NOBODY, NOBODY)
    for create in (True, False):
        with pytest.raises(MachineError, match=f'"{folder}" belongs to another user'):
            private_folder(folder, create=create)
    with pytest.raises(MachineError, match=f'"{folder}" belongs to another user'):
        private_folder(folder / "inside")


@needs_root
def test_a_public_folder_of_another_user_is_not_used_and_not_to_be_changed() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        with acting_as(NOBODY), pytest.raises(MachineError, match=f'every user can write to "{name}"') as refused:
            private_folder(Path(name) / "pending")
        assert refused.value.hint == "Use a folder that only you can change."
        assert names_in(Path(name)) == []


def test_a_file_that_we_may_not_read_is_named() -> None:
    script = """
write_whole(path / "entry", b"planted-secret")
for closed in (path / "entry", path):
    closed.chmod(0)
    try:
        read_private(path / "entry")
    except MachineError as error:
        print(error)
"""
    with folder_of_nobody() as folder:
        assert as_nobody(script, folder) == f'"{folder}/entry" cannot be read (Permission denied)\n' * 2


def test_a_file_that_is_too_long_is_not_read(folder: Path) -> None:
    write_whole(folder / "entry", b"x" * MOST_BYTES)
    assert read_private(folder / "entry") == b"x" * MOST_BYTES
    (folder / "entry").write_bytes(b"planted" * MOST_BYTES)
    with pytest.raises(MachineError, match="is too long") as refused:
        read_private(folder / "entry")
    assert "planted" not in "".join(traceback.format_exception(refused.value))


def test_leftovers_go_when_they_are_old_and_nothing_else_does(folder: Path) -> None:
    old, young = (folder / f"being-written-{digit * 16}" for digit in "0a")
    others = [folder / "being-written-by-another-program", folder / "entry"]
    for path in (old, young, *others):
        path.touch()
    subfolder = folder / f"being-written-{'b' * 16}"
    subfolder.mkdir()
    for path in (old, subfolder, *others):
        os.utime(path, (time.time() - 61,) * 2)
    remove_leftovers(folder)
    assert names_in(folder) == sorted(path.name for path in (young, subfolder, *others))
    with pytest.raises(FileNotFoundError):
        remove_leftovers(folder / "none")
