"""What is to be done so that all that a file declares stands. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from oauth_helper.authorization import Authorization, as_argument
from oauth_helper.declaration.entries import Entry
from oauth_helper.errors import CredentialsError, NameTakenError, UsageError
from oauth_helper.link_request import LinkRequest
from oauth_helper.phrase import NOTHING, Phrase, counted, phrase
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
        UsageError: A secret can be no token or password.
    """
    if blocked := [step for step in steps if step.verdict is Verdict.BLOCKED]:
        happened = blocked[0].why
        if len(blocked) > 1:
            happened += phrase(" (and {count} more)", count=len(blocked) - 1)
        raise NameTakenError(
            happened + phrase(". Nothing was done"),
            hint=phrase(
                "Run `oauth-helper delete {name}`, or declare another name.", name=as_argument(blocked[0].entry.name)
            ),
        )
    missing: list[int] = []
    for number, step in enumerate(steps, start=1):
        if step.verdict is not Verdict.CREATE or not step.entry.secret:
            continue
        try:
            step.entry.proof(environ)
        except CredentialsError:
            missing.append(number)
        except UsageError as error:
            error.message = phrase("Entry {number}: {message}. Nothing was done", number=number, message=error.message)
            raise
    if missing:
        # What is there may be the secret itself.
        numbers = ", ".join(map(str, missing))
        raise CredentialsError(
            counted(
                "The secret of entry {numbers} is not an environment variable that is set. Nothing was done",
                "The secrets of entries {numbers} are not environment variables that are set. Nothing was done",
                len(missing),
                numbers=numbers,
            ),
            hint=phrase(
                "Set the variable in the environment, and give its name, not the token or password itself, as `secret`."
            ),
        )


def _step(entry: Entry, listed: Sequence[Authorization]) -> Step:
    try:
        standing = find_standing(LinkRequest(entry.repo_type, entry.name), list(listed))
    except NameTakenError as taken:
        return Step(entry, Verdict.BLOCKED, why=taken.message)
    return Step(entry, Verdict.KEEP, standing) if standing else Step(entry, Verdict.CREATE)
