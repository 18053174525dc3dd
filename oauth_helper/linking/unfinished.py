"""Finishing the exchanges that earlier runs could not, and saying what became of those that are too old for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    MachineError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
)
from oauth_helper.events import Event, Failed, Linked, Outcome, Refused, Resumed, Warned
from oauth_helper.exchange import PACE, Exchange, Pace, what_is_gone
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking.doors import Doors, Journal, Service
from oauth_helper.pending import Pending, Target
from oauth_helper.phrase import phrase
from oauth_helper.standing import find_made


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one pending exchange."""

    pending: Pending
    outcome: Outcome


async def finish_earlier(request: LinkRequest, service: Service, doors: Doors) -> Linked | None:
    """Finish the exchange that an earlier link of that name could not; None where there is none that can be.

    Raises:
        CredentialsError: The credentials are refused. The redirect is kept.
        OutcomeUnknownError: It is still not known whether it came about. The redirect is kept.
    """
    journal, name = doors.journal, request.name
    if journal is None:
        return None
    try:
        pending = journal.find(Target(service.endpoint, service.project_id, name), request.repo_type)
    except MachineError as error:
        doors.tell(Warned(phrase("What an earlier run left cannot be read: {message}.", message=error.message)))
        return None
    if pending is None or not _is_wanted(pending, request):
        return None
    if not pending.is_fresh(datetime.now(UTC)):
        happened = phrase("An earlier redirect for {name} expired before it was known to be exchanged", name=name)
        doors.tell(Warned(happened + what_is_gone(pending) + phrase(".")))
        _remove(pending, journal, doors.tell)
        return None
    doors.tell(Resumed(name, pending.captured_at))
    exchange = Exchange(pending, service, journal, doors.tell, pace=doors.pace, is_resumed=True)
    try:
        return Linked(await exchange.carry_out())
    except OutcomeUnknownError as error:
        if exchange.may_look:
            raise
        # It cannot be known, however often it is asked; who runs the command again has been told so.
        doors.tell(Refused(may_be_created=True))
        doors.tell(Warned(phrase("{message}. Linking it again.", message=error.message)))
        return None
    except RefusedError as error:
        exchange.forget()
        doors.tell(Refused())
        doors.tell(
            Warned(phrase("The earlier redirect for {name} came to nothing: {why}.", name=name, why=error.message))
        )
        return None


def _is_wanted(pending: Pending, request: LinkRequest) -> bool:
    """Whether to finish it is what this run is for: it must not delete what this run is told to keep."""
    would_delete = pending.stood_since is not None and not pending.is_deleted
    return request.if_exists is IfExists.REPLACE or not would_delete


async def resume(
    pending: Pending,
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[Service]],
    tell: Callable[[Event], None],
    pace: Pace = PACE,
) -> Settled:
    """Finish one pending exchange of an earlier run, told like a link that begins with step 7; never raises."""
    tell(Resumed(pending.target.name, pending.captured_at))
    outcome: Outcome
    try:
        async with connected(pending.target) as service:
            outcome = await _finished(pending, service, journal, tell, pace)
    except (UnavailableError, RefusedError) as error:  # IAM, or the list that is all there is to ask for
        outcome = Failed(_not_asked(pending, error))
    except OAuthHelperError as error:
        outcome = Failed(error)
    tell(outcome)
    return Settled(pending, outcome)


async def _finished(
    pending: Pending, service: Service, journal: Journal, tell: Callable[[Event], None], pace: Pace
) -> Outcome:
    if pending.is_fresh(datetime.now(UTC)):
        exchange = Exchange(pending, service, journal, tell, pace=pace, is_resumed=True)
        try:
            return Linked(await exchange.carry_out())
        except RefusedError as error:
            exchange.forget()
            return Failed(error)
    made = trouble = None
    try:
        made = find_made(pending, await service.list_authorizations())
    except NotPermittedError as error:
        trouble = error
    # It was said now what can be said; nothing is left to be done about it.
    _remove(pending, journal, tell)
    return Linked(made) if made else Failed(_expired(pending, trouble))


def _expired(pending: Pending, trouble: NotPermittedError | None) -> OAuthHelperError:
    name = pending.target.name
    again = phrase(
        "Run `oauth-helper link {repo_type} --name {name}` again.", repo_type=pending.repo_type.value, name=name
    )
    if trouble:
        return OutcomeUnknownError(
            phrase(
                "The redirect for {name} has expired, and whether it was created cannot be known: {why}",
                name=name,
                why=trouble.message,
            ),
            hint=again,
        )
    return CodeOrStateInvalidError(
        phrase("The redirect for {name} has expired, and no authorization was created from it", name=name)
        + what_is_gone(pending),
        hint=again,
    )


def _not_asked(pending: Pending, error: UnavailableError | RefusedError) -> OutcomeUnknownError:
    is_fresh = pending.is_fresh(datetime.now(UTC))
    again = phrase("Run `oauth-helper resume` again in a moment.")
    return OutcomeUnknownError(
        phrase(
            "ServiceStage could not be asked about {name}: {message}", name=pending.target.name, message=error.message
        ),
        hint=phrase("The redirect is kept. {again}", again=again) if is_fresh else again,
        code=error.code,
        request_id=error.request_id,
    )


def _remove(pending: Pending, journal: Journal, tell: Callable[[Event], None]) -> None:
    try:
        journal.remove(pending)
    except MachineError as error:
        tell(Warned(error.message))
