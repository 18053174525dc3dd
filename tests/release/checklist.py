"""A list of things that must hold: each says in one line that it does, or what is wrong and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


class RefusalError(Exception):
    """Something does not hold.

    ``wrong`` says what, ``remedy`` what to do; ``shown`` is what a command said that failed, for who looks closer.
    """

    def __init__(self, wrong: str, remedy: str, shown: str = "") -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.remedy = remedy
        self.shown = shown


@dataclass(frozen=True)
class Check:
    """One thing that must hold of the checkout whose root it is given; what it returns is said of what was found."""

    name: str
    look: Callable[[Path], str]


def go_through(checks: Iterable[Check], root: Path, out: TextIO, err: TextIO) -> int:
    """Look at everything, however much is refused; return how much is."""
    refused = 0
    for check in checks:
        started = time.monotonic()
        try:
            line, shown = f"ok       {check.name}: {check.look(root)}", ""
        except RefusalError as refusal:
            refused += 1
            line, shown = f"REFUSED  {check.name}: {refusal.wrong} {refusal.remedy}", refusal.shown
        out.write(f"{line} ({time.monotonic() - started:.0f} s)\n")
        out.flush()
        err.writelines(f"         | {said}\n" for said in shown.splitlines()[-30:])
    return refused
