"""HTTP requests to one endpoint: authentication, TLS, proxies, retries, one open connection."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import aiohttp
from msgspec import Struct
from yarl import URL

from oauth_helper.credentials import Credentials, IamToken
from oauth_helper.errors import (
    CredentialsError,
    SettingsError,
    UnavailableError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.i18n import N_, Text, _
from oauth_helper.models import CONNECTING
from oauth_helper.secret import Secret, safe_text
from oauth_helper.servicestage.api_errors import Answer, redirected, refusal
from oauth_helper.servicestage.proxies import proxy_for
from oauth_helper.servicestage.signing import Query, request_target, sign
from oauth_helper.settings import REGIONS
from oauth_helper.values import COPY_AGAIN, check_endpoint
from oauth_helper.version import VERSION

LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes: a thousand authorizations of a kilobyte each."""
RENEWAL: Final = 25.0
"""Seconds after which the open connection is replaced; servers usually close an idle one after 60."""
OLDEST: Final = 40.0
"""Seconds. No request is sent on an open connection that is older, such as after the machine slept."""
_LARGEST_FIELD: Final = 128 * 1024
"""Bytes; an IAM token, which comes in a header, may have 100,000 characters."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=CONNECTING)
_LIKE_SECRET_KEY: Final = 40
"""Characters; access keys have 20."""
FIELD_VALUE: Final = re.compile(r"[!-~]+")
"""The characters of our header values (RFC 9110 section 5.5, without spaces)."""
FOREIGN: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What aiohttp raises for a request; ``ssl.SSLError`` is an ``OSError``."""
_log = logging.getLogger(__name__)


