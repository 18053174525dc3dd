"""Print the figures, and fail where one of those that must hold does not.

``make figures`` does it. What other runs have left is read, not measured anew: coverage, completeness of types. Where
there is nothing, that is said; with ``--measured coverage`` it is a failure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from figures import shape
from figures.figure import Figure, none_of
from figures.measured import NotMeasuredError, count_type_errors, read_completeness, read_coverage
from figures.sources import Module, read_modules
from figures.table import table, what_is_wrong, whose, why_not_covered
from figures.waivers import exclusions

ROOT: Final = Path(__file__).parents[2]
MEASURED: Final = {"coverage": "coverage", "types": "types complete"}
"""What may be demanded to be known, and its row."""


def main() -> int:
    """Do what the command line asks for; return 1 where something does not hold."""
    return report(ROOT / "oauth_helper", ROOT / "tests", _options().measured)


def report(package: Path, tests: Path, demanded: Collection[str] = ()) -> int:
    """Print what is found; return 1 where something does not hold, or is not known though it is demanded."""
    root, modules = package.parent, read_modules(package)
    found = [*static_figures(package, tests, modules), *slow_figures(package, tests, modules)]
    sys.stdout.write(f"{table(found)}\n\n{whose()}\n")
    for line in (*why_not_covered(exclusions(modules, root / "pyproject.toml")), *what_is_wrong(found)):
        sys.stdout.write(f"{line}\n")
    unknown = {figure.name for figure in found if figure.not_measured}
    return 1 if any(figure.wrong for figure in found) or unknown & {MEASURED[what] for what in demanded} else 0


def static_figures(package: Path, tests: Path, modules: Sequence[Module]) -> Iterator[Figure]:
    """What the sources tell at once."""
    yield from shape.sizes(modules)
    yield from shape.words(modules)
    yield from shape.connections(package, modules)
    yield from shape.waived(modules, package.parent / "pyproject.toml")
    yield from shape.tests_beside(modules, tests)


def slow_figures(package: Path, tests: Path, modules: Sequence[Module]) -> Iterator[Figure]:
    """What other tools tell."""
    root = package.parent
    yield from shape.repetitions(package, tests)
    yield coverage_figure(root, modules)
    yield completeness_figure(root, modules)
    yield _known("mypy errors", lambda: none_of("mypy errors", ["`make lint` shows it"] * count_type_errors(root)))


def coverage_figure(root: Path, modules: Sequence[Module]) -> Figure:
    """What the tests have run."""

    def found() -> Figure:
        coverage = read_coverage(root, modules)
        return Figure("coverage", f"{coverage.percent:.2f} %", "100 %", coverage.missing)

    return _known("coverage", found)


def completeness_figure(root: Path, modules: Sequence[Module]) -> Figure:
    """What has types."""

    def found() -> Figure:
        score = read_completeness(root, modules)
        wrong = () if score == 100 else ("`make completeness` shows what is missing",)
        return Figure("types complete", f"{score:g} %", "100 %", wrong)

    return _known("types complete", found)


def _known(name: str, found: Callable[[], Figure]) -> Figure:
    try:
        return found()
    except NotMeasuredError as error:
        return Figure(name, "", not_measured=str(error))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="figures", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--measured", nargs="*", default=[], choices=MEASURED, help="of what it is a failure that it is not known"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
