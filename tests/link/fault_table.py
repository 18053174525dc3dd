"""How a link ends, whatever goes wrong at whichever of its calls: docs/interrupted-links.md has it in short.

Every row is a trouble, every column one of a link's five calls to ServiceStage. A cell says how the link ends where the
trouble comes once, and where it stays (``always``); and, where the HTTP library hides the first time by asking again by
itself, where it comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from oauth_helper.sandbox.faults import Call


class Trouble(StrEnum):
    """What goes wrong, in the words of docs/interrupted-links.md."""

    REFUSED = "connection refused"
    DNS = "no address for the name"
    TLS = "certificate not trusted"
    RESET = "reset, not handled"
    RESET_AFTER = "reset, handled"
    TRUNCATED = "answer breaks off, handled"
    SILENT = "no answer ever, not handled"
    SILENT_AFTER = "no answer ever, handled"
    STALE = "kept connection closed"
    THROTTLED = "429"
    FAILED = "500, not handled"
    FAILED_AFTER = "500, handled"
    BAD_GATEWAY = "502, a page of HTML"
    GATEWAY_TIMEOUT = "504, handled later"
    NOT_FOUND = "404, a page of HTML"
    EXPIRED = "401, the token expired"
    UNLISTED = "403, may not list"


@dataclass(frozen=True, slots=True)
class End:
    """How a link ends."""

    status: int
    is_kept: bool = False
    """Whether the redirect is kept, and ``resume`` makes the authorization of it once the trouble is over."""

    def __str__(self) -> str:
        return "linked" if self.status == 0 else f"{self.status}, kept" if self.is_kept else str(self.status)


@dataclass(frozen=True, slots=True)
class Ends:
    """How it ends where the trouble comes once, where it stays, and where it comes twice (None: as once)."""

    once: End
    always: End
    twice: End | None = None

    def __str__(self) -> str:
        return str(self.once) if self.once == self.always else f"{self.once} / {self.always}"


@dataclass(frozen=True, slots=True)
class CannotBe:
    """A combination that there is not, and why."""

    reason: str

    def __str__(self) -> str:
        return "cannot be"


LINKED: Final = End(0)
UNSETTLED: Final = End(8, is_kept=True)
"""Not delivered, or not known to be: the redirect is kept."""

_FINE: Final = Ends(LINKED, LINKED)
_NO_ANSWER: Final = Ends(End(7), End(7))
"""The trouble lasts for as long as a call is retried, or a retry would not help."""
_RETRIED: Final = Ends(LINKED, End(7), twice=LINKED)
"""Calls without side effects are retried."""
_OVERCOME: Final = Ends(LINKED, UNSETTLED)
_OVERCOME_AGAIN: Final = Ends(LINKED, UNSETTLED, twice=LINKED)
"""The library's repetition, likewise; one that is lost too is overcome by us."""
_DONE_ANYWAY: Final = Ends(LINKED, LINKED, twice=LINKED)
_REFUSED: Final = Ends(End(6), End(6))
_REFUSED_AT_ONCE: Final = Ends(End(3), End(3))
_REFUSED_WITH_REDIRECT: Final = Ends(End(3, is_kept=True), End(3, is_kept=True))

_NOT_SERVICESTAGES: Final = Ends(UNSETTLED, UNSETTLED)
"""Something else answered, and did not hand the request on."""

COLUMNS: Final = (Call.LIST, Call.REDIRECT_URL, Call.EXCHANGE, Call.LOOK, Call.DELETE)

_ROWS: Final[Mapping[Trouble, tuple[Ends | CannotBe, ...]]] = {
    Trouble.REFUSED: (_NO_ANSWER, _NO_ANSWER, _OVERCOME, _OVERCOME, _OVERCOME),
    Trouble.DNS: (_NO_ANSWER, _NO_ANSWER, _OVERCOME, _OVERCOME, _OVERCOME),
    Trouble.TLS: (_NO_ANSWER, _NO_ANSWER, _OVERCOME, _OVERCOME, _OVERCOME),
    Trouble.RESET: (_RETRIED, _RETRIED, _OVERCOME, _OVERCOME_AGAIN, _OVERCOME_AGAIN),
    Trouble.RESET_AFTER: (_RETRIED, _RETRIED, _FINE, _OVERCOME_AGAIN, _DONE_ANYWAY),
    # A deletion's answer has no body that could break off; its connection closes instead.
    Trouble.TRUNCATED: (_RETRIED, _RETRIED, _FINE, _OVERCOME, _DONE_ANYWAY),
    Trouble.SILENT: (_NO_ANSWER, _NO_ANSWER, _OVERCOME, _OVERCOME, _OVERCOME),
    Trouble.SILENT_AFTER: (_NO_ANSWER, _NO_ANSWER, _FINE, _OVERCOME, _FINE),
    Trouble.STALE: (
        CannotBe("the first call opens the connection: none has been kept"),
        # The library's repetition opens a connection, and that is not a kept one.
        _FINE,
        _OVERCOME,
        _FINE,
        _FINE,
    ),
    Trouble.THROTTLED: (_RETRIED, _RETRIED, _OVERCOME, _OVERCOME, _OVERCOME),
    Trouble.FAILED: (_RETRIED, _RETRIED, _OVERCOME, _OVERCOME, _OVERCOME),
    # Handled or not is one and the same to a list.
    Trouble.FAILED_AFTER: (_RETRIED, _RETRIED, _FINE, _OVERCOME, _FINE),
    Trouble.BAD_GATEWAY: (_RETRIED, _RETRIED, _OVERCOME, _OVERCOME, _OVERCOME),
    Trouble.GATEWAY_TIMEOUT: (_RETRIED, _RETRIED, _FINE, _OVERCOME, _FINE),
    Trouble.NOT_FOUND: (_REFUSED, _REFUSED, _NOT_SERVICESTAGES, _OVERCOME, _NOT_SERVICESTAGES),
    Trouble.EXPIRED: (
        _REFUSED_AT_ONCE,
        _REFUSED_AT_ONCE,
        _REFUSED_WITH_REDIRECT,
        _REFUSED_WITH_REDIRECT,
        _REFUSED_WITH_REDIRECT,
    ),
    Trouble.UNLISTED: (
        _FINE,
        CannotBe("nothing is listed for it: an account that may not list gets its authorization URL"),
        CannotBe("nothing is listed for it; where its outcome is not plain, see look"),
        Ends(UNSETTLED, UNSETTLED),
        # What exists cannot be seen, so nothing is deleted, and the exchange is refused: the name is taken. An account
        # that may not list is not asked to list again.
        _REFUSED,
    ),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One test."""

    trouble: Trouble
    call: Call
    times: int | None
    """None stands for always."""
    end: End

    def __str__(self) -> str:
        return f"{self.call}: {self.trouble}, {self.times or 'always'}"


def cells() -> Iterator[tuple[Trouble, Call, Ends | CannotBe]]:
    """Give every combination of a trouble and a call."""
    for trouble, row in _ROWS.items():
        for call, cell in zip(COLUMNS, row, strict=True):
            yield trouble, call, cell


def cases() -> Iterator[Case]:
    """Give a test for every combination that there is."""
    for trouble, call, cell in cells():
        if isinstance(cell, CannotBe):
            continue
        yield Case(trouble, call, 1, cell.once)
        if cell.twice:
            yield Case(trouble, call, 2, cell.twice)
        yield Case(trouble, call, None, cell.always)
