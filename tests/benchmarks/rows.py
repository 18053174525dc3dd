"""The rows of the table: what was measured, beside what, and the limit it is held against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SDK = "vendor SDK script"
GOOGLE = "google-auth-oauthlib"
MSAL = "msal"
BARE_BROWSER = "the browser bare"
BARE_CLICK = "bare click `--help`"
LINEAR = "10 times 100 links"
NOTHING = ""


@dataclass(frozen=True)
class Limit:
    """What must not be exceeded: by the ratio, or by our own figure where that is the measure."""

    most: float
    unit: str = ""
    """Of our own figure; empty: it is the ratio that is held against it."""

    def __str__(self) -> str:
        return f"≤ {self.most:g}{_spaced(self.unit)}"


LIMITS: dict[tuple[str, str], Limit] = {
    ("start → URL request, 0 ms", SDK): Limit(1.15),
    ("start → URL request, 50 ms", SDK): Limit(1.2),
    ("capture → POST, 50 ms, after 3 s", SDK): Limit(1.05),
    ("capture → POST, 50 ms, after 90 s", SDK): Limit(0.25),
    ("capture → POST, 50 ms, after 90 s", GOOGLE): Limit(0.35),
    ("own cost, p50", NOTHING): Limit(2, "ms"),
    ("own cost, p95", NOTHING): Limit(5, "ms"),
    ("window, Chromium", BARE_BROWSER): Limit(1.6),
    ("window, Firefox", BARE_BROWSER): Limit(2.0),
    ("`oauth-helper --help`", BARE_CLICK): Limit(1.25),
    ("`oauth-helper --version`", BARE_CLICK): Limit(1.25),
    ("usage error", BARE_CLICK): Limit(1.25),
    ("memory while waiting", SDK): Limit(1.05),
    ("CPU while waiting", SDK): Limit(0.2, "%"),
    ("installed", SDK): Limit(1.0),
    ("installed", GOOGLE): Limit(0.6),
    ("1000 links at once, time", LINEAR): Limit(1.3),
    ("1000 links at once, memory of each", NOTHING): Limit(150, "KB"),
}
"""By what is measured, and beside what."""


@dataclass(frozen=True)
class Row:
    """One figure of ours, beside one of another's where there is one."""

    what: str
    ours: float
    unit: str
    beside: str = NOTHING
    other: float | None = None

    @property
    def limit(self) -> Limit | None:
        """What it is held against."""
        return LIMITS.get((self.what, self.beside))

    @property
    def ratio(self) -> float | None:
        """Ours to the other's; none where our own figure is what counts."""
        if not self.other or (self.limit and self.limit.unit):
            return None
        return self.ours / self.other

    @property
    def is_met(self) -> bool:
        """Whether it keeps within its limit, if it has one."""
        if self.limit is None:
            return True
        found = self.ours if self.limit.unit else self.ratio
        return found is not None and found <= self.limit.most

    @property
    def cells(self) -> list[str]:
        """The row, as it is shown."""
        other = "" if self.other is None else f"{self.beside} {_figure(self.other, self.unit)}"
        ratio = "" if self.ratio is None or math.isinf(self.ratio) else f"{self.ratio:.2f}"
        limit = "" if self.limit is None else str(self.limit) if self.is_met else f"{self.limit}, **not met**"
        return [self.what, _figure(self.ours, self.unit), other, ratio, limit]


def beside(what: str, ours: Sequence[float], name: str, others: Sequence[float], unit: str = "ms") -> Row:
    """The medians of a pair."""
    return Row(what, statistics.median(ours), unit, name, statistics.median(others))


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _figure(value: float, unit: str) -> str:
    if math.isinf(value):
        return "failed"
    digits = 0 if value >= 100 or not unit else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{_spaced(unit)}"


def _spaced(unit: str) -> str:
    return f" {unit}" if unit else ""
