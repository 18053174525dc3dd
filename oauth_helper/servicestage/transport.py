"""HTTP requests to ServiceStage and IAM: TLS, proxies, one open connection."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import logging
import math
import os
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Container, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, Self
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, getproxies_environment, proxy_bypass

import aiohttp
from yarl import URL

from oauth_helper.credentials import AccessKey, Credentials, IamToken
from oauth_helper.errors import CredentialsError, SettingsError, UnavailableError, UnreachableError, UnusableAnswerError
from oauth_helper.i18n import N_, Text, _
from oauth_helper.models import CONNECTING
from oauth_helper.secret import Secret, safe_text
from oauth_helper.servicestage.api_errors import Answer, redirected, refusal
from oauth_helper.servicestage.signing import Query, request_target, sign
from oauth_helper.values import check_endpoint, is_loopback, parse_address
from oauth_helper.version import VERSION

FOREIGN: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What a request may raise that is not ours; ``ssl.SSLError`` is an ``OSError``."""

_NETWORK: Final = _(
    "Check the network and the proxy (HTTPS_PROXY, NO_PROXY); `oauth-helper doctor` checks the endpoint."
)
_NAME: Final = _("Check the spelling of --region or --endpoint, and the network; behind a proxy, set HTTPS_PROXY.")
_TLS: Final = _("If the network has a certificate authority of its own, name its file with --ca-bundle.")
_TLS_BROKE: Final = _("Check --endpoint, and whether a firewall or proxy on the way interferes with TLS.")
_NO_TLS: Final = _("This port does not speak TLS. Check the port in --endpoint.")
_DATES: Final = _(
    "Check this machine's clock. If it is right, the server's certificate or its authority's (--ca-bundle) must be "
    "renewed."
)
_OTHER_HOST: Final = _(
    "The certificate belongs to another host. Check the spelling of --region or --endpoint; a proxy or firewall may "
    "also answer in the server's place."
)
_PROXY: Final = _("Check HTTPS_PROXY (http://[USER:PASSWORD@]HOST:PORT); NO_PROXY lists the hosts to reach without it.")
_PROXY_LOGIN: Final = _(
    "Check the user name and password in HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT), with special characters "
    "percent-encoded."
)
_PROXY_NOT_BASIC: Final = _(
    "The proxy rejected the user name and password in HTTPS_PROXY (Basic authentication). Ask its administrator, or "
    "list the host in NO_PROXY if it can be reached directly."
)
_PROXY_RULES: Final = _("Ask the proxy's administrator to allow this host, or check which proxy HTTPS_PROXY names.")

_DATE_CODES: Final = frozenset({9, 10})
"""OpenSSL: X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""
_HOST_CODES: Final = frozenset({62, 63, 64})
"""OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_MISMATCH, _IP_ADDRESS_MISMATCH."""
_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
"""OpenSSL's reasons where the answer to the handshake is no TLS."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What one kind of exception means."""

    words: str
    """A format with ``server``, ``proxy``, ``peer`` (whichever of them we connect to) and ``detail``."""
    sent: bool = True
    """False only where it is certain that no byte of the request left: then it may be sent again."""
    hint: Text = _NETWORK
    error: type[UnreachableError | UnusableAnswerError] = UnreachableError
    is_transient: bool = False
    """Whether the same request may succeed a moment later."""


