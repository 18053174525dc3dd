"""A real OpenID provider as the sandbox's Git host."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote_plus

import aiohttp
from aiohttp import ClientSession
from yarl import URL

from oauth_helper.errors import UnavailableError, UnreachableError, UnusableAnswerError
from oauth_helper.i18n import Text, _
from oauth_helper.models import RepoType
from oauth_helper.sandbox.faults import InternalError
from oauth_helper.sandbox.git_host import Account, OAuthApplication
from oauth_helper.secret import Secret, safe_text
from oauth_helper.values import check_endpoint, is_loopback, parse_address

HINT: Final = _("Give --git-host the issuer of an OpenID provider that is running, such as https://git.example.com.")

_LARGEST_ANSWER: Final = 256 * 1024
"""Bytes."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
"""Seconds."""

Answer = tuple[int, Mapping[str, object]]
"""The status, and the object."""


def open_session() -> aiohttp.ClientSession:
    """Return a session for it: direct, as all that it asks was named by who runs the sandbox; a connection a request.

    A token request is not sent again, so it must not meet a kept connection that the server is just closing.
    """
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=_TIMEOUT)


async def fetch_object(
    session: aiohttp.ClientSession,
    address: str,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Return what ``address`` answers to a GET, or to a POST of ``form``. No redirect is followed.

    Raises:
        UnreachableError: There was no answer, or it broke off.
        UnusableAnswerError: It is no JSON object, or a huge one.
    """
    try:
        async with session.request(
            "GET" if form is None else "POST",
            URL(address, encoded=True),
            headers={"Accept": "application/json", **(headers or {})},
            data=form,
            allow_redirects=False,
        ) as response:
            return response.status, _object(await _read(response.content), address, response.status)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        # Not the exception itself: it may hold what was sent.
        raise UnreachableError(
            _("The Git host gave no answer at {address} ({why})", address=shown(address), why=_why(error)),
            sent=not isinstance(error, aiohttp.ClientConnectorError),
            hint=HINT,
        ) from None


def shown(address: str) -> str:
    """Return an address as a message shows it."""
    return safe_text(address)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) <= _LARGEST_ANSWER and (piece := await stream.readany()):
        body += piece
    return bytes(body)


def _object(body: bytes, address: str, status: int) -> Mapping[str, object]:
    try:
        found = json.loads(body) if len(body) <= _LARGEST_ANSWER else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnusableAnswerError(
            _("What the Git host answers at {address} is no JSON object", address=shown(address)),
            sent=True,
            status=status,
            hint=HINT,
        )
    return found


def _why(error: Exception) -> Text | str:
    if isinstance(error, TimeoutError):  # pragma: no cover - a test would have to wait for as long
        return _("none within {seconds:g} s", seconds=_TIMEOUT.total)
    return safe_text(getattr(error, "strerror", None) or type(error).__name__)


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
            what = _("The Git host answers {address} with status {status}", address=shown(address), status=status)
            raise UnusableAnswerError(what, sent=True, status=status, hint=HINT)
        return cls._read(document, base)

    @classmethod
    def _read(cls, document: Mapping[str, object], issuer: str) -> Self:
        lacking = ", ".join(_lacking(document))
        if lacking:
            raise UnusableAnswerError(
                _("The document of the Git host lacks what is needed: {lacking}", lacking=lacking),
                sent=True,
                hint=_("It must be of an OpenID provider for clients that have a code and a secret."),
            )
        named = str(document["issuer"])
        if named.rstrip("/") != issuer:
            raise UnusableAnswerError(
                _("The document of the Git host is that of another issuer, {issuer}", issuer=shown(named)),
                sent=True,
                hint=_("Give --git-host that address, if it is the one you meant."),
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


_SCOPE: Final = "openid profile"
"""Without ``openid`` there is no userinfo (OpenID Connect Core 1.0 section 5.3); ``profile`` has the login."""
_BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1."""

Warn = Callable[[Text], None]
"""Says something to who runs the sandbox: ServiceStage's own answers say no more than the real one's."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What ServiceStage is registered as with an outside Git host (RFC 6749 section 2)."""

    issuer: str
    """The host, as OpenID providers name themselves: an address below which their document stands."""
    client_id: str
    client_secret: Secret


class OutsideGitHost:
    """The one of ``registration``; each repository type has the same client, and a redirect address of its own."""

    def __init__(
        self, session: ClientSession, metadata: ProviderMetadata, registration: Registration, warn: Warn
    ) -> None:
        self._session = session
        self._metadata = metadata
        self._registration = registration
        self._warn = warn

    def register(self, repo_type: RepoType, *, redirect_uri: str) -> OAuthApplication:
        """Return the application, which is registered there already, with this one of its redirect addresses."""
        return OAuthApplication(repo_type, self._registration.client_id, redirect_uri, _SCOPE)

    def authorization_endpoint(self, _application: OAuthApplication) -> str:
        """Return the address where the host asks for consent, as it names it."""
        return self._metadata.authorization_endpoint

    async def exchange(self, application: OAuthApplication, code: Secret) -> Account | None:
        """Return whose consent ``code`` stands for; None where the host refuses.

        Raises:
            InternalError: The host gave no usable answer.
        """
        try:
            token = await self._fetch_token(application, code)
            return None if token is None else await self._fetch_account(token)
        except UnavailableError as error:
            self._warn(error.message)
            raise InternalError from None

    async def _fetch_token(self, application: OAuthApplication, code: Secret) -> Secret | None:
        """Make the token request (RFC 6749 section 4.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": application.redirect_uri,
        }
        endpoint = self._metadata.token_endpoint
        status, answer = await fetch_object(self._session, endpoint, headers=self._basic(), form=form)
        if status in {400, 401} and isinstance(error := answer.get("error"), str):
            self._warn(_("The Git host refused the code ({error})", error=safe_text(error, limit=64)))
            return None
        token = answer.get("access_token")
        # A kind of token that is not understood must not be used (section 7.1).
        is_bearer = str(answer.get("token_type")).casefold() == "bearer"
        if status != 200 or not is_bearer or not isinstance(token, str) or not _BEARER_TOKEN.fullmatch(token):
            raise _unusable(_("The Git host gave no access token (status {status})", status=status), status)
        return Secret(token)

    def _basic(self) -> Mapping[str, str]:
        """Prove who asks: both are form-encoded before they are put together (RFC 6749 section 2.3.1)."""
        known = self._registration
        pair = f"{quote_plus(known.client_id)}:{quote_plus(known.client_secret.reveal())}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    async def _fetch_account(self, token: Secret) -> Account:
        """Ask for the claims (OpenID Connect Core 1.0 sections 5.1 and 5.3); ``sub`` alone is always there."""
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        status, claims = await fetch_object(self._session, self._metadata.userinfo_endpoint, headers=headers)
        texts = {name: value for name, value in claims.items() if isinstance(value, str) and value}
        if status != 200 or "sub" not in texts:
            raise _unusable(_("The Git host does not say whose account it is (status {status})", status=status), status)
        issuer = self._metadata.issuer
        login = texts.get("preferred_username", texts["sub"])
        return Account(issuer, login, texts.get("profile", issuer), texts.get("picture", ""))


@asynccontextmanager
async def open_git_host(registration: Registration, warn: Warn) -> AsyncIterator[OutsideGitHost]:
    """Read what the host says about itself; it can be asked within the context.

    Raises:
        SettingsError: Its issuer is no address, or plain http to another machine.
        UnreachableError: It gives no answer.
        UnusableAnswerError: It is no OpenID provider, another one, or lacks what is needed.
    """
    async with open_session() as session:
        metadata = await ProviderMetadata.fetch(session, registration.issuer)
        yield OutsideGitHost(session, metadata, registration, warn)


def _unusable(message: Text, status: int) -> UnusableAnswerError:
    return UnusableAnswerError(message, sent=True, status=status, hint=HINT)
