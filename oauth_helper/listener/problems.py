"""What can be wrong with an address that was offered, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from oauth_helper.phrase import Phrase, phrase, template

PROBLEMS: Final[Mapping[str, tuple[str, str]]] = {
    "no-redirect": (
        template("This does not hold the address where {host} sent the browser."),
        template(
            "Sign in and authorize first. Then copy the whole address of the tab where it ended, and paste it here."
        ),
    ),
    "foreign-state": (
        template("This address belongs to another attempt, most likely an earlier one, or its end is missing."),
        template(
            "Choose “Continue to {host}” once more, and paste the whole address where the browser ends this time."
        ),
    ),
    "missing-code": (
        template("This address is not whole: the code is missing from it."),
        template("Copy the address again, from its first to its last character, and paste it here."),
    ),
    "repeated-parameter": (
        template("This address says the same thing twice, so it cannot be told which is meant."),
        template("Paste one address alone, just as it stands in the address bar."),
    ),
    "wrong-repo-type": (
        template("This address is for another kind of Git host than {host}."),
        template("Choose “Continue to {host}”, and paste the address where the browser ends then."),
    ),
    "wrong-issuer": (
        template("This address was given out by another server than the one that was asked."),
        template("Choose “Continue to {host}”, and paste the address where the browser ends then."),
    ),
    "too-long": (
        template("This is longer than any address."),
        template("Copy only the address from the address bar of the tab where the browser ended, and paste it here."),
    ),
    "unreadable": (
        template("What the browser sent could not be read."),
        template("Paste the address again, as plain text."),
    ),
}
"""By a rejection's reason: what is wrong, and what to do. Our own words alone, nothing of what was offered."""


def problem(reason: str, host: str) -> tuple[Phrase, Phrase]:
    """Return what is wrong, and what to do, about an address for ``host``."""
    what, remedy = PROBLEMS.get(reason, PROBLEMS["no-redirect"])
    return phrase(what, host=host), phrase(remedy, host=host)
