"""The same figures of codebases that are worth learning from, as facts: measured whole, each at one commit.

They were counted the same way, over the syntax trees, licence headers and imports for types left out: httpx 0.28.1,
counted again by what counts here, has its 23 files, 9, 34 and 133 lines of a function, and 8 comments. Of the two in Go
the comments hold the documentation, and the modules are packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Peer:
    """One of them."""

    name: str
    repository: str
    commit: str
    date: str
    figures: dict[str, str]
    """By the name of ours; what was not measured is missing."""


_NAMES: Final = (
    *("files", "lines", "largest file", "function, median", "function, p90", "function, longest"),
    *("comments per 100", "modules documented", "import cycles", "dodged cycles", "test lines per line"),
)


def _peer(name: str, where: str, commit: str, date: str, *figures: str) -> Peer:
    found = {name: figure for name, figure in zip(_NAMES, figures, strict=True) if figure}
    return Peer(name, where, commit, date, found)


PEERS: Final = (
    _peer(
        *("sigstore", "sigstore/sigstore-python", "27db13db", "2026-08-19"),
        *("30", "8,022", "1,353", "11.5", "44", "385", "11", "29/30", "0", "1", "0.55"),
    ),
    _peer(
        *("gidgethub", "gidgethub/gidgethub", "219ff06", "2026-06-02"),
        *("9", "1,181", "405", "11", "29", "78", "7", "5/9", "0", "", "1.97"),
    ),
    _peer(
        *("httpx", "encode/httpx", "ae1b9f66", "2025-12-10"),
        *("23", "8,827", "2,019", "9", "34", "133", "8", "5/23", "0", "", "1.01"),
    ),
    _peer(
        *("doc2dash", "hynek/doc2dash", "da16e8d", "2026-03-04"),
        *("10", "1,146", "280", "14.5", "30", "99", "3", "2/10", "0", "", "1.28"),
    ),
    _peer(
        *("pip-audit", "pypa/pip-audit", "ad32745", "2026-08-20"),
        *("27", "3,888", "652", "11", "46", "212", "15", "27/27", "1", "", "0.98"),
    ),
    _peer(
        *("anyio", "agronholm/anyio", "660a06d5", "2026-08-22"),
        *("46", "16,268", "3,138", "6", "22", "144", "4", "0/46", "0", "", "0.92"),
    ),
    _peer(
        *("oauth2cli", "int128/oauth2cli", "2c4c046", "2026-08-22"),
        *("3", "396", "196", "7", "27", "104", "18", "2/2", "0", "", "2.31"),
    ),
    _peer(
        *("cli/oauth", "cli/oauth", "43c0524", "2026-06-22"),
        *("9", "950", "285", "8", "", "123", "20", "4/4", "0", "", "1.50"),
    ),
)
