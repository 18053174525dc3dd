"""What is printed, as GitHub reads it, and the copy of it in the README."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from marked_part import read_part, write_part

from torture.attacks import ATTACKS, Attack
from torture.cell import OK, Verdict
from torture.tools import Tool

_MARK = "torture"

Verdicts = Mapping[tuple[str, str], Verdict]
"""By the case's name and the tool's package."""


def verdict_table(tools: Sequence[Tool], verdicts: Verdicts) -> str:
    """The verdicts side by side, and the score of each tool."""
    rows = _rows(tools, verdicts, lambda verdict: verdict.word)
    score = ["**score**", *(f"**{_score(tool, verdicts)}**" for tool in tools)]
    return _markdown(["case", *(f"{tool.package} {tool.version}" for tool in tools)], [*rows, score])


def time_table(tools: Sequence[Tool], verdicts: Verdicts) -> str:
    """Milliseconds to the answer to the genuine redirect; for ours that is after the exchange."""
    rows = _rows(tools, verdicts, _time)
    return _markdown(["ms to the genuine redirect's answer", *(tool.package for tool in tools)], rows)


def reasons(verdicts: Verdicts) -> str:
    """Why each cell that is not fine is not."""
    return "\n".join(
        f"{package}, {case}: {verdict.word}: {' '.join(verdict.why.split())[:200]}"
        for (case, package), verdict in verdicts.items()
        if not verdict.is_fine
    )


def write(readme: Path, table: str) -> None:
    """Put the table between the README's marks."""
    write_part(readme, _MARK, table)


def differences(readme: Path, table: str) -> list[str]:
    """The rows in which the README's table is not this one; the versions in its head may be older."""
    said, measured = read_part(readme, _MARK).splitlines()[1:], table.splitlines()[1:]
    if len(said) != len(measured):
        return [f"it has {len(said)} lines, not {len(measured)}"]
    return [f"{old}  is now  {new}" for old, new in zip(said, measured, strict=True) if old != new]


def _rows(tools: Sequence[Tool], verdicts: Verdicts, cell: Callable[[Verdict], str]) -> list[list[str]]:
    return [[attack.name, *(cell(verdicts[attack.name, tool.package]) for tool in tools)] for attack in _seen(verdicts)]


def _seen(verdicts: Verdicts) -> list[Attack]:
    cases = {case for case, _ in verdicts}
    return [attack for attack in ATTACKS if attack.name in cases]


def _score(tool: Tool, verdicts: Verdicts) -> str:
    """How many of the hostile cases that apply."""
    words = [verdicts[attack.name, tool.package] for attack in _seen(verdicts) if attack.is_hostile]
    counted = [verdict for verdict in words if verdict.applies]
    return f"{sum(verdict.word == OK for verdict in counted)} of {len(counted)}"


def _time(verdict: Verdict) -> str:
    return "" if verdict.milliseconds is None else f"{verdict.milliseconds:.1f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---" for _ in head]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
