"""What is said of an exchange that did not end well: what happened, what is gone, what is kept. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from oauth_helper.authorization import Authorization, as_argument
from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    NameTakenError,
    OAuthHelperError,
    OutcomeUnknownError,
    UnreachableError,
)
from oauth_helper.pending import CODE_LIFETIME, Pending
from oauth_helper.phrase import NOTHING, Phrase, phrase
from oauth_helper.presentable import presentable


def outcome_unknown(
    pending: Pending,
    trouble: OAuthHelperError | None,
    *,
    is_kept: bool,
    may_look: bool,
    is_absent: bool,
    may_be_deleted: bool,
    wait: float = 0.0,
) -> OutcomeUnknownError:
    """Return the error for an exchange of which it is not known whether it came about, or that was not delivered.

    With ``is_absent`` a look after the last refusal to answer found that it did not; with ``may_be_deleted`` it is not
    known whether what was to be replaced still stands. ``wait`` is how many seconds the last answer asks to wait, if
    that is too long.
    """
    happened = _what_happened(pending, may_look=may_look, is_absent=is_absent, may_be_deleted=may_be_deleted)
    if trouble:
        happened = phrase("{happened}: {why}", happened=happened, why=trouble.message)
    hint = way_on(pending, is_kept=is_kept, may_look=may_look)
    if trouble and trouble.is_foreign_refusal:
        happened += _who_answered(trouble)
        again = hint if is_kept or pending.sent_at else phrase("Then run the command again.")
        hint = phrase("Check the proxy, the firewall and the endpoint. {then}", then=again)
    elif trouble and wait:
        is_too_long = datetime.now(UTC) + timedelta(seconds=wait) >= pending.captured_at + CODE_LIFETIME
        if is_kept and is_too_long:
            hint = phrase("{wait} The redirect expires before that: run the command again.", wait=trouble.hint)
        elif is_absent and not is_kept:
            hint = trouble.hint
        else:
            hint = phrase("{wait} {then}", wait=trouble.hint, then=hint)
    return OutcomeUnknownError(
        happened + what_is_gone(pending),
        hint=hint,
        code=trouble.code if trouble else None,
        request_id=trouble.request_id if trouble else None,
        status=trouble.status if trouble else None,
    )


def _what_happened(pending: Pending, *, may_look: bool, is_absent: bool, may_be_deleted: bool) -> Phrase:
    name = pending.target.name
    if may_be_deleted:
        return phrase(
            "ServiceStage was asked to delete the authorization named {name}, but whether it did is not known, so none "
            "was created in its place",
            name=name,
        )
    if pending.stood_since is not None and not pending.is_deleted:
        return phrase(
            "The authorization named {name} could not be deleted, so none was created in its place", name=name
        )
    if pending.sent_at is None:
        return phrase("ServiceStage could not be asked to create {name}", name=name)
    if is_absent:
        return phrase("ServiceStage did not create {name}", name=name)
    if may_look:
        return phrase("ServiceStage was asked to create {name}, but whether it did is not known", name=name)
    return phrase(
        "ServiceStage was asked to create {name}; whether it did cannot be known, as it may not be listed", name=name
    )


def _who_answered(error: OAuthHelperError) -> Phrase:
    return phrase(". This is not an answer of ServiceStage but of {who}", who=error.answered_by)


def no_answer_within(seconds: float) -> UnreachableError:
    """Return the error for a request of which nothing was heard in that time."""
    return UnreachableError(phrase("there was no answer within {seconds:g} seconds", seconds=seconds), sent=True)


def what_is_gone(pending: Pending) -> Phrase:
    """Return the sentence that says what was deleted, to be put behind another; nothing where nothing was."""
    return (
        phrase(". The authorization that was named {name} is deleted", name=pending.target.name)
        if pending.is_deleted
        else NOTHING
    )


def way_on(pending: Pending, *, is_kept: bool, may_look: bool) -> Phrase:
    """Return what to do about an exchange that has not ended."""
    name = pending.target.name
    until = f"{(pending.captured_at + CODE_LIFETIME).astimezone(UTC):%H:%M:%S} UTC"
    if is_kept and (may_look or pending.sent_at is None):
        return phrase("The redirect is kept: `oauth-helper resume` finishes it, until {until}.", until=until)
    if may_look:
        return phrase(
            "`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=as_argument(name)
        )
    if is_kept:
        return phrase(
            "See in the console, or ask who may list, whether {name} exists. If not, run the command again, or, once "
            "you may list, `oauth-helper resume` until {until}.",
            name=name,
            until=until,
        )
    return phrase(
        "See in the console, or ask who may list, whether {name} exists. If not, run the command again.", name=name
    )


def keep_in_hand(error: CredentialsError, pending: Pending, *, is_kept: bool) -> None:
    """Add to an error of the credentials that the redirect is not lost by it."""
    if error.is_foreign_denial and error.code == str(error.status):  # a page, without a code of the gateway or IAM
        error.message += _who_answered(error)
    error.message += what_is_gone(pending)
    if is_kept:
        error.hint += phrase(" {more}", more=way_on(pending, is_kept=True, may_look=True))


def add_what_appeared(error: CodeOrStateInvalidError, appeared: Sequence[Authorization]) -> None:
    """Add to a refusal of code and state what appeared in the project meanwhile."""
    names = ", ".join(f'"{presentable(one.name, limit=63)}"' for one in appeared)
    error.message += phrase(
        ". In the meantime {names} appeared, perhaps from this redirect: a console with a signed-in user creates one",
        names=names,
    )
    error.hint = phrase("If {names} is yours, use it. If not, run the command again.", names=names)


def cannot_be_replaced(error: NameTakenError, pending: Pending) -> None:
    """Add to the refusal of a name that what may not be listed was not seen, so it could not be replaced either."""
    delete = f"`oauth-helper delete {as_argument(pending.target.name)}`"
    error.hint = phrase(
        "Choose another --name, or run {delete} first: what may not be listed is not replaced.", delete=delete
    )


def made_anew(pending: Pending) -> NameTakenError:
    """Return the error for a name that another authorization bears than the one that was to be replaced."""
    name = pending.target.name
    again = f"`oauth-helper link {pending.repo_type} --name {name} --if-exists replace`"
    return NameTakenError(
        phrase(
            "The authorization named {name} was made anew since it was to be replaced, so it was left as it is",
            name=name,
        ),
        hint=phrase("To replace it all the same, run {again}.", again=again),
    )
