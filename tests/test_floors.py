"""The floors of the house: imports only go down, and rooms on one floor do not import each other."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "oauth_helper"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("address", "browser_choice", "language", "origin", "phrase", "presentable", "secret", "version"),
    ("authorization", "credentials", "errors", "phrase_document", "repository", "stars"),
    ("endpoint", "events", "fault_trace", "faults", "link_request", "pending"),
    ("credential_chain", "diagnosis", "outcome_document", "proof", "redirect", "settings", "standing", "whereabouts"),
    ("catalogs", "declaration", "journal_folder", "private_files"),
    ("browsers", "files", "journal", "known_projects", "listener", "other_runs", "schema", "servicestage", "terminal"),
    ("desk", "exchange"),
    ("linking",),
    ("wiring",),
    ("cli",),
)
"""From the ground up. The lowest three are the words (no I/O, no await), the fourth the rules, then what doors share,
the doors, the story, the wiring, the shell. ``sandbox`` stands beside the house."""

WORDS = frozenset(name for floor in FLOORS[:3] for name in floor)
PURE = WORDS | frozenset(FLOORS[3])
MAY_USE_THE_SANDBOX = frozenset({"wiring", "cli"})
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("oauth_helper.")}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__"))


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_only_go_down(path: Path) -> None:
    room = _room(path)
    for imported in _imported_rooms(path) - {room}:
        if room == "sandbox":
            assert imported in WORDS, "the sandbox reads the contract on its own"
        elif imported == "sandbox":
            assert room in MAY_USE_THE_SANDBOX
        elif (PACKAGE / imported).is_dir() or (PACKAGE / f"{imported}.py").exists():
            assert HEIGHT[imported] < HEIGHT[room]


@pytest.mark.parametrize("path", [path for path in MODULES if _room(path) in PURE], ids=_name)
def test_words_and_rules_do_no_input_or_output(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Await | ast.AsyncFunctionDef)]
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input"}


def test_every_room_has_a_floor() -> None:
    rooms = {_room(path) for path in MODULES} - {"sandbox"}
    assert rooms == set(HEIGHT)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=_name)
def test_files_and_functions_stay_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert len(source.splitlines()) <= 250
    assert ast.get_docstring(tree), "every module says what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= 40, node.name
