"""How a run becomes the one that links a target, or finds the one that already does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from oauth_helper.other_runs.claim import PAUSE, Claim
from oauth_helper.other_runs.notice import Notice, find_notice
from oauth_helper.pending import Target

Found = TypeVar("Found")
_WORTH_TELLING: Final = 1.0
"""Seconds of waiting after which the user is told what is waited for."""


async def claim_or_find(
    folder: Path, target: Target, tell_of_wait: Callable[[], None] = lambda: None
) -> Claim | Notice:
    """Take the claim to ``target``, or find the run that has it.

    A run that has the claim can be found only once it listens, and never if it uses no browser: until then, or until
    it ends, this waits, and calls ``tell_of_wait`` once if that takes longer than a moment. The caller says how long.

    Raises:
        MachineError: Nothing can be locked in ``folder``.
    """
    return await _until(lambda: Claim.try_take(folder, target) or find_notice(folder, target), tell_of_wait)


async def claim_when_free(folder: Path, target: Target, tell_of_wait: Callable[[], None] = lambda: None) -> Claim:
    """Wait until no run has the claim to ``target``, and take it; otherwise as :func:`claim_or_find`.

    Raises:
        MachineError: Nothing can be locked in ``folder``.
    """
    return await _until(lambda: Claim.try_take(folder, target), tell_of_wait)


async def _until(find: Callable[[], Found | None], tell_of_wait: Callable[[], None]) -> Found:
    telling = asyncio.get_running_loop().call_later(_WORTH_TELLING, tell_of_wait)
    try:
        while (found := find()) is None:  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(PAUSE)
        return found
    finally:
        telling.cancel()
