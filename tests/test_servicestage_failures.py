"""Foreign exceptions: every kind is told in our words, and what may have been sent is never called unsent."""

from __future__ import annotations

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from oauth_helper.errors import UnavailableError
from oauth_helper.i18n import _
from oauth_helper.servicestage.transport import FOREIGN, UNFORESEEN, failure_of, translated

NEVER_SENT = {
    "ClientConnectorError",
    "ClientConnectorDNSError",
    "ClientConnectorCertificateError",
    "ClientConnectorSSLError",
    "ClientSSLError",
    "ClientProxyConnectionError",
    "ClientHttpProxyError",
    "UnixClientConnectorError",
    "ConnectionTimeoutError",
    "ServerFingerprintMismatch",
    "InvalidURL",
    "InvalidUrlClientError",
    "NonHttpUrlClientError",
    "InvalidUrlRedirectClientError",
    "NonHttpUrlRedirectClientError",
}
"""aiohttp raises these before a byte of the request is written."""

CANNOT_HAPPEN = {"ClientError", "RedirectClientError", "UploadAbortedError"}
"""The root is never raised itself; redirects are not followed; no upload is tracked."""


def kinds(root: type[BaseException]) -> set[type[BaseException]]:
    return {root}.union(*(kinds(kind) for kind in root.__subclasses__() if kind.__module__.startswith("aiohttp")))


AIOHTTP = sorted(kinds(aiohttp.ClientError), key=lambda kind: kind.__name__)


def test_the_list_of_kinds_is_not_short() -> None:
    assert len(AIOHTTP) >= 25


@pytest.mark.parametrize("kind", AIOHTTP, ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_is_translated(kind: type[BaseException]) -> None:
    assert issubclass(kind, FOREIGN)
    _text, _hint, sent, _is_transient = failure = failure_of(kind)
    assert (failure is UNFORESEEN) == (kind.__name__ in CANNOT_HAPPEN)
    assert sent == (kind.__name__ not in NEVER_SENT)


@pytest.mark.parametrize(
    ("error", "message", "sent"),
    [
        (TimeoutError(), "example.com did not answer in time", True),
        (OSError(errno.ENETDOWN, "?tag=x"), "The connection with example.com broke: Network is down", True),
        (OSError("?tag=x"), "The connection with example.com broke", True),
        (ssl.SSLError(1, "?tag=x"), "The TLS connection with example.com broke", True),
        (UnicodeError(_("?tag=x")), "example.com is not a usable address", False),
        (ValueError("?tag=x"), "The request to example.com failed", True),
        (aiohttp.InvalidURL("https://x/?tag=x"), "example.com is not a usable address", False),
        (aiohttp.ClientPayloadError(_("?tag=x")), "The answer of example.com broke off", True),
    ],
)
def test_what_an_exception_says_itself_is_not_repeated(error: Exception, message: str, sent: bool) -> None:
    ours = translated(error, server="example.com", proxy=None)
    assert isinstance(ours, UnavailableError)
    assert str(ours) == message
    assert ours.sent is sent
    assert "Nothing was created" not in ours.hint


@pytest.mark.parametrize("host", ["example.com", "p"])
def test_a_connectors_error_names_whom_it_did_not_reach(host: str) -> None:
    key = ConnectionKey(host, 443, True, True, None, None, None)
    error = aiohttp.ClientConnectorError(key, OSError(errno.EHOSTUNREACH, "?tag=x"))
    ours = translated(error, server="example.com", proxy=URL("http://p:443"))
    assert str(ours) == f"No connection to {'p:443' if host == 'p' else host}: No route to host"
    assert ("HTTPS_PROXY (http" in ours.hint) == (host == "p")
