"""The floors of the house: imports only go down, and rooms on one floor do not import each other."""

from pathlib import Path

import pytest
from house.floors import BESIDE, FLOORS, PACKAGE, Floor, breaches, heights, modules, room_of

TWO_FLOORS = (Floor("words", ("word",), is_words=True), Floor("doors", ("door", "gate")))


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", modules(), ids=_name)
def test_imports_only_go_down_and_words_and_rules_do_no_input_or_output(path: Path) -> None:
    assert breaches(path) == []


def test_every_room_has_one_floor() -> None:
    rooms = [room for floor in FLOORS for room in floor.rooms]
    assert sorted(rooms) == sorted({room_of(path) for path in modules()} - {BESIDE})
    assert len(rooms) == len(heights())


@pytest.mark.parametrize(
    ("file", "source", "found"),
    [
        ("word.py", "from small_house.door import open_it", ["word imports door"]),
        ("word.py", "def f():\n    import small_house.door", ["word imports door"]),
        ("word.py", "async def f(): ...", ["word has something that is awaited"]),
        ("word.py", "open('a')", ["word has open()"]),
        ("door.py", "from small_house import gate", ["door imports gate"]),
        ("door.py", "from small_house import sandbox", ["door imports sandbox"]),
        ("sandbox.py", "from small_house.door import open_it", ["sandbox imports door"]),
        ("attic.py", "", ["attic has no floor"]),
        ("gate.py", "from small_house import word\nasync def f(): open('a')", []),
        ("sandbox.py", "from small_house.word import it", []),
    ],
)
def test_what_breaks_the_rules_is_found(tmp_path: Path, file: str, source: str, found: list[str]) -> None:
    package = tmp_path / "small_house"
    package.mkdir()
    for room in ("word", "door", "gate", "sandbox"):
        (package / f"{room}.py").touch()
    (package / file).write_text(source)
    assert breaches(package / file, package, TWO_FLOORS) == found
