"""A value together with the place it came from, and what is wrong with a value. No I/O."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from oauth_helper.phrase import NOTHING, Phrase, phrase, verbatim
from oauth_helper.presentable import is_plain_word, presentable

T_co = TypeVar("T_co", covariant=True)

_QUOTES: Final = frozenset({'""', "''", "``", "“”", "‘’", "„“", "«»", "””", "’’"})
_COMMENT: Final = re.compile(r"\s[#;]")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
_CONTROL_NAMES: Final[Mapping[str, str]] = {
    "\0": "NULL",
    "\t": "TAB",
    "\n": "LINE FEED",
    "\r": "CARRIAGE RETURN",
    "\x1b": "ESCAPE",
    "\ufeff": "BYTE ORDER MARK",
}
_TOML_PLACE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
_QUOTED: Final = re.compile("'[^']{3,}'|\"[^\"]{3,}\"")
_MARKS: Final = 8
_COPY_IT_AGAIN: Final = phrase("Copy it again, whole and on one line.")


@dataclass(frozen=True, slots=True)
class Sourced(Generic[T_co]):
    """A value and its origin, in words a user can find it by: ``--region``, ``HW_REGION_NAME``, a file's path."""

    value: T_co
    origin: str
    file: str | None = None
    """The file that the value came from, if it came from one."""
    is_default: bool = False
    """Whether the user set nothing."""


@dataclass(frozen=True, slots=True)
class FileValues:
    """What a settings file said; empty if there is none."""

    path: str
    values: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    """The number of the line that each value begins on, as far as it is known."""
    trouble: Phrase = NOTHING
    """Why it is unknown whether there is a file, if it is: a folder above it is closed to us."""

    def place_of(self, key: str) -> Phrase:
        """Return where a key's value is: the key, the file and the line."""
        if line := self.lines.get(key):
            return phrase('"{key}" in line {line} of "{path}"', key=key, line=line, path=self.path)
        return phrase('"{key}" in "{path}"', key=key, path=self.path)


class Problem(NamedTuple):
    """What is wrong with a value, in words that do not repeat it."""

    message: Phrase
    hint: Phrase


def first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> Sourced[str] | None:
    """Return the first of the environment variables that is set; an empty one counts as unset."""
    return next((Sourced(environ[name], name) for name in names if environ.get(name)), None)


def problem_of(
    value: str,
    source: str,
    *,
    spaces: Literal["", "inside", "anywhere"] = "",
    only_ascii: bool = False,
    in_ini: bool = False,
) -> Problem | None:
    """Return what is wrong with a value that is about to be sent; None if nothing is.

    Quotes around it, spaces at its ends, line breaks and invisible characters come from env files, INI files and
    copying. Nothing else about the value is checked.

    Args:
        value: It may be secret, so the answer repeats only characters that nobody can see.
        source: The variable, or the key with its file and line.
        spaces: Where spaces are fine.
        only_ascii: Whether the value is sent in a header, which takes ASCII only.
        in_ini: Whether the value comes from an INI file, where a comment needs a line of its own.
    """
    if any("\udc80" <= character <= "\udcff" for character in value):
        return Problem(phrase("{source} is not UTF-8", source=source), _COPY_IT_AGAIN)
    trimmed = value.strip()
    if not spaces and trimmed[:1] + trimmed[-1:] in {"{}", "<>"}:
        hint = phrase("Set it to your own value.")
        return Problem(phrase("{source} is a placeholder", source=source), hint)
    if len(trimmed) > 1 and trimmed[0] + trimmed[-1] in _QUOTES:
        hint = phrase("Remove the quotes: in env files and INI files they become part of the value.")
        return Problem(phrase("{source} has quotes around it", source=source), hint)
    if in_ini and _COMMENT.search(value):
        hint = phrase("Put the comment on a line of its own: here it becomes part of the value.")
        return Problem(phrase("{source} has a comment after it", source=source), hint)
    for position, character in enumerate(value, start=1):
        if character == " " and (spaces == "anywhere" or (spaces == "inside" and _is_inside(value, position - 1))):
            continue
        if unicodedata.category(character) in _INVISIBLE or (only_ascii and not character.isascii()):
            return Problem(_what_is_there(source, position, character, value), _COPY_IT_AGAIN)
    return None


def _what_is_there(source: str, position: int, character: str, value: str) -> Phrase:
    if position == 1:
        return phrase("{source} begins with {character}", source=source, character=named(character))
    if all(unicodedata.category(further) in _INVISIBLE for further in value[position:]):
        return phrase("{source} ends with {character}", source=source, character=named(character))
    return phrase(
        "{source} contains {character} (character {position})",
        source=source,
        character=named(character),
        position=position,
    )


def _is_inside(text: str, index: int) -> bool:
    return bool(text[:index].strip() and text[index:].strip())


def named(character: str) -> str:
    """Return a character's number and name, so that it can be seen: ``U+200B ZERO WIDTH SPACE``."""
    name = _CONTROL_NAMES.get(character) or unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()


def made_visible(text: str, *, limit: int = 200) -> str:
    """Return a text that is not secret in quotes, with ``<U+200B>`` for what cannot be seen or is easily overlooked."""
    shown = "".join(
        character
        if unicodedata.category(character) not in _INVISIBLE or (character == " " and _is_inside(text, number))
        else f"<U+{ord(character):04X}>"
        for number, character in enumerate(text[:limit])
    )
    shown = f"{shown}…" if len(text) > limit else shown
    return f"'{shown}'" if '"' in shown else f'"{shown}"'


def shown_unless_secret(text: str) -> Phrase:
    """Return a value as :func:`made_visible` does, if it is a short plain word with some marks; else no part of it."""
    core = re.sub(r"[^A-Za-z0-9._-]+", "", text)
    if len(text) - len(core) < _MARKS and (not core or is_plain_word(core)):
        return verbatim(made_visible(text))
    return phrase("(not shown: it may be secret)")


def toml_trouble(text: str, error: Exception) -> Phrase:
    """Return what is wrong with TOML text, with the character that is in the way if it is easily overlooked.

    The parser may repeat a part of the text. It may be secret, so only its place is told then.
    """
    words = str(error)
    place = _TOML_PLACE.search(words)
    if _QUOTED.search(words):
        words = place.group().strip("()") if place else "Invalid TOML"
    trouble = verbatim(presentable(words))
    if place:
        line, column = int(place[1]), int(place[2])
        rest = "".join(text.split("\n")[line - 1 : line])[column - 1 :]
        if rest and not rest[0].isascii():
            trouble = phrase("{trouble}: {character}", trouble=trouble, character=named(rest[0]))
    return trouble
