"""What the sandbox does wrong on request: at which call, how, and how often. No I/O."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self, TypeVar

from oauth_helper.errors import UsageError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import is_plain_word

DURATION: Final = 2.0
"""Seconds that a fault lasts, where it is one that takes time."""


class Call(StrEnum):
    """The calls that can go wrong; the names of the routes that take them, ``LOOK`` apart."""

    LIST = "list"
    REDIRECT_URL = "redirect-url"
    EXCHANGE = "exchange"
    LOOK = "look"
    DELETE = "delete"
    IAM_TOKEN = "iam-token"  # noqa: S105 - the name of a call, not a token
    IAM_PROJECT = "iam-project"


class Kind(StrEnum):
    """The ways in which a call can go wrong."""

    DROP_BEFORE = "drop-before"
    DROP_AFTER = "drop-after"
    TRUNCATE = "truncate"
    HANG = "hang"
    HANG_AFTER = "hang-after"
    STALE = "stale"
    REFUSE = "refuse"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    CODE_OR_STATE_INVALID = "0402"
    NOT_FOUND = "404"
    TOO_MANY_REQUESTS = "429"
    INTERNAL_ERROR = "500"
    INTERNAL_ERROR_AFTER = "500-after"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    GATEWAY_TIMEOUT_BEFORE = "504-before"


CALLS: Final[Mapping[Call, Phrase]] = {
    Call.LIST: phrase("the list of authorizations, where it is no look"),
    Call.REDIRECT_URL: phrase("the authorization URL"),
    Call.EXCHANGE: phrase("code and state, a token or a password for an authorization"),
    Call.LOOK: phrase("the list, once an exchange has arrived and until the next authorization URL is asked for"),
    Call.DELETE: phrase("the deletion of an authorization"),
    Call.IAM_TOKEN: phrase("IAM's tokens"),
    Call.IAM_PROJECT: phrase("IAM's project of a region"),
}
"""What each call is for, in words for people."""

KINDS: Final[Mapping[Kind, Phrase]] = {
    Kind.DROP_BEFORE: phrase("connection reset; not handled"),
    Kind.DROP_AFTER: phrase("handled, then connection reset without an answer"),
    Kind.TRUNCATE: phrase("handled, then an answer that breaks off halfway"),
    Kind.HANG: phrase("no answer ever; not handled"),
    Kind.HANG_AFTER: phrase("handled, then no answer ever"),
    Kind.STALE: phrase("connection closed as the request arrives, not handled; waits for a call on a kept connection"),
    Kind.REFUSE: phrase(
        "ServiceStage's port closed for {duration:g} s once the call before arrives (list: from the "
        "start; redirect-url: list; exchange, delete: redirect-url; look: exchange)",
        duration=DURATION,
    ),
    Kind.UNAUTHORIZED: phrase("APIGW.0301, the token has expired; not handled"),
    Kind.FORBIDDEN: phrase("IAM.0003, a policy says no; not handled"),
    Kind.CODE_OR_STATE_INVALID: phrase("SVCSTG.REPO.0402, code or state invalid; not handled"),
    Kind.NOT_FOUND: phrase("HTML page of a proxy; not handled"),
    Kind.TOO_MANY_REQUESTS: phrase("APIGW.0308, throttled; not handled"),
    Kind.INTERNAL_ERROR: phrase("internal error; not handled"),
    Kind.INTERNAL_ERROR_AFTER: phrase("handled, then internal error"),
    Kind.BAD_GATEWAY: phrase("HTML page of a proxy; not handled"),
    Kind.UNAVAILABLE: phrase("HTML page of a proxy; not handled"),
    Kind.GATEWAY_TIMEOUT: phrase(
        "APIGW.0203, backend timeout, at once; handled {duration:g} s later", duration=DURATION
    ),
    Kind.GATEWAY_TIMEOUT_BEFORE: phrase("the same; never handled"),
}
"""What happens, in words for people."""

_BEFORE: Final[Mapping[Call, Call | None]] = {
    Call.LIST: None,
    Call.REDIRECT_URL: Call.LIST,
    Call.EXCHANGE: Call.REDIRECT_URL,
    Call.DELETE: Call.REDIRECT_URL,
    Call.LOOK: Call.EXCHANGE,
}
"""The call that in a link comes before each of ServiceStage's; None where it is the first."""

_ALWAYS: Final = "always"
_TIMES: Final = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_HINT: Final = phrase("See `oauth-helper sandbox --help`.")

_Word = TypeVar("_Word", Call, Kind)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at one call, ``times`` times; None stands for always.

    Raises:
        UsageError: ``refuse`` is asked for at a call of IAM's, which has no port to close.
    """

    call: Call
    kind: Kind
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.kind is Kind.REFUSE and self.call not in _BEFORE:
            raise UsageError(
                phrase("{call} cannot be refused: it is ServiceStage's port that closes", call=self.call), hint=_HINT
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``WHAT=HOW[:TIMES]``, TIMES being a number or ``always``.

        Raises:
            UsageError: It is not of that form, or a word in it is unknown.
        """
        what, _, rest = text.partition("=")
        how, counted, times = rest.partition(":")
        call, kind = _word(Call, what, "WHAT"), _word(Kind, how, "HOW")
        if not counted:
            return cls(call, kind)
        if times != _ALWAYS and not _TIMES.fullmatch(times):
            raise UsageError(
                phrase(
                    "TIMES is a number from 1 to 999999 or {always}, not {shown}", always=_ALWAYS, shown=_shown(times)
                ),
                hint=_HINT,
            )
        return cls(call, kind, None if times == _ALWAYS else int(times))


class Faults:
    """Which fault is due at which call: those of one call in the order given, each until it is used up.

    Nothing in here waits, so that within one event loop no two requests get the same one.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._queues: dict[Call, deque[Fault]] = {call: deque() for call in Call}
        for fault in faults:
            self._queues[fault.call].append(fault)

    def take(self, call: Call, *, reused: bool) -> Kind | None:
        """Return what goes wrong at this request for ``call``; ``reused`` says that its connection bore one before.

        A stale connection waits at the head of its queue for a reused one, and a refusal for the call before.
        """
        match self._head(call):
            case None | Kind.REFUSE:
                return None
            case Kind.STALE if not reused:
                return None
            case kind:
                self._use(call)
                return kind

    def take_refusal(self, arrived: Call | None) -> bool:
        """Whether connections are to be refused from ``arrived`` on; None stands for the sandbox's start."""
        due = [call for call, before in _BEFORE.items() if before is arrived and self._head(call) is Kind.REFUSE]
        for call in due:
            self._use(call)
        return bool(due)

    def _head(self, call: Call) -> Kind | None:
        queue = self._queues[call]
        return queue[0].kind if queue else None

    def _use(self, call: Call) -> None:
        fault = self._queues[call].popleft()
        if fault.times is None:
            self._queues[call].appendleft(fault)
        elif fault.times > 1:
            self._queues[call].appendleft(replace(fault, times=fault.times - 1))


def _word(words: type[_Word], text: str, place: str) -> _Word:
    try:
        return words(text)
    except ValueError:
        raise UsageError(
            phrase("{place} is one of {words}, not {shown}", place=place, words=", ".join(words), shown=_shown(text)),
            hint=_HINT,
        ) from None


def _shown(text: str) -> str:
    return f"{text!r}" if is_plain_word(text) or not text else "what was given"
