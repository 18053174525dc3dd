"""Copies of the package into which a line is planted at the beginning of a function."""

from __future__ import annotations

import ast
import shutil
from dataclasses import dataclass
from pathlib import Path

import oauth_helper

_PACKAGE = Path(oauth_helper.__file__).parent


@dataclass(frozen=True)
class Plant:
    """A line, and the function that gets it."""

    module: str
    """Its file, below the package."""
    function: str
    """With its class, as in ``Journal.write``."""
    line: str

    def __str__(self) -> str:
        return f"{self.module}:{self.function}"


def planted(plant: Plant, folder: Path) -> Path:
    """Copy the package into ``folder`` with ``plant`` in it; return the folder for PYTHONPATH.

    Raises:
        LookupError: There is no such function any more.
    """
    # With what is compiled: all but the one file is as it was.
    shutil.copytree(_PACKAGE, folder / _PACKAGE.name)
    file = folder / _PACKAGE.name / plant.module
    lines = file.read_text(encoding="utf-8").splitlines()
    first = _first_statement(_function(ast.parse("\n".join(lines)), plant))
    lines.insert(first.lineno - 1, " " * first.col_offset + plant.line)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _function(tree: ast.Module, plant: Plant) -> ast.FunctionDef | ast.AsyncFunctionDef:
    body: list[ast.stmt] = tree.body
    *owners, name = plant.function.split(".")
    for owner in owners:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == owner), [])
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise LookupError(f"{plant} is not there any more: choose another function of that room")


def _first_statement(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    """Return the first statement after the docstring."""
    if ast.get_docstring(function, clean=False) is not None and len(function.body) > 1:
        return function.body[1]
    return function.body[0]
