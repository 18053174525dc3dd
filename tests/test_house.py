"""The house as the READMEs draw it is the one that stands, and who wants to change something is sent where it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from house.drawing import NAME, drawing, purpose_of, sign_of, words_of
from house.floors import BESIDE, FLOORS, PACKAGE, Floor
from marked_part import read_part, write_part

ROOT = PACKAGE.parent
README, TRANSLATED = ROOT / "README.md", ROOT / "README.zh-CN.md"
ROOMS = (*(room for floor in FLOORS for room in floor.rooms), BESIDE)
GROUND, ROOF = Floor("the ground", ("word",)), Floor("the roof", ("shell", "attic"))


def house(folder: Path) -> Path:
    """A small one: three rooms, one of them a folder, and what is beside it."""
    package = folder / "small"
    (package / "shell").mkdir(parents=True)
    (package / "shell" / "__init__.py").write_text('"""Parse ``a``, and\nprint. Only here.\n\nMore of it."""\n')
    for room in ("word", "attic", BESIDE):
        (package / f"{room}.py").write_text(f'"""What {room} is for"""\n')
    return package


def test_it_is_drawn_from_the_roof_down_with_what_each_room_says_of_itself(tmp_path: Path) -> None:
    assert drawing(package=house(tmp_path), floors=(GROUND, ROOF)).splitlines() == [
        "```text",
        "the roof",
        "  shell/                Parse a, and print",
        "  attic.py              What attic is for",
        "",
        "the ground",
        "  word.py               What word is for",
        "",
        "beside the house",
        "  sandbox.py            What sandbox is for",
        "```",
    ]


def test_words_of_another_language_are_kept_and_what_is_new_is_said_in_english(tmp_path: Path) -> None:
    package = house(tmp_path)
    translated = {"the ground": "der Boden", "word": "Wofür es da ist", "shell": "Lesen, schreiben"}
    before = drawing(translated, package, (GROUND, ROOF))
    assert "\nder Boden\n  word.py               Wofür es da ist\n" in before
    assert "\n  attic.py              What attic is for\n" in before
    assert drawing(words_of(before, package, (GROUND, ROOF)), package, (GROUND, ROOF)) == before
    with_another = (GROUND, Floor("between", ("attic",)), Floor("the roof", ("shell",)))
    found = words_of(before, package, with_another)
    assert "the ground" not in found, "which title is whose can no longer be told"
    assert found["word"] == "Wofür es da ist"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_in_one_line_what_it_is_for(room: str) -> None:
    purpose = purpose_of(room)
    assert purpose
    assert len(purpose) <= 96, "a README has 120 columns"


def test_the_house_in_the_readme_is_the_one_that_stands() -> None:
    assert read_part(README, NAME) == drawing(), "make drawing"


def test_the_house_in_the_chinese_readme_is_the_same_in_chinese() -> None:
    drawn = read_part(TRANSLATED, NAME)
    words = words_of(drawn)
    assert drawn == drawing(words), "make drawing"
    titles = {"beside the house", *(floor.title for floor in FLOORS)}
    assert {name for name in (*ROOMS, *titles) if not re.search(r"[\u4e00-\u9fff]", words.get(name, ""))} == set()


def test_a_drawing_takes_the_place_of_the_one_that_stood_there(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n<!-- {NAME} -->\nold\n<!-- /{NAME} -->\nafter\n")
    write_part(readme, NAME, "new")
    assert readme.read_text() == f"before\n<!-- {NAME} -->\n\nnew\n\n<!-- /{NAME} -->\nafter\n"
    readme.write_text("nothing of it")
    with pytest.raises(ValueError, match="lacks the lines"):
        read_part(readme, NAME)


def ways() -> list[tuple[str, list[str]]]:
    """Of the table what is to be changed, and the paths that it is changed in."""
    _, found, rest = README.read_text(encoding="utf-8").partition("| to change | look at |\n| --- | --- |\n")
    assert found
    rows = [line.strip("| ").split(" | ") for line in rest.partition("\n\n")[0].splitlines()]
    return [(what, re.findall(r"`([^`]+)`", where)) for what, where in rows]


@pytest.mark.parametrize(("what", "paths"), ways())
def test_what_the_readme_says_to_look_at_is_there(what: str, paths: list[str]) -> None:
    assert paths, what
    for path in paths:
        assert (ROOT / path).exists() or (PACKAGE / path).exists(), path


def test_a_room_is_written_as_the_folder_or_file_that_it_is() -> None:
    assert sign_of("cli") == "cli/"
    assert sign_of("errors") == "errors.py"
