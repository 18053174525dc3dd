"""What other runs of this user have left, or wait for: finish their exchanges, deliver their redirects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager

from oauth_helper.errors import MachineError, OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import Event, Failed, Outcome, Warned
from oauth_helper.exchange import PACE, Pace
from oauth_helper.journal import Journal
from oauth_helper.linking import Service, Settled, resume
from oauth_helper.other_runs import Notice, RunGoneError, claim_when_free, deliver, read_notices, runtime_folder
from oauth_helper.pending import Pending, Target
from oauth_helper.phrase import counted, listed, phrase


async def resume_all(
    pendings: Sequence[Pending],
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[Service]],
    tell: Callable[[Event], None],
    pace: Pace = PACE,
) -> list[Settled]:
    """Finish these exchanges, one after the other; what another run finishes meanwhile is left out."""
    settled = []
    for pending in pendings:
        async with _claimed(pending.target, tell, pace) as is_ours:
            if current := _still_there(pending, journal, tell):
                one = await resume(current, journal, connected, tell, pace) if is_ours else _left_to_another(current)
                settled.append(one)
    return settled


def waiting_links() -> list[Notice]:
    """Return the links of this user that wait for their redirect.

    Raises:
        MachineError: There is none, or they cannot be looked for.
    """
    waiting = read_notices(runtime_folder())
    if not waiting:
        raise MachineError(
            phrase("No link of yours is waiting on this machine"),
            hint=phrase(
                "Start `oauth-helper link REPO_TYPE` as the same user on the same machine, and deliver while it waits."
            ),
        )
    return waiting


async def deliver_to_waiting(waiting: Sequence[Notice], text: str) -> tuple[Notice, Outcome]:
    """Hand a pasted redirect to the one of these links, of which there is one at least, that waits for it.

    Returns which did, and how it ended.

    Raises:
        RedirectRejectedError: None of them takes it.
        OutcomeUnknownError: One of them has gone, and it is not known whether it took it.
    """
    rejections: list[RedirectRejectedError] = []
    gone: Notice | None = None
    for notice in waiting:
        try:
            return notice, await deliver(notice, text)
        except RedirectRejectedError as error:
            rejections.append(error)
        except RunGoneError:
            gone = notice
    if gone:
        raise OutcomeUnknownError(
            phrase("The link of {name} has gone without a word", name=gone.name),
            hint=phrase("If it had taken the address, `oauth-helper resume` finishes it. If not, run `link` again."),
        )
    # What the one that it belongs to says, rather than all the others.
    known = [error for error in rejections if error.reason not in {"no-redirect", "foreign-state"}]
    rejected = (known or rejections)[0]
    raise RedirectRejectedError(
        rejected.reason,
        rejected.message,
        hint=counted(
            "{names} still waits. {hint}",
            "{names} still wait. {hint}",
            len(waiting),
            hint=rejected.hint,
            names=listed([notice.name for notice in waiting]),
        ),
    )


@asynccontextmanager
async def _claimed(target: Target, tell: Callable[[Event], None], pace: Pace) -> AsyncIterator[bool]:
    """Hold the right to the target within the context; tell whether it was to be had."""
    with ExitStack() as stack:
        try:
            async with asyncio.timeout(pace.total):
                stack.enter_context(await claim_when_free(runtime_folder(), target))
        except TimeoutError:
            yield False
            return
        except MachineError as error:
            tell(Warned(phrase("{message}; other runs will not find this one.", message=error.message)))
        yield True


def _left_to_another(pending: Pending) -> Settled:
    error = OutcomeUnknownError(
        phrase("Another oauth-helper is linking {name}", name=pending.target.name),
        hint=phrase("The redirect is kept. Run `oauth-helper resume` again when the other one has ended."),
    )
    return Settled(pending, Failed(error))


def _still_there(pending: Pending, journal: Journal, tell: Callable[[Event], None]) -> Pending | None:
    try:
        return journal.find(pending.target, pending.repo_type)
    except MachineError as error:
        tell(Warned(error.message))
        return None
