"""CHANGELOG.md: sections by version, newest first, each with its day and its kinds of change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from packaging.version import Version

from release.checklist import RefusalError
from release.checkout import version_of

FILE: Final = "CHANGELOG.md"
UNRELEASED: Final = "Unreleased"
KINDS: Final = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""Keep a Changelog 1.1.0."""
_HEADING: Final = re.compile(r"^## (?:(Unreleased)|(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d))$")


@dataclass(frozen=True)
class Section:
    """What changed in one version; before its release it has no date."""

    title: str
    day: date | None
    kinds: tuple[str, ...]
    entries: int


def sections_of(text: str) -> list[Section]:
    """Read a changelog; raise :class:`RefusalError` for a heading that is none."""
    _, *parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return [_section(part) for part in parts]


def _section(part: str) -> Section:
    heading, *lines = part.splitlines()
    found = _HEADING.fullmatch(heading)
    if not found:
        raise RefusalError(
            f"{FILE} has a section `{heading}`.", f"Call it `## VERSION - YYYY-MM-DD`, or `## {UNRELEASED}`."
        )
    kinds = tuple(line.removeprefix("### ") for line in lines if line.startswith("### "))
    entries = sum(line.startswith("- ") for line in lines)
    return Section(found[1] or found[2], _day(heading, found[3]), kinds, entries)


def _day(heading: str, written: str | None) -> date | None:
    try:
        return date.fromisoformat(written) if written else None
    except ValueError:
        raise RefusalError(f"{FILE} has a section `{heading}`.", "Give it a day that there is.") from None


def is_in_order(root: Path) -> str:
    """Newest first, nothing twice, nothing empty, days that do not run backwards, and no kind of change but the six."""
    sections = sections_of((root / FILE).read_text(encoding="utf-8"))
    for section in sections:
        if wrong := [kind for kind in section.kinds if kind not in KINDS]:
            raise RefusalError(f"{FILE} has `### {wrong[0]}` below {section.title}.", f"Use one of {', '.join(KINDS)}.")
        if not section.kinds or not section.entries:
            raise RefusalError(
                f"{FILE} says nothing below {section.title}.", "Say what changed, below a kind, or remove it."
            )
    for above, below in pairwise(sections):
        if not _is_newer(above, below):
            raise RefusalError(f"{FILE} has {above.title} above {below.title}.", "Put the newest first, with its day.")
    return f"{len(sections)} sections"


def _is_newer(above: Section, below: Section) -> bool:
    if above.day is None or below.day is None:
        return above.day is None and below.day is not None
    return Version(above.title) > Version(below.title) and above.day >= below.day


def is_ready(root: Path) -> str:
    """The newest section is that of the version, with a day that has come, and nothing is left to be released."""
    is_in_order(root)
    version = version_of(root)
    sections = sections_of((root / FILE).read_text(encoding="utf-8"))
    title, day = (sections[0].title, sections[0].day) if sections else ("nothing", None)
    heading = f"## {version} - {datetime.now(UTC).date()}"
    if title == UNRELEASED:
        raise RefusalError(f"{FILE} has a section {UNRELEASED}.", f"Call it `{heading}`, the version in version.py.")
    if title != version:
        raise RefusalError(f"{FILE} begins with {title}, and the version is {version}.", f"Begin with `{heading}`.")
    # Where the day begins first, it is 14 hours ahead of UTC.
    if day and day > (datetime.now(UTC) + timedelta(hours=14)).date():
        raise RefusalError(f"{FILE} dates {version} to {day}, which has not come.", f"Call it `{heading}`.")
    return f"{version} of {day}"