FAILURES: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (
        aiohttp.ClientConnectorCertificateError,
        Failure(N_("The TLS certificate of {peer} could not be verified{detail}"), sent=False, hint=_TLS),
    ),
    (
        aiohttp.ClientSSLError,
        Failure(N_("The TLS handshake with {peer} failed{detail}"), sent=False, hint=_TLS_BROKE),
    ),
    (aiohttp.ServerFingerprintMismatch, Failure(N_("{server} has another certificate"), sent=False, hint=_TLS)),
    (
        aiohttp.ClientProxyConnectionError,
        Failure(N_("No connection to the proxy {proxy}{detail}"), sent=False, hint=_PROXY, is_transient=True),
    ),
    (
        aiohttp.ClientHttpProxyError,
        Failure(N_("The proxy {proxy} did not connect to {server}{detail}"), sent=False, hint=_PROXY),
    ),
    (
        aiohttp.ClientConnectorDNSError,
        Failure(N_("There is no address for the name {peer}"), sent=False, hint=_NAME),
    ),
    (
        aiohttp.ClientConnectorError,
        Failure(N_("No connection to {peer}{detail}"), sent=False, is_transient=True),
    ),
    (
        aiohttp.ConnectionTimeoutError,
        Failure(N_("No connection to {peer} came about in time"), sent=False, is_transient=True),
    ),
    (aiohttp.InvalidURL, Failure(N_("{server} is not a usable address"), sent=False, hint=_NAME)),
    (aiohttp.NonHttpUrlClientError, Failure(N_("{server} is not a usable address"), sent=False, hint=_NAME)),
    # An address whose name cannot be encoded for DNS; raised by the resolver, before there is a connection.
    (UnicodeError, Failure(N_("{server} is not a usable address"), sent=False, hint=_NAME)),
    (TimeoutError, Failure(N_("{server} did not answer in time"), is_transient=True)),
    (aiohttp.ClientPayloadError, Failure(N_("The answer of {server} broke off"), is_transient=True)),
    (
        aiohttp.ClientResponseError,
        Failure(
            N_("What {server} answered is not HTTP"),
            hint=_("Check the endpoint."),
            error=UnusableAnswerError,
        ),
    ),
    (
        aiohttp.ClientConnectionError,
        Failure(N_("{server} closed the connection before it had answered"), is_transient=True),
    ),
    (ssl.SSLError, Failure(N_("The TLS connection with {server} broke{detail}"), is_transient=True)),
    (OSError, Failure(N_("The connection with {server} broke{detail}"), is_transient=True)),
)
"""The most specific first; the first that fits counts."""

UNFORESEEN: Final = Failure(N_("The request to {server} failed"))


def failure_of(kind: type[BaseException]) -> Failure:
    """Return what an exception of that type means."""
    return next((failure for foreign, failure in FAILURES if issubclass(kind, foreign)), UNFORESEEN)


def translated(error: Exception, *, server: str, proxy: URL | None) -> UnreachableError | UnusableAnswerError:
    """Return our error for a foreign one.

    It is to be raised where ``error`` is no longer being handled: the representation of some of aiohttp's exceptions
    shows the request's headers, and as cause or context they would come along into a traceback or a log.

    Args:
        error: One of :data:`FOREIGN`.
        server: The server's host, for people.
        proxy: The proxy's address, where there is one.
    """
    failure = failure_of(type(error))
    is_of_proxy = proxy is not None and _is_about(error, proxy)
    if is_of_proxy:
        failure = _failure_of_proxy(error, failure)
    through = f"{proxy.host_subcomponent}:{proxy.port}" if proxy else ""
    peer = through if is_of_proxy else server
    said = _(failure.words, server=server, proxy=through, peer=peer, detail=_detail(error))
    hint = _fitting_hint(error) or failure.hint
    return failure.error(said, sent=failure.sent, hint=hint, is_transient=failure.is_transient)


