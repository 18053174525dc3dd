"""What other runs have left: coverage of ``make test-lowest``, completeness of types of ``make completeness``.

What is older than the newest source is as good as not measured: its lines are not those that stand there now.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from figures.sources import Module

COVERAGE: Final = ".coverage"
COMPLETENESS: Final = ".venv-types/completeness.txt"
_SHOWN: Final = 12
"""Places in a file that are named; who has more is not yet looking for single ones."""
_SCORE: Final = re.compile(r"^Type completeness score: (\d+(?:\.\d+)?)%$", re.MULTILINE)
_ERRORS: Final = re.compile(r"^Found (\d+) errors? in", re.MULTILINE)


class NotMeasuredError(Exception):
    """There is no such figure; its text says why, and how to have it."""


@dataclass(frozen=True)
class Coverage:
    """Of lines and branches together, as coverage itself counts them."""

    percent: float
    branches: int
    missing: tuple[str, ...]
    """Files with what is not covered."""


def read_coverage(root: Path, modules: Sequence[Module]) -> Coverage:
    """Read what the last run of the tests has left.

    Raises:
        NotMeasuredError: There is nothing, it is out of date, or coverage cannot read it.
    """
    data = _fresh(root / COVERAGE, modules, "make test-lowest")
    with TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        command = ("-m", "coverage", "json", "--fail-under=0", f"--data-file={data}", "-o", str(report))
        run = subprocess.run([sys.executable, *command], cwd=root, capture_output=True, text=True, check=False)
        if run.returncode:
            raise NotMeasuredError(f"coverage ended with {run.returncode}: {(run.stdout + run.stderr).strip()}")
        found = json.loads(report.read_text(encoding="utf-8"))
    if "num_branches" not in found["totals"]:
        raise NotMeasuredError("the last run did not count branches: make test-lowest")
    missing = [f"{file}: {_left_out(entry)}" for file, entry in sorted(found["files"].items()) if _left_out(entry)]
    return Coverage(found["totals"]["percent_covered"], found["totals"]["num_branches"], tuple(missing))


def read_completeness(root: Path, modules: Sequence[Module]) -> float:
    """How much of the public API has types that every checker reads alike, of 100.

    Raises:
        NotMeasuredError: The last run has left nothing, or it is out of date.
    """
    said = _fresh(root / COMPLETENESS, modules, "make completeness").read_text(encoding="utf-8")
    if not (score := _SCORE.search(said)):
        raise NotMeasuredError(f"pyright says no score in {COMPLETENESS}")
    return float(score[1])


def count_type_errors(root: Path) -> int:
    """Have mypy check all that ``pyproject.toml`` tells it to, as ``make lint`` does.

    Raises:
        NotMeasuredError: It could not be run.
    """
    run = subprocess.run([sys.executable, "-m", "mypy"], cwd=root, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return 0
    if not (found := _ERRORS.search(run.stdout)):
        raise NotMeasuredError(f"mypy ended with {run.returncode}: {run.stdout}{run.stderr}")
    return int(found[1])


def _fresh(left: Path, modules: Sequence[Module], command: str) -> Path:
    if not left.exists():
        raise NotMeasuredError(f"there is no {left.name}: {command}")
    newest = max(modules, key=lambda module: module.path.stat().st_mtime)
    if newest.path.stat().st_mtime > left.stat().st_mtime:
        raise NotMeasuredError(f"{newest.path.name} is newer than {left.name}: {command}")
    return left


def _left_out(entry: dict[str, Any]) -> str:
    """Of a file's entry the lines, and the branches as ``from->to``, the end of a function being 0 or less."""
    branches = (f"{start}->{end}" for start, end in entry["missing_branches"])
    places = [*map(str, entry["missing_lines"]), *branches]
    more = [f"and {len(places) - _SHOWN} more"] if len(places) > _SHOWN else []
    return ", ".join(places[:_SHOWN] + more)
