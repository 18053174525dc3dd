"""What the sandbox does wrong on request: which call fails, how, and how often."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self
from weakref import WeakSet

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.errors import UsageError
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.listener.server import listen
from oauth_helper.sandbox.gateway import INTERNAL_ERROR, api_error

DURATION: Final = 2.0
"""Seconds that a fault lasts, if it is one that takes time."""

_SHUTDOWN_TIMEOUT: Final = 0.1
"""Seconds for responses under way when a server closes; its cancellation takes as long again, for four servers."""
_RESET_ON_CLOSE: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""The option SO_LINGER with a time of zero."""


class _Word(StrEnum):
    description: Text

    def __new__(cls, word: str, description: Text = NO_TEXT) -> Self:
        self = str.__new__(cls, word)
        self._value_, self.description = word, description
        return self


class Call(_Word):
    """The calls that can fail; all but ``LOOK`` are the names of their routes."""

    LIST = "list", _("the list of authorizations before the exchange")
    REDIRECT_URL = "redirect-url", _("the authorization URL")
    EXCHANGE = "exchange", _("code and state, a token or a password for an authorization")
    LOOK = "look", _("the list after an exchange, until the next authorization URL is requested")
    DELETE = "delete", _("the deletion of an authorization")
    IAM_TOKEN = "iam-token", _("IAM's tokens")
    IAM_PROJECT = "iam-project", _("IAM's project of a region")


class Kind(_Word):
    """How a call fails."""

    DROP_BEFORE = "drop-before", _("connection reset; not handled")
    DROP_AFTER = "drop-after", _("handled, then connection reset without a response")
    TRUNCATE = "truncate", _("handled, then a response that breaks off halfway")
    HANG = "hang", _("no response; not handled")
    HANG_AFTER = "hang-after", _("handled, then no response")
    STALE = "stale", _("connection closed as the request arrives, not handled; waits for a call on a reused connection")
    REFUSE = (
        "refuse",
        _(
            "ServiceStage's port closed for {duration:g} s once the call before arrives (list: from the "
            "start; redirect-url: list; exchange, delete: redirect-url; look: exchange)",
            duration=DURATION,
        ),
    )
    UNAUTHORIZED = "401", _("APIGW.0301, the token has expired; not handled")
    FORBIDDEN = "403", _("IAM.0003, denied by a policy; not handled")
    CODE_OR_STATE_INVALID = "0402", _("SVCSTG.REPO.0402, code or state invalid; not handled")
    NOT_FOUND = "404", _("HTML page of a proxy; not handled")
    TOO_MANY_REQUESTS = "429", _("APIGW.0308, throttled; not handled")
    INTERNAL_ERROR = "500", _("internal error; not handled")
    INTERNAL_ERROR_AFTER = "500-after", _("handled, then internal error")
    BAD_GATEWAY = "502", _("HTML page of a proxy; not handled")
    UNAVAILABLE = "503", _("HTML page of a proxy; not handled")
    GATEWAY_TIMEOUT = "504", _("APIGW.0203, backend timeout, at once; handled {duration:g} s later", duration=DURATION)
    GATEWAY_TIMEOUT_BEFORE = "504-before", _("the same; never handled")


