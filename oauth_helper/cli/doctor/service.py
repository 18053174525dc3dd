"""What ``doctor`` asks ServiceStage: the list, the clock, the name."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from oauth_helper.cli.doctor.finding import NOTE, OK, Finding, failed
from oauth_helper.cli.options import Run
from oauth_helper.credential_chain import FoundCredentials
from oauth_helper.errors import (
    ClockSkewError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
)
from oauth_helper.link_request import LinkRequest
from oauth_helper.phrase import NOTHING, counted, phrase
from oauth_helper.standing import find_standing, is_list_alone_refused

if TYPE_CHECKING:
    from oauth_helper.authorization import Authorization
    from oauth_helper.servicestage import ServiceStageClient

_TOLERATED_SKEW: Final = 60.0
"""Seconds; signatures are refused from 900 on, but a clock that is off by a minute is on its way there."""


async def check_service(
    started: Run, credentials: FoundCredentials | None, request: LinkRequest | None
) -> AsyncIterator[Finding]:
    """Yield what ServiceStage's answer shows; without ``request`` nothing of the name."""
    from oauth_helper.wiring import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    if credentials is None or not started.settings.endpoint.value:
        missing = phrase("not asked: what it takes is missing")
        yield Finding("service", NOTE, missing, phrase("Mend what is marked above, and run it again."))
        return
    try:
        async with open_service(started.settings, credentials) as service:
            async for finding in _answer(service, request):
                yield finding
    except OAuthHelperError as error:
        yield failed("service", error)


async def _answer(service: ServiceStageClient, request: LinkRequest | None) -> AsyncIterator[Finding]:
    began = time.perf_counter()
    listed: list[Authorization] | None = None
    try:
        listed = await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
        yield Finding(
            "service", NOTE, phrase("{message}; a link goes on without the list", message=error.message), error.hint
        )
    else:
        took = (time.perf_counter() - began) * 1000
        answered = counted(
            "answered in {took:.0f} ms; {count} authorization",
            "answered in {took:.0f} ms; {count} authorizations",
            len(listed),
            took=took,
        )
        if service.proxy:
            answered += phrase(", through the proxy {proxy}", proxy=service.proxy)
        yield Finding("service", OK, answered)
    if (skew := service.last_clock_skew) is not None:
        yield _clock(skew)
    if listed is not None and request is not None:
        yield _name(request, listed)


def _clock(skew: float) -> Finding:
    if skew > 0:
        told = phrase("{seconds:.0f} s behind the server's", seconds=skew)
    else:
        told = phrase("{seconds:.0f} s ahead of the server's", seconds=-skew)
    is_well = abs(skew) <= _TOLERATED_SKEW
    return Finding("clock", OK if is_well else NOTE, told, NOTHING if is_well else ClockSkewError(told).hint)


def _name(request: LinkRequest, listed: list[Authorization]) -> Finding:
    try:
        standing = find_standing(request, listed)
    except NameTakenError as error:
        return failed("name", error)
    if standing:
        kept = phrase("{name} exists already; a link keeps it as it is", name=request.name)
        return Finding("name", NOTE, kept, phrase("To link it anew: --if-exists replace. To keep both: --name NAME."))
    return Finding("name", OK, phrase("{name} is free", name=request.name))
