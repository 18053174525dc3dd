"""A short run of every fuzzing target, the same each time; `make fuzz` is the long one. And that fuzzing can fail."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzz.running import main
from fuzz.targets import TARGETS

RUN = Path(__file__).parent / "fuzz" / "run.py"
EXECUTIONS = 400
EXECUTED = re.compile(r"^total: ([0-9]+) executions of 1 targets", re.MULTILINE)

Fuzzed = Callable[..., tuple[int, str]]

BROKEN = """
from fuzz.target import Target

def check(data):
    assert b"wrong" not in data

def hang(data):
    while b"wrong" in data:
        pass

TARGETS = {"broken": Target(check, (b"right",), (b"wrong",)), "endless": Target(hang, (b"right",), (b"wrong",))}
"""

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this platform or version of Python"
)
pytestmark = [needs_atheris, pytest.mark.timeout(180)]


@pytest.fixture
def fuzzed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fuzzed:
    """Runs in this process what ``run.py`` runs, which saves each target an import; the targets have their own."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        status = main(["--seed", "1", "--folder", str(tmp_path / "found"), *arguments])
        return status, capsys.readouterr().out

    return run


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "broken_targets.py").write_text(BROKEN)
    yield "broken_targets"
    del sys.modules["broken_targets"]


@pytest.mark.parametrize("name", TARGETS)
def test_every_property_of_a_reader_holds_for_a_few_hundred_inputs(name: str, fuzzed: Fuzzed) -> None:
    status, said = fuzzed(name, "--runs", str(EXECUTIONS))
    assert status == 0, said
    executed = EXECUTED.search(said)
    assert executed
    assert int(executed[1]) >= EXECUTIONS
    assert "cov: none" not in said


def test_a_property_that_does_not_hold_is_told_with_its_input(fuzzed: Fuzzed, broken: str, tmp_path: Path) -> None:
    status, said = fuzzed("broken", "--module", broken, "--runs", "50000")
    assert status == 1
    assert "AssertionError" in said
    (found,) = (tmp_path / "found" / "broken").glob("crash-*")
    assert b"wrong" in found.read_bytes()
    assert f"{found}: {found.read_bytes()!a}" in said
    assert "failed: broken" in said


def test_a_reader_that_never_returns_fails_the_run(fuzzed: Fuzzed, broken: str, tmp_path: Path) -> None:
    status, said = fuzzed("endless", "--module", broken, "--runs", "50000", "--slowest", "1")
    assert status == 1
    assert list((tmp_path / "found" / "endless").glob("timeout-*"))
    assert "failed: endless" in said


def test_the_command_refuses_a_target_that_is_not_there() -> None:
    run = subprocess.run([sys.executable, str(RUN), "none", "--runs", "1"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "There is no target none" in run.stdout


def test_the_command_leaves_nothing_behind_where_nothing_was_found(tmp_path: Path) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    surroundings = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, str(RUN), "presentable", "--runs", "10"]
    run = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert list(temporary.iterdir()) == []
