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
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self, TypeVar
from weakref import WeakSet

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.errors import PortTakenError, UsageError, cannot_listen
from oauth_helper.i18n import Text, _
from oauth_helper.sandbox.gateway import ApiError, GatewayError, InternalError, ServiceError, token_expired
from oauth_helper.values import BLOCKED_PORTS

DURATION: Final = 2.0
"""Seconds that a fault lasts, if it is one that takes time."""
LOOPBACK: Final = "127.0.0.1"

_SHUTDOWN_TIMEOUT: Final = 0.1
"""Seconds for responses under way when a server closes; its cancellation takes as long again, for four servers."""
_HINT: Final = _("See `oauth-helper sandbox --help`.")


class Call(StrEnum):
    """The calls that can fail; all but ``LOOK`` are the names of their routes."""

    LIST = "list"
    REDIRECT_URL = "redirect-url"
    EXCHANGE = "exchange"
    LOOK = "look"
    DELETE = "delete"
    IAM_TOKEN = "iam-token"  # noqa: S105 - the name of a call, not a token
    IAM_PROJECT = "iam-project"


class Kind(StrEnum):
    """How a call fails."""

    DROP_BEFORE = "drop-before"
    DROP_AFTER = "drop-after"
    TRUNCATE = "truncate"
    HANG = "hang"
    HANG_AFTER = "hang-after"
    STALE = "stale"
    REFUSE = "refuse"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    CODE_OR_STATE_INVALID = "0402"
    NOT_FOUND = "404"
    TOO_MANY_REQUESTS = "429"
    INTERNAL_ERROR = "500"
    INTERNAL_ERROR_AFTER = "500-after"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    GATEWAY_TIMEOUT_BEFORE = "504-before"


CALLS: Final[Mapping[Call, Text]] = {
    Call.LIST: _("the list of authorizations before the exchange"),
    Call.REDIRECT_URL: _("the authorization URL"),
    Call.EXCHANGE: _("code and state, a token or a password for an authorization"),
    Call.LOOK: _("the list after an exchange, until the next authorization URL is requested"),
    Call.DELETE: _("the deletion of an authorization"),
    Call.IAM_TOKEN: _("IAM's tokens"),
    Call.IAM_PROJECT: _("IAM's project of a region"),
}
"""What each call is for."""

KINDS: Final[Mapping[Kind, Text]] = {
    Kind.DROP_BEFORE: _("connection reset; not handled"),
    Kind.DROP_AFTER: _("handled, then connection reset without a response"),
    Kind.TRUNCATE: _("handled, then a response that breaks off halfway"),
    Kind.HANG: _("no response; not handled"),
    Kind.HANG_AFTER: _("handled, then no response"),
    Kind.STALE: _("connection closed as the request arrives, not handled; waits for a call on a reused connection"),
    Kind.REFUSE: _(
        "ServiceStage's port closed for {duration:g} s once the call before arrives (list: from the "
        "start; redirect-url: list; exchange, delete: redirect-url; look: exchange)",
        duration=DURATION,
    ),
    Kind.UNAUTHORIZED: _("APIGW.0301, the token has expired; not handled"),
    Kind.FORBIDDEN: _("IAM.0003, denied by a policy; not handled"),
    Kind.CODE_OR_STATE_INVALID: _("SVCSTG.REPO.0402, code or state invalid; not handled"),
    Kind.NOT_FOUND: _("HTML page of a proxy; not handled"),
    Kind.TOO_MANY_REQUESTS: _("APIGW.0308, throttled; not handled"),
    Kind.INTERNAL_ERROR: _("internal error; not handled"),
    Kind.INTERNAL_ERROR_AFTER: _("handled, then internal error"),
    Kind.BAD_GATEWAY: _("HTML page of a proxy; not handled"),
    Kind.UNAVAILABLE: _("HTML page of a proxy; not handled"),
    Kind.GATEWAY_TIMEOUT: _("APIGW.0203, backend timeout, at once; handled {duration:g} s later", duration=DURATION),
    Kind.GATEWAY_TIMEOUT_BEFORE: _("the same; never handled"),
}
"""What happens."""

