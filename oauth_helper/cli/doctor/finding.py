"""What a check of ``doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from oauth_helper.errors import OAuthHelperError
from oauth_helper.phrase import NOTHING, Phrase

OK: Final = "ok"
NOTE: Final = "note"
"""A link can work all the same."""
FAIL: Final = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    subject: str
    verdict: str
    message: Phrase
    hint: Phrase = NOTHING
    """How to mend it; of what is well, nothing."""
    error: OAuthHelperError | None = None
    """What a link would end with."""

    def to_json(self) -> dict[str, str]:
        """Return what a script is told."""
        return {"subject": self.subject, "verdict": self.verdict, "message": self.message, "hint": self.hint}


def failed(subject: str, error: OAuthHelperError) -> Finding:
    """Return what is found where a link would end with ``error``."""
    return Finding(subject, FAIL, error.message, error.hint, error)
