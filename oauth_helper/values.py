"""Values that users and other programs supply: where they come from, and checks before they are used."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import unquote

from msgspec import Struct
from yarl import URL

from oauth_helper.errors import OAuthHelperError, SettingsError
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.secret import is_plain_word, safe_text

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

COPY_AGAIN: Final = _("Copy it again, whole and on one line.")
_BAD_PORTS: Final = (
    "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 "
    "123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 "
    "990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080"
)
BLOCKED_PORTS: Final = frozenset(int(port) for port in _BAD_PORTS.split())
"""The bad ports of the Fetch standard (section 2.9): browsers open no page there."""
_QUOTES: Final = frozenset({'""', "''", "``", "“”", "‘’", "„“", "«»", "””", "’’"})
_COMMENT: Final = re.compile(r"\s[#;]")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
_CONTROL_NAMES: Final = {
    "\0": "NULL",
    "\t": "TAB",
    "\n": "LINE FEED",
    "\r": "CARRIAGE RETURN",
    "\ufeff": "BYTE ORDER MARK",
}
_TOML_PLACE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
_QUOTED: Final = re.compile("'[^']{3,}'|\"[^\"]{3,}\"")
_MOST_MARKS: Final = 8


class Sourced(Struct, Generic[T_co], frozen=True):
    """A value and its origin in the user's terms: ``--region``, ``HW_REGION_NAME``, a file's path."""

    value: T_co
    origin: str
    file: str | None = None  # that the value came from, if any
    is_default: bool = False  # the user set nothing

    def holding(self, value: T) -> Sourced[T]:
        """Return another value with the same origin."""
        return Sourced(value, self.origin, self.file, self.is_default)


@dataclass(frozen=True, slots=True)
class FileValues:
    """The values of a settings file; empty if there is none."""

    path: str
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    lines: Mapping[str, int] = field(default_factory=dict)  # that each value begins on, as far as it is known
    unreadable: Text = NO_TEXT  # why it is unknown whether the file exists: a folder above it cannot be read

    def place_of(self, key: str) -> Text:
        """Return where a key's value is: the key, the file and the line."""
        if line := self.lines.get(key):
            return _('"{key}" in line {line} of "{path}"', key=key, line=line, path=self.path)
        return _('"{key}" in "{path}"', key=key, path=self.path)


def require_clean(
    value: str,
    source: str,
    error: type[OAuthHelperError],
    *,
    spaces: Literal["", "inside", "anywhere"] = "",
    only_ascii: bool = False,
    in_ini: bool = False,
) -> None:
    """Raise ``error`` if something is wrong with a value that is about to be sent, in words that do not repeat it.

    Quotes around it, spaces at its ends, line breaks and invisible characters come from env files, INI files and
    copying. ``source`` is the variable, or the key with its file and line; ``only_ascii`` is for values of headers;
    ``in_ini``: the value comes from an INI file, where a comment needs a line of its own.
    """
    trimmed = value.strip()
    if any("\udc80" <= character <= "\udcff" for character in value):
        raise error(_("{source} is not UTF-8", source=source), hint=COPY_AGAIN)
    if not spaces and trimmed[:1] + trimmed[-1:] in {"{}", "<>"}:
        raise error(_("{source} is a placeholder", source=source), hint=_("Set it to your own value."))
    if len(trimmed) > 1 and trimmed[0] + trimmed[-1] in _QUOTES:
        hint = _("Remove the quotes: in env files and INI files they become part of the value.")
        raise error(_("{source} has quotes around it", source=source), hint=hint)
    if in_ini and _COMMENT.search(value):
        hint = _("Put the comment on a line of its own: here it becomes part of the value.")
        raise error(_("{source} has a comment after it", source=source), hint=hint)
    # Spaces that are allowed do not count.
    checked = value.replace(" ", "") if spaces == "anywhere" or (spaces and value == value.strip(" ")) else value
    for character in checked:
        if unicodedata.category(character) in _INVISIBLE or (only_ascii and not character.isascii()):
            text = _("{source} contains {character}", source=source, character=named(character))
            raise error(text, hint=COPY_AGAIN)


def named(character: str) -> str:
    """Return a character's number and name, so that it can be seen: ``U+200B ZERO WIDTH SPACE``."""
    name = _CONTROL_NAMES.get(character) or unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()


