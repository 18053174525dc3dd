"""One figure of ours: what it came to, what it is to be, and what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    name: str
    ours: str
    target: str = ""
    """What must hold; empty: it is only shown."""
    wrong: tuple[str, ...] = ()
    """Each place where that does not hold."""
    not_measured: str = ""
    """Why there is no figure."""


def at_most(name: str, ours: float, limit: float, wrong: Sequence[str] = ()) -> Figure:
    """A figure with an upper limit; ``wrong`` names the places that are over it, else the figure itself does."""
    places = tuple(wrong) or (f"it is {_written(ours)}",)
    return Figure(name, _written(ours), f"≤ {limit}", places if ours > limit else ())


def share(name: str, part: int, whole: int, wrong: Sequence[str]) -> Figure:
    """A figure that is to be the whole."""
    return Figure(name, f"{part}/{whole}", "all", tuple(wrong))


def none_of(name: str, wrong: Sequence[str]) -> Figure:
    """A count of what there is not to be."""
    return Figure(name, str(len(wrong)), "0", tuple(wrong))


def _written(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")
