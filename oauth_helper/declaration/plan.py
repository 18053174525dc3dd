"""What is to be done so that all that a file declares stands. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from oauth_helper.authorization import Authorization
from oauth_helper.declaration.entries import Entry
from oauth_helper.errors import CredentialsError, NameTakenError
from oauth_helper.link_request import LinkRequest
from oauth_helper.phrase import NOTHING, Phrase, phrase
from oauth_helper.standing import find_standing


class Verdict(StrEnum):
    """What is to be done about an entry."""

    KEEP = "keep"
    CREATE = "create"
    BLOCKED = "blocked"
    """Something else bears the name."""


@dataclass(frozen=True, slots=True)
class Step:
    """An entry, and what is to be done about it."""

    entry: Entry
    verdict: Verdict
    standing: Authorization | None = None
    """What is kept."""
    why: Phrase = NOTHING
    """Why it is blocked."""


def plan_steps(entries: Iterable[Entry], listed: Sequence[Authorization]) -> tuple[Step, ...]:
    """Compare what is declared with what stands."""
    return tuple(_step(entry, listed) for entry in entries)


def check_steps(steps: Collection[Step], environ: Mapping[str, str]) -> None:
    """Return where all of it can be done, as far as can be known before.

    Raises:
        NameTakenError: Something stands in the way.
        CredentialsError: A secret is set nowhere.
    """
    if blocked := [step for step in steps if step.verdict is Verdict.BLOCKED]:
        happened = blocked[0].why
        if len(blocked) > 1:
            happened += phrase(" (and {count} more)", count=len(blocked) - 1)
        raise NameTakenError(
            happened + phrase(". Nothing was done"),
            hint=phrase("Run `oauth-helper delete {name}`, or declare another name.", name=blocked[0].entry.name),
        )
    wanted = [step.entry for step in steps if step.verdict is Verdict.CREATE and step.entry.secret]
    if missing := sorted({entry.secret for entry in wanted if entry.secret and not environ.get(entry.secret)}):
        raise CredentialsError(
            phrase(
                "The file names {missing} for a secret, but that is not set. Nothing was done",
                missing=", ".join(missing),
            ),
            hint=phrase("Set what is missing in the environment, and run the command again."),
        )


def _step(entry: Entry, listed: Sequence[Authorization]) -> Step:
    try:
        standing = find_standing(LinkRequest(entry.repo_type, entry.name), list(listed))
    except NameTakenError as taken:
        return Step(entry, Verdict.BLOCKED, why=taken.message)
    return Step(entry, Verdict.KEEP, standing) if standing else Step(entry, Verdict.CREATE)
