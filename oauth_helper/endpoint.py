"""Which addresses we are willing to send credentials to. No I/O."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from urllib.parse import unquote

from yarl import URL

from oauth_helper.address import parse_address
from oauth_helper.errors import SettingsError
from oauth_helper.origin import problem_of, shown_unless_secret
from oauth_helper.phrase import phrase


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` never leaves this machine: 127.0.0.0/8, ::1, or ``localhost`` (RFC 6761 section 6.3)."""
    if not host:
        return False
    if host.casefold().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def stays_nearby(host: str) -> bool:
    """Whether a browser that opens ``host`` talks to this machine or its own network link.

    In contrast to :func:`is_loopback`, this covers everything that a browser reads as such an address: subdomains of
    localhost, short and numeric forms of IPv4 addresses, and IPv4 addresses within IPv6.
    """
    name = unicodedata.normalize("NFKC", unquote(host)).replace("。", ".").strip("[]").rstrip(".").casefold()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(name))
        except (OSError, ValueError):
            return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback or address.is_link_local or address.is_unspecified


def check_endpoint(text: str, *, origin: str = phrase("the endpoint")) -> str:
    """Return an endpoint as ``scheme://host[:port][/path]`` without a slash at its end.

    An endpoint without a scheme is given https, as the vendor's SDK does; the scheme's own port is left out. So two
    spellings of one address are equal. ``origin`` says in the error where the value came from.

    Raises:
        SettingsError: It is no address, has more than host, port and path, or is plain http to another machine.
    """
    if problem := problem_of(text, origin):
        raise SettingsError(problem.message, hint=problem.hint)
    full = text if "://" in text else f"https://{text}"
    try:
        url = parse_address(full)
        usable = full.isprintable() and bool(url.host) and url.port is not None and url.scheme in {"http", "https"}
    except ValueError:
        url, usable = URL(), False
    if not usable:
        # What stands before an @ may be a password.
        message = phrase("{origin} is not a usable address", origin=origin)
        if "@" not in text:
            message += f": {shown_unless_secret(text)}"
        raise SettingsError(message, hint=phrase("Give it as https://HOST."))
    if url.user or url.password or url.query_string or url.fragment:
        raise SettingsError(
            phrase("{origin} has more than a host, a port and a path", origin=origin),
            hint=phrase("Give it as https://HOST, nothing behind it."),
        )
    if url.scheme == "http" and not is_loopback(url.host):
        raise SettingsError(
            phrase(
                "{origin} is plain http: {url}. Credentials would cross the network in the clear",
                origin=origin,
                url=url,
            ),
            hint=phrase("Use https. Plain http is accepted for this machine (127.0.0.1) only."),
        )
    if url.is_default_port():
        url = url.with_port(None)
    return str(url).rstrip("/")
