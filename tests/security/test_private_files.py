"""Files and folders that only this user can access: real ones, and a real other user."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
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
    unsafe_reason,
    write_whole,
)

Look = Callable[[Path], object]
both_looks = pytest.mark.parametrize("look", [private_folder, partial(private_folder, create=False)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    private_folder(tmp_path / "folder")
    return tmp_path / "folder"


@pytest.mark.parametrize("umask", [0o000, 0o777], ids=oct)
def test_all_that_is_created_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "state" / "oauth-helper" / "pending"
    before = os.umask(umask)
    try:
        assert private_folder(path)
        write_whole(path / "entry", b"secret")
    finally:
        os.umask(before)
    assert [mode_of(each) for each in (path.parent.parent, path.parent, path)] == [0o700] * 3
    assert mode_of(path / "entry") == 0o600
    assert read_private(path / "entry") == b"secret"
    assert names_in(path) == ["entry"]


@both_looks
@pytest.mark.parametrize("mode", [0o702, 0o1777], ids=oct)
def test_a_folder_that_others_can_read_is_closed_to_them_and_one_that_they_can_write_is_refused(
    folder: Path, mode: int, look: Look
) -> None:
    folder.chmod(0o755)
    assert look(folder)
    assert mode_of(folder) == 0o700
    folder.chmod(mode)
    with pytest.raises(MachineError, match=f'every user can write to "{folder}"') as refused:
        look(folder)
    assert f"`chmod go-w {folder}`" in refused.value.hint
    assert mode_of(folder) == mode


@both_looks
def test_what_is_no_folder_is_refused(tmp_path: Path, look: Look) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    reasons = {"link": "is a symbolic link", "dangling": "is a symbolic link", "file": "is not a folder"}
    for name, reason in {**reasons, "loop/pending": r"cannot be \w+ \((Too many|File exists)"}.items():
        with pytest.raises(MachineError, match=f'{name}" {reason}'):
            look(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_created_is_named_and_counts_as_missing() -> None:
    script = """
for name in ("pending", "file/pending"):
    for create in (True, False):
        try:
            print(private_folder(path / name, create=create))
        except MachineError as error:
            print(error)
"""
    with folder_of_nobody() as folder:
        (folder / "file").touch()
        not_created = [f'"{folder}/pending" cannot be created (Permission denied)', "False"]
        folder.chmod(0o500)
        in_a_file = [f'"{folder}/file/pending" cannot be created (Not a directory)', "False"]
        assert as_nobody(script, folder).splitlines() == not_created + in_a_file
        folder.chmod(0o000)
        assert as_nobody(script, folder).splitlines()[:2] == not_created


def test_writing_replaces_a_file_or_a_link_whole_or_not_at_all(folder: Path) -> None:
    (folder / "elsewhere").write_text("untouched")
    (folder / "entry").symlink_to(folder / "elsewhere")
    for text in (b"first", b"second"):
        write_whole(folder / "entry", text)
        assert read_private(folder / "entry") == text
    assert (folder / "elsewhere").read_text() == "untouched"
    (folder / "taken" / "by").mkdir(parents=True)
    for name, text in (("taken", b"text"), ("none/entry", b"text"), ("entry", b"x" * (MOST_BYTES + 1))):
        with pytest.raises(OSError, match=r"directory|File too large"):
            write_whole(folder / name, text)
    assert names_in(folder) == ["elsewhere", "entry", "taken"]
    assert read_private(folder / "entry") == b"second"


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


def test_only_a_regular_file_with_one_name_and_not_too_long_is_read(folder: Path) -> None:
    assert read_private(folder / "none") is None
    write_whole(folder / "real", b"planted-secret")
    assert read_private(folder / "real" / "none") is None
    (folder / "link").symlink_to(folder / "real")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    os.link(folder / "real", folder / "second")
    write_whole(folder / "long", b"x" * MOST_BYTES)
    assert read_private(folder / "long") == b"x" * MOST_BYTES
    (folder / "long").write_bytes(b"planted" * MOST_BYTES)
    reasons = dict.fromkeys(("link", "loop"), "is a symbolic link") | {"long": "is too long"}
    reasons |= {"fifo": "is not a regular file", "folder": r"cannot be read \(Is a directory"}
    reasons |= dict.fromkeys(("real", "second"), "has a second name") | {"socket": "cannot be read"}
    for name, reason in reasons.items():
        with pytest.raises(MachineError, match=f'{name}" {reason}') as refused:
            read_private(folder / name)
        assert "planted" not in "".join(traceback.format_exception(refused.value)) + refused.value.hint


def test_a_file_that_others_can_read_is_closed_to_them_and_one_that_they_can_write_is_not_read(folder: Path) -> None:
    write_whole(folder / "entry", b"text")
    for mode in (0o640, 0o604):
        (folder / "entry").chmod(mode)
        assert read_private(folder / "entry") == b"text"
        assert mode_of(folder / "entry") == 0o600
    for mode in (0o620, 0o602):
        (folder / "entry").chmod(mode)
        with pytest.raises(MachineError, match="other users can write to"):
            read_private(folder / "entry")


@needs_root
def test_files_and_folders_of_another_user_are_refused(folder: Path) -> None:
    write_whole(folder / "entry", b"planted-secret")
    os.chown(folder / "entry", NOBODY, NOBODY)
    with pytest.raises(MachineError, match='entry" belongs to another user'):
        read_private(folder / "entry")
    os.chown(folder, NOBODY, NOBODY)
    for look in (private_folder, partial(private_folder, create=False), lambda path: private_folder(path / "inside")):
        with pytest.raises(MachineError, match=f'"{folder}" belongs to another user'):
            look(folder)
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        with acting_as(NOBODY), pytest.raises(MachineError, match=f'every user can write to "{name}"') as refused:
            private_folder(Path(name) / "pending")
        assert "use a folder that only you can change" in refused.value.hint
        assert names_in(Path(name)) == []


@needs_root
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize(
    ("owner", "group", "mode", "reason"),
    [
        (NOBODY, -1, 0o755, "belongs to another user"),
        (-1, NOBODY, 0o775, "a group of other users can write to"),
        (-1, -1, 0o777, "every user can write to"),
        (-1, -1, 0o1777, ""),
        (-1, -1, 0o770, ""),
    ],
)
def test_a_folder_that_others_could_replace_is_unsafe(
    level: int, owner: int, group: int, mode: int, reason: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        levels = [Path(name), Path(name) / "middle", Path(name) / "middle" / "inner"]
        levels[-1].mkdir(parents=True)
        (Path(name) / "link").symlink_to(levels[-1])
        os.chown(levels[level], owner, group)
        levels[level].chmod(mode)
        for path in (levels[-1] / "oauth-helper", Path(name) / "link" / "oauth-helper"):
            found = unsafe_reason(path)
            assert (found is None) is (not reason)
            assert not found or (reason in found and f'"{levels[level]}"' in found)


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
