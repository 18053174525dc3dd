"""How a browser will be opened on this machine, and why: known before anybody is asked for a state."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from oauth_helper.errors import NoBrowserError
from oauth_helper.wiring.how import How, Plan
from oauth_helper.wiring.ways import Ways

if TYPE_CHECKING:
    from oauth_helper.browsers.find import FoundBrowser

__all__ = ["How", "Plan", "plan_opening"]

_BUILD_SERVICE: Final = "CI"
"""Set by the common ones."""
_OPEN_TO_OTHERS: Final = (
    "Other users of this machine can drive a window of {}, and see what you do there, as it is a snap or flatpak."
)


async def plan_opening(ways: Ways) -> Plan:
    """Look at the machine and decide.

    Raises:
        NoBrowserError: What the user demands cannot be had here, or nobody could authorize.
    """
    if ways.browser == "none":
        return Plan(How.BY_HAND, "the addresses are printed")
    from oauth_helper.browsers.default import why_no_browser  # noqa: PLC0415 - who wants none need not wait for it

    windows, no_window = await _windows(ways)
    if windows:
        why = "your default browser" if windows[0].is_default else "installed"
        warning = _OPEN_TO_OTHERS.format(windows[0].name) if windows[0].is_open_to_others else ""
        return Plan(How.WINDOW, f"a window of our own in {windows[0].name} ({why})", tuple(windows), warning)
    no_default = why_no_browser(ways.environ, sys.platform)
    if no_default is None:
        return _in_the_default_browser(ways, no_window)
    if ways.visitor and not ways.environ.get("BROWSER"):
        warning = f"No browser ({no_default}): the sandbox's own visitor plays the user."
        return Plan(How.VISITOR, "the sandbox's visitor plays the user", warning=warning)
    _check_by_hand(ways, no_default)
    warning = f"No browser could be opened here: {no_default}."
    return Plan(How.BY_HAND, f"{no_default}; the addresses are printed", warning=warning)


async def _windows(ways: Ways) -> tuple[list[FoundBrowser], str]:
    """Return the browsers to try, and where there are none but one was wanted, why."""
    if not ways.wants_window:
        return [], ""
    from oauth_helper.browsers.find import choose, look_around, why_no_window  # noqa: PLC0415 - as above

    reason = None if ways.headless else why_no_window(ways.environ, sys.platform)
    if reason and ways.demands_window:
        raise NoBrowserError(f"A window was demanded, but there can be none: {reason}")
    found = [] if reason else choose(ways.browser, await look_around(ways.environ, sys.platform))
    if ways.demands_window:
        return found, ""
    safe = [browser for browser in found if not browser.is_open_to_others]
    if found and not safe:
        reason = f"other users of this machine could drive one in {found[0].name}, as it is a snap or flatpak"
    return safe, reason or "no browser of the Chromium family and no Firefox was found"


def _in_the_default_browser(ways: Ways, no_window: str) -> Plan:
    from oauth_helper.browsers.default import first_browser  # noqa: PLC0415 - as above

    why = f"{first_browser(ways.environ)} opens the page"
    if no_window:
        warning = f"No window of ours ({no_window}): your default browser shows a page instead."
        return Plan(How.DEFAULT, f"{why}; no window of ours: {no_window}", warning=warning)
    chosen = " (BROWSER says so)" if ways.environ.get("BROWSER") else ""
    return Plan(How.DEFAULT, why + chosen)


def _check_by_hand(ways: Ways, no_default: str) -> None:
    if ways.browser == "default":
        raise NoBrowserError(f"The default browser was demanded, but there is none: {no_default}")
    if _is_build_service(ways.environ) and not (ways.has_prompt or ways.has_script):
        raise NoBrowserError(
            f"No browser ({no_default}), no terminal, and {_BUILD_SERVICE} is set: nobody could authorize",
            hint="Run it where somebody can, or give --browser none if a program opens the printed address.",
        )


def _is_build_service(environ: Mapping[str, str]) -> bool:
    """Whether one runs us: nobody reads what is printed there before it is over."""
    return environ.get(_BUILD_SERVICE, "false").casefold() not in {"", "0", "false"}