def _is_about(error: Exception, proxy: URL) -> bool:
    """Whether the connection to the proxy failed, and not the one through it."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.host, error.port) == (proxy.host, proxy.port)
    return isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ConnectionTimeoutError)


def _failure_of_proxy(error: Exception, failure: Failure) -> Failure:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        words = _PROXY_SAYS.get(error.status, failure.words)
        return replace(failure, words=words, is_transient=error.status >= 500)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return replace(failure, words=_NO_PROXY_ADDRESS, hint=_PROXY)
    return failure if isinstance(error, aiohttp.ClientSSLError) else replace(failure, hint=_PROXY)


_NO_PROXY_ADDRESS: Final = N_("No address was found for the proxy {proxy}")
_PROXY_SAYS: Final = {
    403: N_("The proxy {proxy} does not allow connections to {server}{detail}"),
    407: N_("The proxy {proxy} refused the user name or password, or needs one{detail}"),
}


def _fitting_hint(error: Exception) -> Text | None:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        offered = error.headers.getall("Proxy-Authenticate", []) if error.headers else []
        if error.status == 407 and offered and not any("basic" in each.casefold() for each in offered):
            return _PROXY_NOT_BASIC
        return {403: _PROXY_RULES, 407: _PROXY_LOGIN}.get(error.status)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", None)
        return _DATES if code in _DATE_CODES else _OTHER_HOST if code in _HOST_CODES else None
    if isinstance(error, aiohttp.ClientSSLError) and getattr(error.os_error, "reason", None) in _NOT_TLS:
        return _NO_TLS
    return None


def _detail(error: Exception) -> str:
    """Say why, from facts only (error numbers, TLS reasons): an exception's text may have an address with a query."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f" (HTTP {error.status})"
    cause = getattr(error, "certificate_error", getattr(error, "os_error", error))
    if isinstance(cause, ssl.SSLError):
        # Only those that OpenSSL itself raised have these; the plain number would say nothing.
        reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or ""
        reason = reason.replace("_", " ")
    else:
        number = getattr(cause, "errno", None)
        reason = os.strerror(number) if isinstance(number, int) else ""
    return f": {safe_text(reason)}" if reason else ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy."""

    url: URL
    """Without user name and password."""
    authorization: Secret | None = None
    """The value of ``Proxy-Authorization``."""


def proxy_for(endpoint: URL) -> Proxy | None:
    """Return the proxy that the environment names for ``endpoint``, or ``None``.

    ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` count, in lower case too, and on Windows and macOS the system's
    settings if none of them is set. This machine is never reached through a proxy.

    Raises:
        SettingsError: The value is not the address of an HTTP proxy.
    """
    address = getproxies().get(endpoint.scheme, "").strip()
    if not address or is_loopback(endpoint.host):
        return None
    environment = getproxies_environment()
    if environment:
        is_excepted = _is_excepted(endpoint, environment.get("no", ""))
    else:
        is_excepted = bool(proxy_bypass(f"{endpoint.host}:{endpoint.port}"))
    if is_excepted:
        return None
    variable = f"{endpoint.scheme}_proxy"
    return _parse_proxy(address, variable if os.environ.get(variable) else variable.upper())


def _parse_proxy(address: str, variable: str) -> Proxy:
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "http", address
    # No part of the value is shown: it may contain a password, and a mistake in it may make that look like a host.
    if scheme.casefold().startswith("socks"):
        raise SettingsError(
            _("{variable} names a SOCKS proxy, which is not supported", variable=variable),
            hint=_("Give an HTTP proxy as http://HOST:PORT, or list the endpoint's host in NO_PROXY."),
        )
    login, at, location = rest.rpartition("@")
    if set(login) & set("@#/?") or (at and set(location) & set("#?")):
        raise SettingsError(
            _("{variable} cannot be read: its user name or password contains @, #, / or ?", variable=variable),
            hint=_("In the user name and the password, write @ as %40, # as %23, / as %2F and ? as %3F."),
        )
    try:
        url = parse_address(f"{scheme}://{location}")
        usable = url.scheme in {"http", "https"} and bool(url.host) and bool(url.port) and location.isprintable()
        usable = usable and not (url.query_string or url.fragment or url.user or " " in location)
    except ValueError:
        url, usable = URL(), False
    if not usable:
        raise SettingsError(
            _("{variable} is not the address of an HTTP proxy", variable=variable),
            hint=_("Give it as http://HOST:PORT, or list the endpoint's host in NO_PROXY."),
        )
    return Proxy(url.origin(), _basic(login) if at else None)


def _basic(login: str) -> Secret:
    user, _, password = login.partition(":")
    # Bytes of the environment that are not UTF-8 are sent as they are.
    pair = b":".join(unquote_to_bytes(part.encode("utf-8", "surrogateescape")) for part in (user, password))
    return Secret(f"Basic {base64.b64encode(pair).decode()}")


def _is_excepted(endpoint: URL, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` names the endpoint's host, read as Go and curl read it."""
    hosts = {(host or "").casefold().rstrip(".") for host in (endpoint.host, endpoint.raw_host)}
    address = _ip_address(endpoint.host or "")
    for entry in re.split(r"[,\s]+", no_proxy.casefold()):
        if entry == "*":
            return True
        name, port = _split_port(entry)
        if not name or port not in {None, str(endpoint.port)}:
            continue
        if address:
            matches = address in _addresses(name)
        else:
            # "*.domain" means subdomains only; "domain" and ".domain" mean the domain too.
            matches = name.strip(".") in hosts or any(
                host.endswith(f".{name.lstrip('*').strip('.')}") for host in hosts
            )
        if matches:
            return True
    return False


