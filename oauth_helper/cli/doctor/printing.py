"""What ``doctor`` shows to people: a line for each check, and what follows from all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from oauth_helper.authorization import RepoType
from oauth_helper.cli.colour import coloured
from oauth_helper.cli.doctor.finding import FAIL, NOTE, OK, Finding
from oauth_helper.cli.fitting import fitted, padded, width_of
from oauth_helper.cli.speech import in_words, print_text
from oauth_helper.phrase import Phrase, phrase

_VERDICTS: Final[Mapping[str, tuple[Phrase, str]]] = {
    OK: (phrase("ok"), "green"),
    NOTE: (phrase("note"), "yellow"),
    FAIL: (phrase("fail"), "red"),
}
_SUBJECTS: Final[Mapping[str, Phrase]] = {
    "browser": phrase("browser"),
    "clock": phrase("clock"),
    "credentials": phrase("credentials"),
    "listener": phrase("listener"),
    "name": phrase("name"),
    "pending": phrase("pending"),
    "place": phrase("place"),
    "service": phrase("service"),
    "settings": phrase("settings"),
}
"""What is no setting; a setting is called by its key in the file."""
_LONGEST_VERDICT: Final = 5
_LONGEST_SUBJECT: Final = 12
"""Columns at least: what is found begins where it always did."""
_UNBOUNDED: Final = 1_000_000
"""Columns: what is piped is broken by whoever reads it."""
_USUAL: Final = 80
_NARROWEST: Final = 24
"""Columns for what was found; where there are fewer, it goes below its subject."""


def print_findings(findings: Sequence[Finding], repo_type: RepoType) -> None:
    """Print a line for each finding, broken below its message, and the verdict on all."""
    width = _width()
    verdicts = max(_LONGEST_VERDICT, *(width_of(in_words(said)) for said, _ in _VERDICTS.values()))
    subjects = max(_LONGEST_SUBJECT, *(width_of(_subject(finding)) for finding in findings)) + 1
    column = verdicts + 1 + subjects
    is_narrow = width - column < _NARROWEST
    for finding in findings:
        said, colour = _VERDICTS[finding.verdict]
        verdict = padded(in_words(said), verdicts)
        lines = _lines(finding, width - (verdicts + 1 if is_narrow else column))
        subject = _subject(finding) if is_narrow else f"{padded(_subject(finding), subjects)}{lines.pop(0)}"
        print_text(f"{verdict} {subject}", coloured(verdict, sys.stdout, colour))
        for line in lines:
            print_text(" " * (verdicts + 1 if is_narrow else column) + line)
    for line in fitted(in_words(_conclusion(findings, repo_type)), width):
        print_text(line, coloured(line, sys.stdout))


def _lines(finding: Finding, room: int) -> list[str]:
    said = (in_words(finding.message), in_words(finding.hint))
    return [line for text in said if text for line in fitted(text, max(room, 1))]


def _subject(finding: Finding) -> str:
    return in_words(_SUBJECTS.get(finding.subject, finding.subject))


def _conclusion(findings: Sequence[Finding], repo_type: RepoType) -> Phrase:
    if any(finding.verdict == FAIL for finding in findings):
        return phrase("Start with the first line marked {fail}.", fail=_VERDICTS[FAIL][0])
    return phrase("All is well: `oauth-helper link {repo_type}` can start.", repo_type=repo_type)


def _width() -> int:
    if not sys.stdout.isatty():
        return _UNBOUNDED
    try:
        return (os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL) - 1
    except (OSError, ValueError):  # pragma: no cover - Windows, where NUL passes for a terminal
        return _USUAL - 1
