"""What an OpenID provider says about itself (OpenID Connect Discovery 1.0), as far as the sandbox needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from aiohttp import ClientSession

from oauth_helper.address import parse_address
from oauth_helper.endpoint import check_endpoint, is_loopback
from oauth_helper.errors import UnusableAnswerError
from oauth_helper.phrase import phrase
from oauth_helper.sandbox.foreign_answer import HINT, fetch_object, shown

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
_ABILITIES: Final = (
    ("response_types_supported", "code", ()),
    # Left out, it is this one alone (section 3).
    ("token_endpoint_auth_methods_supported", "client_secret_basic", ("client_secret_basic",)),
)
"""Which list must have which word, and what the list is where it is left out."""


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """A provider's issuer, without a slash at its end, and its endpoints."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str

    @classmethod
    async def fetch(cls, session: ClientSession, issuer: str) -> Self:
        """Read the document of ``issuer`` (sections 4.1 to 4.3).

        Raises:
            SettingsError: ``issuer`` is no address, or plain http to another machine.
            UnreachableError: There is no answer.
            UnusableAnswerError: It is no such document, that of another issuer, or lacks what is needed.
        """
        base = check_endpoint(issuer, origin="--git-host")
        address = base + _WELL_KNOWN
        status, document = await fetch_object(session, address)
        if status != 200:
            what = phrase("The Git host answers {address} with status {status}", address=shown(address), status=status)
            raise UnusableAnswerError(what, sent=True, status=status, hint=HINT)
        return cls._read(document, base)

    @classmethod
    def _read(cls, document: Mapping[str, object], issuer: str) -> Self:
        lacking = ", ".join(_lacking(document))
        if lacking:
            raise UnusableAnswerError(
                phrase("The document of the Git host lacks what is needed: {lacking}", lacking=lacking),
                sent=True,
                hint=phrase("It must be of an OpenID provider for clients that have a code and a secret."),
            )
        named = str(document["issuer"])
        if named.rstrip("/") != issuer:
            raise UnusableAnswerError(
                phrase("The document of the Git host is that of another issuer, {issuer}", issuer=shown(named)),
                sent=True,
                hint=phrase("Give --git-host that address, if it is the one you meant."),
            )
        return cls(issuer, *(str(document[name]) for name in _ENDPOINTS))


def _lacking(document: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(document.get("issuer"), str):
        yield "issuer"
    yield from (name for name in _ENDPOINTS if not _is_usable(document.get(name)))
    for name, word, default in _ABILITIES:
        able = document.get(name, default)
        if not isinstance(able, list | tuple) or word not in able:
            yield f"{name}: {word}"


def _is_usable(endpoint: object) -> bool:
    """Whether it is an address that a code or a secret may be sent to (RFC 6749 sections 3.1 and 3.2)."""
    if not isinstance(endpoint, str) or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        return False
    try:
        url = parse_address(endpoint, encoded=True)
    except ValueError:
        return False
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))
    return is_safe and bool(url.host) and not (url.user or url.password or "#" in endpoint)