_PREVIOUS: Final[Mapping[Call, Call | None]] = {
    Call.LIST: None,
    Call.REDIRECT_URL: Call.LIST,
    Call.EXCHANGE: Call.REDIRECT_URL,
    Call.DELETE: Call.REDIRECT_URL,
    Call.LOOK: Call.EXCHANGE,
}
"""For each call to ServiceStage the one before it in a link; None for the first."""
_HANDLED_FIRST: Final = frozenset({Kind.DROP_AFTER, Kind.TRUNCATE, Kind.HANG_AFTER, Kind.INTERNAL_ERROR_AFTER})
_WITHOUT_LINGERING: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""``struct linger``, on with a time of zero: closing then resets the connection."""

_Word = TypeVar("_Word", Call, Kind)


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
        kind_word, colon, times = rest.partition(":")
        call, kind = _word(Call, what, "WHAT"), _word(Kind, kind_word, "HOW")
        if not colon:
            return cls(call, kind)
        if times == "always":
            return cls(call, kind, None)
        if not re.fullmatch(r"[1-9][0-9]{0,5}", times, re.ASCII):
            raise UsageError(_("TIMES is not a number from 1 to 999999 or always"), hint=_HINT)
        return cls(call, kind, int(times))


def _word(words: type[_Word], text: str, place: str) -> _Word:
    try:
        return words(text)
    except ValueError:
        raise UsageError(_("{place} is not one of {words}", place=place, words=", ".join(words)), hint=_HINT) from None


class Faults:
    """Which fault is due at which call: those of one call in the given order, each until it is used up."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._queues: dict[Call, deque[Fault]] = {call: deque() for call in Call}
        for fault in faults:
            self._queues[fault.call].append(fault)

    def take(self, call: Call, *, reused: bool) -> Kind | None:
        """Return how this request for ``call`` fails; ``reused``: its connection carried a request before.

        ``stale`` waits at the head of its queue for a reused connection, and ``refuse`` for the call before.
        """
        kind = self._head(call)
        if kind in {None, Kind.REFUSE} or (kind is Kind.STALE and not reused):
            return None
        self._use(call)
        return kind

    def take_refusal(self, arrived: Call | None) -> bool:
        """Whether connections are refused from the arrival of ``arrived`` on; None: from the start."""
        due = [call for call, before in _PREVIOUS.items() if before is arrived and self._head(call) is Kind.REFUSE]
        for call in due:
            self._use(call)
        return bool(due)

    def _head(self, call: Call) -> Kind | None:
        queue = self._queues[call]
        return queue[0].kind if queue else None

    def _use(self, call: Call) -> None:
        fault = self._queues[call].popleft()
        if fault.times is None:
            self._queues[call].appendleft(fault)
        elif fault.times > 1:
            self._queues[call].appendleft(replace(fault, times=fault.times - 1))


def open_port(number: int | None = None) -> socket.socket:
    """Return a socket that listens on that loopback port, or on a free one that browsers do not block.

    Raises:
        PortTakenError: Port ``number`` is not available.
        MachineError: Nothing can listen on 127.0.0.1.
    """
    try:
        with ExitStack() as blocked:
            while True:
                listening = socket.create_server((LOOPBACK, number or 0))
                if number or listening.getsockname()[1] not in BLOCKED_PORTS:
                    return listening
                blocked.enter_context(listening)
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


class ClosablePort:
    """The port of a served application, open or closed for a while."""

    def __init__(self, runner: web.AppRunner, port: socket.socket) -> None:
        self._runner = runner
        self._port = port
        self._site = web.SockSite(runner, port)
        self._reopening: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def open(self) -> None:
        """Listen on the port."""
        await self._site.start()

    async def shut(self, seconds: float, *, staying: object = None) -> None:
        """Refuse connections for so many seconds, and close the open ones except ``staying``.

        A port that is closed already reopens at its first time.
        """
        if self._reopening is None or self._reopening.done():
            address = self._port.getsockname()
            await self._site.stop()
            self._port = _bound_without_listening(address)
            self._site = web.SockSite(self._runner, self._port)
            self._reopening = asyncio.create_task(self._reopen(seconds))
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection is not staying:
                connection.force_close()

    async def close(self) -> None:
        """Close the port and all connections."""
        self._closing.set()
        try:
            if self._reopening is not None:
                await self._reopening
        finally:
            await self._runner.cleanup()
            self._port.close()

    async def _reopen(self, seconds: float) -> None:
        # Waits for an event instead of being cancelled: a cancelled start would leave a site behind.
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            await self.open()


def _bound_without_listening(address: tuple[str, int]) -> socket.socket:
    """Return a socket bound to ``address``: no other program gets the port, and connections are refused."""
    port = socket.socket()
    # As socket.create_server does; on Windows the option would let other programs share the port.
    if os.name == "posix":  # pragma: no branch - on Windows it is not
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(address)
    return port


