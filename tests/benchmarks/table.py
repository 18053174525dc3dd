"""What is printed, as GitHub reads it, and the copy of it in the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row

_BEGIN, _END = "<!-- bench -->", "<!-- /bench -->"
HEAD = ("what", "oauth-helper", "beside it", "ratio", "limit")


def table(rows: Sequence[Row]) -> str:
    """The rows below each other."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *(row.cells for row in rows)))


def written(readme: Path) -> str:
    """The README's table."""
    return _parts(readme)[1].strip()


def write(readme: Path, text: str) -> None:
    """Put a table between the README's marks."""
    before, _, after = _parts(readme)
    readme.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", encoding="utf-8")


def _parts(readme: Path) -> tuple[str, str, str]:
    before, begun, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    inside, ended, after = rest.partition(_END)
    if not begun or not ended:
        raise ValueError(f"{readme} lacks the lines {_BEGIN} and {_END}")
    return before, inside, after
