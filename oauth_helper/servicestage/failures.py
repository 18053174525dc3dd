"""Which error of ours a failed connection is: the one place where the HTTP library's exceptions end. No I/O."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, replace
from typing import Final

import aiohttp
from yarl import URL

from oauth_helper.errors import UnreachableError, UnusableAnswerError
from oauth_helper.phrase import Phrase, phrase, template
from oauth_helper.presentable import presentable

FOREIGN: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What a request may raise that is not ours; ``ssl.SSLError`` is an ``OSError``."""

_NETWORK: Final = phrase(
    "Check the network and the proxy (HTTPS_PROXY, NO_PROXY); `oauth-helper doctor` checks the endpoint."
)
_NAME: Final = phrase("Check the spelling of --region or --endpoint, and the network; behind a proxy, set HTTPS_PROXY.")
_TLS: Final = phrase("If the network has a certificate authority of its own, name its file with --ca-bundle.")
_TLS_BROKE: Final = phrase("Check --endpoint, and whether a firewall or proxy on the way interferes with TLS.")
_NO_TLS: Final = phrase("This port does not speak TLS. Check the port in --endpoint.")
_DATES: Final = phrase(
    "Check this machine's clock. If it is right, the server's certificate or its authority's (--ca-bundle) must be "
    "renewed."
)
_OTHER_HOST: Final = phrase(
    "The certificate belongs to another host. Check the spelling of --region or --endpoint; a proxy or firewall may "
    "also answer in the server's place."
)
_PROXY: Final = phrase(
    "Check HTTPS_PROXY (http://[USER:PASSWORD@]HOST:PORT); NO_PROXY lists the hosts to reach without it."
)
_PROXY_LOGIN: Final = phrase(
    "Check the user name and password in HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT), with special characters "
    "percent-encoded."
)
_PROXY_NOT_BASIC: Final = phrase(
    "The proxy does not accept the user name and password in HTTPS_PROXY (Basic authentication), and oauth-helper "
    "offers nothing else. Ask its administrator, or list the host in NO_PROXY if it can be reached directly."
)
_PROXY_RULES: Final = phrase(
    "Ask the proxy's administrator to allow this host, or check which proxy HTTPS_PROXY names."
)

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
    hint: Phrase = _NETWORK
    error: type[UnreachableError | UnusableAnswerError] = UnreachableError
    is_transient: bool = False
    """Whether the same request may succeed a moment later."""


FAILURES: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (
        aiohttp.ClientConnectorCertificateError,
        Failure(template("The TLS certificate of {peer} could not be verified{detail}"), sent=False, hint=_TLS),
    ),
    (
        aiohttp.ClientSSLError,
        Failure(template("The TLS handshake with {peer} failed{detail}"), sent=False, hint=_TLS_BROKE),
    ),
    (aiohttp.ServerFingerprintMismatch, Failure(template("{server} has another certificate"), sent=False, hint=_TLS)),
    (
        aiohttp.ClientProxyConnectionError,
        Failure(template("No connection to the proxy {proxy}{detail}"), sent=False, hint=_PROXY, is_transient=True),
    ),
    (
        aiohttp.ClientHttpProxyError,
        Failure(template("The proxy {proxy} did not connect to {server}{detail}"), sent=False, hint=_PROXY),
    ),
    (
        aiohttp.ClientConnectorDNSError,
        Failure(template("There is no address for the name {peer}"), sent=False, hint=_NAME),
    ),
    (
        aiohttp.ClientConnectorError,
        Failure(template("No connection to {peer}{detail}"), sent=False, is_transient=True),
    ),
    (
        aiohttp.ConnectionTimeoutError,
        Failure(template("No connection to {peer} came about in time"), sent=False, is_transient=True),
    ),
    (aiohttp.InvalidURL, Failure(template("{server} is not a usable address"), sent=False, hint=_NAME)),
    (aiohttp.NonHttpUrlClientError, Failure(template("{server} is not a usable address"), sent=False, hint=_NAME)),
    # An address whose name cannot be encoded for DNS; raised by the resolver, before there is a connection.
    (UnicodeError, Failure(template("{server} is not a usable address"), sent=False, hint=_NAME)),
    (TimeoutError, Failure(template("{server} did not answer in time"), is_transient=True)),
    (aiohttp.ClientPayloadError, Failure(template("The answer of {server} broke off"), is_transient=True)),
    (
        aiohttp.ClientResponseError,
        Failure(
            template("What {server} answered is not HTTP"),
            hint=phrase("Check the endpoint."),
            error=UnusableAnswerError,
        ),
    ),
    (
        aiohttp.ClientConnectionError,
        Failure(template("{server} closed the connection before it had answered"), is_transient=True),
    ),
    (ssl.SSLError, Failure(template("The TLS connection with {server} broke{detail}"), is_transient=True)),
    (OSError, Failure(template("The connection with {server} broke{detail}"), is_transient=True)),
)
"""The most specific first; the first that fits counts."""

UNFORESEEN: Final = Failure(template("The request to {server} failed"))


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
    said = phrase(failure.words, server=server, proxy=through, peer=peer, detail=_detail(error))
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


_NO_PROXY_ADDRESS: Final = template("No address was found for the proxy {proxy}")
_PROXY_SAYS: Final = {
    403: template("The proxy {proxy} does not allow connections to {server}{detail}"),
    407: template("The proxy {proxy} refused the user name or password, or needs one{detail}"),
}


def _fitting_hint(error: Exception) -> Phrase | None:
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
    return f": {presentable(reason)}" if reason else ""
