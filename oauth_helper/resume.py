"""Finish the exchanges that earlier runs left pending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from msgspec import Struct

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    MachineError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
)
from oauth_helper.events import Failed, Linked, Outcome, Refused, Resumed, Warned, warning_once
from oauth_helper.exchange import TIMING, Exchange, Tell, Timing, find_made, redirect_creation, what_is_gone
from oauth_helper.i18n import _
from oauth_helper.journal import Journal
from oauth_helper.models import IfExists, LinkRequest, Pending, Target
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.single_instance import SingleRun


class Settled(Struct, frozen=True):
    """The outcome of one pending exchange."""

    pending: Pending
    outcome: Outcome


async def finish_earlier(
    request: LinkRequest, service: ServiceStageClient, journal: Journal | None, tell: Tell, timing: Timing = TIMING
) -> Linked | None:
    """Finish the exchange that an earlier link of that name left pending; None if there is none, or it failed.

    Raises:
        CredentialsError: The credentials are refused. The redirect is kept.
        OutcomeUnknownError: The outcome is still not known. The redirect is kept.
    """
    if journal is None:
        return None
    name = request.name
    try:
        pending = journal.find(Target(service.endpoint, service.project_id, name), request.repo_type)
    except MachineError as error:
        tell(Warned(_("What an earlier run left cannot be read: {message}.", message=error.message)))
        return None
    if pending is None:
        return None
    would_delete = pending.stood_since is not None and not pending.is_deleted
    if would_delete and request.if_exists is not IfExists.REPLACE:
        return None  # it must not delete what this run is told to keep
    if not pending.is_fresh(datetime.now(UTC)):
        expired = _("An earlier redirect for {name} expired before it was known to be exchanged", name=name)
        tell(Warned(expired + what_is_gone(pending) + _(".")))
        _remove(pending, journal, tell)
        return None
    tell(Resumed(name, pending.captured_at))
    exchange = _resumed(pending, service, journal, tell, timing)
    try:
        return Linked(await exchange.run())
    except OutcomeUnknownError as error:
        if exchange.verifier.may_list:
            raise
        # Asking again would not tell either, and the user, who runs the command again, has been told so.
        tell(Refused(may_be_created=True))
        tell(Warned(_("{message}. Linking it again.", message=error.message)))
    except RefusedError as error:
        exchange.forget()
        tell(Refused())
        tell(Warned(_("The earlier redirect for {name} came to nothing: {why}.", name=name, why=error.message)))
    return None


def _resumed(pending: Pending, service: ServiceStageClient, journal: Journal, tell: Tell, timing: Timing) -> Exchange:
    create = redirect_creation(pending, service)
    return Exchange(pending, service, create, tell, journal=journal, timing=timing, is_resumed=True)


async def resume_all(
    pendings: Sequence[Pending],
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[ServiceStageClient]],
    tell: Tell,
    timing: Timing = TIMING,
) -> list[Settled]:
    """Finish these pending exchanges, one after the other; omit those that another process finishes meanwhile."""
    settled = []
    tell = warning_once(tell)
    for pending in pendings:
        run = SingleRun.of_the_user(pending.target, pending.repo_type, tell)
        async with run.acquired(timing.total) as is_acquired:
            try:
                current = journal.find(pending.target, pending.repo_type)
            except MachineError as error:
                tell(Warned(error.message))
                continue
            if current and is_acquired:
                settled.append(await resume(current, journal, connected, tell, timing))
            elif current:
                busy = OutcomeUnknownError(
                    _("Another oauth-helper is linking {name}", name=pending.target.name),
                    hint=_("The redirect is kept. Run `oauth-helper resume` again when the other one has ended."),
                )
                settled.append(Settled(current, Failed(busy)))
    return settled


async def resume(
    pending: Pending,
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[ServiceStageClient]],
    tell: Tell,
    timing: Timing = TIMING,
) -> Settled:
    """Finish one pending exchange of an earlier run; reported like a link that begins with step 7. Never raises."""
    tell(Resumed(pending.target.name, pending.captured_at))
    outcome: Outcome
    try:
        async with connected(pending.target) as service:
            if pending.is_fresh(datetime.now(UTC)):
                outcome = await _finish(pending, service, journal, tell, timing)
            else:
                outcome = await _find_out(pending, service, journal, tell)
    except (UnavailableError, RefusedError) as error:  # of IAM, or of the list call
        outcome = Failed(_not_asked(pending, error))
    except OAuthHelperError as error:
        outcome = Failed(error)
    tell(outcome)
    return Settled(pending, outcome)


async def _finish(
    pending: Pending, service: ServiceStageClient, journal: Journal, tell: Tell, timing: Timing
) -> Outcome:
    exchange = _resumed(pending, service, journal, tell, timing)
    try:
        return Linked(await exchange.run())
    except RefusedError as error:
        exchange.forget()
        return Failed(error)


async def _find_out(pending: Pending, service: ServiceStageClient, journal: Journal, tell: Tell) -> Outcome:
    """Return what an expired redirect was exchanged for, and remove it."""
    name = pending.target.name
    again = _("Run `oauth-helper link {repo_type} --name {name}` again.", repo_type=pending.repo_type.value, name=name)
    outcome: Outcome
    try:
        if made := find_made(pending, await service.list_authorizations()):
            outcome = Linked(made)
        else:
            nothing = _("The redirect for {name} has expired, and no authorization was created from it", name=name)
            outcome = Failed(CodeOrStateInvalidError(nothing + what_is_gone(pending), hint=again))
    except NotPermittedError as error:
        unknown = _(
            "The redirect for {name} has expired, and whether it was created cannot be known: {why}",
            name=name,
            why=error.message,
        )
        outcome = Failed(OutcomeUnknownError(unknown, hint=again))
    _remove(pending, journal, tell)
    return outcome


def _not_asked(pending: Pending, error: UnavailableError | RefusedError) -> OutcomeUnknownError:
    is_fresh = pending.is_fresh(datetime.now(UTC))
    again = _("Run `oauth-helper resume` again in a moment.")
    return OutcomeUnknownError(
        _("ServiceStage could not be asked about {name}: {message}", name=pending.target.name, message=error.message),
        hint=_("The redirect is kept. {again}", again=again) if is_fresh else again,
        code=error.code,
        request_id=error.request_id,
    )


def _remove(pending: Pending, journal: Journal, tell: Tell) -> None:
    try:
        journal.remove(pending)
    except MachineError as error:
        tell(Warned(error.message))
