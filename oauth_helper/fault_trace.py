"""Where a fault comes from, without foreign errors' words: these quote what they were called with.

No I/O.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from oauth_helper.errors import OAuthHelperError


def trace_of(error: BaseException) -> str:
    """Return the trace of ``error`` and of what led to it: our own errors in their words, others by their kind."""
    return "\n".join(_told(error, set()))


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    if id(error) in seen:
        return
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before:
        yield from _told(before, seen)
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _told(each, seen)
    words = f": {error}" if isinstance(error, OAuthHelperError) else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    yield f"Traceback (most recent call last):\n{frames}{type(error).__qualname__}{words}"