def _split_port(entry: str) -> tuple[str, str | None]:
    """Return the host of an entry, without brackets, and its port."""
    if match := re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", entry):
        return match[1], match[2]
    host, colon, port = entry.partition(":")
    return (host, port or None) if colon and ":" not in port else (entry, None)


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _addresses(text: str) -> Container[object]:
    """Return the IP network (or the single address) that an entry names; nothing if it names none."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return ()


def tls_context(ca_bundle: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Return a context that verifies: against ``ca_bundle`` (PEM) alone where given, else as the system does.

    If ``ca_bundle`` is what ``SSL_CERT_FILE`` names, the folders of ``SSL_CERT_DIR`` are trusted too, as OpenSSL does.
    ``SSLKEYLOGFILE`` is ignored: the keys would decrypt every secret that is sent.

    Raises:
        SettingsError: The file cannot be read, or has no certificate in it.
    """
    # As ssl.create_default_context makes it, except that this writes no key log.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if ca_bundle is None:
        context.load_default_certs()
        return context
    folders = os.environ.get("SSL_CERT_DIR") if os.fspath(ca_bundle) == os.environ.get("SSL_CERT_FILE") else None
    try:
        context.load_verify_locations(cafile=os.fspath(ca_bundle), capath=folders or None)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            _("The CA bundle {ca_bundle!r} cannot be used: {reason}", ca_bundle=str(ca_bundle), reason=reason),
            hint=_("--ca-bundle (OAUTH_HELPER_CA_BUNDLE, SSL_CERT_FILE) takes a file of certificates in PEM form."),
        ) from error
    return context


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StandbyPace:
    """When the open connection is renewed, in seconds."""

    renewal: float = 25.0
    """From one opening to the next."""
    after_sign: float = 2.0
    """The same, if a request may come soon."""
    oldest: float = 40.0
    """Nothing is sent on a connection that is older: usual servers close it after 60."""
    wall: Callable[[], float] = time.time
    """A clock that also runs while the machine sleeps; the event loop's may not."""


STANDBY: Final = StandbyPace()


class Held(Protocol):
    """A connection out of a pool."""

    @property
    def closed(self) -> bool:
        """Whether one of both sides has closed it."""

    def close(self) -> None:
        """Close it."""

    def release(self) -> None:
        """Give it back to the pool, for the next request."""


