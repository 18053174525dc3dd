"""Which error of ours a failed connection is: the one place where the HTTP library's exceptions end. No I/O."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import Final

import aiohttp

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
_PROXY: Final = phrase(
    "Check HTTPS_PROXY (http://[USER:PASSWORD@]HOST:PORT); NO_PROXY lists the hosts to reach without it."
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What one kind of exception means."""

    words: str
    """A format with ``server``, ``proxy``, ``peer`` (whichever of them we connect to) and ``detail``."""
    sent: bool = True
    """False only where it is certain that no byte of the request left: then it may be sent again."""
    hint: Phrase = _NETWORK
    error: type[UnreachableError | UnusableAnswerError] = UnreachableError


FAILURES: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (
        aiohttp.ClientConnectorCertificateError,
        Failure(template("The TLS certificate of {server} could not be verified{detail}"), sent=False, hint=_TLS),
    ),
    (
        aiohttp.ClientSSLError,
        Failure(template("No TLS connection with {server} came about{detail}"), sent=False, hint=_TLS),
    ),
    (aiohttp.ServerFingerprintMismatch, Failure(template("{server} has another certificate"), sent=False, hint=_TLS)),
    (
        aiohttp.ClientProxyConnectionError,
        Failure(template("No connection to the proxy {proxy}{detail}"), sent=False, hint=_PROXY),
    ),
    (
        aiohttp.ClientHttpProxyError,
        Failure(template("{proxy} did not connect to {server}{detail}"), sent=False, hint=_PROXY),
    ),
    (
        aiohttp.ClientConnectorDNSError,
        Failure(template("There is no address for the name {peer}"), sent=False, hint=_NAME),
    ),
    (aiohttp.ClientConnectorError, Failure(template("No connection to {peer}{detail}"), sent=False)),
    (aiohttp.ConnectionTimeoutError, Failure(template("No connection to {peer} came about in time"), sent=False)),
    (aiohttp.InvalidURL, Failure(template("{server} is not a usable address"), sent=False, hint=_NAME)),
    (aiohttp.NonHttpUrlClientError, Failure(template("{server} is not a usable address"), sent=False, hint=_NAME)),
    # An address whose name cannot be encoded for DNS; raised by the resolver, before there is a connection.
    (UnicodeError, Failure(template("{server} is not a usable address"), sent=False, hint=_NAME)),
    (TimeoutError, Failure(template("{server} did not answer in time"))),
    (aiohttp.ClientPayloadError, Failure(template("The answer of {server} broke off"))),
    (
        aiohttp.ClientResponseError,
        Failure(
            template("What {server} answered is not HTTP"),
            hint=phrase("Check the endpoint."),
            error=UnusableAnswerError,
        ),
    ),
    (aiohttp.ClientConnectionError, Failure(template("{server} closed the connection before it had answered"))),
    (ssl.SSLError, Failure(template("The TLS connection with {server} broke{detail}"))),
    (OSError, Failure(template("The connection with {server} broke{detail}"))),
)
"""The most specific first; the first that fits counts."""

UNFORESEEN: Final = Failure(template("The request to {server} failed"))


def failure_of(kind: type[BaseException]) -> Failure:
    """Return what an exception of that type means."""
    return next((failure for foreign, failure in FAILURES if issubclass(kind, foreign)), UNFORESEEN)


def translated(error: Exception, *, server: str, proxy: str | None) -> UnreachableError | UnusableAnswerError:
    """Return our error for a foreign one.

    It is to be raised where ``error`` is no longer being handled: the representation of some of aiohttp's exceptions
    shows the request's headers, and as cause or context they would come along into a traceback or a log.

    Args:
        error: One of :data:`FOREIGN`.
        server: The server's host, for people.
        proxy: The proxy's host, likewise, where there is one.
    """
    failure = failure_of(type(error))
    said = phrase(failure.words, server=server, proxy=proxy, peer=proxy or server, detail=_detail(error))
    return failure.error(said, sent=failure.sent, hint=failure.hint)


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
