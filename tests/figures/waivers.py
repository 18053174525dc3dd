"""Where a rule is waived: what is not covered, and what a linter or type checker is told to let pass; and why."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from figures.sources import Module

_PRAGMA: Final = re.compile(r"#\s*pragma:\s*no (?P<kind>cover|branch)\b(?P<rest>.*)")
_REASON: Final = re.compile(r"\s+-\s+(?P<reason>\S.*)")
"""How it is to be written behind ``# pragma: no cover``: a hyphen between blanks, and words."""
_IGNORE: Final = re.compile(
    r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?:\[[^\]]*\])?|pyright:\s*ignore(?:\[[^\]]*\])?)"
    r"(?P<rest>.*)"
)
_TABLES: Final = {
    "run": ("omit",),
    "report": ("omit", "exclude_also", "exclude_lines", "partial_also", "partial_branches"),
}
"""Of coverage's settings those that leave something out."""


@dataclass(frozen=True)
class Waiver:
    """One place."""

    place: str
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}{' - ' if self.reason else ''}{self.reason or ': no reason is written at it'}"


def exclusions(modules: Sequence[Module], pyproject: Path) -> list[Waiver]:
    """What coverage is told to leave out: in the sources, and for all of them in ``pyproject.toml``."""
    return [*_pragmas(modules), *_settings(pyproject)]


def ignores(modules: Sequence[Module]) -> list[Waiver]:
    """What linter and type checkers are told to let pass, in the sources."""
    found = []
    for module, line, comment in _comments(modules):
        if match := _IGNORE.search(comment):
            what = comment[match.start() : match.start("rest")].lstrip("# ")
            place = f"{module.place}:{line}"
            found.append(Waiver(place, what, match["rest"].strip(" -#")))
    return found


def _pragmas(modules: Sequence[Module]) -> Iterator[Waiver]:
    for module, line, comment in _comments(modules):
        if match := _PRAGMA.search(comment):
            reason = _REASON.fullmatch(match["rest"])
            place = f"{module.place}:{line}"
            yield Waiver(place, f"no {match['kind']}", reason["reason"] if reason else "")


def _comments(modules: Sequence[Module]) -> Iterator[tuple[Module, int, str]]:
    for module in modules:
        for line, comment in sorted(module.comments.items()):
            yield module, line, comment


def _settings(pyproject: Path) -> Iterator[Waiver]:
    """The patterns in the settings, each with the comment behind it or in the lines directly above."""
    text = pyproject.read_text(encoding="utf-8")
    coverage = tomllib.loads(text).get("tool", {}).get("coverage", {})
    for table, keys in _TABLES.items():
        for key in keys:
            for pattern in coverage.get(table, {}).get(key, ()):
                yield Waiver(pyproject.name, f"{key} {pattern}", _reason_beside(pattern, text))


def _reason_beside(pattern: str, text: str) -> str:
    """The comment at the line of a pattern, as it stands there in quotation marks."""
    lines = text.splitlines()
    quoted = (pattern, pattern.replace("\\", "\\\\"))
    for number, line in enumerate(lines):
        written = line.strip()
        if any(written.startswith((f'"{word}"', f"'{word}'")) for word in quoted):
            _, hash_sign, behind = written.rpartition('"')[2].partition("#")
            above = lines[number - 1].strip() if number else ""
            return behind.strip() if hash_sign else above.lstrip("# ") if above.startswith("#") else ""
    return ""