@asynccontextmanager
async def serving(application: web.Application, port: socket.socket) -> AsyncIterator[ClosablePort]:
    """Serve ``application`` on ``port`` within the context. A handler is cancelled when its client leaves."""
    # No access log: the addresses contain codes and states.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT, handler_cancellation=True)
    await runner.setup()
    closable_port = ClosablePort(runner, port)
    try:
        await closable_port.open()
        yield closable_port
    finally:
        await closable_port.close()


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

    A fault replaces the response after the request was read completely, before authentication. ``duration`` is how many
    seconds later a request answered with 504 is handled, and how long a refusal lasts.
    """

    def __init__(self, faults: Iterable[Fault], *, now: Callable[[], float], duration: float) -> None:
        self._faults = Faults(faults)
        self._now = now
        self._duration = duration
        self._port: ClosablePort | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._used: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._exchange_arrived = False
        self.calls: Counter[str] = Counter()
        self.exchanges: list[Exchange] = []

    async def close(self) -> None:
        """Stop the handling of requests that is still going on."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def attach(self, port: ClosablePort) -> None:
        """Control ServiceStage's port; close it at once if the first call is to be refused."""
        self._port = port
        if self._faults.take_refusal(None):
            await port.shut(self._duration)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let ``handler`` respond, or fail as due at the call that the route's name says.

        A name may have a suffix behind a dot; routes without a name never fail.
        """
        await request.read()
        if request.match_info.route.name is None:
            return await handler(request)
        call = self._call_of(request)
        self.calls[call] += 1
        kind = self._faults.take(call, reused=self._is_reused(request))
        exchange = None
        if call is Call.EXCHANGE:
            exchange = Exchange(time.monotonic())
            self.exchanges.append(exchange)
        refusing = self._port if self._faults.take_refusal(call) else None
        if refusing:
            await refusing.shut(self._duration, staying=request.protocol)
        try:
            response = await self._respond(request, handler, kind, exchange)
        finally:
            if exchange and kind is not Kind.GATEWAY_TIMEOUT:
                exchange.ended_at = time.monotonic()
        if refusing:
            response.force_close()  # the only open connection; the next request needs a new one
        return response

    def _call_of(self, request: web.Request) -> Call:
        call = Call((request.match_info.route.name or "").partition(".")[0])
        if call in {Call.EXCHANGE, Call.REDIRECT_URL}:
            self._exchange_arrived = call is Call.EXCHANGE
        return Call.LOOK if call is Call.LIST and self._exchange_arrived else call

    def _is_reused(self, request: web.Request) -> bool:
        if request.transport is None:  # the client has left
            return False
        reused = request.transport in self._used
        self._used.add(request.transport)
        return reused

    async def _respond(
        self, request: web.Request, handler: Handler, kind: Kind | None, exchange: Exchange | None
    ) -> web.StreamResponse:
        if kind is None:
            return await _handle(request, handler, exchange)
        if kind is Kind.GATEWAY_TIMEOUT:
            task = asyncio.create_task(self._handle_late(request, handler, exchange))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        handled = await _handle(request, handler, exchange) if kind in _HANDLED_FIRST else web.Response()
        match kind:
            case Kind.DROP_BEFORE | Kind.DROP_AFTER:
                return _leave(request, reset=True)
            case Kind.STALE:
                return _leave(request)
            case Kind.TRUNCATE:
                return _truncate(request, handled)
            case Kind.HANG | Kind.HANG_AFTER:
                # Cancelled when the client leaves or the sandbox closes.
                return await asyncio.Future[web.Response]()
            case Kind.UNAUTHORIZED:
                return token_expired(self._now()).response()
            case Kind.NOT_FOUND | Kind.BAD_GATEWAY | Kind.UNAVAILABLE:
                return _proxy_page(HTTPStatus(int(kind)))
            case _:
                return _REFUSALS[kind]().response()

    async def _handle_late(self, request: web.Request, handler: Handler, exchange: Exchange | None) -> None:
        try:
            await asyncio.sleep(self._duration)
            await _handle(request, handler, exchange)
        finally:
            if exchange:
                exchange.ended_at = time.monotonic()


async def _handle(request: web.Request, handler: Handler, exchange: Exchange | None) -> web.StreamResponse:
    try:
        response = await handler(request)
    except ApiError as error:
        return error.response()
    if exchange:
        exchange.created = True
    return response


def _leave(request: web.Request, *, reset: bool = False) -> web.Response:
    """Close or reset the connection; return a response that can no longer be sent."""
    transport = request.transport
    if transport is None:  # pragma: no cover - the client may have left at this moment
        return web.Response()
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _WITHOUT_LINGERING)
        transport.abort()
    else:
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


def _proxy_page(status: HTTPStatus) -> web.Response:
    title = f"{status.value} {status.phrase}"
    text = f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1><hr>proxy</body>\n</html>\n"
    return web.Response(status=status, text=text, content_type="text/html")


_REFUSALS: Final[Mapping[Kind, Callable[[], ApiError]]] = {
    Kind.FORBIDDEN: lambda: ServiceError(403, "IAM.0003", "Policy doesn't allow this call to be performed."),
    Kind.CODE_OR_STATE_INVALID: lambda: ServiceError(400, "SVCSTG.REPO.0402", "oauth code or state invalid"),
    Kind.TOO_MANY_REQUESTS: lambda: GatewayError(
        429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit"
    ),
    Kind.INTERNAL_ERROR: InternalError,
    Kind.INTERNAL_ERROR_AFTER: InternalError,
    Kind.GATEWAY_TIMEOUT: lambda: GatewayError(504, "APIGW.0203", "Backend timeout"),
    Kind.GATEWAY_TIMEOUT_BEFORE: lambda: GatewayError(504, "APIGW.0203", "Backend timeout"),
}
"""Codes of the API Gateway's and IAM's tables."""
