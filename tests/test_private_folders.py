"""Folders that nobody but this user may see: real ones, and a real other user."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from other_users import NOBODY, as_nobody, folder_of_nobody, mode_of, names_in, needs_root

from oauth_helper.errors import MachineError
from oauth_helper.private_files import has_private_folder, private_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    return folder


def test_a_folder_is_made_for_us_alone_and_its_parents_as_the_umask_has_them(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "oauth-helper" / "pending"
    before = os.umask(0o022)
    try:
        assert private_folder(folder) == folder
    finally:
        os.umask(before)
    assert mode_of(folder) == 0o700
    assert mode_of(folder.parent) == 0o755
    assert private_folder(folder) == folder
    assert has_private_folder(folder)


def test_looking_for_a_folder_makes_none(folder: Path) -> None:
    assert not has_private_folder(folder / "none" / "pending")
    (folder / "file").touch()
    assert not has_private_folder(folder / "file" / "pending")
    assert names_in(folder) == ["file"]


@pytest.mark.parametrize("had", [private_folder, has_private_folder])
def test_a_folder_into_which_others_can_look_is_closed_to_them(tmp_path: Path, had: Callable[[Path], object]) -> None:
    folder = tmp_path / "pending"
    folder.mkdir()
    folder.chmod(0o755)
    assert had(folder)
    assert mode_of(folder) == 0o700


@pytest.mark.parametrize("had", [private_folder, has_private_folder])
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777], ids=oct)
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int, had: Callable[[Path], object]) -> None:
    folder = tmp_path / "pending"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(MachineError, match="pending can be written by other users") as refused:
        had(folder)
    assert "chmod" in refused.value.hint
    assert mode_of(folder) == mode


def test_a_link_to_a_folder_and_a_file_are_no_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    for name, reason in {"link": "is a link", "dangling": "is a link", "file": "is not a folder"}.items():
        for had in (private_folder, has_private_folder):
            with pytest.raises(MachineError, match=f"{name} {reason}"):
                had(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


@needs_root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pending"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(MachineError, match="belongs to another user"):
        private_folder(folder)


@needs_root
def test_a_folder_in_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(MachineError, match="where other users could replace it"):
        private_folder(tmp_path / "pending")


def test_a_folder_that_others_could_rename_is_refused_but_not_where_the_sticky_bit_forbids_it(tmp_path: Path) -> None:
    parent = tmp_path / "open"
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(MachineError, match="where other users could replace it"):
        private_folder(parent / "oauth-helper")
    parent.chmod(0o1777)
    private_folder(parent / "oauth-helper")
    parent.chmod(0o775)
    private_folder(parent / "oauth-helper")


def test_where_no_folder_can_be_it_is_said_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "pending", tmp_path / "file" / "deep" / "pending", Path(os.devnull) / "pending"):
        with pytest.raises(MachineError, match=r"pending cannot be had as a folder of ours \((Not a dir|File exists)"):
            private_folder(path)


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for had in (private_folder, has_private_folder):
        with pytest.raises(MachineError, match=r"pending cannot be (had|looked at).* \((Too many|File exists)"):
            had(tmp_path / "loop" / "pending")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc, where even root makes no folder")
def test_a_file_system_that_takes_no_folder_is_named() -> None:
    with pytest.raises(MachineError, match="/proc/oauth-helper cannot be had"):
        private_folder(Path("/proc/oauth-helper"))


def test_a_folder_that_we_may_not_write_or_look_into_is_named() -> None:
    script = """
for attempt in (lambda: private_folder(path / "pending"), lambda: has_private_folder(path / "pending")):
    try:
        print(attempt())
    except MachineError as error:
        print(error)
"""
    with folder_of_nobody() as folder:
        cannot_be_had = f"{folder}/pending cannot be had as a folder of ours (Permission denied)"
        folder.chmod(0o500)
        assert as_nobody(script, folder).splitlines() == [cannot_be_had, "False"]
        folder.chmod(0o000)
        cannot_be_seen = f"{folder}/pending cannot be looked at (Permission denied)"
        assert as_nobody(script, folder).splitlines() == [cannot_be_had, cannot_be_seen]
