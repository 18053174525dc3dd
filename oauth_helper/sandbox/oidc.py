"""A real OpenID provider as the sandbox's Git host (OpenID Connect Core 1.0, Discovery 1.0)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote_plus

import aiohttp
from yarl import URL

from oauth_helper.errors import UnavailableError, UnreachableError, UnusableAnswerError
from oauth_helper.i18n import Text, _
from oauth_helper.models import RepoType
from oauth_helper.sandbox.gateway import INTERNAL_ERROR, api_error
from oauth_helper.sandbox.git_host import Account, OAuthApplication
from oauth_helper.secret import Secret, safe_text
from oauth_helper.values import check_endpoint, is_loopback, parse_address

Warn = Callable[[Text], None]
"""Shows a warning on the terminal of the sandbox; ServiceStage's own responses do not give the reason."""

_HINT: Final = _("Set --git-host to the issuer of a running OpenID provider, such as https://git.example.com.")
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
_SCOPE: Final = "openid profile"
"""Userinfo needs ``openid`` (Core 1.0 section 5.3); ``profile`` has the login."""
_BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1."""


class Registration(NamedTuple):
    """How ServiceStage is registered with the provider (RFC 6749 section 2)."""

    issuer: str
    client_id: str
    client_secret: Secret


@dataclass(eq=False)
class OidcProvider:
    """The provider of ``registration``: each repository type has the same client and its own redirect URI."""

    _session: aiohttp.ClientSession
    _metadata: Mapping[str, str]
    _registration: Registration
    _warn: Warn

    def register(self, repo_type: RepoType, redirect_uri: str) -> OAuthApplication:
        """Return the application, which the provider already knows, with one of its redirect URIs."""
        return OAuthApplication(repo_type, self._registration.client_id, redirect_uri, _SCOPE)

    def authorization_endpoint(self, _application: OAuthApplication) -> str:
        """Return the URL that asks for consent."""
        return self._metadata["authorization_endpoint"]

    async def exchange(self, application: OAuthApplication, code: Secret) -> Account | None:
        """Return the account whose consent ``code`` represents, or None if the provider refuses the code."""
        registration = self._registration
        # Both are form-encoded before they are combined (RFC 6749 section 2.3.1).
        client = f"{quote_plus(registration.client_id)}:{quote_plus(registration.client_secret.reveal())}"
        basic = f"Basic {base64.b64encode(client.encode()).decode()}"
        form = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": application.redirect_uri,
        }
        try:
            status, answer = await _fetch(self._session, self._metadata["token_endpoint"], basic, form)
            if status in {400, 401} and isinstance(error := answer.get("error"), str):
                self._warn(_("The Git host refused the code ({error})", error=safe_text(error, limit=64)))
                return None
            token = answer.get("access_token")
            # A client must not use a token of an unknown type (section 7.1).
            is_bearer = str(answer.get("token_type")).casefold() == "bearer"
            if status != 200 or not is_bearer or not isinstance(token, str) or not _BEARER_TOKEN.fullmatch(token):
                raise _unusable(_("The Git host returned no access token (HTTP {status})", status=status), status)
            # The claims (Core 1.0 sections 5.1 and 5.3); only ``sub`` is always there.
            status, claims = await _fetch(self._session, self._metadata["userinfo_endpoint"], f"Bearer {token}")
            texts = {name: value for name, value in claims.items() if isinstance(value, str) and value}
            if status != 200 or "sub" not in texts:
                raise _unusable(_("The Git host returned no account (HTTP {status})", status=status), status)
        except UnavailableError as unavailable:
            self._warn(unavailable.message)
            raise api_error(*INTERNAL_ERROR) from None
        issuer = self._metadata["issuer"]
        login = texts.get("preferred_username", texts["sub"])
        return Account(issuer, login, texts.get("profile", issuer), texts.get("picture", ""))


@asynccontextmanager
async def open_oidc_provider(registration: Registration, warn: Warn) -> AsyncIterator[OidcProvider]:
    """Read the provider's metadata; the provider can be used within the context.

    Raises:
        SettingsError: The issuer is not an address, or is plain http on another machine.
        UnreachableError: The provider does not respond.
        UnusableAnswerError: It is not an OpenID provider, has another issuer, or lacks something required.
    """
    issuer = check_endpoint(registration.issuer, origin="--git-host")
    # A connection for each request: a token request is not repeated, so it must not meet a closing connection.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
        url = issuer + _WELL_KNOWN
        status, document = await _fetch(session, url)
        if status != 200:
            raise _unusable(_("{url} returned HTTP {status}", url=safe_text(url), status=status), status)
        if missing := ", ".join(_missing(document)):
            raise _unusable(_("The metadata of the Git host lacks {missing}", missing=missing), status)
        metadata = {name: str(document[name]) for name in ("issuer", *_ENDPOINTS)}
        if metadata["issuer"].rstrip("/") != issuer:
            named = safe_text(metadata["issuer"])
            raise _unusable(_("The metadata of the Git host names another issuer, {issuer}", issuer=named), status)
        yield OidcProvider(session, {**metadata, "issuer": issuer}, registration, warn)


def _missing(document: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(document.get("issuer"), str):
        yield "issuer"
    yield from (name for name in _ENDPOINTS if not _is_usable(document.get(name)))
    # What a missing list means stands last (Discovery 1.0 section 3).
    for name, word, default in (
        ("response_types_supported", "code", ""),
        ("token_endpoint_auth_methods_supported", "client_secret_basic", "client_secret_basic"),
    ):
        supported = document.get(name, [default])
        if not isinstance(supported, list) or word not in supported:
            yield f"{name}: {word}"


def _is_usable(endpoint: object) -> bool:
    """Whether a code or a secret may be sent to the endpoint (RFC 6749 sections 3.1 and 3.2)."""
    try:
        url = parse_address(endpoint if isinstance(endpoint, str) and endpoint.isprintable() else "")
    except ValueError:
        return False
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))
    return is_safe and bool(url.host) and not (url.user or url.password or url.fragment)


async def _fetch(
    session: aiohttp.ClientSession, url: str, authorization: str = "", form: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, object]]:
    """Return status and JSON object of a GET, or of a POST of ``form``; redirects are not followed."""
    method, headers = "POST" if form else "GET", {"Accept": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    address = URL(url, encoded=True)
    try:
        async with session.request(method, address, headers=headers, data=form, allow_redirects=False) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        why = safe_text(getattr(error, "strerror", None) or type(error).__name__)
        # Without the exception itself, which may contain what was sent.
        raise UnreachableError(
            _("The Git host did not respond at {url} ({why})", url=safe_text(url), why=why),
            sent=not isinstance(error, aiohttp.ClientConnectorError),
            hint=_HINT,
        ) from None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _unusable(_("{url} did not return a JSON object", url=safe_text(url)), response.status)
    return response.status, document


def _unusable(message: Text, status: int) -> UnusableAnswerError:
    return UnusableAnswerError(message, sent=True, status=status, hint=_HINT)
