"""What the traffic so far says about a redirect that does not come. Pure."""

from __future__ import annotations

from typing import Final

from oauth_helper.events import Advice, Stray

MOMENTS: Final = (15.0, 30.0, 60.0)
"""Seconds of waiting, after which advice is given."""

_MEANS: Final = {
    Stray.HTTPS: Advice.HTTPS,
    Stray.LOCALHOST: Advice.LOCALHOST,
    Stray.OTHER_USER: Advice.OTHER_USER,
    "foreign-state": Advice.OTHER_ATTEMPT,
    "wrong-repo-type": Advice.OTHER_ATTEMPT,
    "wrong-issuer": Advice.OTHER_ATTEMPT,
    "missing-code": Advice.NOT_WHOLE,
    "repeated-parameter": Advice.NOT_WHOLE,
}
"""What stands in the way if a request of this kind was the user's, the most telling first."""


class Diagnosis:
    """What is known of one wait."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._is_reached = False
        self._given: set[Advice] = set()

    def reached(self, reason: str | None = None) -> None:
        """Know that something has reached us; where it was ignored, for what ``reason``."""
        self._is_reached = True
        if reason:
            self._reasons.add(reason)

    def advice(self, *, is_last: bool) -> Advice | None:
        """Return what to say now that was not said before, if anything; ``is_last``: there will be no more of it."""
        candidates = [advice for reason, advice in _MEANS.items() if reason in self._reasons]
        if not self._is_reached:
            candidates.append(Advice.UNREACHED)
        elif is_last:
            candidates.append(Advice.UNDECIDED)
        advice = next((one for one in candidates if one not in self._given), None)
        if advice:
            self._given.add(advice)
        return advice
