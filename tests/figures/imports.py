"""Who imports whom, when a module is imported or only when a function runs; and the circles in that.

Imports for types alone are left out: nothing ever runs them. But a module with a ``__getattr__`` names in these what it
imports when it is asked for it. What else is imported by a text (``import_module``) is not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from figures.sources import Module

Graph = Mapping[str, frozenset[str]]


@dataclass
class Imports:
    """Of each module those within the package."""

    eager: dict[str, frozenset[str]] = field(default_factory=dict)
    local: dict[str, frozenset[str]] = field(default_factory=dict)
    """Of ours, in functions."""
    number_of_local: int = 0
    """Statements in functions, of whatever they import."""


def read_imports(modules: Sequence[Module]) -> Imports:
    """Read the imports of a whole package."""
    names = frozenset(module.name for module in modules)
    imports = Imports()
    for module in modules:
        eager, local = _statements(module.tree)
        imports.eager[module.name] = _imported(eager, names) - {module.name}
        imports.local[module.name] = _imported(local, names) - {module.name}
        imports.number_of_local += len(local)
    return imports


def eager_cycles(imports: Imports) -> list[tuple[str, ...]]:
    """Modules that cannot be imported without each other."""
    return _cycles(imports.eager)


def dodged_cycles(imports: Imports) -> list[tuple[str, ...]]:
    """Circles that are none only because a function does the import."""
    both = {name: imports.eager[name] | imports.local[name] for name in imports.eager}
    eager = eager_cycles(imports)
    return [cycle for cycle in _cycles(both) if cycle not in eager]


def _statements(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The imports of a module, and those in its functions."""
    eager: list[ast.stmt] = []
    local: list[ast.stmt] = []
    is_lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_local = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            (local if is_local else eager).append(node)
        is_local = is_local or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            waiting += [(child, is_local) for child in node.orelse]
            waiting += [(child, True) for child in node.body if is_lazy]
        else:
            waiting += [(child, is_local) for child in ast.iter_child_nodes(node)]
    return eager, local


def _imported(statements: Sequence[ast.stmt], names: frozenset[str]) -> frozenset[str]:
    """The modules that statements name; ``from a import b`` names ``a.b`` where that is one, else ``a``."""
    found = set()
    for node in statements:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & names
            if inner - names:
                found.add(node.module)
    return names & found


def _cycles(graph: Graph) -> list[tuple[str, ...]]:
    """Modules that reach each other, in groups as large as they can be, by name."""
    reached = {name: _reach(graph, name) for name in graph}
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph}
    return sorted(group for group in groups if group)


def _reach(graph: Graph, start: str) -> set[str]:
    """Whatever is imported in the end, the start itself only if something leads back to it."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found