def tls_context(ca_bundle: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Return a context that verifies: against ``ca_bundle`` (PEM) alone where given, else as the system does.

    If ``ca_bundle`` is what ``SSL_CERT_FILE`` names, the folders of ``SSL_CERT_DIR`` are trusted too, as OpenSSL does.
    ``SSLKEYLOGFILE`` is ignored: the keys would decrypt every secret that is sent. SettingsError: the file is unusable.
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


class Retries(Struct, frozen=True):
    """How often, and when, a call without side effects is sent again."""

    pauses: Sequence[float] = (0.5, 1.0, 2.0)
    """Seconds before each retry. The server's ``Retry-After`` can make a pause longer."""
    within: float = 10.0
    """Seconds after the first request in which the last retry must start."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic


RETRIES: Final = Retries()


class Transport:
    """Send requests to one endpoint, each signed or with its token. An async context manager.

    Only a request without side effects is sent again. aiohttp (3.11.0 and 3.14.5) sends a GET or DELETE a second time
    if its connection is lost before an answer, as RFC 9110 section 9.2.2 allows; it never repeats a POST.

    Args:
        endpoint: ``https://HOST[:PORT][/PREFIX]``; plain http on this machine only.
        credentials: What proves our identity; ``None`` for the request that asks for a token.
        project_id: Sent as ``X-Project-Id`` with signed requests.
        origin: Names ``endpoint`` in an error.
        check: The hint if the server refuses the request's credentials; by default about ``credentials``.
        allows_link_local: Whether plain http to a link-local address is allowed (the metadata service of a cloud).

    Raises SettingsError: one of these, or a proxy of the environment, is unusable.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        credentials: Credentials | None,
        project_id: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        origin: str = _("The endpoint"),
        check: Text | None = None,
        allows_link_local: bool = False,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
        retries: Retries = RETRIES,
    ) -> None:
        address = check_endpoint(endpoint, origin=origin, allows_link_local=allows_link_local)
        self._base = URL(address, encoded=True)
        self.use(credentials)
        if project_id is not None:
            _check_field(_("project ID"), project_id, SettingsError)
        self._project_id, self._check = project_id, check
        self._proxy, self._proxy_login = proxy_for(self._base)
        self._tls = tls_context(ca_bundle) if ca_bundle is not None or self._base.scheme == "https" else None
        self._timeout, self._retries = timeout, retries
        self._open: tuple[aiohttp.connector.Connection, float] | None = None
        """The open connection, and when it was opened by a clock that also runs while the machine sleeps."""
        self.last_clock_skew: float | None = None
        """Seconds by which the server's clock was ahead of this machine's at the last answer; ``None`` if unknown."""

    def use(self, credentials: Credentials | None) -> None:
        """Authenticate further requests with these; CredentialsError if they cannot be sent in a header."""
        if isinstance(credentials, IamToken):
            _check_field(_("IAM token"), credentials.token.reveal())
        elif credentials:
            _check_field(_("access key"), credentials.access_key)
            if credentials.security_token:
                _check_field(_("security token"), credentials.security_token.reveal())
            # The secret key signs and is not sent: it may contain any printable character.
            if not credentials.secret_key or not credentials.secret_key.reveal().isprintable():
                raise CredentialsError(_("The secret key is empty, or has a line break or control character in it"))
        self._credentials = credentials

    async def __aenter__(self) -> Self:
        self._pool = aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls)
        self._session = aiohttp.ClientSession(
            connector=self._pool,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"oauth-helper/{VERSION}"},
            timeout=self._timeout,
            trust_env=False,  # it would replace our Authorization by what ~/.netrc says
            max_field_size=_LARGEST_FIELD,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._open[0].close()
        await self._session.close()

    @property
    def host(self) -> str:
        """The ``Host`` header: the endpoint's host, and its port unless it is the scheme's own."""
        return self._base.host_port_subcomponent or ""

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy through which the endpoint is reached, if there is one."""
        return f"{self._proxy.host_subcomponent}:{self._proxy.port}" if self._proxy else None

    @asynccontextmanager
    async def kept_open(self) -> AsyncIterator[None]:
        """Keep a connection open for the next request within the context. It never raises."""
        keeping = asyncio.create_task(self._keep_open(), name="open connection")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

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
        allowed: Collection[int] = (),
    ) -> Answer:
        """Send a request and return its answer, whose status is 2xx or one of ``allowed``.

        ``path`` is percent-encoded, ``query`` is not. No error repeats ``secrets``. If ``is_safe``, the request has no
        side effects, and is sent again if the server is busy or the connection breaks.

        Raises:
            CredentialsError, RefusedError: The server refused the credentials, or the request.
            UnavailableError: There was no usable answer; ``sent`` tells whether the request may have arrived.
        """
        attempt = partial(self._attempt, method, path, tuple(query), body, headers, tuple(secrets), allowed)
        deadline = self._retries.clock() + self._retries.within
        for pause in self._retries.pauses if is_safe else ():
            try:
                return await attempt()
            except UnavailableError as error:
                wait = max(pause, error.retry_after or 0.0)
                if not error.is_transient or self._retries.clock() + wait > deadline:
                    raise
            _log.debug("%s %s: again in %.1f s", method, path, wait)
            await self._retries.sleep(wait)
        return await attempt()

    async def _attempt(
        self,
        method: str,
        path: str,
        query: Query,
        body: bytes,
        headers: Mapping[str, str],
        secrets: tuple[Secret, ...],
        allowed: Collection[int],
    ) -> Answer:
        path = f"{self._base.raw_path.rstrip('/')}{path}"
        url = URL(f"{self._base.scheme}://{self.host}{request_target(path, query)}", encoded=True)
        try:
            self._release_open_connection()
            sent, ours = self._authenticated(method, path, query, body, headers)
            answer = await self._send(method, url, sent, body, (*secrets, *ours))
        except FOREIGN as error:
            failure = translated(error, server=self.host, proxy=self._proxy)
        else:
            _log.debug("%s %s%s: %d, request %s", method, self.host, path, answer.status, answer.request_id)
            self.last_clock_skew = answer.clock_skew
            if len(answer.body) > LARGEST_ANSWER:
                raise answer.unusable(_("is larger than {largest_answer} bytes", largest_answer=LARGEST_ANSWER))
            if answer.status >= 400 and answer.status not in allowed:
                raise refusal(answer, credentials=self._credentials, check=self._check)
            if 300 <= answer.status < 400:
                raise redirected(answer)
            return answer
        _log.debug("%s %s%s: %s", method, self.host, path, failure.message)
        raise failure

    def _authenticated(
        self, method: str, path: str, query: Query, body: bytes, more: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Secret, ...]]:
        """Return the headers of a request, and the secrets in them."""
        headers, key = {"Host": self.host, "Content-Type": "application/json", **more}, self._credentials
        if key is None:
            return headers, ()
        if isinstance(key, IamToken):
            return {**headers, "X-Auth-Token": key.token.reveal()}, (key.token,)
        if self._project_id:
            headers["X-Project-Id"] = self._project_id
        headers = sign(key, method=method, path=path, query=query, headers=headers, body=body, now=datetime.now(UTC))
        signature = Secret(headers["Authorization"].rpartition("=")[2])
        # A gateway repeats an unknown access key. One this long may be a secret key in the wrong place.
        misplaced = Secret(key.access_key if len(key.access_key) >= _LIKE_SECRET_KEY else "")
        return headers, (key.secret_key, key.security_token or Secret(""), signature, misplaced)

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes, secrets: Collection[Secret]
    ) -> Answer:
        options = {"headers": headers, "data": body or None, "allow_redirects": False, **self._through_proxy()}
        async with self._session.request(method, url, **options) as response:
            received_at = datetime.now(UTC)
            content = bytearray()
            async for part in response.content.iter_any():
                content += part
                if len(content) > LARGEST_ANSWER:
                    break
            return Answer(self.host, response.status, response.headers, bytes(content), received_at, secrets)

    def _through_proxy(self) -> dict[str, Any]:
        headers = {"Proxy-Authorization": self._proxy_login.reveal()} if self._proxy_login else {}
        return {"proxy": self._proxy, "proxy_headers": headers}

    async def _keep_open(self) -> None:
        options = self._through_proxy()
        # The pool distinguishes connections by the headers for the proxy: those of the session and ours.
        to_proxy = self._session.headers.copy()
        to_proxy.update(options["proxy_headers"])
        options["proxy_headers"] = to_proxy
        while True:
            request = aiohttp.ClientRequest("GET", self._base, session=self._session, **options)
            with suppress(*FOREIGN):
                connection = await self._pool.connect(request, [], self._timeout)
                if self._open:
                    self._open[0].close()
                self._open = connection, time.time()
            await asyncio.sleep(RENEWAL)

    def _release_open_connection(self) -> None:
        """Return the open connection to the pool for the next request, or close it if it is too old."""
        if self._open:
            (connection, opened_at), self._open = self._open, None
            if time.time() - opened_at < OLDEST:
                connection.release()
            else:
                connection.close()


def _check_field(what: Text, value: str, error: type[SettingsError] = CredentialsError) -> None:
    if not FIELD_VALUE.fullmatch(value):
        text = _("The {what} is empty, or has a space, line break or other character that none has", what=what)
        raise error(text, hint=COPY_AGAIN)


_NETWORK: Final = _("Check the network and the proxy (HTTPS_PROXY, NO_PROXY), and run `oauth-helper doctor`.")
_NAME: Final = _("Check the spelling of --region or --endpoint, and the network; behind a proxy, set HTTPS_PROXY.")
_TLS: Final = _("If the network has a certificate authority of its own, name its file with --ca-bundle.")
_TLS_BROKE: Final = _("Check --endpoint, and whether a firewall or proxy on the way interferes with TLS.")
_NO_TLS: Final = _("This port does not speak TLS. Check the port in --endpoint.")
_DATES: Final = _("Check this machine's clock. If it is right, the certificate must be renewed.")
_OTHER_HOST: Final = _("The certificate is of another host. Check --endpoint; a proxy or firewall may answer instead.")
_PROXY: Final = _("Check HTTPS_PROXY (http://[USER:PASSWORD@]HOST:PORT); NO_PROXY lists the hosts to reach without it.")
_PROXY_LOGIN: Final = _("Check user name and password in HTTPS_PROXY; special characters must be percent-encoded.")
_PROXY_NOT_BASIC: Final = _(
    "The proxy of HTTPS_PROXY takes no Basic authentication. Ask its administrator, or set NO_PROXY."
)
_PROXY_RULES: Final = _("Ask the proxy's administrator to allow this host, or check which proxy HTTPS_PROXY names.")

_PROXY_ANSWERS: Final[Mapping[int, tuple[str, Text]]] = {
    403: (N_("The proxy {proxy} does not allow connections to {server}{detail}"), _PROXY_RULES),
    407: (N_("The proxy {proxy} refused the user name or password, or needs one{detail}"), _PROXY_LOGIN),
}
_CERTIFICATE_HINTS: Final = {9: _DATES, 10: _DATES, 62: _OTHER_HOST, 63: _OTHER_HOST, 64: _OTHER_HOST}
"""By OpenSSL's codes: not yet valid, expired; mismatch of host name, email, IP address."""
_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
"""OpenSSL's reasons where the answer to the handshake is no TLS."""
# Exception; text, with peer for the one that we connect to; hint; whether the request may have been sent (False only if
# no byte of it has left); whether it may succeed a moment later. The most specific first: the first match counts.
_CERTIFICATE: Final = N_("The TLS certificate of {peer} could not be verified{detail}")
_UNUSABLE: Final = N_("{server} is not a usable address")
_CLOSED: Final = N_("{server} closed the connection before it had answered")
FAILURES: Final[tuple[tuple[type[Exception], str, Text, bool, bool], ...]] = (
    (aiohttp.ClientConnectorCertificateError, _CERTIFICATE, _TLS, False, False),
    (aiohttp.ClientSSLError, N_("The TLS handshake with {peer} failed{detail}"), _TLS_BROKE, False, False),
    (aiohttp.ClientProxyConnectionError, N_("No connection to the proxy {proxy}{detail}"), _PROXY, False, True),
    (aiohttp.ClientHttpProxyError, N_("The proxy {proxy} did not connect to {server}{detail}"), _PROXY, False, False),
    (aiohttp.ClientConnectorDNSError, N_("There is no address for the name {peer}"), _NAME, False, False),
    (aiohttp.ClientConnectorError, N_("No connection to {peer}{detail}"), _NETWORK, False, True),
    (aiohttp.ConnectionTimeoutError, N_("No connection to {peer} came about in time"), _NETWORK, False, True),
    (aiohttp.InvalidURL, _UNUSABLE, _NAME, False, False),
    (UnicodeError, _UNUSABLE, _NAME, False, False),  # the resolver cannot encode the name for DNS
    (TimeoutError, N_("{server} did not answer in time"), _NETWORK, True, True),
    (aiohttp.ClientPayloadError, N_("The answer of {server} broke off"), _NETWORK, True, True),
    (aiohttp.ClientResponseError, N_("What {server} answered is not HTTP"), _("Check the endpoint."), True, False),
    (aiohttp.ClientConnectionError, _CLOSED, _NETWORK, True, True),
    (OSError, N_("The connection with {server} broke{detail}"), _NETWORK, True, True),
    (Exception, N_("The request to {server} failed"), _NETWORK, True, False),
)


