"""The folder where runs meet: whose it is, where it lies without XDG_RUNTIME_DIR, and who is refused there."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_users import NOBODY, acting_as, needs_root

from oauth_helper.errors import MachineError
from oauth_helper.other_runs import runtime_folder

AS_NOBODY = f"""
import os
from oauth_helper.errors import MachineError
from oauth_helper.other_runs import runtime_folder
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
try:
    print(runtime_folder())
except MachineError as error:
    print("refused:", error)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that XDG_RUNTIME_DIR names, as a session manager makes it."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which everybody can reach; pytest's own are for one user alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    yield folder
    shutil.rmtree(folder)


def test_the_folder_is_made_for_us_alone_and_found_again(run: Path) -> None:
    folder = runtime_folder()
    assert folder == run / "oauth-helper"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert runtime_folder() == folder


def test_what_stands_in_its_place_is_refused_by_name(run: Path) -> None:
    (run / "elsewhere").mkdir(mode=0o700)
    (run / "oauth-helper").symlink_to(run / "elsewhere")
    with pytest.raises(MachineError, match=f"{run}/oauth-helper is a link") as caught:
        runtime_folder()
    assert caught.value.exit_status == 9
    (run / "oauth-helper").unlink()
    (run / "oauth-helper").write_text("")
    with pytest.raises(MachineError, match=f"{run}/oauth-helper"):
        runtime_folder()


@needs_root
def test_a_folder_that_another_user_squats_is_refused_by_name(run: Path) -> None:
    (run / "oauth-helper").mkdir(mode=0o700)
    os.chown(run / "oauth-helper", NOBODY, NOBODY)
    with pytest.raises(MachineError, match=f"{run}/oauth-helper belongs to another user"):
        runtime_folder()


@needs_root
def test_another_users_session_is_refused_to_root_as_well(run: Path) -> None:
    os.chown(run, NOBODY, NOBODY)
    with pytest.raises(MachineError, match=f"XDG_RUNTIME_DIR is the folder of another user: {run}") as caught:
        runtime_folder()
    assert "the user who runs `link`" in caught.value.hint
    assert not (run / "oauth-helper").exists()


@needs_root
def test_another_user_with_our_xdg_runtime_dir_is_refused_by_name(shared: Path, run: Path) -> None:
    ours = shared / "run"
    ours.mkdir(mode=0o700)
    for folder, why in ((ours, "is the folder of another user"), (run, "cannot be used: Permission denied")):
        said = subprocess.run(
            [sys.executable, "-c", AS_NOBODY],
            env={"PYTHONPATH": str(Path(__file__).parent.parent), "XDG_RUNTIME_DIR": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (said.stdout, said.stderr) == (f"refused: XDG_RUNTIME_DIR {why}: {folder}\n", "")
    assert list(ours.iterdir()) == []


@needs_root
def test_a_folder_in_a_place_that_cannot_be_looked_at_is_refused_by_name(run: Path) -> None:
    refused = f"XDG_RUNTIME_DIR cannot be used: Permission denied: {run}"
    with acting_as(NOBODY), pytest.raises(MachineError, match=refused):
        runtime_folder()


@needs_root
def test_a_squatted_folder_for_who_has_no_session_is_refused_by_name(shared: Path) -> None:
    squatted = shared / f"runtime-{NOBODY}"
    squatted.mkdir()
    squatted.chmod(0o777)
    with acting_as(NOBODY), pytest.raises(MachineError) as caught:
        runtime_folder()
    assert str(squatted) in caught.value.message
    assert "Set XDG_RUNTIME_DIR" in caught.value.hint
    assert list(squatted.iterdir()) == []


@needs_root
@pytest.mark.parametrize("variable", [None, "", "shared", "shared/gone/missing"])
def test_who_has_no_session_gets_a_folder_among_the_temporary_files(
    shared: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    if variable is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", variable.replace("shared", str(shared)))
    with warnings.catch_warnings(record=True) as warned, acting_as(NOBODY):
        warnings.simplefilter("always")
        folder = runtime_folder()
    assert warned == []
    assert folder.name == "oauth-helper"
    assert folder.is_relative_to(shared)
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (NOBODY, 0o700)
