"""The front of the sandbox's APIs: counts what arrives, and lets go wrong what is to go wrong."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self
from weakref import WeakSet

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.faults import Call, Fault, Faults, Kind
from oauth_helper.sandbox.answers import ApiError, GatewayError, InternalError, ServiceError
from oauth_helper.sandbox.serving import Door

_HANDLED_FIRST: Final = frozenset({Kind.DROP_AFTER, Kind.TRUNCATE, Kind.HANG_AFTER, Kind.INTERNAL_ERROR_AFTER})
_NO_LINGERING: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""``struct linger``, on with a time of zero: closing then resets the connection."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request for an exchange that arrived whole, whatever became of it. Times are seconds of ``time.monotonic``."""

    arrived_at: float
    ended_at: float | None = None
    """When the sandbox was done with it: handled (a late handling included), refused or left; None until then."""
    created: bool = False
    """Whether its handling created an authorization, whatever was answered."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request on its way through the front."""

    request: web.Request
    handler: Handler
    exchange: int | None
    """Where it stands among the exchanges."""


class Front:
    """Meets every request to ServiceStage and IAM. An async context manager: at its end no handling goes on.

    A fault replaces whatever would have been said, after the request was read whole; who asks is not looked at.
    ``duration`` is, in seconds, how much later a request answered with 504 is handled, and how long a refusal lasts.
    """

    def __init__(self, faults: Iterable[Fault], *, now: Callable[[], float], duration: float) -> None:
        self._faults = Faults(faults)
        self._now = now
        self._duration = duration
        self._door: Door | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._used: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._is_looking = False
        self.calls: Counter[str] = Counter()
        self.exchanges: list[Exchange] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def attend(self, door: Door) -> None:
        """Take charge of ServiceStage's ``door``: where the first call is to be refused, it closes at once."""
        self._door = door
        if self._faults.take_refusal(None):
            await door.shut(self._duration)

    @web.middleware
    async def meet(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let ``handler`` answer, or go wrong with what is due, by the call whose name the route bears.

        A route has a name of its own behind a dot where several are the same call, and none where nothing goes wrong.
        """
        await request.read()
        if request.match_info.route.name is None:
            return await handler(request)
        call = self._recognise(request)
        self.calls[call] += 1
        kind = self._faults.take(call, reused=self._is_reused(request))
        visit = _Visit(request, handler, self._note_arrival(call))
        refusing = self._door if self._faults.take_refusal(call) else None
        if refusing:
            await refusing.shut(self._duration, staying=request.protocol)
        try:
            response = await self._answer(visit, kind)
        finally:
            if kind is not Kind.GATEWAY_TIMEOUT:
                self._note_end(visit)
        if refusing:
            # This connection is the only one left; whoever asks next has to open another.
            response.force_close()
        return response

    def _recognise(self, request: web.Request) -> Call:
        call = Call((request.match_info.route.name or "").partition(".")[0])
        if call in {Call.EXCHANGE, Call.REDIRECT_URL}:
            self._is_looking = call is Call.EXCHANGE
        return Call.LOOK if call is Call.LIST and self._is_looking else call

    def _is_reused(self, request: web.Request) -> bool:
        if request.transport is None:  # the client has left
            return False
        reused = request.transport in self._used
        self._used.add(request.transport)
        return reused

    async def _answer(self, visit: _Visit, kind: Kind | None) -> web.StreamResponse:
        if kind is None:
            return await self._handle(visit)
        if kind is Kind.GATEWAY_TIMEOUT:
            self._start_late(visit)
        handled = await self._handle(visit) if kind in _HANDLED_FIRST else web.Response()
        match kind:
            case Kind.DROP_BEFORE | Kind.DROP_AFTER:
                return _left_with(visit.request, _reset)
            case Kind.STALE:
                return _left_with(visit.request, _close)
            case Kind.TRUNCATE:
                return _cut(visit.request, handled)
            case Kind.HANG | Kind.HANG_AFTER:
                # Cancelled when the client leaves, or the sandbox closes.
                return await asyncio.Future[web.Response]()
            case _:
                return _ANSWERS[kind](self._now())

    async def _handle(self, visit: _Visit) -> web.StreamResponse:
        try:
            response = await visit.handler(visit.request)
        except ApiError as error:
            return error.answer()
        if visit.exchange is not None:
            self.exchanges[visit.exchange] = replace(self.exchanges[visit.exchange], created=True)
        return response

    def _start_late(self, visit: _Visit) -> None:
        def end(task: asyncio.Task[None]) -> None:
            self._late.discard(task)
            self._note_end(visit)

        handling = asyncio.create_task(self._handle_late(visit))
        self._late.add(handling)
        handling.add_done_callback(end)

    async def _handle_late(self, visit: _Visit) -> None:
        await asyncio.sleep(self._duration)
        await self._handle(visit)

    def _note_arrival(self, call: Call) -> int | None:
        if call is not Call.EXCHANGE:
            return None
        self.exchanges.append(Exchange(time.monotonic()))
        return len(self.exchanges) - 1

    def _note_end(self, visit: _Visit) -> None:
        if visit.exchange is not None:
            self.exchanges[visit.exchange] = replace(self.exchanges[visit.exchange], ended_at=time.monotonic())


def _left_with(request: web.Request, leave: Callable[[asyncio.Transport], None]) -> web.Response:
    """Leave the connection; return an answer that can no longer be sent."""
    if request.transport is not None:  # pragma: no branch - the client may have left in this very moment
        leave(request.transport)
    return web.Response()


def _close(transport: asyncio.Transport) -> None:
    transport.close()


def _reset(transport: asyncio.Transport) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    transport.abort()


def _cut(request: web.Request, whole: web.StreamResponse) -> web.Response:
    """Return the first half of an answer that promises a whole one; where there is no body, no answer at all."""
    body = whole.body if isinstance(whole, web.Response) else None
    if not isinstance(body, bytes) or not body:
        return _left_with(request, _close)
    headers = {"Content-Type": whole.headers["Content-Type"], "Content-Length": str(len(body))}
    cut = web.Response(status=whole.status, body=body[: len(body) // 2], headers=headers)
    cut.force_close()
    return cut


def _proxy_page(status: HTTPStatus) -> web.Response:
    title = f"{status.value} {status.phrase}"
    text = f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1><hr>proxy</body>\n</html>\n"
    return web.Response(status=status, text=text, content_type="text/html")


def _token_expired(now: float) -> web.Response:
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f"Incorrect IAM authentication information: token expires, expires_at: {moment}"
    return GatewayError(401, "APIGW.0301", message).answer()


def _backend_timeout(_: float) -> web.Response:
    return GatewayError(504, "APIGW.0203", "Backend timeout").answer()


def _internal_error(_: float) -> web.Response:
    return InternalError().answer()


_ANSWERS: Final[Mapping[Kind, Callable[[float], web.Response]]] = {
    Kind.UNAUTHORIZED: _token_expired,
    Kind.FORBIDDEN: lambda _: ServiceError(403, "IAM.0003", "Policy doesn't allow this call to be performed.").answer(),
    Kind.CODE_OR_STATE_INVALID: lambda _: ServiceError(400, "SVCSTG.REPO.0402", "oauth code or state invalid").answer(),
    Kind.NOT_FOUND: lambda _: _proxy_page(HTTPStatus.NOT_FOUND),
    Kind.TOO_MANY_REQUESTS: lambda _: GatewayError(
        429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit"
    ).answer(),
    Kind.INTERNAL_ERROR: _internal_error,
    Kind.INTERNAL_ERROR_AFTER: _internal_error,
    Kind.BAD_GATEWAY: lambda _: _proxy_page(HTTPStatus.BAD_GATEWAY),
    Kind.UNAVAILABLE: lambda _: _proxy_page(HTTPStatus.SERVICE_UNAVAILABLE),
    Kind.GATEWAY_TIMEOUT: _backend_timeout,
    Kind.GATEWAY_TIMEOUT_BEFORE: _backend_timeout,
}
"""What is answered, by the sandbox's clock (seconds since the epoch); codes of API Gateway's and IAM's tables."""