_HANDLED: Final = frozenset({Kind.DROP_AFTER, Kind.TRUNCATE, Kind.HANG_AFTER, Kind.INTERNAL_ERROR_AFTER})
"""The kinds where the call is handled before it fails."""
_ERRORS: Final[Mapping[Kind, tuple[int, str, str]]] = {
    Kind.UNAUTHORIZED: (401, "APIGW.0301", "Incorrect IAM authentication information: token expires"),
    Kind.FORBIDDEN: (403, "IAM.0003", "Policy doesn't allow this call to be performed."),
    Kind.CODE_OR_STATE_INVALID: (400, "SVCSTG.REPO.0402", "oauth code or state invalid"),
    Kind.TOO_MANY_REQUESTS: (429, "APIGW.0308", "The throttling threshold has been reached"),
    Kind.GATEWAY_TIMEOUT: (504, "APIGW.0203", "Backend timeout"),
    Kind.GATEWAY_TIMEOUT_BEFORE: (504, "APIGW.0203", "Backend timeout"),
}
"""Errors of the API (tables of the API Gateway and IAM); the other kinds of them are internal errors."""
_PREVIOUS: Final[Mapping[Call, Call | None]] = {
    Call.LIST: None,
    Call.REDIRECT_URL: Call.LIST,
    Call.EXCHANGE: Call.REDIRECT_URL,
    Call.DELETE: Call.REDIRECT_URL,
    Call.LOOK: Call.EXCHANGE,
}
"""For each call to ServiceStage the one before it in a link; None for the first."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What fails at one call, ``times`` times; None: always."""

    call: Call
    kind: Kind
    times: int | None = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``WHAT=HOW[:TIMES]``, where TIMES is a number or ``always``; raise UsageError for any other text."""
        what, _equals, rest = text.partition("=")
        how, colon, times = rest.partition(":")
        if what not in [*Call]:
            problem = _("{place} is not one of {words}", place="WHAT", words=", ".join(Call))
        elif how not in [*Kind]:
            problem = _("{place} is not one of {words}", place="HOW", words=", ".join(Kind))
        elif how == Kind.REFUSE and Call(what) not in _PREVIOUS:
            problem = _("{call} cannot be refused: only ServiceStage's port can be closed", call=what)
        elif colon and not re.fullmatch("[1-9][0-9]{0,5}|always", times):
            problem = _("TIMES is not a number from 1 to 999999 or always")
        else:
            return cls(Call(what), Kind(how), None if times == "always" else int(times or 1))
        raise UsageError(problem, hint=_("See `oauth-helper sandbox --help`."))


class Server:
    """A port of 127.0.0.1, closed when the context is left; it can also be closed for a while.

    A handler is cancelled when its client leaves. Opening raises the errors of :func:`listen`.
    """

    def __init__(self, number: int | None = None) -> None:
        self._port = listen(number, option="--console-port")
        _allow_reuse(self._port)
        self.address: str = "http://{}:{}".format(*self._port.getsockname())
        self._runner: web.AppRunner
        self._stack = AsyncExitStack()
        self._reopening: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._closing.set()
        if self._reopening:
            await self._reopening
        await self._stack.aclose()
        self._port.close()

    async def serve(self, application: web.Application) -> None:
        """Answer requests from now on."""
        # No access log: the addresses contain codes and states.
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT, handler_cancellation=True
        )
        self._stack.push_async_callback(self._runner.cleanup)
        await self._runner.setup()
        await self._open()

    async def _open(self) -> None:
        self._site = web.SockSite(self._runner, self._port)
        await self._site.start()

    async def shut(self, seconds: float, *, staying: object = None) -> None:
        """Refuse connections for so many seconds, and close the open ones except ``staying``.

        A port that is closed already reopens at its first time.
        """
        if self._reopening is None or self._reopening.done():
            address = self._port.getsockname()
            await self._site.stop()
            # Bound without listening: no other program gets the port, and connections are refused.
            self._port = socket.socket()
            _allow_reuse(self._port)
            self._port.bind(address)
            self._reopening = asyncio.create_task(self._reopen(seconds))
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection is not staying:
                connection.force_close()

    async def _reopen(self, seconds: float) -> None:
        # Waits for an event instead of being cancelled: a cancelled start would leave a site behind.
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            await self._open()


def _allow_reuse(port: socket.socket) -> None:
    if os.name == "posix":  # pragma: no branch - on Windows the option would let other programs share the port
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


@dataclass(slots=True)
class Exchange:
    """A request for an exchange that arrived completely. Times are seconds of ``time.monotonic``."""

    arrived_at: float
    ended_at: float | None = None
    """When it was handled (also late), refused or left; None until then."""
    created: bool = False
    """Whether it created an authorization, whatever the response was."""


class FaultInjector:
    """Middleware for every request to ServiceStage and IAM.

    A fault replaces the response after the request was read completely, before authentication. The faults of one call
    come in the given order. ``duration`` is how many seconds later a request answered with 504 is handled, and how long
    a refusal lasts.
    """

    def __init__(self, faults: Iterable[Fault], duration: float) -> None:
        self.queues: dict[Call, list[Fault]] = {call: [] for call in Call}
        for fault in faults:
            self.queues[fault.call].append(fault)
        self._duration = duration
        self._late: set[asyncio.Task[None]] = set()
        self._used: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._exchange_arrived = False
        self.calls: Counter[str] = Counter()
        self.exchanges: list[Exchange] = []
        self.happened: list[tuple[Call, Kind]] = []

    async def close(self) -> None:
        """Stop the handling of requests that is still going on."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def attach(self, server: Server) -> None:
        """Control ServiceStage's port; close it at once if the first call is to be refused."""
        self._server = server
        if self._refuses_after(None):
            await server.shut(self._duration)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let ``handler`` respond, or fail as due at the call that the route's name says.

        A name may have a suffix behind a dot; routes without a name never fail.
        """
        await request.read()
        if request.match_info.route.name is None:
            return await handler(request)
        call = Call(request.match_info.route.name.partition(".")[0])
        if call in {Call.EXCHANGE, Call.REDIRECT_URL}:
            self._exchange_arrived = call is Call.EXCHANGE
        if call is Call.LIST and self._exchange_arrived:
            call = Call.LOOK
        self.calls[call] += 1
        # STALE waits for a connection that carried a request before, and REFUSE for the call before.
        waiting = {Kind.REFUSE} if request.transport in self._used else {Kind.REFUSE, Kind.STALE}
        if request.transport:  # pragma: no branch - the client may have left
            self._used.add(request.transport)
        kind = self._take(call, set(Kind) - waiting)
        exchange = Exchange(time.monotonic())
        if call is Call.EXCHANGE:
            self.exchanges.append(exchange)
        is_refusing = self._refuses_after(call)
        if is_refusing:
            await self._server.shut(self._duration, staying=request.protocol)
        try:
            response = await self._respond(request, handler, kind, exchange)
        finally:
            if kind is not Kind.GATEWAY_TIMEOUT:
                exchange.ended_at = time.monotonic()
        if is_refusing:
            response.force_close()  # the only open connection; the next request needs a new one
        return response

    def _take(self, call: Call, kinds: set[Kind]) -> Kind | None:
        """Return the kind of the next fault of a call and use it once, if it is one of ``kinds``."""
        queue = self.queues[call]
        if not queue or queue[0].kind not in kinds:
            return None
        fault = queue.pop(0)
        self.happened.append((call, fault.kind))
        if fault.times != 1:
            queue.insert(0, replace(fault, times=fault.times and fault.times - 1))
        return fault.kind

    def _refuses_after(self, arrived: Call | None) -> bool:
        """Whether connections are refused from the arrival of ``arrived`` on; None: from the start."""
        due = [self._take(call, {Kind.REFUSE}) for call, before in _PREVIOUS.items() if before is arrived]
        return any(due)

    async def _respond(
        self, request: web.Request, handler: Handler, kind: Kind | None, exchange: Exchange
    ) -> web.StreamResponse:
        response: web.StreamResponse = web.Response()
        if kind is None or kind in _HANDLED:
            response = await handler(request)
            exchange.created = response.status == HTTPStatus.OK
        match kind:
            case None:
                return response
            case Kind.DROP_BEFORE | Kind.DROP_AFTER:
                return _leave(request, reset=True)
            case Kind.STALE:
                return _leave(request)
            case Kind.TRUNCATE:
                return _truncate(request, response)
            case Kind.HANG | Kind.HANG_AFTER:
                return await asyncio.Future[web.Response]()  # Cancelled when the client leaves or the sandbox closes.
            case Kind.NOT_FOUND | Kind.BAD_GATEWAY | Kind.UNAVAILABLE:
                title = f"{int(kind)} {HTTPStatus(int(kind)).phrase}"
                page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>proxy</body></html>"
                return web.Response(status=int(kind), text=page, content_type="text/html")
            case Kind.GATEWAY_TIMEOUT:
                task = asyncio.create_task(self._handle_late(request, handler, exchange))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
            case _:
                pass
        return api_error(*_ERRORS.get(kind, INTERNAL_ERROR)).response

    async def _handle_late(self, request: web.Request, handler: Handler, exchange: Exchange) -> None:
        try:
            await asyncio.sleep(self._duration)
            exchange.created = (await handler(request)).status == HTTPStatus.OK
        finally:
            exchange.ended_at = time.monotonic()


def _leave(request: web.Request, *, reset: bool = False) -> web.Response:
    """Close or reset the connection, so that no response can be sent."""
    if request.transport:  # pragma: no branch - the client may have left at this moment
        if reset:
            sock = request.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            request.transport.abort()
        request.transport.close()
    return web.Response()


def _truncate(request: web.Request, whole: web.StreamResponse) -> web.Response:
    """Return the first half of a response that announces all of it; close the connection if it has no body."""
    body = whole.body if isinstance(whole, web.Response) else None
    if not isinstance(body, bytes) or not body:
        return _leave(request)
    headers = {"Content-Type": whole.headers["Content-Type"], "Content-Length": str(len(body))}
    half = web.Response(status=whole.status, body=body[: len(body) // 2], headers=headers)
    half.force_close()
    return half
