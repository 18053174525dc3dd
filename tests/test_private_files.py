"""Files that nobody but this user may see: how they are written and read."""

import os
import shutil
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from other_users import NOBODY, as_nobody, folder_of_nobody, mode_of, names_in, needs_root

from oauth_helper.errors import MachineError
from oauth_helper.private_files import (
    MOST_BYTES,
    others_could_read,
    overwrite,
    private_folder,
    read_private,
    write_whole,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_what_is_written_is_ours_alone_whatever_the_umask(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(folder / "entry", "höchst geheim")
    finally:
        os.umask(before)
    assert mode_of(folder / "entry") == 0o600
    assert not others_could_read(folder / "entry")
    assert read_private(folder / "entry") == "höchst geheim"
    assert names_in(folder) == ["entry"]


def test_writing_replaces_a_file_and_a_link_and_nothing_behind_the_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("untouched")
    (tmp_path / "entry").symlink_to(tmp_path / "elsewhere")
    for text in ("first", "second"):
        write_whole(tmp_path / "entry", text)
        assert read_private(tmp_path / "entry") == text
    assert (tmp_path / "elsewhere").read_text() == "untouched"


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "pending")
    (folder / "taken" / "by").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_whole(folder / "taken", "text")
    with pytest.raises(FileNotFoundError):
        write_whole(folder / "none" / "entry", "text")
    write_whole(folder / "entry", "old")
    with pytest.raises(OSError, match="File too large"):
        write_whole(folder / "entry", "x" * (MOST_BYTES + 1))
    assert names_in(folder) == ["entry", "taken"]
    assert read_private(folder / "entry") == "old"


def test_a_write_that_fails_half_way_leaves_what_was_there_and_nothing_else() -> None:
    script = """
write_whole(path / "entry", "old")
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
try:
    write_whole(path / "entry", "x" * 2000)
except OSError as error:
    print(error.strerror, os.listdir(path), read_private(path / "entry"))
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
"""
    with folder_of_nobody() as folder:
        assert as_nobody(script, folder) == "File too large ['entry'] old\n"


@needs_root
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare, which gives a test a disk of its own, is missing")
def test_on_a_full_disk_what_was_there_stays_and_nothing_else_is_left(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from oauth_helper.private_files import read_private, write_whole
folder = Path(sys.argv[1])
write_whole(folder / "entry", "old")
try:
    (folder / "filler").write_bytes(bytes(1 << 20))
except OSError as error:
    print(error.strerror)
try:
    write_whole(folder / "entry", "new")
except OSError as error:
    print(error.strerror, sorted(os.listdir(folder)), read_private(folder / "entry"))
"""
    mounted = 'mount -t tmpfs -o size=64k none "$3" && exec "$1" -c "$2" "$3"'
    command = ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, script, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if "Operation not permitted" in ended.stderr or "permission denied" in ended.stderr:
        pytest.skip("this root may not mount")
    assert ended.stdout == "No space left on device\nNo space left on device ['entry', 'filler'] old\n", ended.stderr


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_private(tmp_path / "none") is None
    assert read_private(tmp_path / "file" / "none") is None
    assert not others_could_read(tmp_path / "none")


def test_what_is_no_plain_file_of_one_name_is_not_read(tmp_path: Path) -> None:
    write_whole(tmp_path / "real", "planted-secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "device").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    reasons = {"link": "is a link", "loop": "is a link", "device": "is a link", "socket": "cannot be read"}
    for name, reason in {**reasons, "folder": "is not a plain file", "fifo": "is not a plain file"}.items():
        with pytest.raises(MachineError, match=f"{name} {reason}"):
            read_private(tmp_path / name)
        assert not others_could_read(tmp_path / name)
    os.link(tmp_path / "real", tmp_path / "second")
    for name in ("real", "second"):
        with pytest.raises(MachineError, match="has a second name") as refused:
            read_private(tmp_path / name)
        assert "planted" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666], ids=oct)
def test_a_file_that_others_can_write_is_not_read(tmp_path: Path, mode: int) -> None:
    write_whole(tmp_path / "entry", "planted-secret")
    (tmp_path / "entry").chmod(mode)
    with pytest.raises(MachineError, match="can be written by other users"):
        read_private(tmp_path / "entry")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644], ids=oct)
def test_a_file_that_others_can_only_read_is_read_and_closed_to_them(tmp_path: Path, mode: int) -> None:
    write_whole(tmp_path / "entry", "text")
    (tmp_path / "entry").chmod(mode)
    assert others_could_read(tmp_path / "entry")
    assert read_private(tmp_path / "entry") == "text"
    assert mode_of(tmp_path / "entry") == 0o600
    assert not others_could_read(tmp_path / "entry")


@needs_root
def test_a_file_of_another_user_is_not_read(tmp_path: Path) -> None:
    write_whole(tmp_path / "entry", "planted-secret")
    os.chown(tmp_path / "entry", NOBODY, NOBODY)
    with pytest.raises(MachineError, match="belongs to another user"):
        read_private(tmp_path / "entry")


def test_a_file_that_we_may_not_read_is_named() -> None:
    script = """
write_whole(path / "entry", "planted-secret")
for closed in (path / "entry", path):
    closed.chmod(0)
    try:
        read_private(path / "entry")
    except MachineError as error:
        print(error)
"""
    with folder_of_nobody() as folder:
        told = as_nobody(script, folder)
        assert told == f"{folder}/entry cannot be read (Permission denied)\n" * 2


def test_the_longest_file_is_read_and_a_longer_one_is_not(tmp_path: Path) -> None:
    write_whole(tmp_path / "entry", "x" * MOST_BYTES)
    assert read_private(tmp_path / "entry") == "x" * MOST_BYTES
    with (tmp_path / "entry").open("a") as file:
        file.write("x")
    with pytest.raises(MachineError, match="is longer than any file of ours"):
        read_private(tmp_path / "entry")


def test_what_is_no_text_is_not_shown(tmp_path: Path) -> None:
    write_whole(tmp_path / "entry", "")
    (tmp_path / "entry").write_bytes(b"planted-secret \xff\xfe")
    with pytest.raises(MachineError, match="entry holds no text") as refused:
        read_private(tmp_path / "entry")
    shown = "".join(traceback.format_exception(refused.value))
    assert "planted" not in shown
    assert "xff" not in shown


@pytest.mark.parametrize("new", ["new", "a text that is longer than the old one"])
def test_overwriting_keeps_the_file_itself_and_leaves_nothing_of_the_old_text(tmp_path: Path, new: str) -> None:
    write_whole(tmp_path / "entry", "planted-secret, and more")
    with (tmp_path / "entry").open() as reader:
        overwrite(tmp_path / "entry", "planted-secret, and more", new)
        assert reader.read().rstrip() == new
    assert (read_private(tmp_path / "entry") or "").rstrip() == new


def test_overwriting_leaves_another_text_alone(tmp_path: Path) -> None:
    write_whole(tmp_path / "entry", "newer")
    overwrite(tmp_path / "entry", "old", "stripped")
    assert read_private(tmp_path / "entry") == "newer"
    with pytest.raises(FileNotFoundError):
        overwrite(tmp_path / "none", "old", "stripped")
