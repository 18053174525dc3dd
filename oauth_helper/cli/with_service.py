"""Run what a command does with ServiceStage, on a connection that is opened for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from oauth_helper.cli.options import Run
from oauth_helper.cli.running import run
from oauth_helper.credential_chain import FoundCredentials

if TYPE_CHECKING:
    from oauth_helper.servicestage import ServiceStageClient

T = TypeVar("T")


def with_service(started: Run, credentials: FoundCredentials, work: Callable[[ServiceStageClient], Awaitable[T]]) -> T:
    """Open a client for what the settings say; return what ``work`` returns."""
    from oauth_helper.wiring import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    async def connected() -> T:
        async with open_service(started.settings, credentials) as service:
            return await work(service)

    return run(connected())
