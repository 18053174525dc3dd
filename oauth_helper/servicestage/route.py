"""How to get to an endpoint: through which proxy, and trusting whose certificates."""

from __future__ import annotations

import os
import ssl
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from oauth_helper.address import parse_address
from oauth_helper.endpoint import is_loopback
from oauth_helper.errors import SettingsError
from oauth_helper.phrase import phrase


def proxy_for(endpoint: URL) -> URL | None:
    """Return the proxy that the environment names for ``endpoint``, or ``None``.

    ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` count, in lower case too, and on Windows and macOS the system's
    settings behind them. This machine is never reached through a proxy.

    Raises:
        SettingsError: What is named is no http or https address.
    """
    address = getproxies().get(endpoint.scheme)
    if not address or is_loopback(endpoint.host) or proxy_bypass(f"{endpoint.host}:{endpoint.port}"):
        return None
    try:
        proxy = parse_address(address if "://" in address else f"http://{address}")
        usable = bool(proxy.host) and bool(proxy.port) and proxy.scheme in {"http", "https"}
    except ValueError:
        proxy, usable = URL(), False
    if not usable:
        # The value is not shown: a proxy's password may stand in it.
        raise SettingsError(
            phrase("{scheme}_PROXY is not the address of an HTTP proxy", scheme=endpoint.scheme.upper()),
            hint=phrase("Give it as http://HOST:PORT, or list the endpoint's host in NO_PROXY."),
        )
    return proxy


def tls_context(ca_bundle: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Return a context that verifies: against ``ca_bundle`` (PEM) alone where given, else as the system does.

    Raises:
        SettingsError: The file cannot be read, or has no certificate in it.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_bundle is None else os.fspath(ca_bundle))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            phrase("The CA bundle {ca_bundle!r} cannot be used: {reason}", ca_bundle=str(ca_bundle), reason=reason),
            hint=phrase(
                "--ca-bundle (OAUTH_HELPER_CA_BUNDLE, SSL_CERT_FILE) takes a file of certificates in PEM form."
            ),
        ) from error
