"""Who brings the user to the Git host, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from oauth_helper.phrase import NOTHING, Phrase

if TYPE_CHECKING:
    from oauth_helper.browsers.find import FoundBrowser


class How(StrEnum):
    """Who brings the user to the Git host."""

    WINDOW = "window"
    DEFAULT = "default"
    VISITOR = "visitor"
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done."""

    how: How
    why: Phrase
    """What happens, and for which reason, in words for people."""
    windows: tuple[FoundBrowser, ...] = ()
    """The browsers in which a window is to be tried, best first."""
    warning: Phrase = NOTHING
    """What the user should know before it happens."""
