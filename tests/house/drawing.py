"""The drawing of the house: its floors from the roof down, and of each room what its first sentence says it is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from house.floors import BESIDE, FLOORS, PACKAGE, Floor, file_of

NAME: Final = "house"
"""Of the part of a README that holds it."""
_WIDTH: Final = 24
_SENTENCE: Final = re.compile(r"(.+?)\.(?:\s|$)", re.DOTALL)


def drawing(
    translations: Mapping[str, str] | None = None, package: Path = PACKAGE, floors: Sequence[Floor] = FLOORS
) -> str:
    """Draw the house, as a block of text.

    What is said of a floor or a room stands in ``translations`` under its English title or its name, or else it is
    said in English.
    """
    words = translations or {}
    parts = [_floor(floor.title, floor.rooms, words, package) for floor in reversed(floors)]
    parts.append(_floor("beside the house", (BESIDE,), words, package))
    return "\n".join(("```text", "\n\n".join(parts), "```"))


def words_of(drawn: str, package: Path = PACKAGE, floors: Sequence[Floor] = FLOORS) -> dict[str, str]:
    """Read what a drawing says of each room that there still is, and of each floor, if these are as many as now."""
    lines = drawn.removeprefix("```text\n").removesuffix("\n```").splitlines()
    rooms = {sign_of(room, package): room for floor in floors for room in (*floor.rooms, BESIDE)}
    found = {}
    for line in lines:
        sign, _, text = line.strip().partition(" ")
        if line.startswith(" ") and sign in rooms:
            found[rooms[sign]] = text.strip()
    titles = [line for line in lines if line and not line.startswith(" ")]
    if len(titles) == len(floors) + 1:
        found |= dict(zip([*(floor.title for floor in reversed(floors)), "beside the house"], titles, strict=True))
    return found


def sign_of(room: str, package: Path = PACKAGE) -> str:
    """How a room is written: a folder with a slash, a file with its ending."""
    return f"{room}/" if (package / room).is_dir() else f"{room}.py"


def purpose_of(room: str, package: Path = PACKAGE) -> str:
    """The first sentence of what a room says of itself."""
    text = ast.get_docstring(ast.parse(file_of(room, package).read_text(encoding="utf-8"))) or ""
    sentence = _SENTENCE.match(text.split("\n\n")[0])
    return " ".join((sentence[1] if sentence else text).replace("``", "").split())


def _floor(title: str, rooms: Sequence[str], words: Mapping[str, str], package: Path) -> str:
    lines = [
        f"  {sign_of(room, package):<{_WIDTH - 2}}{words.get(room) or purpose_of(room, package)}" for room in rooms
    ]
    return "\n".join((words.get(title, title), *lines))
