"""The shape of the sources: sizes, comments, documentation, imports, floors, duplicates, what is waived."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from house.floors import BESIDE, FLOORS, Floor, breaches
from house.floors import modules as modules_with_a_floor

from figures.duplicates import duplicates
from figures.figure import Figure, at_most, none_of, share
from figures.imports import dodged_cycles, eager_cycles, read_imports
from figures.sources import Module, length_of, read_modules
from figures.waivers import Waiver, exclusions, ignores

LARGEST_FILE: Final = 250
MEDIAN_FUNCTION: Final = 10
NINE_OF_TEN_FUNCTIONS: Final = 30
LONGEST_FUNCTION: Final = 40
COMMENTS: Final = 10


def sizes(modules: Sequence[Module]) -> Iterator[Figure]:
    """How large files and functions are."""
    yield Figure("files", f"{len(modules):,}")
    yield Figure("lines", f"{sum(module.number_of_lines for module in modules):,}")
    files = {f"{module.place}: {module.number_of_lines} lines": module.number_of_lines for module in modules}
    too_large = [place for place, lines in files.items() if lines > LARGEST_FILE]
    yield at_most("largest file", max(files.values()), LARGEST_FILE, too_large)
    functions = {
        f"{module.place}:{function.lineno}: {function.name} has {length_of(function)} lines": length_of(function)
        for module in modules
        for function in module.functions
    }
    lengths = sorted(functions.values()) or [0]
    too_long = [place for place, lines in functions.items() if lines > LONGEST_FUNCTION]
    yield at_most("function, median", median(lengths), MEDIAN_FUNCTION)
    yield at_most("function, p90", lengths[int(len(lengths) * 0.9)], NINE_OF_TEN_FUNCTIONS)
    yield at_most("function, longest", lengths[-1], LONGEST_FUNCTION, too_long)


def words(modules: Sequence[Module]) -> Iterator[Figure]:
    """How much is said about the code."""
    comments, code = (
        sum(map(len, of)) for of in zip(*((each.comments, each.code_lines) for each in modules), strict=True)
    )
    yield at_most("comments per 100", round(100 * comments / max(code, 1), 1), COMMENTS)
    silent = [f"{module.place}: no docstring" for module in modules if not ast.get_docstring(module.tree)]
    yield share("modules documented", len(modules) - len(silent), len(modules), silent)
    documented = [ast.get_docstring(node) is not None for module in modules for node in _public(module.tree.body)]
    yield Figure("public documented", f"{sum(documented)}/{len(documented)}")


def connections(package: Path, modules: Sequence[Module], floors: Sequence[Floor] = FLOORS) -> Iterator[Figure]:
    """Who imports whom."""
    imports = read_imports(modules)
    yield none_of("import cycles", [" ↔ ".join(cycle) for cycle in eager_cycles(imports)])
    yield none_of("dodged cycles", [" ↔ ".join(cycle) for cycle in dodged_cycles(imports)])
    yield Figure("local imports", str(imports.number_of_local))
    upward = [
        f"{path.relative_to(package.parent).as_posix()}: {breach}"
        for path in modules_with_a_floor(package)
        for breach in breaches(path, package, floors)
    ]
    yield none_of("floors broken", upward)


def repetitions(package: Path, tests: Path) -> Iterator[Figure]:
    """What stands twice: in the house, in what is beside it, which is a reading of its own, and in the tests."""
    house = sorted(path for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
    beside = [path for path in house if path.stem == BESIDE]
    found = [*duplicates([path for path in house if path not in beside]), *duplicates(beside)]
    yield none_of("duplicates", found)
    yield none_of("duplicates in tests", duplicates(sorted(tests.rglob("*.py"))))


def waived(modules: Sequence[Module], pyproject: Path) -> Iterator[Figure]:
    """What is not covered, and what is let pass, and how much of that says why."""
    left_out, let_pass = exclusions(modules, pyproject), ignores(modules)
    yield share("not covered, reasoned", *_reasoned(left_out))
    part, whole, _ = _reasoned(let_pass)
    yield Figure("ignores, reasoned", f"{part}/{whole}")


def tests_beside(modules: Sequence[Module], tests: Path) -> Iterator[Figure]:
    """How much the tests have to say."""
    lines = sum(module.number_of_lines for module in read_modules(tests))
    yield Figure("test lines per line", f"{lines / max(sum(module.number_of_lines for module in modules), 1):.2f}")


def _public(body: Sequence[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """What others may use: functions, classes, and what of a class is not private."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def _reasoned(waivers: Sequence[Waiver]) -> tuple[int, int, list[str]]:
    """How many have a reason, of how many; and those that have none."""
    without = [str(waiver) for waiver in waivers if not waiver.reason]
    return len(waivers) - len(without), len(waivers), without