def translated(error: Exception, *, server: str, proxy: URL | None) -> UnreachableError | UnusableAnswerError:
    """Return our error for one of :data:`FOREIGN`.

    Raise it after the ``except`` block: some of aiohttp's exceptions show the request's headers in a traceback.
    """
    words, hint, sent, is_transient = next(row[1:] for row in FAILURES if isinstance(error, row[0]))
    through = f"{proxy.host_subcomponent}:{proxy.port}" if proxy else ""
    is_about_proxy = proxy is not None and (
        (error.host, error.port) == (proxy.host, proxy.port)
        if isinstance(error, aiohttp.ClientConnectorError)
        else isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ConnectionTimeoutError)
    )
    if isinstance(error, aiohttp.ClientHttpProxyError):
        words, hint = _PROXY_ANSWERS.get(error.status, (words, hint))
        is_transient = error.status >= 500
        offered = error.headers.getall("Proxy-Authenticate", []) if error.headers else []
        if error.status == 407 and offered and not any("basic" in each.casefold() for each in offered):
            hint = _PROXY_NOT_BASIC
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        hint = _CERTIFICATE_HINTS.get(getattr(error.certificate_error, "verify_code", 0), hint)
    elif isinstance(error, aiohttp.ClientSSLError):
        hint = _NO_TLS if getattr(error.os_error, "reason", None) in _NOT_TLS else hint
    elif is_about_proxy:
        hint = _PROXY
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            words = N_("No address was found for the proxy {proxy}")
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        hint = _("{hint} Regions with ServiceStage: {regions}.", hint=_NAME, regions=", ".join(REGIONS))
    peer = through if is_about_proxy else server
    message = _(words, server=server, proxy=through, peer=peer, detail=_detail(error))
    is_answer = isinstance(error, aiohttp.ClientResponseError) and sent
    kind = UnusableAnswerError if is_answer else UnreachableError
    return kind(message, sent=sent, hint=hint, is_transient=is_transient)


def _detail(error: Exception) -> str:
    """Return the reason from error numbers and TLS reasons only: an exception's text may contain a query."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f" (HTTP {error.status})"
    cause = getattr(error, "certificate_error", getattr(error, "os_error", error))
    if isinstance(cause, ssl.SSLError):  # only OpenSSL's own errors have these attributes
        reason = (getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "").replace("_", " ")
    else:
        number = getattr(cause, "errno", None)
        reason = os.strerror(number) if isinstance(number, int) else ""
    return f": {safe_text(reason)}" if reason else ""
