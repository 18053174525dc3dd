"""The floors of the house and their rooms, from the ground up; and which imports do not go down."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "oauth_helper"
BESIDE: Final = "sandbox"
"""Stands beside the house, and reads the contract on its own."""
MAY_USE_WHAT_IS_BESIDE: Final = frozenset({"wiring", "cli"})


@dataclass(frozen=True)
class Floor:
    """Rooms that do not import each other: modules or folders of the package, by their names."""

    title: str
    rooms: tuple[str, ...]
    is_words: bool = False
    """Words do no I/O and await nothing, and are all that is used by what stands beside the house."""
    is_pure: bool = False
    """Neither does this floor, but only the floors above use it."""


FLOORS: Final = (
    Floor(
        "words of one meaning each",
        ("address", "browser_choice", "language", "origin", "phrase", "presentable", "secret", "version"),
        is_words=True,
    ),
    Floor(
        "words made of those",
        ("authorization", "credentials", "errors", "phrase_document", "repository", "stars"),
        is_words=True,
    ),
    Floor(
        "words of a link, and of what goes wrong",
        ("endpoint", "events", "fault_trace", "faults", "link_request", "pending"),
        is_words=True,
    ),
    Floor(
        "rules: pure functions over the words",
        (
            *("credential_chain", "diagnosis", "outcome_document", "proof", "redirect", "settings", "standing"),
            "whereabouts",
        ),
        is_pure=True,
    ),
    Floor("what the doors share", ("catalogs", "declaration", "journal_folder", "private_files")),
    Floor(
        "doors: each opens onto one outside thing",
        (
            *("browsers", "files", "journal", "known_projects", "listener", "other_runs", "schema", "servicestage"),
            "terminal",
        ),
    ),
    Floor("what the story is told with", ("desk", "exchange")),
    Floor("the story", ("linking",)),
    Floor("the wiring, and the public API", ("wiring",)),
    Floor("the shell", ("cli",)),
)


def heights(floors: Sequence[Floor] = FLOORS) -> dict[str, int]:
    """On which floor each room is, the ground being 0."""
    return {room: height for height, floor in enumerate(floors) for room in floor.rooms}


def modules(package: Path = PACKAGE) -> list[Path]:
    """The files of all rooms, without those of the package itself (``__init__``, ``__main__``)."""
    return sorted(path for path in package.rglob("*.py") if path.parent != package or not path.name.startswith("__"))


def room_of(path: Path, package: Path = PACKAGE) -> str:
    """In which room a file is."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def file_of(room: str, package: Path = PACKAGE) -> Path:
    """The file that says what a room is for."""
    return package / room / "__init__.py" if (package / room).is_dir() else package / f"{room}.py"


def breaches(path: Path, package: Path = PACKAGE, floors: Sequence[Floor] = FLOORS) -> list[str]:
    """What a file must not do on its floor: import what is not below, be it local or for types alone; input, output."""
    room, height = room_of(path, package), heights(floors)
    if room != BESIDE and room not in height:
        return [f"{room} has no floor"]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = sorted(_imported_rooms(tree, package) - {room})
    wrong = [f"{room} imports {other}" for other in imported if not _may_import(room, other, floors)]
    if room != BESIDE and (floors[height[room]].is_words or floors[height[room]].is_pure):
        wrong += [f"{room} has {what}" for what in _input_and_output(tree)]
    return wrong


def _may_import(room: str, other: str, floors: Sequence[Floor]) -> bool:
    height = heights(floors)
    if room == BESIDE:
        return other in height and floors[height[other]].is_words
    if other == BESIDE:
        return room in MAY_USE_WHAT_IS_BESIDE
    return other in height and height[other] < height[room]


def _imported_rooms(tree: ast.Module, package: Path) -> set[str]:
    names = {name for node in ast.walk(tree) for name in _imported_names(node)}
    rooms = {name.split(".")[1] for name in names if name.startswith(f"{package.name}.")}
    return {room for room in rooms if file_of(room, package).exists()}


def _imported_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _input_and_output(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Await | ast.AsyncFunctionDef):
            yield "something that is awaited"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"open", "print", "input"}
        ):
            yield f"{node.func.id}()"
