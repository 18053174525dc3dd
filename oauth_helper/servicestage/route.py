"""How to get to an endpoint: through which proxy, and trusting whose certificates."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import ssl
import sys
from collections.abc import Container
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from yarl import URL

from oauth_helper.address import parse_address
from oauth_helper.endpoint import is_loopback
from oauth_helper.errors import SettingsError
from oauth_helper.phrase import phrase
from oauth_helper.secret import Secret


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
            phrase("{variable} names a SOCKS proxy, which is not supported", variable=variable),
            hint=phrase("Give an HTTP proxy as http://HOST:PORT, or list the endpoint's host in NO_PROXY."),
        )
    login, at, location = rest.rpartition("@")
    if set(login) & set("@#/?") or (at and set(location) & set("#?")):
        raise SettingsError(
            phrase("{variable} cannot be read: its user name or password contains @, #, / or ?", variable=variable),
            hint=phrase("In the user name and the password, write @ as %40, # as %23, / as %2F and ? as %3F."),
        )
    try:
        url = parse_address(f"{scheme}://{location}")
        usable = url.scheme in {"http", "https"} and bool(url.host) and bool(url.port) and location.isprintable()
        usable = usable and not (url.query_string or url.fragment or url.user or " " in location)
    except ValueError:
        url, usable = URL(), False
    if not usable:
        raise SettingsError(
            phrase("{variable} is not the address of an HTTP proxy", variable=variable),
            hint=phrase("Give it as http://HOST:PORT, or list the endpoint's host in NO_PROXY."),
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
            phrase("The CA bundle {ca_bundle!r} cannot be used: {reason}", ca_bundle=str(ca_bundle), reason=reason),
            hint=phrase(
                "--ca-bundle (OAUTH_HELPER_CA_BUNDLE, SSL_CERT_FILE) takes a file of certificates in PEM form."
            ),
        ) from error
    return context
