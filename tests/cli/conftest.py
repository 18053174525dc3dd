"""A sandbox for each test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox
