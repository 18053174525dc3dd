"""The command ``deliver``: hand a redirect to the link that waits for it in another process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.cli.narration import Narrator
from oauth_helper.cli.options import output_options
from oauth_helper.cli.output import print_authorization
from oauth_helper.cli.running import run
from oauth_helper.cli.secret_input import is_utf_16, read_to_end
from oauth_helper.cli.spoken_help import command
from oauth_helper.errors import UsageError
from oauth_helper.events import Failed, Outcome
from oauth_helper.phrase import listed, phrase

if TYPE_CHECKING:
    from oauth_helper.other_runs import Notice

_LONGEST: Final = 64 * 1024
"""Bytes read of standard input; the listener takes no more."""


@command(
    "deliver",
    help="""Hand ADDRESS, where the browser ended, to the link that waits for it in another process of yours.

    Without ADDRESS it is asked for, or read from standard input. Ends with the status with which that link ends; with
    2 if no waiting link takes the address, and with 9 if none is waiting.
    """,
)
@click.argument("address", required=False)
@output_options
def deliver_command(address: str | None, **options: Any) -> None:
    """Run ``oauth-helper deliver``."""
    narrator = Narrator(quiet=options["quiet"], verbosity=options["verbose"])
    if address is not None:
        narrator.warn(
            phrase("The address now stands in your shell's history and in the list of processes, its code included.")
        )
    elif not (sys.stdin and sys.stdin.isatty()):
        address = _piped(quiet=options["quiet"])
    taken, outcome = run(_deliver(address, narrator))
    match outcome:
        case Failed(error):
            narrator.say(phrase("The link of {name} took it, and ended so:", name=taken.name))
            raise error
        case linked:
            narrator.say(phrase("Linked {name}.", name=linked.authorization.name))
            print_authorization(linked.authorization, as_json=options["as_json"])


def _piped(*, quiet: bool) -> str:
    if sys.stdin is None:
        return ""
    try:
        given = read_to_end(
            sys.stdin.fileno(), phrase("Reading the address from standard input…"), quiet=quiet, longest=_LONGEST
        )[:_LONGEST]
    except OSError as error:
        raise UsageError(
            phrase("Standard input cannot be read: {strerror}", strerror=error.strerror),
            hint=phrase("Pipe the address in: `oauth-helper deliver <FILE`."),
        ) from None
    if is_utf_16(given):
        raise UsageError(
            phrase("Standard input is UTF-16 instead of UTF-8"),
            hint=phrase("Save the address as UTF-8, or run `oauth-helper deliver` on a terminal and paste it."),
        )
    # An address is ASCII; what is around it may be in any encoding.
    return given.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


async def _deliver(address: str | None, narrator: Narrator) -> tuple[Notice, Outcome]:
    from oauth_helper.wiring import deliver_to_waiting, waiting_links  # noqa: PLC0415 - aiohttp costs 0.3 s

    waiting = waiting_links()
    named = [phrase("{name} ({host})", name=notice.name, host=notice.repo_type.display_name) for notice in waiting]
    narrator.say(phrase("Waiting for its address: {links}.", links=listed(named)))
    text = await _asked(narrator) if address is None else address
    narrator.say(phrase("Handing the address over. It may take some seconds until the end is known."))
    return await deliver_to_waiting(waiting, text)


async def _asked(narrator: Narrator) -> str:
    import asyncio  # noqa: PLC0415 - a help need not wait for it

    from oauth_helper.terminal import HAS_SETTINGS  # noqa: PLC0415 - as above
    from oauth_helper.terminal.prompt import TerminalPrompt  # noqa: PLC0415 - only who is asked pays for it

    if not HAS_SETTINGS:  # a Windows console
        from oauth_helper.cli.secret_input import ask_for_secret  # noqa: PLC0415 - as above

        question = phrase("Paste the address of the page where the browser ended. It is not shown")
        return ask_for_secret(question).reveal()
    pasted: asyncio.Queue[str] = asyncio.Queue()
    async with TerminalPrompt(offer=pasted.put_nowait, say=narrator.insist):
        # Not before: until the prompt is open, the terminal shows what is pasted.
        narrator.insist(phrase("Paste the address of the page where the browser ended. It is not shown."))
        return await pasted.get()
