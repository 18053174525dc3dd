"""A screen of the test's own, where there is none."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

needs_xvfb = pytest.mark.skipif(not shutil.which("Xvfb"), reason="Xvfb is not installed")


@asynccontextmanager
async def x_display() -> AsyncIterator[str]:
    """Start a screen; give its name."""
    reading, writing = os.pipe()
    server = await asyncio.create_subprocess_exec(
        *("Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"),
        pass_fds=[writing],
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as said:
        number = (await asyncio.to_thread(said.readline)).strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        await server.wait()


@pytest.fixture
async def display() -> AsyncIterator[str]:
    async with x_display() as name:
        yield name