def shown_unless_secret(text: str) -> Text:
    """Return a value in quotes, or no part of it if it may be secret. A short plain word with some marks is not."""
    core = re.sub(r"[^A-Za-z0-9._-]+", "", text)
    if len(text) - len(core) >= _MOST_MARKS or (core and not is_plain_word(core)):
        return _("(not shown: it may be secret)")
    return Text(f'"{text}"' if text.isprintable() and '"' not in text else repr(text))


def toml_error_text(text: str, error: Exception) -> Text:
    """Return what is wrong with TOML text, and the character there if it is easily overlooked.

    If the parser repeats a part of the text, which may be secret, only the place is given.
    """
    words = str(error)
    place = _TOML_PLACE.search(words)
    if _QUOTED.search(words):
        words = place.group().strip("()") if place else "Invalid TOML"
    if place:
        line, column = int(place[1]), int(place[2])
        rest = "".join(text.split("\n")[line - 1 : line])[column - 1 :]
        if rest and not rest[0].isascii():
            return _("{problem}: {character}", problem=safe_text(words), character=named(rest[0]))
    return Text(safe_text(words))


def parse_address(text: str, *, encoded: bool = False) -> URL:
    """Read an address; ``encoded`` leaves its escapes as they are. ValueError if it or its host cannot be read."""
    try:
        url = URL(text, encoded=encoded)
        _ = url.host
    except IndexError as error:  # yarl 1.25.1, for "http://1[::1]@"
        raise ValueError("no address") from error
    return url


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` never leaves this machine: 127.0.0.0/8, ::1, or ``localhost`` (RFC 6761 section 6.3)."""
    name = (host or "").casefold()
    return name.rstrip(".") == "localhost" or bool((address := _ip_address(name)) and address.is_loopback)


def is_link_local(host: str | None) -> bool:
    """Whether ``host`` is an address of this machine's own network link (169.254.0.0/16, fe80::/10)."""
    return bool((address := _ip_address(host or "")) and address.is_link_local)


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]"))
    return None


def stays_nearby(host: str) -> bool:
    """Whether a browser that opens ``host`` talks to this machine or its own network link.

    In contrast to :func:`is_loopback`, this covers everything that a browser reads as such an address: subdomains of
    localhost, short and numeric forms of IPv4 addresses, and IPv4 addresses within IPv6.
    """
    name = unicodedata.normalize("NFKC", unquote(host)).replace("。", ".").strip("[]").rstrip(".").casefold()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _ip_address(name)
    with suppress(OSError, ValueError):
        address = address or ipaddress.ip_address(socket.inet_aton(name))
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return bool(address and (address.is_loopback or address.is_link_local or address.is_unspecified))


def check_endpoint(
    text: str,
    *,
    origin: str = _("the endpoint"),
    allows_link_local: bool = False,
    error: type[OAuthHelperError] = SettingsError,
) -> str:
    """Return an endpoint as ``scheme://host[:port][/path]`` without a slash at its end.

    Without a scheme it is https, as in the vendor's SDK; the scheme's own port is left out, so two spellings of one
    address are equal. Raises ``error``, which names ``origin``: it is no address, has more than host, port and path, or
    is plain http to another machine.
    """
    require_clean(text, origin, error)
    full = text if "://" in text else f"https://{text}"
    try:
        url = parse_address(full)
        usable = full.isprintable() and bool(url.host) and url.port is not None and url.scheme in {"http", "https"}
    except ValueError:
        url, usable = URL(), False
    if not usable:
        message = _("{origin} is not a usable address", origin=origin)
        if "@" not in text:  # the part before an @ may be a password
            message += f": {shown_unless_secret(text)}"
        raise error(message, hint=_("Give it as https://HOST."))
    if url.user or url.password or url.query_string or url.fragment:
        message = _("{origin} has more than a host, a port and a path", origin=origin)
        raise error(message, hint=_("Give it as https://HOST, nothing behind it."))
    if url.scheme == "http" and not (is_loopback(url.host) or (allows_link_local and is_link_local(url.host))):
        message = _(
            "{origin} is plain http: {url}. Credentials would cross the network in the clear", origin=origin, url=url
        )
        raise error(message, hint=_("Use https. Plain http is accepted for this machine (127.0.0.1) only."))
    return str(url.with_port(None) if url.is_default_port() else url).rstrip("/")
