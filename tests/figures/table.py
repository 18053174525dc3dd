"""The figures as one table for a terminal, ours beside the peers', and below it what does not hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from textwrap import fill
from typing import Final

from figures.figure import Figure
from figures.peers import PEERS
from figures.waivers import Waiver

_WIDTH: Final = 120
_NOT_HELD: Final = "✗ "


def table(figures: Sequence[Figure]) -> str:
    """The rows below each other; one that does not hold has a mark before it."""
    rows = [("", "ours", "target", *(peer.name for peer in PEERS)), *map(_cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def whose() -> str:
    """Which state of each peer was measured."""
    return _filled(", ".join(f"{peer.repository} {peer.commit} ({peer.date})" for peer in PEERS) + ".", indent="")


def what_is_wrong(figures: Iterable[Figure]) -> Iterator[str]:
    """Each place where what must hold does not; and what is not known."""
    for figure in figures:
        yield from (f"✗ {figure.name}: {place}" for place in figure.wrong)
        if figure.not_measured:
            yield f"? {figure.name}: {figure.not_measured}"


def why_not_covered(waivers: Iterable[Waiver]) -> Iterator[str]:
    """The places that are not covered, by their reason."""
    places: dict[str, list[str]] = defaultdict(list)
    for waiver in waivers:
        where = waiver.place if waiver.what.startswith("no ") else f"{waiver.place} ({waiver.what})"
        places[waiver.reason or "without a reason"].append(where)
    for reason, found in sorted(places.items()):
        yield _filled(f"not covered: {reason}: {', '.join(found)}", indent="    ")


def _cells(figure: Figure) -> tuple[str, ...]:
    theirs = (peer.figures.get(figure.name, "") for peer in PEERS)
    ours = "?" if figure.not_measured else figure.ours
    return f"{_NOT_HELD if figure.wrong else '  '}{figure.name}", ours, figure.target, *theirs


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def _filled(text: str, *, indent: str) -> str:
    return fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
