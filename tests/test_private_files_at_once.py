"""Writers and sweepers at once, and writers that are killed: real processes, real locks."""

import fcntl
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from other_users import names_in

from oauth_helper.private_files import private_folder, read_private, remove_leftovers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    return folder


def test_leftovers_go_but_not_what_a_living_writer_holds_nor_what_is_not_of_our_making(folder: Path) -> None:
    leftover, held = (folder / f"being-written-{digit * 16}" for digit in "0a")
    other = folder / "being-written-by-somebody-else"
    for path in (leftover, held, other):
        path.touch()
    (folder / f"being-written-{'b' * 16}").mkdir()
    with held.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        remove_leftovers(folder)
        assert names_in(folder) == sorted([held.name, other.name, f"being-written-{'b' * 16}"])
    remove_leftovers(folder)
    assert names_in(folder) == sorted([other.name, f"being-written-{'b' * 16}"])
    with pytest.raises(FileNotFoundError):
        remove_leftovers(folder / "none")


WRITER = """
import sys
from itertools import count
from pathlib import Path
from oauth_helper.private_files import remove_leftovers, write_whole
path, letter, rounds, sweeps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), "sweep" in sys.argv
print("started", flush=True)
for _ in range(rounds) if rounds else count():
    write_whole(path, letter * 20_000)
    if sweeps:
        remove_leftovers(path.parent)
"""


@contextmanager
def writer(path: Path, letter: str, rounds: int = 0, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-c", WRITER, str(path), letter, str(rounds), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "started\n"
            yield process
        finally:
            process.kill()


def test_a_writer_killed_at_any_moment_leaves_a_whole_file_and_nothing_after_the_next_sweep(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "pending")
    moments = random.SystemRandom()
    seen_leftovers = 0
    for _ in range(20):
        with writer(folder / "entry", "x") as process, pytest.raises(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0, 0.02))
        assert process.returncode == -signal.SIGKILL
        seen_leftovers += names_in(folder) not in ([], ["entry"])
        assert read_private(folder / "entry") in {None, "x" * 20_000}
        remove_leftovers(folder)
        assert names_in(folder) in ([], ["entry"])
    assert names_in(folder) == ["entry"]
    assert seen_leftovers, "the test proves nothing where no writer was killed while it wrote"


def test_writers_that_sweep_while_others_write_neither_fail_nor_leave_anything(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "pending")
    with ExitStack() as stack:
        writers = [stack.enter_context(writer(folder / "entry", letter, 200, "sweep")) for letter in "abc"]
        while any(process.poll() is None for process in writers):
            assert read_private(folder / "entry") in {None, "a" * 20_000, "b" * 20_000, "c" * 20_000}
        for process in writers:
            assert (process.communicate(timeout=30)[1], process.returncode) == ("", 0)
    assert names_in(folder) == ["entry"]
