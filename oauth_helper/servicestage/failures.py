"""The exceptions of aiohttp for a request without an answer, and the errors that they mean."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from oauth_helper.errors import UnreachableError, UnusableAnswerError
from oauth_helper.i18n import N_, Text, _
from oauth_helper.secret import safe_text
from oauth_helper.settings import REGIONS, regions_file

FOREIGN: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What aiohttp raises for a request; ``ssl.SSLError`` is an ``OSError``."""

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

_PROXY_ANSWERS: Final[Mapping[int, tuple[str, Text]]] = {
    403: (N_("The proxy {proxy} does not allow connections to {server}{detail}"), _PROXY_RULES),
    407: (N_("The proxy {proxy} refused the user name or password, or needs one{detail}"), _PROXY_LOGIN),
}
_DATE_CODES: Final = frozenset({9, 10})
"""OpenSSL: X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""
_HOST_CODES: Final = frozenset({62, 63, 64})
"""OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_MISMATCH, _IP_ADDRESS_MISMATCH."""
_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
"""OpenSSL's reasons where the answer to the handshake is no TLS."""


_UNUSABLE: Final = N_("{server} is not a usable address")
UNFORESEEN: Final = (N_("The request to {server} failed"), _NETWORK, True, False)
# Exception; text, with peer for the one that we connect to; hint; whether the request may have been sent (False only if
# no byte of it has left); whether it may succeed a moment later. The most specific first: the first match counts.
FAILURES: Final[tuple[tuple[type[Exception], str, Text, bool, bool], ...]] = (
    (
        aiohttp.ClientConnectorCertificateError,
        N_("The TLS certificate of {peer} could not be verified{detail}"),
        *(_TLS, False, False),
    ),
    (aiohttp.ClientSSLError, N_("The TLS handshake with {peer} failed{detail}"), _TLS_BROKE, False, False),
    (aiohttp.ServerFingerprintMismatch, N_("{server} has another certificate"), _TLS, False, False),
    (aiohttp.ClientProxyConnectionError, N_("No connection to the proxy {proxy}{detail}"), _PROXY, False, True),
    (aiohttp.ClientHttpProxyError, N_("The proxy {proxy} did not connect to {server}{detail}"), _PROXY, False, False),
    (aiohttp.ClientConnectorDNSError, N_("There is no address for the name {peer}"), _NAME, False, False),
    (aiohttp.ClientConnectorError, N_("No connection to {peer}{detail}"), _NETWORK, False, True),
    (aiohttp.ConnectionTimeoutError, N_("No connection to {peer} came about in time"), _NETWORK, False, True),
    (aiohttp.InvalidURL, _UNUSABLE, _NAME, False, False),
    (aiohttp.NonHttpUrlClientError, _UNUSABLE, _NAME, False, False),
    (UnicodeError, _UNUSABLE, _NAME, False, False),  # the resolver cannot encode the name for DNS
    (TimeoutError, N_("{server} did not answer in time"), _NETWORK, True, True),
    (aiohttp.ClientPayloadError, N_("The answer of {server} broke off"), _NETWORK, True, True),
    (aiohttp.ClientResponseError, N_("What {server} answered is not HTTP"), _("Check the endpoint."), True, False),
    (
        aiohttp.ClientConnectionError,
        N_("{server} closed the connection before it had answered"),
        *(_NETWORK, True, True),
    ),
    (ssl.SSLError, N_("The TLS connection with {server} broke{detail}"), _NETWORK, True, True),
    (OSError, N_("The connection with {server} broke{detail}"), _NETWORK, True, True),
)


def failure_of(error: type[BaseException]) -> tuple[str, Text, bool, bool]:
    """Return text, hint, whether the request may have been sent, and whether a retry may help."""
    return next((row[1:] for row in FAILURES if issubclass(error, row[0])), UNFORESEEN)


def translated(error: Exception, *, server: str, proxy: URL | None) -> UnreachableError | UnusableAnswerError:
    """Return our error for one of :data:`FOREIGN`.

    Raise it after the ``except`` block of ``error``: the representation of some of aiohttp's exceptions shows the
    request's headers, and would appear in a traceback as the cause or context.
    """
    words, hint, sent, is_transient = failure_of(type(error))
    through = f"{proxy.host_subcomponent}:{proxy.port}" if proxy else ""
    is_about_proxy = proxy is not None and _is_about(error, proxy)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        words, hint = _PROXY_ANSWERS.get(error.status, (words, hint))
        is_transient = error.status >= 500
        offered = error.headers.getall("Proxy-Authenticate", []) if error.headers else []
        if error.status == 407 and offered and not any("basic" in each.casefold() for each in offered):
            hint = _PROXY_NOT_BASIC
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", None)
        hint = _DATES if code in _DATE_CODES else _OTHER_HOST if code in _HOST_CODES else hint
    elif isinstance(error, aiohttp.ClientSSLError):
        hint = _NO_TLS if getattr(error.os_error, "reason", None) in _NOT_TLS else hint
    elif is_about_proxy:
        hint = _PROXY
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            words = N_("No address was found for the proxy {proxy}")
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        hint = _no_address_hint()
    peer = through if is_about_proxy else server
    message = _(words, server=server, proxy=through, peer=peer, detail=_detail(error))
    is_answer = isinstance(error, aiohttp.ClientResponseError) and sent
    kind = UnusableAnswerError if is_answer else UnreachableError
    return kind(message, sent=sent, hint=hint, is_transient=is_transient)


def _no_address_hint() -> Text:
    hint = _("{hint} Regions with ServiceStage: {regions}.", hint=_NAME, regions=", ".join(REGIONS))
    if path := regions_file(os.environ):
        hint += _(' "{path}" is not read: set HUAWEICLOUD_SDK_REGION_SERVICESTAGE_<REGION> to its endpoint.', path=path)
    return hint


def _is_about(error: Exception, proxy: URL) -> bool:
    """Whether the connection to the proxy failed, not the one through it."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.host, error.port) == (proxy.host, proxy.port)
    return isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ConnectionTimeoutError)


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
