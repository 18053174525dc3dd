"""What is printed, as GitHub reads it, and the copy of it in the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marked_part import read_part, write_part

from benchmarks.rows import Row

_MARK = "bench"
HEAD = ("what", "oauth-helper", "beside it", "ratio", "limit")


def table(rows: Sequence[Row]) -> str:
    """The rows below each other."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *(row.cells for row in rows)))


def written(readme: Path) -> str:
    """The README's table."""
    return read_part(readme, _MARK)


def write(readme: Path, text: str) -> None:
    """Put a table between the README's marks."""
    write_part(readme, _MARK, text)