class Standby:
    """Keeps one connection open while :meth:`kept` is entered.

    Args:
        connect: Takes a connection out of the pool, or opens one.
        pace: When it is renewed.
    """

    def __init__(self, connect: Callable[[], Awaitable[Held]], timing: StandbyPace = STANDBY) -> None:
        self._connect = connect
        self._timing = timing
        self._waits = 0
        self._tried_at = -math.inf
        self._wake = asyncio.Event()
        self._held: Held | None = None
        self._held_since = -math.inf
        self._opening: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._trouble: Exception | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep a connection open within the context, and leave it for the next request. May be entered repeatedly."""
        self._waits += 1
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="keeps a connection ready")
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                self._keeping.cancel()  # without waiting for it: a request is to leave at once
                self._keeping = None

    def expect(self) -> None:
        """Renew the connection now, unless that was tried a moment ago: a request may come soon."""
        if asyncio.get_running_loop().time() - self._tried_at >= self._timing.after_sign:
            self._wake.set()

    async def release(self) -> None:
        """Give the connection to the pool, for the request that is sent next; if it may be about to end, close it.

        Raises:
            Exception: One of :data:`FOREIGN`: the opening that was under way failed. Another would take as long again.
        """
        if not self._is_usable() and self._opening and not self._opening.done():
            await asyncio.wait({self._opening})
            if not self._opening.cancelled() and self._trouble:
                raise self._trouble
        is_usable = self._is_usable()
        held, self._held = self._held, None
        if held and is_usable:
            held.release()
        elif held:
            held.close()

    async def close(self) -> None:
        """Stop keeping a connection, and close it."""
        for task in (self._keeping, self._opening):
            if task:
                task.cancel()
                await asyncio.wait({task})
        if self._held:
            self._held.close()
            self._held = None

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._tried_at = loop.time()
            # A task of its own: it goes on when the wait is over, for the request that comes then.
            self._opening = loop.create_task(self._open())
            await asyncio.wait({self._opening})
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.renewal):
                    await self._wake.wait()

    async def _open(self) -> None:
        self._trouble = None
        try:
            held = await self._connect()
        except FOREIGN as error:  # the wait goes on
            self._trouble = error
            _log.debug("No connection to stand ready: %s", type(error).__name__)
            return
        if self._held:
            self._held.close()
        self._held, self._held_since = held, self._timing.wall()

    def _is_usable(self) -> bool:
        is_young = self._timing.wall() - self._held_since < self._timing.oldest
        return self._held is not None and not self._held.closed and is_young


LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes: a thousand authorizations of a kilobyte each."""
_LARGEST_FIELD: Final = 128 * 1024
"""Bytes; an IAM token, which comes in a header, may have 100,000 characters."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=CONNECTING)
"""Seconds, for a whole request and for its connection."""
_LIKE_SECRET_KEY: Final = 40
"""Characters; access keys have 20."""
_FIELD_VALUE: Final = re.compile(r"[!-~]+")
"""What every value of ours in a header is made of (RFC 9110 section 5.5, without spaces)."""

_connection_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and when, a call without side effects is sent again."""

    pauses: Sequence[float] = (0.5, 1.0, 2.0)
    """Seconds before each retry. The server's ``Retry-After`` can make a pause longer."""
    within: float = 10.0
    """Seconds after the first request in which the last retry must start."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic


RETRIES: Final = Retries()


class Connection:
    """Send requests to one endpoint, each of them signed or with its token. An async context manager.

    Only a request that :meth:`request` is told has no side effects is sent again. aiohttp by itself (3.11.0 and
    3.14.5) sends a GET or DELETE a second time when its connection is lost before an answer, as RFC 9110 section 9.2.2
    allows; a POST never.

    Args:
        endpoint: ``https://HOST[:PORT][/PREFIX]``; plain http on this machine only.
        credentials: What proves our identity; ``None`` for the request that asks for a token.
        project_id: Sent as ``X-Project-Id`` with signed requests.
        ca_bundle: A file of certificates (PEM) to trust instead of the system's.
        origin: Says in an error where ``endpoint`` came from.
        timeout: Other limits than 30 s for a request and 10 s for its connection.
        standby: When the connection that :meth:`kept_ready` keeps is renewed.
        retries: When calls without side effects are sent again.

    Raises:
        SettingsError: The endpoint, the project ID, the CA bundle or a proxy of the environment is unusable.
        CredentialsError: The credentials cannot stand in a header, or are empty.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        credentials: Credentials | None,
        project_id: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        origin: str = _("The endpoint"),
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
        standby: StandbyPace = STANDBY,
        retries: Retries = RETRIES,
    ) -> None:
        self._base = URL(check_endpoint(endpoint, origin=origin), encoded=True)
        _check(credentials)
        self._credentials = credentials
        if project_id is not None:
            _check_field(_("project ID"), project_id, SettingsError)
        self._project_id = project_id
        self._proxy = proxy_for(self._base)
        self._tls = tls_context(ca_bundle) if ca_bundle is not None or self._base.scheme == "https" else None
        self._timeout = timeout
        self._retries = retries
        self._session: aiohttp.ClientSession | None = None
        self._standby = Standby(self._connected, standby)
        self.last_clock_skew: float | None = None
        """Seconds by which the server's clock was ahead of this machine's at the last answer; ``None`` if unknown."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"oauth-helper/{VERSION}"},
            timeout=self._timeout,
            # aiohttp would read ~/.netrc too, and put what it finds there in the place of our Authorization.
            trust_env=False,
            max_field_size=_LARGEST_FIELD,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._standby.close()
            await self._session.close()

    @property
    def host(self) -> str:
        """The endpoint's host, and its port where it is not the scheme's own: the ``Host`` header."""
        return _authority(self._base)

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy through which the endpoint is reached, if there is one."""
        return f"{self._proxy.url.host_subcomponent}:{self._proxy.url.port}" if self._proxy else None

    def kept_ready(self) -> AbstractAsyncContextManager[None]:
        """Keep a connection open within the context, on which the next request leaves at once. It never raises."""
        return self._standby.kept()

    def expect_request(self) -> None:
        """Know that a request may come soon."""
        self._standby.expect()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
        secrets: Collection[Secret] = (),
        is_safe: bool = False,
    ) -> Answer:
        """Send a request and return its answer, whose status says success (2xx).

        Args:
            method: The HTTP method.
            path: Below the endpoint, percent-encoded.
            query: Names and values, not encoded.
            body: JSON, or nothing.
            headers: More than those of every request; signed with them.
            secrets: What stands in ``body`` and must not come back in an error's text.
            is_safe: The request has no side effects. If the server is busy or the connection breaks, send it again.

        Raises:
            CredentialsError: The server refused the credentials (or, NotPermittedError, the call; or ClockSkewError).
            RefusedError: The server refused the request.
            UnavailableError: There was no answer, or none that can be used; ``sent`` tells which.
        """
        request = _Request(method, path, tuple(query), body, headers, tuple(secrets))
        retries = self._retries
        deadline = retries.clock() + retries.within
        for pause in retries.pauses if is_safe else ():
            try:
                return await self._attempt(request)
            except UnavailableError as error:
                wait = max(pause, error.retry_after or 0.0)
                if not error.is_transient or retries.clock() + wait > deadline:
                    raise
            _connection_log.debug("%s %s: again in %.1f s", method, path, wait)
            await retries.sleep(wait)
        return await self._attempt(request)

    async def _attempt(self, request: _Request) -> Answer:
        method, path = request.method, f"{self._base.raw_path.rstrip('/')}{request.path}"
        url = URL(f"{self._base.scheme}://{self.host}{request_target(path, request.query)}", encoded=True)
        try:
            await self._standby.release()
        except FOREIGN as error:
            failure = self._translated(error)
        else:
            # Signed by the clock of now, not of when a connection was waited for.
            sent, ours = self._authenticated(method, path, request.query, request.body, request.headers)
            try:
                answer = await self._send(method, url, sent, request.body, (*request.secrets, *ours))
            except FOREIGN as error:
                failure = self._translated(error)
            else:
                _connection_log.debug(
                    "%s %s%s: %d, request %s", method, self.host, path, answer.status, answer.request_id
                )
                return self._accepted(answer)
        _connection_log.debug("%s %s%s: %s", method, self.host, path, failure.message)
        raise failure

    def _translated(self, error: Exception) -> UnreachableError | UnusableAnswerError:
        return translated(error, server=self.host, proxy=self._proxy.url if self._proxy else None)

    def _authenticated(
        self, method: str, path: str, query: Query, body: bytes, more: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Secret, ...]]:
        """Return the headers of a request, and what in them must not come back in an error's text."""
        headers = {"Host": self.host, "Content-Type": "application/json", **more}
        key = self._credentials
        if key is None:
            return headers, ()
        if isinstance(key, IamToken):
            return {**headers, "X-Auth-Token": key.token.reveal()}, (key.token,)
        if self._project_id:
            headers["X-Project-Id"] = self._project_id
        headers = sign(key, method=method, path=path, query=query, headers=headers, body=body, now=datetime.now(UTC))
        signature = Secret(headers["Authorization"].rpartition("=")[2])
        # A gateway repeats the access key that it does not know. One this long may be a secret key in the wrong place.
        misplaced = Secret(key.access_key if len(key.access_key) >= _LIKE_SECRET_KEY else "")
        return headers, (key.secret_key, key.security_token or Secret(""), signature, misplaced)

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes, secrets: Collection[Secret]
    ) -> Answer:
        session, _ = self._opened()
        proxy, proxy_headers = self._way()
        async with session.request(
            method,
            url,
            headers=headers,
            data=body or None,
            proxy=proxy,
            proxy_headers=proxy_headers,
            allow_redirects=False,
        ) as response:
            received_at = datetime.now(UTC)
            content = bytearray()
            async for part in response.content.iter_any():
                content += part
                if len(content) > LARGEST_ANSWER:
                    break
            return Answer(self.host, response.status, response.headers, bytes(content), received_at, secrets)

    async def _connected(self) -> Held:
        session, pool = self._opened()
        proxy, proxy_headers = self._way()
        # The pool tells connections by these: a session's requests bring its own headers to a proxy, and these.
        to_proxy = session.headers.copy()
        to_proxy.update(proxy_headers or {})
        as_if = aiohttp.ClientRequest("GET", self._base, session=session, proxy=proxy, proxy_headers=to_proxy)
        return await pool.connect(as_if, [], self._timeout)

    def _way(self) -> tuple[URL | None, dict[str, str] | None]:
        """Return the proxy, and the headers for it."""
        if self._proxy is None:
            return None, None
        authorization = self._proxy.authorization
        return self._proxy.url, {"Proxy-Authorization": authorization.reveal()} if authorization else None

    def _opened(self) -> tuple[aiohttp.ClientSession, aiohttp.BaseConnector]:
        if self._session is None or self._session.connector is None:
            raise RuntimeError("a connection is open only within `async with`")
        return self._session, self._session.connector

    def _accepted(self, answer: Answer) -> Answer:
        self.last_clock_skew = answer.clock_skew
        if len(answer.body) > LARGEST_ANSWER:
            raise answer.unusable(_("is larger than {largest_answer} bytes", largest_answer=LARGEST_ANSWER))
        if answer.status >= 400:
            raise refusal(answer, credentials=self._credentials)
        if answer.status >= 300:
            raise redirected(answer)
        return answer


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Query
    body: bytes
    headers: Mapping[str, str]
    secrets: tuple[Secret, ...]


def _check(credentials: Credentials | None) -> None:
    if isinstance(credentials, IamToken):
        _check_field(_("IAM token"), credentials.token.reveal(), CredentialsError)
    elif isinstance(credentials, AccessKey):
        _check_field(_("access key"), credentials.access_key, CredentialsError)
        if credentials.security_token is not None:
            _check_field(_("security token"), credentials.security_token.reveal(), CredentialsError)
        # It signs and is not sent: any printable character may stand in it.
        if not credentials.secret_key or not credentials.secret_key.reveal().isprintable():
            raise CredentialsError(_("The secret key is empty, or has a line break or control character in it"))


def _check_field(what: Text, value: str, error: type[SettingsError]) -> None:
    if not _FIELD_VALUE.fullmatch(value):
        raise error(
            _("The {what} is empty, or has a space, line break or other character that none has", what=what),
            hint=_("Copy it again, whole and on one line."),
        )


def _authority(url: URL) -> str:
    return url.host_port_subcomponent or ""
