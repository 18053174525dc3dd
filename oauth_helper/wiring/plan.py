"""How a browser will be opened on this machine, and why: known before anybody is asked for a state."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from oauth_helper.errors import NoBrowserError
from oauth_helper.phrase import NOTHING, Phrase, phrase, template
from oauth_helper.whereabouts import is_build_service, nobody_could_authorize
from oauth_helper.wiring.how import How, Plan
from oauth_helper.wiring.ways import Ways

if TYPE_CHECKING:
    from oauth_helper.browsers.find import FoundBrowser

__all__ = ["How", "Plan", "plan_opening"]

_APART: Final = phrase("over SSH it would come up on this machine's own screen, not on yours")
_OPEN_TO_OTHERS: Final = template(
    "Other users of this machine can drive a window of {browser}, and see what you do there, as it is a snap or "
    "flatpak."
)


async def plan_opening(ways: Ways) -> Plan:
    """Look at the machine and decide.

    Raises:
        NoBrowserError: What the user demands cannot be had here, or nobody could authorize.
    """
    if ways.browser == "none":
        return Plan(How.BY_HAND, phrase("the addresses are printed"))
    if ways.is_apart:
        warning = phrase("No browser is opened: {why}. --browser or BROWSER demands one.", why=_APART)
        return _without_browser(ways, _APART, warning)
    from oauth_helper.browsers.default import why_no_browser  # noqa: PLC0415 - who wants none need not wait for it
    from oauth_helper.browsers.surroundings import why_no_display  # noqa: PLC0415 - as above

    no_display = None if ways.headless else await asyncio.to_thread(why_no_display, ways.environ, sys.platform)
    windows, no_window = await _windows(ways, no_display)
    if windows:
        first = windows[0]
        why = phrase("your default browser") if first.is_default else phrase("installed")
        warning = phrase(_OPEN_TO_OTHERS, browser=first.name) if first.is_open_to_others else NOTHING
        how = phrase("a window of our own in {browser} ({why})", browser=first.name, why=why)
        return Plan(How.WINDOW, how, tuple(windows), warning)
    no_default = why_no_browser(ways.environ, sys.platform)
    if no_display and not no_default and why_no_browser(_without_display(ways.environ), sys.platform):
        no_default = no_display
    if no_default is None:
        return _in_the_default_browser(ways, no_window)
    return _without_browser(ways, no_default, phrase("No browser could be opened here: {why}.", why=no_default))


def _without_browser(ways: Ways, why: Phrase, warning: Phrase) -> Plan:
    if ways.visitor and not ways.environ.get("BROWSER"):
        warning = phrase("No browser ({why}): the sandbox's own visitor plays the user.", why=why)
        return Plan(How.VISITOR, phrase("the sandbox's visitor plays the user"), warning=warning)
    _check_by_hand(ways, why)
    return Plan(How.BY_HAND, phrase("{why}; the addresses are printed", why=why), warning=warning)


def _without_display(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}


async def _windows(ways: Ways, no_display: Phrase | None) -> tuple[list[FoundBrowser], Phrase]:
    """Return the browsers to try, and where there are none but one was wanted, why."""
    if not ways.wants_window:
        return [], NOTHING
    from oauth_helper.browsers.find import choose_here, why_no_window  # noqa: PLC0415 - as above

    reason = None if ways.headless else why_no_window(ways.environ, sys.platform)
    if reason and ways.demands_window:
        raise NoBrowserError(phrase("A window was demanded, but there can be none: {reason}", reason=reason))
    # A browser that was demanded is tried all the same: it may need no display.
    if not ways.demands_window:
        reason = reason or no_display
    found = [] if reason else await choose_here(ways.browser, ways.environ, sys.platform)
    if ways.demands_window:
        return found, NOTHING
    safe = [browser for browser in found if not browser.is_open_to_others]
    if found and not safe:
        reason = phrase(
            "other users of this machine could drive one in {browser}, as it is a snap or flatpak",
            browser=found[0].name,
        )
    return safe, reason or phrase("no browser of the Chromium family and no Firefox was found")


def _in_the_default_browser(ways: Ways, no_window: Phrase) -> Plan:
    from oauth_helper.browsers.default import first_browser  # noqa: PLC0415 - as above

    why = phrase("{browser} opens the page", browser=first_browser(ways.environ))
    if no_window:
        warning = phrase("No window of ours ({why}): your default browser shows a page instead.", why=no_window)
        return Plan(How.DEFAULT, phrase("{how}; no window of ours: {why}", how=why, why=no_window), warning=warning)
    return Plan(How.DEFAULT, why + phrase(" (BROWSER says so)") if ways.environ.get("BROWSER") else why)


def _check_by_hand(ways: Ways, no_default: Phrase) -> None:
    if ways.browser == "default":
        raise NoBrowserError(
            phrase("The default browser was demanded, but there is none: {no_default}", no_default=no_default)
        )
    if is_build_service(ways.environ) and not (ways.has_prompt or ways.has_script):
        raise nobody_could_authorize(no_default)
