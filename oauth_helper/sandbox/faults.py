"""What the sandbox does wrong on request: which call fails, how, and how often."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self, TypeVar
from weakref import WeakSet

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.errors import PortTakenError, UsageError, cannot_listen
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.sandbox.gateway import ApiError, gateway_error, internal_error, service_error, token_expired
from oauth_helper.values import BLOCKED_PORTS

DURATION: Final = 2.0
"""Seconds that a fault lasts, if it is one that takes time."""
LOOPBACK: Final = "127.0.0.1"

_SHUTDOWN_TIMEOUT: Final = 0.1
"""Seconds for responses under way when a server closes; its cancellation takes as long again, for four servers."""
_HINT: Final = _("See `oauth-helper sandbox --help`.")
_RESET_ON_CLOSE: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""The option SO_LINGER with a time of zero."""


class _Word(StrEnum):
    meaning: Text

    def __new__(cls, word: str, meaning: Text = NO_TEXT) -> Self:
        self = str.__new__(cls, word)
        self._value_, self.meaning = word, meaning
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

    @property
    def is_handled(self) -> bool:
        """Whether the call is handled before it fails."""
        return self is Kind.TRUNCATE or self.endswith("-after")


_ERRORS: Final[Mapping[Kind, Callable[[], ApiError]]] = {
    Kind.UNAUTHORIZED: lambda: token_expired(time.time()),
    Kind.FORBIDDEN: lambda: service_error(403, "IAM.0003", "Policy doesn't allow this call to be performed."),
    Kind.CODE_OR_STATE_INVALID: lambda: service_error(400, "SVCSTG.REPO.0402", "oauth code or state invalid"),
    Kind.TOO_MANY_REQUESTS: lambda: gateway_error(
        429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit"
    ),
    Kind.GATEWAY_TIMEOUT: lambda: gateway_error(504, "APIGW.0203", "Backend timeout"),
    Kind.GATEWAY_TIMEOUT_BEFORE: lambda: gateway_error(504, "APIGW.0203", "Backend timeout"),
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
_AnyWord = TypeVar("_AnyWord", Call, Kind)


@dataclass(frozen=True, slots=True)
class Fault:
    """What fails at one call, ``times`` times; None: always.

    Raises:
        UsageError: ``refuse`` for a call to IAM, whose port cannot be closed.
    """

    call: Call
    kind: Kind
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.kind is Kind.REFUSE and self.call not in _PREVIOUS:
            raise UsageError(
                _("{call} cannot be refused: only ServiceStage's port can be closed", call=self.call), hint=_HINT
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``WHAT=HOW[:TIMES]``, where TIMES is a number or ``always``.

        Raises:
            UsageError: The text does not have that form, or a word in it is unknown.
        """
        what, _equals, rest = text.partition("=")
        how, colon, times = rest.partition(":")
        call, kind = _parse_word(Call, what, "WHAT"), _parse_word(Kind, how, "HOW")
        if times == "always":
            return cls(call, kind, None)
        if colon and not re.fullmatch(r"[1-9][0-9]{0,5}", times, re.ASCII):
            raise UsageError(_("TIMES is not a number from 1 to 999999 or always"), hint=_HINT)
        return cls(call, kind, int(times or 1))


def _parse_word(words: type[_AnyWord], text: str, place: str) -> _AnyWord:
    try:
        return words(text)
    except ValueError:
        raise UsageError(_("{place} is not one of {words}", place=place, words=", ".join(words)), hint=_HINT) from None


def open_port(number: int | None = None) -> socket.socket:
    """Return a socket that listens on that loopback port, or on a free one that browsers do not block.

    Raises:
        PortTakenError: Port ``number`` is not available.
        MachineError: Nothing can listen on 127.0.0.1.
    """
    try:
        with ExitStack() as blocked:
            while (port := socket.create_server((LOOPBACK, number or 0))).getsockname()[1] in BLOCKED_PORTS:
                blocked.enter_context(port)
            return port
    except OSError as error:
        if number is None or error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EPERM}:
            raise cannot_listen(error) from None
        why = os.strerror(error.errno)
        raise PortTakenError(
            _("Port {port} on {host} is not available ({why})", port=number, host=LOOPBACK, why=why),
            hint=_("Choose another one, or leave out --console-port to use any."),
        ) from None


def address_of(port: socket.socket) -> str:
    """Return ``http://127.0.0.1:PORT``."""
    host, number = port.getsockname()
    return f"http://{host}:{number}"


class Server:
    """Serves an application on ``port`` while the context is entered; the port can be closed for a while.

    A handler is cancelled when its client leaves.
    """

    def __init__(self, application: web.Application, port: socket.socket) -> None:
        # No access log: the addresses contain codes and states.
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT, handler_cancellation=True
        )
        self._port = port
        self._reopening: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await self._open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._closing.set()
        if self._reopening:
            await self._reopening
        await self._runner.cleanup()
        self._port.close()

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
            if os.name == "posix":  # pragma: no branch - on Windows the option would let other programs share the port
                self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
        self.queues: dict[Call, deque[Fault]] = {call: deque() for call in Call}
        for fault in faults:
            self.queues[fault.call].append(fault)
        self._duration = duration
        self._server: Server | None = None
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
        call = self._call_of(request.match_info.route.name)
        self.calls[call] += 1
        kind = self._take(call, request.transport)
        exchange = Exchange(time.monotonic())
        if call is Call.EXCHANGE:
            self.exchanges.append(exchange)
        refusing = self._server if self._refuses_after(call) else None
        if refusing:
            await refusing.shut(self._duration, staying=request.protocol)
        try:
            response = await self._respond(request, handler, kind, exchange)
        finally:
            if kind is not Kind.GATEWAY_TIMEOUT:
                exchange.ended_at = time.monotonic()
        if refusing:
            response.force_close()  # the only open connection; the next request needs a new one
        return response

    def _call_of(self, route: str) -> Call:
        call = Call(route.partition(".")[0])
        if call in {Call.EXCHANGE, Call.REDIRECT_URL}:
            self._exchange_arrived = call is Call.EXCHANGE
        return Call.LOOK if call is Call.LIST and self._exchange_arrived else call

    def _take(self, call: Call, transport: asyncio.BaseTransport | None) -> Kind | None:
        """Return how a request for ``call`` fails.

        ``stale`` waits at the head of its queue for a connection that carried a request before, and ``refuse`` for the
        call before.
        """
        is_reused = transport in self._used
        if transport:  # pragma: no branch - the client may have left
            self._used.add(transport)
        kind = self._next(call)
        if kind in {None, Kind.REFUSE} or (kind is Kind.STALE and not is_reused):
            return None
        self._use(call)
        return kind

    def _refuses_after(self, arrived: Call | None) -> bool:
        """Whether connections are refused from the arrival of ``arrived`` on; None: from the start."""
        due = [call for call, before in _PREVIOUS.items() if before is arrived and self._next(call) is Kind.REFUSE]
        for call in due:
            self._use(call)
        return bool(due)

    def _next(self, call: Call) -> Kind | None:
        return self.queues[call][0].kind if self.queues[call] else None

    def _use(self, call: Call) -> None:
        fault = self.queues[call].popleft()
        self.happened.append((call, fault.kind))
        if fault.times != 1:
            self.queues[call].appendleft(replace(fault, times=fault.times and fault.times - 1))

    async def _respond(
        self, request: web.Request, handler: Handler, kind: Kind | None, exchange: Exchange
    ) -> web.StreamResponse:
        response: web.StreamResponse = web.Response()
        if kind is None or kind.is_handled:
            response = await handler(request)
            exchange.created = response.status == HTTPStatus.OK
        if kind is Kind.GATEWAY_TIMEOUT:
            task = asyncio.create_task(self._handle_late(request, handler, exchange))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
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
            case _:
                return _ERRORS.get(kind, internal_error)().response()

    async def _handle_late(self, request: web.Request, handler: Handler, exchange: Exchange) -> None:
        try:
            await asyncio.sleep(self._duration)
            exchange.created = (await handler(request)).status == HTTPStatus.OK
        finally:
            exchange.ended_at = time.monotonic()


def _leave(request: web.Request, *, reset: bool = False) -> web.Response:
    """Close or reset the connection, so that no response can be sent."""
    transport = request.transport
    if transport and reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    elif transport:  # pragma: no branch - the client may have left at this moment
        transport.close()
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
