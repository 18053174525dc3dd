"""The modules of a package as they are read for all figures: their text, syntax trees and comments."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_BLANK = frozenset(
    {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A file of a package."""

    path: Path
    name: str
    """As it is imported; of ``__init__`` that of its package."""
    place: str
    """Its path, from beside the package."""

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def comments(self) -> dict[int, str]:
        """By line."""
        return {token.start[0]: token.string for token in self._tokens if token.type == tokenize.COMMENT}

    @property
    def number_of_lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def functions(self) -> Iterator[Function]:
        """Methods and functions in functions included."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    @cached_property
    def code_lines(self) -> set[int]:
        """Lines with more on them than a comment, docstrings apart."""
        lines = {
            line
            for token in self._tokens
            if token.type not in _BLANK
            for line in range(token.start[0], token.end[0] + 1)
        }
        return lines - set(self._docstring_lines())

    @cached_property
    def _tokens(self) -> list[tokenize.TokenInfo]:
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))

    def _docstring_lines(self) -> Iterator[int]:
        for node in ast.walk(self.tree):
            if isinstance(node, Documented) and ast.get_docstring(node) is not None:
                yield from range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)


def read_modules(package: Path) -> list[Module]:
    """All of a package, in the order of their paths."""
    return [_module(path, path.relative_to(package.parent)) for path in sorted(package.rglob("*.py"))]


def _module(path: Path, place: Path) -> Module:
    return Module(path, ".".join(place.with_suffix("").parts).removesuffix(".__init__"), place.as_posix())


def length_of(function: Function) -> int:
    """Its lines, docstring included, decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1
