"""What the sandbox does wrong on request."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeVar
from weakref import WeakSet

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from oauth_helper.errors import PortTakenError, UsageError, cannot_listen
from oauth_helper.i18n import Text, _
from oauth_helper.secret import is_plain_word
from oauth_helper.values import BLOCKED_PORTS

DURATION: Final = 2.0
"""Seconds that a fault lasts, where it is one that takes time."""


class Call(StrEnum):
    """The calls that can go wrong; the names of the routes that take them, ``LOOK`` apart."""

    LIST = "list"
    REDIRECT_URL = "redirect-url"
    EXCHANGE = "exchange"
    LOOK = "look"
    DELETE = "delete"
    IAM_TOKEN = "iam-token"  # noqa: S105 - the name of a call, not a token
    IAM_PROJECT = "iam-project"


class Kind(StrEnum):
    """The ways in which a call can go wrong."""

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
    Call.LIST: _("the list of authorizations, where it is no look"),
    Call.REDIRECT_URL: _("the authorization URL"),
    Call.EXCHANGE: _("code and state, a token or a password for an authorization"),
    Call.LOOK: _("the list, once an exchange has arrived and until the next authorization URL is asked for"),
    Call.DELETE: _("the deletion of an authorization"),
    Call.IAM_TOKEN: _("IAM's tokens"),
    Call.IAM_PROJECT: _("IAM's project of a region"),
}
"""What each call is for, in words for people."""

KINDS: Final[Mapping[Kind, Text]] = {
    Kind.DROP_BEFORE: _("connection reset; not handled"),
    Kind.DROP_AFTER: _("handled, then connection reset without an answer"),
    Kind.TRUNCATE: _("handled, then an answer that breaks off halfway"),
    Kind.HANG: _("no answer ever; not handled"),
    Kind.HANG_AFTER: _("handled, then no answer ever"),
    Kind.STALE: _("connection closed as the request arrives, not handled; waits for a call on a kept connection"),
    Kind.REFUSE: _(
        "ServiceStage's port closed for {duration:g} s once the call before arrives (list: from the "
        "start; redirect-url: list; exchange, delete: redirect-url; look: exchange)",
        duration=DURATION,
    ),
    Kind.UNAUTHORIZED: _("APIGW.0301, the token has expired; not handled"),
    Kind.FORBIDDEN: _("IAM.0003, a policy says no; not handled"),
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
"""What happens, in words for people."""

_BEFORE: Final[Mapping[Call, Call | None]] = {
    Call.LIST: None,
    Call.REDIRECT_URL: Call.LIST,
    Call.EXCHANGE: Call.REDIRECT_URL,
    Call.DELETE: Call.REDIRECT_URL,
    Call.LOOK: Call.EXCHANGE,
}
"""The call that in a link comes before each of ServiceStage's; None where it is the first."""

_ALWAYS: Final = "always"
_TIMES: Final = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_HINT: Final = _("See `oauth-helper sandbox --help`.")

_Word = TypeVar("_Word", Call, Kind)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at one call, ``times`` times; None stands for always.

    Raises:
        UsageError: ``refuse`` is asked for at a call of IAM's, which has no port to close.
    """

    call: Call
    kind: Kind
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.kind is Kind.REFUSE and self.call not in _BEFORE:
            raise UsageError(
                _("{call} cannot be refused: it is ServiceStage's port that closes", call=self.call), hint=_HINT
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``WHAT=HOW[:TIMES]``, TIMES being a number or ``always``.

        Raises:
            UsageError: It is not of that form, or a word in it is unknown.
        """
        what, _unused, rest = text.partition("=")
        how, ngettext, times = rest.partition(":")
        call, kind = _word(Call, what, "WHAT"), _word(Kind, how, "HOW")
        if not ngettext:
            return cls(call, kind)
        if times != _ALWAYS and not _TIMES.fullmatch(times):
            raise UsageError(
                _("TIMES is a number from 1 to 999999 or {always}, not {shown}", always=_ALWAYS, shown=_shown(times)),
                hint=_HINT,
            )
        return cls(call, kind, None if times == _ALWAYS else int(times))


class Faults:
    """Which fault is due at which call: those of one call in the order given, each until it is used up.

    Nothing in here waits, so that within one event loop no two requests get the same one.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._queues: dict[Call, deque[Fault]] = {call: deque() for call in Call}
        for fault in faults:
            self._queues[fault.call].append(fault)

    def take(self, call: Call, *, reused: bool) -> Kind | None:
        """Return what goes wrong at this request for ``call``; ``reused`` says that its connection bore one before.

        A stale connection waits at the head of its queue for a reused one, and a refusal for the call before.
        """
        match self._head(call):
            case None | Kind.REFUSE:
                return None
            case Kind.STALE if not reused:
                return None
            case kind:
                self._use(call)
                return kind

    def take_refusal(self, arrived: Call | None) -> bool:
        """Whether connections are to be refused from ``arrived`` on; None stands for the sandbox's start."""
        due = [call for call, before in _BEFORE.items() if before is arrived and self._head(call) is Kind.REFUSE]
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


def _word(words: type[_Word], text: str, place: str) -> _Word:
    try:
        return words(text)
    except ValueError:
        raise UsageError(
            _("{place} is one of {words}, not {shown}", place=place, words=", ".join(words), shown=_shown(text)),
            hint=_HINT,
        ) from None


def _shown(text: str) -> str:
    return f"{text!r}" if is_plain_word(text) or not text else "what was given"


