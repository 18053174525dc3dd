"""What ``doctor`` looks at on this machine: the place, what is pending, the browser, the listener."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from oauth_helper.cli.doctor.finding import NOTE, OK, Finding, failed
from oauth_helper.cli.options import Run
from oauth_helper.errors import MachineError, NoBrowserError, OAuthHelperError
from oauth_helper.journal import Journal
from oauth_helper.phrase import NOTHING, Phrase, phrase
from oauth_helper.whereabouts import Place, nobody_could_authorize

if TYPE_CHECKING:
    from oauth_helper.wiring.plan import Plan

PLACES: Final[Mapping[Place, Phrase]] = {
    Place.BUILD: phrase("a build service (CI is set): nobody is asked for anything"),
    Place.CODESPACE: phrase("a codespace: your editor forwards the page's port to your machine"),
    Place.GITPOD: phrase("Gitpod: your editor forwards the page's port to your machine"),
    Place.DEV_CONTAINER: phrase("a dev container: your editor forwards the page's port to your machine"),
    Place.SSH: phrase("over SSH: a link opens no browser, and prints the `ssh -L` line to run first"),
    Place.WSL: phrase("WSL: a browser of Windows reaches the page through localhost forwarding"),
    Place.CONTAINER: phrase("a container: a browser outside reaches the page only if it shares the network"),
    Place.DESKTOP: phrase("this machine, with you in front of it, as far as can be told"),
}


def check_place(started: Run) -> Finding:
    """Return where we run, and what follows."""
    from oauth_helper.browsers.surroundings import whereabouts  # noqa: PLC0415 - --help need not pay for asyncio

    if started.is_unattended:
        return failed("place", nobody_could_authorize())
    return Finding("place", OK, PLACES[whereabouts(started.environ).place])


def check_pending() -> list[Finding]:
    """Return what earlier runs have left; where there is nothing, no line."""
    pendings, troubles = Journal.of_the_user().read_all()
    names = ", ".join(pending.target.name for pending in pendings)
    unfinished = phrase("{names}: the redirect came, but it is not known to be exchanged", names=names)
    found = [Finding("pending", NOTE, unfinished, phrase("`oauth-helper resume` finishes it."))] if pendings else []
    in_the_way = phrase("Let that folder and its files be yours alone; what is no entry of ours can be removed.")
    return found + [Finding("pending", NOTE, trouble, in_the_way) for trouble in troubles]


async def check_browser(started: Run) -> Finding:
    """Return how a link would open a browser."""
    from oauth_helper.wiring import Ways, plan_opening  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    browser = started.settings.browser
    wanted = phrase("{value} ({origin})", value=browser.value, origin=browser.origin)
    # That nobody is there is told with the place, and ends a link before it looks for a browser.
    ways = Ways(
        browser=browser.value,
        say=started.narrator.insist,
        environ=started.environ,
        has_script=started.is_unattended,
    )
    try:
        plan = await plan_opening(ways)
    except NoBrowserError as error:
        return failed(
            "browser",
            NoBrowserError(phrase("{wanted}: {message}", wanted=wanted, message=error.message), hint=error.hint),
        )
    if why := await _why_no_display(started, plan):
        return failed("browser", NoBrowserError(phrase("{wanted}: {message}", wanted=wanted, message=why)))
    message = phrase("{wanted}: {why}", wanted=wanted, why=plan.why)
    return Finding("browser", NOTE, message, _advice(plan)) if plan.warning else Finding("browser", OK, message)


async def _why_no_display(started: Run, plan: Plan) -> Phrase | None:
    """Return why no window of a browser that was demanded can come up."""
    from oauth_helper.browsers.surroundings import why_no_display  # noqa: PLC0415 - as above
    from oauth_helper.wiring.plan import How  # noqa: PLC0415 - as above

    if plan.how is not How.WINDOW:
        return None
    return await asyncio.to_thread(why_no_display, started.environ, sys.platform)


def _advice(plan: Plan) -> Phrase:
    from oauth_helper.wiring.plan import How  # noqa: PLC0415 - as above

    match plan.how:
        case How.WINDOW:
            return plan.warning
        case How.DEFAULT:
            return phrase(
                "The page takes the address where your browser ends. Chromium or Firefox would save the copy."
            )
        case _:
            return phrase("Open the address that a link prints in any browser, or have BROWSER name one.")


async def check_listener(port: int | None) -> Finding:
    """Listen as a link would, and connect to it."""
    from oauth_helper.listener import Listener  # noqa: PLC0415 - as above

    try:
        async with Listener(port) as listener:
            host, _, number = listener.address.removeprefix("http://").partition(":")
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(host, int(number))
            writer.close()
            await writer.wait_closed()
    except OAuthHelperError as error:
        return failed("listener", error)
    except (OSError, TimeoutError) as error:
        reason = phrase("cannot be reached: {error}", error=error)
        return failed("listener", MachineError(reason, hint=phrase("Check this machine's firewall.")))
    return Finding("listener", OK, phrase("{host} can be listened on and reached", host=host), NOTHING)
