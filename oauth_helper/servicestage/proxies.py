"""HTTP proxies of the environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from contextlib import suppress
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from yarl import URL

from oauth_helper.errors import SettingsError
from oauth_helper.i18n import _
from oauth_helper.secret import Secret
from oauth_helper.values import is_link_local, is_loopback, parse_address


def proxy_for(endpoint: URL) -> tuple[URL | None, Secret | None]:
    """Return the proxy that the environment names for ``endpoint``, and its ``Proxy-Authorization``.

    ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` count, in lower case too, and on Windows and macOS the system's
    settings if none of them is set. This machine is never reached through a proxy.

    Raises:
        SettingsError: The value is not the address of an HTTP proxy.
    """
    address = getproxies().get(endpoint.scheme, "").strip()
    if not address or is_loopback(endpoint.host) or is_link_local(endpoint.host):
        return None, None
    environment = getproxies_environment()
    if environment:
        is_excepted = _is_excepted(endpoint, environment.get("no", ""))
    else:
        is_excepted = bool(proxy_bypass(f"{endpoint.host}:{endpoint.port}"))
    if is_excepted:
        return None, None
    variable = f"{endpoint.scheme}_proxy"
    return _parse_proxy(address, variable if os.environ.get(variable) else variable.upper())


def _parse_proxy(address: str, variable: str) -> tuple[URL, Secret | None]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "http", address
    # No part of the value is shown: it may contain a password, and a mistake in it may make that look like a host.
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
    if not at:
        return url.origin(), None
    user, _colon, password = login.partition(":")
    # Bytes of the environment that are not UTF-8 are sent as they are.
    pair = b":".join(unquote_to_bytes(part.encode("utf-8", "surrogateescape")) for part in (user, password))
    return url.origin(), Secret(f"Basic {base64.b64encode(pair).decode()}")


def _is_excepted(endpoint: URL, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` names the endpoint's host, read as Go and curl read it."""
    hosts = {(host or "").casefold().rstrip(".") for host in (endpoint.host, endpoint.raw_host)}
    for entry in re.split(r"[,\s]+", no_proxy.casefold()):
        if entry == "*":
            return True
        bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", entry)
        found = bracketed or re.fullmatch(r"([^:]*)(?::([^:]*))?", entry)
        name, port = found.groups() if found else (entry, None)
        if not name or (port or str(endpoint.port)) != str(endpoint.port):
            continue
        try:
            address = ipaddress.ip_address(endpoint.host or "")
        except ValueError:
            # "*.domain" means subdomains only; "domain" and ".domain" mean the domain too.
            subdomains = f".{name.lstrip('*').strip('.')}"
            if name.strip(".") in hosts or any(host.endswith(subdomains) for host in hosts):
                return True
        else:
            with suppress(ValueError):
                if (getattr(address, "ipv4_mapped", None) or address) in ipaddress.ip_network(name, strict=False):
                    return True
    return False
