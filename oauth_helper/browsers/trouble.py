"""Why a browser is of no use as a window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oauth_helper.errors import NoBrowserError
from oauth_helper.phrase import Phrase, phrase


class BrowserTroubleError(Exception):
    """A browser is of no use as a window. Its words say why and continue a sentence that begins with its name."""

    def __init__(self, words: Phrase) -> None:
        super().__init__(words)
        self.words = words


class ConnectionLostError(BrowserTroubleError):
    """The browser does not listen any more: it has ended, or closed its side."""


class CommandRefusedError(BrowserTroubleError):
    """The browser answers that it will not do what it was asked to."""


class DrivenByAnotherError(BrowserTroubleError):
    """Somebody else drives it, and sees what happens in it."""


@contextmanager
def reading() -> Iterator[None]:
    """Read something that a browser says: in a form that is not expected, it makes the browser one of no use.

    Raises:
        BrowserTroubleError: It has such a form.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BrowserTroubleError(phrase("says something that cannot be read; it may be too new")) from error


class NoWindowError(NoBrowserError):
    """There is no window in which the redirect could be caught, and the message says why in one line."""

    def __init__(self, message: Phrase, *, stands: bool) -> None:
        super().__init__(message)
        self.stands = stands
        """Whether the browser runs on, with a tab that still waits for what the listener answers to ``/start``."""
