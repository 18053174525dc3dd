"""What is waived needs a reason, and what was measured is read as it is: out of date or not there, it is not known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from figures.__main__ import completeness_figure, coverage_figure, report
from figures.measured import COMPLETENESS, COVERAGE, NotMeasuredError, count_type_errors, read_coverage
from figures.shape import waived
from figures.sources import read_modules
from figures.table import what_is_wrong, why_not_covered
from figures.waivers import exclusions, ignores
from test_figures import DOCUMENTED, by_name, small

SETTINGS = "[tool.coverage.run]\nbranch = true\nsource = ['small']\n"


@pytest.mark.parametrize(
    ("comment", "what", "reason"),
    [
        ("# pragma: no cover - Windows alone comes here", "no cover", "Windows alone comes here"),
        ("# pragma: no branch - the loop never ends", "no branch", "the loop never ends"),
        ("# pragma: no cover", "no cover", ""),
        ("# pragma: no cover -", "no cover", ""),
        ("# pragma: no cover because", "no cover", ""),
        ("#pragma:no branch", "no branch", ""),
    ],
)
def test_what_is_not_covered_needs_a_reason(tmp_path: Path, comment: str, what: str, reason: str) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(SETTINGS)
    modules = read_modules(small(tmp_path, a=f"x = '# pragma: no cover'\nif x:  {comment}\n    pass\n"))
    (found,) = exclusions(modules, pyproject)
    assert (found.place, found.what, found.reason) == ("small/a.py:2", what, reason)
    assert bool(by_name(waived(modules, pyproject))["not covered, reasoned"].wrong) is not bool(reason)
    assert "small/a.py:2" in "".join(why_not_covered([found]))


@pytest.mark.parametrize(
    ("lines", "reasons"),
    [
        ('exclude_also = [\n    "if A:",  # never runs\n    "class \\\\(B\\\\)",\n]', ["never runs", ""]),
        ('exclude_also = [\n    # never runs\n    "if A:",\n    "if B:",\n]', ["never runs", ""]),
        ("omit = [\n    'a.py',  # written by a program\n]", ["written by a program"]),
        ('exclude_also = ["if A:"]', [""]),
    ],
)
def test_what_is_never_covered_needs_a_reason_in_the_settings(tmp_path: Path, lines: str, reasons: list[str]) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(f"[tool.coverage.report]\n{lines}\n")
    modules = read_modules(small(tmp_path))
    assert [found.reason for found in exclusions(modules, pyproject)] == reasons
    assert len(by_name(waived(modules, pyproject))["not covered, reasoned"].wrong) == reasons.count("")


@pytest.mark.parametrize(
    ("comment", "what", "reason"),
    [
        ("# noqa", "noqa", ""),
        ("# noqa: S603, S607 - no shell", "noqa: S603, S607", "no shell"),
        ("# noqa: S603 no shell", "noqa: S603", "no shell"),
        ("# type: ignore[misc]", "type: ignore[misc]", ""),
        ("# type: ignore[misc]  # the stub is wrong", "type: ignore[misc]", "the stub is wrong"),
        ("# pyright: ignore[reportAny]", "pyright: ignore[reportAny]", ""),
    ],
)
def test_what_is_let_pass_is_counted_with_its_reason(tmp_path: Path, comment: str, what: str, reason: str) -> None:
    (found,) = ignores(read_modules(small(tmp_path, a=f"x = 1  {comment}\n")))
    assert (found.what, found.reason) == (what, reason)


def run_with_coverage(folder: Path, text: str, *options: str) -> Path:
    package = small(folder, a=f"{DOCUMENTED}{text}")
    (folder / "pyproject.toml").write_text(SETTINGS)
    # Else what counts the coverage of this very test would be told of it as well.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = (sys.executable, "-m", "coverage", "run", *options, "-m", "small.a")
    subprocess.run(command, cwd=folder, env=environ, check=True, timeout=30)
    return package


@pytest.mark.parametrize(
    ("text", "ours", "wrong"),
    [
        ("x = 1\n", "100.00 %", ()),
        ("x = 1\nif x:\n    x = 2\n", "80.00 %", ("small/a.py: 3->-1",)),
        ("x = 1\nif not x:\n    x = 2\n", "60.00 %", ("small/a.py: 4, 3->4",)),
    ],
)
def test_what_is_not_covered_is_found(tmp_path: Path, text: str, ours: str, wrong: tuple[str, ...]) -> None:
    package = run_with_coverage(tmp_path, text)
    found = coverage_figure(tmp_path, read_modules(package))
    assert (found.wrong, found.not_measured) == (wrong, "")
    assert found.ours.endswith("%")
    assert bool(wrong) is (found.ours != "100.00 %")


def test_of_a_file_that_is_hardly_covered_a_few_places_are_named(tmp_path: Path) -> None:
    package = run_with_coverage(tmp_path, "x = 0\nif x:\n" + "    x = 1\n" * 20)
    (wrong,) = coverage_figure(tmp_path, read_modules(package)).wrong
    assert wrong == f"small/a.py: {', '.join(map(str, range(4, 16)))}, and 9 more"


def test_coverage_that_is_missing_out_of_date_or_no_coverage_is_not_known(tmp_path: Path) -> None:
    package = small(tmp_path, a="x = 1\n")
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    with pytest.raises(NotMeasuredError, match="make test-lowest"):
        read_coverage(tmp_path, read_modules(package))
    data = tmp_path / COVERAGE
    data.write_text("not what it should be")
    with pytest.raises(NotMeasuredError, match="coverage ended with"):
        read_coverage(tmp_path, read_modules(package))
    os.utime(data, (1, 1))
    with pytest.raises(NotMeasuredError, match=r"is newer than \.coverage"):
        read_coverage(tmp_path, read_modules(package))


def test_coverage_of_lines_alone_is_not_what_is_asked_for(tmp_path: Path) -> None:
    package = run_with_coverage(tmp_path, "x = 1\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / COVERAGE).unlink()
    run = (sys.executable, "-m", "coverage", "run", "--source=small", "-m", "small.a")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    subprocess.run(run, cwd=tmp_path, env=environ, check=True, timeout=30)
    with pytest.raises(NotMeasuredError, match="did not count branches"):
        read_coverage(tmp_path, read_modules(package))


@pytest.mark.parametrize(
    ("said", "ours", "is_wrong", "is_known"),
    [
        ("Type completeness score: 100%\n", "100 %", False, True),
        ("Type completeness score: 99.8%\n", "99.8 %", True, True),
        ("error\n", "", False, False),
        (None, "", False, False),
    ],
)
def test_types_that_are_not_complete_are_found(
    tmp_path: Path, said: str | None, ours: str, is_wrong: bool, is_known: bool
) -> None:
    package = small(tmp_path)
    if said is not None:
        (tmp_path / COMPLETENESS).parent.mkdir()
        (tmp_path / COMPLETENESS).write_text(said)
    found = completeness_figure(tmp_path, read_modules(package))
    assert (found.ours, bool(found.wrong), not found.not_measured) == (ours, is_wrong, is_known)
    assert is_known or any(line.startswith("? types complete") for line in what_is_wrong([found]))


def test_wrong_types_are_counted(tmp_path: Path) -> None:
    small(tmp_path, a="x: int = 'a'\ny: int = 'b'\n")
    (tmp_path / "pyproject.toml").write_text("[tool.mypy]\nfiles = ['small']\n")
    assert count_type_errors(tmp_path) == 2
    small(tmp_path, a="x: int = 1\n")
    assert count_type_errors(tmp_path) == 0
    (tmp_path / "pyproject.toml").write_text("[tool.mypy]\n")
    with pytest.raises(NotMeasuredError, match="mypy ended with 2"):
        count_type_errors(tmp_path)


def test_what_does_not_hold_or_is_demanded_and_not_known_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.mypy]\nfiles = ['small']\n")
    package = small(tmp_path)
    assert report(package, tests) == 0
    assert report(package, tests, ["types"]) == 1
    assert f"? types complete: there is no {Path(COMPLETENESS).name}" in capsys.readouterr().out
    (package / "a.py").write_text("x = 1  # pragma: no cover\n")
    assert report(package, tests) == 1
    told = capsys.readouterr().out.splitlines()
    assert "✗ modules documented: small/a.py: no docstring" in told
    assert "not covered: without a reason: small/a.py:1" in told
