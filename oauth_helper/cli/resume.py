"""The command ``resume``: finish the exchanges that earlier runs could not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oauth_helper.cli.options import Run, connection_options, output_options, start_run
from oauth_helper.cli.output import print_authorization, print_json
from oauth_helper.cli.running import run
from oauth_helper.cli.spoken_help import command
from oauth_helper.errors import MachineError, StoppedError
from oauth_helper.events import Failed, Linked
from oauth_helper.journal import Journal
from oauth_helper.pending import Pending
from oauth_helper.phrase import counted, phrase

if TYPE_CHECKING:
    from oauth_helper.credential_chain import FoundCredentials
    from oauth_helper.linking import Settled


@command(
    "resume",
    help="""Finish the pending exchanges of earlier runs, the oldest first.

    A link that was cut off between the redirect and ServiceStage's answer keeps the redirect for 10 minutes. Each is
    finished at the endpoint and in the project of its own run. Nothing pending is no error.
    """,
)
@connection_options
@output_options
def resume_command(**options: Any) -> None:
    """Run ``oauth-helper resume``."""
    started = start_run(options)
    _sweep(started)
    journal = Journal.of_the_user()
    pendings, troubles = journal.read_all()
    for trouble in troubles:
        started.narrator.warn(phrase("What an earlier run left cannot be read: {trouble}.", trouble=trouble))
    settled = _settled(pendings, journal, started) if pendings else []
    _say_how_each_ended(settled, started, is_alone=len(settled) == 1 and not troubles)
    _print(settled, troubles, started)
    if troubles:
        raise MachineError(
            counted(
                "{count} redirect of an earlier run cannot be read",
                "{count} redirects of earlier runs cannot be read",
                len(troubles),
            ),
            hint=phrase("The warnings above name the files. Remove what is not yours, then run the command again."),
        )
    for one in settled:
        if isinstance(one.outcome, Failed):
            raise one.outcome.error


def _sweep(started: Run) -> None:
    """Remove what the window of a killed link has left: its profile's history holds the code."""
    from oauth_helper.browsers.profile import sweep_all  # noqa: PLC0415 - a help need not wait for it

    sweep_all(started.environ)


def _settled(pendings: Sequence[Pending], journal: Journal, started: Run) -> list[Settled]:
    try:
        return run(_resume(pendings, journal, started, started.credentials()))
    except StoppedError as stopped:
        stopped.hint = phrase("What is not finished is kept: run `oauth-helper resume` again.")
        raise


def _say_how_each_ended(settled: Sequence[Settled], started: Run, *, is_alone: bool) -> None:
    """Say it of each if there are several: the error at the end is that of the first failure alone."""
    voice = started.narrator
    for one in () if is_alone else settled:
        name = one.pending.target.name
        if isinstance(one.outcome, Linked):
            voice.say(phrase("Linked {name}.", name=name))
        else:
            error = one.outcome.error
            voice.warn(phrase("{name}: {message}. {hint}", name=name, message=error.message, hint=error.hint))


async def _resume(
    pendings: Sequence[Pending], journal: Journal, started: Run, credentials: FoundCredentials
) -> list[Settled]:
    from oauth_helper.wiring import open_service, resume_all  # noqa: PLC0415 - aiohttp costs 0.3 s

    return await resume_all(
        pendings,
        journal,
        lambda target: open_service(started.settings, credentials, target=target),
        started.narrator.tell,
    )


def _print(settled: Sequence[Settled], troubles: Sequence[str], started: Run) -> None:
    linked = [one.outcome.authorization for one in settled if isinstance(one.outcome, Linked)]
    if started.as_json:
        print_json([authorization.to_json() for authorization in linked])
        return
    if not settled and not troubles:
        started.narrator.say(phrase("Nothing is pending."))
    for authorization in linked:
        print_authorization(authorization, as_json=False)
