"""A listener that waits for the redirect of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from listener.raw_client import Open, WaitingLink, listening


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    async with listening(WaitingLink()) as opened:
        yield opened
