"""How a run becomes the one that links a target, or finds the one that already does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from oauth_helper.other_runs.claim import Claim
from oauth_helper.other_runs.notice import Notice, find_notice
from oauth_helper.pending import Target

_PAUSE: Final = 0.1
"""Seconds between two looks."""


async def claim_or_find(folder: Path, target: Target) -> Claim | Notice:
    """Take the claim to ``target``, or find the run that has it.

    Who has the claim can be spoken to only once it listens: until then, or until it gives up, this waits. The caller
    says how long.

    Raises:
        MachineError: Nothing can be locked in ``folder``.
    """
    while True:
        if claim := Claim.try_take(folder, target):
            return claim
        if notice := find_notice(folder, target):
            return notice
        await asyncio.sleep(_PAUSE)


async def claim_when_free(folder: Path, target: Target) -> Claim:
    """Wait until nobody has the claim to ``target``, and take it. The caller says how long.

    Raises:
        MachineError: Nothing can be locked in ``folder``.
    """
    while True:
        if claim := Claim.try_take(folder, target):
            return claim
        await asyncio.sleep(_PAUSE)
