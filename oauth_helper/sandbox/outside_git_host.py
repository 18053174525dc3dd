"""A Git host that is not the sandbox's own: any OpenID provider, where users really consent.

The sandbox's ServiceStage is a client of it as of a Git host: it exchanges the code for an access token, and asks with
that whose account it is. The ID token is of no use to it and left unread.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from aiohttp import ClientSession

from oauth_helper.authorization import RepoType
from oauth_helper.errors import UnavailableError, UnusableAnswerError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import presentable
from oauth_helper.sandbox.answers import InternalError
from oauth_helper.sandbox.authorization_server import Account, OAuthApplication
from oauth_helper.sandbox.discovery import ProviderMetadata
from oauth_helper.sandbox.foreign_answer import HINT, fetch_object, open_session
from oauth_helper.secret import Secret

_SCOPE: Final = "openid profile"
"""Without ``openid`` there is no userinfo (OpenID Connect Core 1.0 section 5.3); ``profile`` has the login."""
_BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1."""

Warn = Callable[[Phrase], None]
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
            self._warn(phrase("The Git host refused the code ({error})", error=presentable(error, limit=64)))
            return None
        token = answer.get("access_token")
        # A kind of token that is not understood must not be used (section 7.1).
        is_bearer = str(answer.get("token_type")).casefold() == "bearer"
        if status != 200 or not is_bearer or not isinstance(token, str) or not _BEARER_TOKEN.fullmatch(token):
            raise _unusable(phrase("The Git host gave no access token (status {status})", status=status), status)
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
            raise _unusable(
                phrase("The Git host does not say whose account it is (status {status})", status=status), status
            )
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


def _unusable(message: Phrase, status: int) -> UnusableAnswerError:
    return UnusableAnswerError(message, sent=True, status=status, hint=HINT)