LOOPBACK: Final = "127.0.0.1"

_SHUTDOWN_TIMEOUT: Final = 0.1
"""Seconds an answer under way is given; twice that with its cancellation, and four servers close in turn."""


def open_port(number: int | None = None) -> socket.socket:
    """Return a socket that listens on that loopback port, or on a free one.

    Raises:
        PortTakenError: Port ``number`` is not available.
        MachineError: Nothing can listen on 127.0.0.1 at all.
    """
    try:
        with ExitStack() as blocked:
            while (sock := socket.create_server((LOOPBACK, number or 0))).getsockname()[
                1
            ] in BLOCKED_PORTS and not number:
                blocked.enter_context(sock)  # kept until another one is found
            return sock
    except OSError as error:
        if number is None or error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EPERM}:
            raise cannot_listen(error) from None
        raise PortTakenError(
            _("Port {port} on {host} cannot be had ({why})", port=number, host=LOOPBACK, why=os.strerror(error.errno)),
            hint=_("Name another one, or leave out --console-port to take any."),
        ) from None


def address_of(port: socket.socket) -> str:
    """Return ``http://127.0.0.1:PORT``."""
    host, number = port.getsockname()
    return f"http://{host}:{number}"


class ClosablePort:
    """The port of an application that is served: open, or shut for a while."""

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
        """Refuse connections for so many seconds, and close those that are open, ``staying`` apart.

        A door that is shut already opens when it would have.
        """
        if self._reopening is None or self._reopening.done():
            address = self._port.getsockname()
            await self._site.stop()
            self._port = _keep_without_listening(address)
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
        # Not cancelled at the end: that would leave a site behind whose start was under way.
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            await self.open()


def _keep_without_listening(address: tuple[str, int]) -> socket.socket:
    """Return a socket bound to ``address``: nobody else gets the port, and whoever connects is refused."""
    port = socket.socket()
    # As socket.create_server does; elsewhere the option would let others share the port.
    if os.name == "posix":  # pragma: no branch - on Windows it is not
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(address)
    return port


@asynccontextmanager
async def serving(application: web.Application, port: socket.socket) -> AsyncIterator[ClosablePort]:
    """Serve ``application`` on ``port`` within the context; afterwards the port is closed.

    What handles a request is cancelled when its client leaves.
    """
    # No access log: the addresses bear codes and states.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT, handler_cancellation=True)
    await runner.setup()
    closable_port = ClosablePort(runner, port)
    try:
        await closable_port.open()
        yield closable_port
    finally:
        await closable_port.close()


class ApiError(Exception):
    """A refusal, in the shape of the one who refuses."""

    def __init__(self, status: int, body: Mapping[str, object], request_id: str) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.body = body
        self.request_id = request_id

    def answer(self) -> web.Response:
        """Return the answer that says so."""
        return web.json_response(self.body, status=self.status, headers={"X-Request-Id": self.request_id})


class GatewayError(ApiError):
    """The API gateway refused, before any service was asked: flat, with the request's id (api-sign-errorcode)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        request_id = new_request_id()
        super().__init__(status, {"error_msg": message, "error_code": code, "request_id": request_id}, request_id)


class ServiceError(ApiError):
    """ServiceStage, or a policy of IAM's, refused: flat, the id in the header only (the manual's samples)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, {"error_code": code, "error_msg": message}, new_request_id())


class InternalError(ServiceError):
    """ServiceStage failed. The tables that could be seen have no code for a 500; this one is formed as theirs are."""

    def __init__(self) -> None:
        super().__init__(500, "SVCSTG.REPO.0500", "internal server error")


class KeystoneError(ApiError):
    """IAM's token call refused: nested, as Keystone does."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        error = {"code": status.value, "message": message, "title": status.phrase}
        super().__init__(status, {"error": error}, new_request_id())


def new_request_id() -> str:
    """Return an id for one request, of the form the gateway gives: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def envelope(now: Callable[[], float]) -> Middleware:
    """Return the middleware that turns refusals into answers, and gives each answer its id and its date."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await _answer(request, handler)
        except ApiError as error:
            response = error.answer()
        response.headers.setdefault("X-Request-Id", new_request_id())
        # The sandbox's own clock, so that a reader who compares Date with the refusal of a signature sees one time.
        response.headers["Date"] = formatdate(now(), usegmt=True)
        return response

    return answer


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.match_info.http_exception is not None:
        raise GatewayError(404, "APIGW.0101", "The API does not exist or has not been published in the environment")
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        raise GatewayError(413, "APIGW.0201", "Request entity too large") from None


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


class FaultInjector:
    """Meets every request to ServiceStage and IAM. An async context manager: at its end no handling goes on.

    A fault replaces whatever would have been said, after the request was read whole; who asks is not looked at.
    ``duration`` is, in seconds, how much later a request answered with 504 is handled, and how long a refusal lasts.
    """

    def __init__(self, faults: Iterable[Fault], *, now: Callable[[], float], duration: float) -> None:
        self._faults = Faults(faults)
        self._now = now
        self._duration = duration
        self._closable_port: ClosablePort | None = None
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

    async def attend(self, closable_port: ClosablePort) -> None:
        """Take charge of ServiceStage's ``door``: where the first call is to be refused, it closes at once."""
        self._closable_port = closable_port
        if self._faults.take_refusal(None):
            await closable_port.shut(self._duration)

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
        refusing = self._closable_port if self._faults.take_refusal(call) else None
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
