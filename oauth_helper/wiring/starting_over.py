"""Whether to begin again with a fresh state: one key, on a terminal."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from oauth_helper.errors import OAuthHelperError, RedirectRejectedError
from oauth_helper.phrase import phrase
from oauth_helper.terminal.prompt import TerminalPrompt
from oauth_helper.wiring.ways import Ways

_PATIENCE: Final = 120.0
"""Seconds, in which the browser waits too."""


async def ask_to_start_over(error: OAuthHelperError, ways: Ways, *, patience: float = _PATIENCE) -> bool:
    """Say what went wrong, and return whether the user presses Enter; where there is no terminal, nobody does.

    Who has not after ``patience`` seconds does not.
    """
    if ways.say is None or not ways.has_prompt:
        return False
    is_wanted = asyncio.Event()

    def offer(_text: str) -> NoReturn:
        raise RedirectRejectedError(
            "foreign-state", phrase("No address is waited for now"), hint=phrase("Press Enter to start over.")
        )

    ways.say(phrase("{message}.", message=error.message))
    try:
        async with asyncio.timeout(patience), TerminalPrompt(offer=offer, say=ways.say, keys={"": is_wanted.set}):
            ways.say(phrase("Press Enter to start over with a fresh state; Ctrl-C stops."))
            await is_wanted.wait()
    except TimeoutError:
        return False
    return True
