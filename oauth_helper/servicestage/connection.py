"""One HTTP connection to one endpoint: TLS, proxy, timeouts, proof of identity, and failures told in our words."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from oauth_helper.credentials import AccessKey, Credentials, IamToken
from oauth_helper.endpoint import check_endpoint
from oauth_helper.errors import (
    CredentialsError,
    SettingsError,
    UnavailableError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.pending import CONNECTING
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.secret import Secret
from oauth_helper.servicestage.answer import Answer
from oauth_helper.servicestage.failures import FOREIGN, translated
from oauth_helper.servicestage.refusals import redirected, refusal
from oauth_helper.servicestage.route import proxy_for, tls_context
from oauth_helper.servicestage.signing import Query, request_target, sign
from oauth_helper.servicestage.standby import STANDBY, Held, Standby, StandbyPace
from oauth_helper.version import VERSION

LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes: a thousand authorizations of a kilobyte each."""
_LARGEST_FIELD: Final = 128 * 1024
"""Bytes; an IAM token, which comes in a header, may have 100,000 characters."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=CONNECTING)
"""Seconds, for a whole request and for its connection."""
_FIELD_VALUE: Final = re.compile(r"[!-~]+")
"""What every value of ours in a header is made of (RFC 9110 section 5.5, without spaces)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and when, a call without side effects is sent again."""

    pauses: Sequence[float] = (0.5, 1.0, 2.0)
    """Seconds before each retry. The server's ``Retry-After`` can make a pause longer."""
    within: float = 10.0
    """Seconds after the first request in which the last retry must start."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic


RETRIES: Final = Retries()


class Connection:
    """Send requests to one endpoint, each of them signed or with its token. An async context manager.

    Only a request that :meth:`request` is told has no side effects is sent again. aiohttp by itself (3.11.0 and
    3.14.5) sends a GET or DELETE a second time when its connection is lost before an answer, as RFC 9110 section 9.2.2
    allows; a POST never.

    Args:
        endpoint: ``https://HOST[:PORT][/PREFIX]``; plain http on this machine only.
        credentials: What proves our identity; ``None`` for the request that asks for a token.
        project_id: Sent as ``X-Project-Id`` with signed requests.
        ca_bundle: A file of certificates (PEM) to trust instead of the system's.
        origin: Says in an error where ``endpoint`` came from.
        timeout: Other limits than 30 s for a request and 10 s for its connection.
        standby: When the connection that :meth:`kept_ready` keeps is renewed.
        retries: When calls without side effects are sent again.

    Raises:
        SettingsError: The endpoint, the project ID, the CA bundle or a proxy of the environment is unusable.
        CredentialsError: The credentials cannot stand in a header, or are empty.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        credentials: Credentials | None,
        project_id: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        origin: str = phrase("The endpoint"),
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
        standby: StandbyPace = STANDBY,
        retries: Retries = RETRIES,
    ) -> None:
        self._base = URL(check_endpoint(endpoint, origin=origin), encoded=True)
        _check(credentials)
        self._credentials = credentials
        if project_id is not None:
            _check_field(phrase("project ID"), project_id, SettingsError)
        self._project_id = project_id
        self._proxy = proxy_for(self._base)
        self._tls = tls_context(ca_bundle) if ca_bundle is not None or self._base.scheme == "https" else None
        self._timeout = timeout
        self._retries = retries
        self._session: aiohttp.ClientSession | None = None
        self._standby = Standby(self._connected, standby)
        self.last_clock_skew: float | None = None
        """Seconds by which the server's clock was ahead of this machine's at the last answer; ``None`` if unknown."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"oauth-helper/{VERSION}"},
            timeout=self._timeout,
            # aiohttp would read ~/.netrc too, and put what it finds there in the place of our Authorization.
            trust_env=False,
            max_field_size=_LARGEST_FIELD,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._standby.close()
            await self._session.close()

    @property
    def host(self) -> str:
        """The endpoint's host, and its port where it is not the scheme's own: the ``Host`` header."""
        return _authority(self._base)

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy through which the endpoint is reached, if there is one."""
        return f"{self._proxy.url.host_subcomponent}:{self._proxy.url.port}" if self._proxy else None

    def kept_ready(self) -> AbstractAsyncContextManager[None]:
        """Keep a connection open within the context, on which the next request leaves at once. It never raises."""
        return self._standby.kept()

    def expect_request(self) -> None:
        """Know that a request may come soon."""
        self._standby.expect()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
        secrets: Collection[Secret] = (),
        is_safe: bool = False,
    ) -> Answer:
        """Send a request and return its answer, whose status says success (2xx).

        Args:
            method: The HTTP method.
            path: Below the endpoint, percent-encoded.
            query: Names and values, not encoded.
            body: JSON, or nothing.
            headers: More than those of every request; signed with them.
            secrets: What stands in ``body`` and must not come back in an error's text.
            is_safe: The request has no side effects. If the server is busy or the connection breaks, send it again.

        Raises:
            CredentialsError: The server refused the credentials (or, NotPermittedError, the call; or ClockSkewError).
            RefusedError: The server refused the request.
            UnavailableError: There was no answer, or none that can be used; ``sent`` tells which.
        """
        request = _Request(method, path, tuple(query), body, headers, tuple(secrets))
        retries = self._retries
        deadline = retries.clock() + retries.within
        for pause in retries.pauses if is_safe else ():
            try:
                return await self._attempt(request)
            except UnavailableError as error:
                wait = max(pause, error.retry_after or 0.0)
                if not error.is_transient or retries.clock() + wait > deadline:
                    raise
            _log.debug("%s %s: again in %.1f s", method, path, wait)
            await retries.sleep(wait)
        return await self._attempt(request)

    async def _attempt(self, request: _Request) -> Answer:
        method, path = request.method, f"{self._base.raw_path.rstrip('/')}{request.path}"
        url = URL(f"{self._base.scheme}://{self.host}{request_target(path, request.query)}", encoded=True)
        try:
            await self._standby.release()
        except FOREIGN as error:
            failure = self._translated(error)
        else:
            # Signed by the clock of now, not of when a connection was waited for.
            sent, ours = self._authenticated(method, path, request.query, request.body, request.headers)
            try:
                answer = await self._send(method, url, sent, request.body, (*request.secrets, *ours))
            except FOREIGN as error:
                failure = self._translated(error)
            else:
                _log.debug("%s %s%s: %d, request %s", method, self.host, path, answer.status, answer.request_id)
                return self._accepted(answer)
        _log.debug("%s %s%s: %s", method, self.host, path, failure.message)
        raise failure

    def _translated(self, error: Exception) -> UnreachableError | UnusableAnswerError:
        return translated(error, server=self.host, proxy=self._proxy.url if self._proxy else None)

    def _authenticated(
        self, method: str, path: str, query: Query, body: bytes, more: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Secret, ...]]:
        """Return the headers of a request, and what in them must not come back in an error's text."""
        headers = {"Host": self.host, "Content-Type": "application/json", **more}
        key = self._credentials
        if key is None:
            return headers, ()
        if isinstance(key, IamToken):
            return {**headers, "X-Auth-Token": key.token.reveal()}, (key.token,)
        if self._project_id:
            headers["X-Project-Id"] = self._project_id
        headers = sign(key, method=method, path=path, query=query, headers=headers, body=body, now=datetime.now(UTC))
        signature = Secret(headers["Authorization"].rpartition("=")[2])
        return headers, (key.secret_key, key.security_token or Secret(""), signature)

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes, secrets: Collection[Secret]
    ) -> Answer:
        session, _ = self._opened()
        proxy, proxy_headers = self._way()
        async with session.request(
            method,
            url,
            headers=headers,
            data=body or None,
            proxy=proxy,
            proxy_headers=proxy_headers,
            allow_redirects=False,
        ) as response:
            received_at = datetime.now(UTC)
            content = bytearray()
            async for part in response.content.iter_any():
                content += part
                if len(content) > LARGEST_ANSWER:
                    break
            return Answer(self.host, response.status, response.headers, bytes(content), received_at, secrets)

    async def _connected(self) -> Held:
        session, pool = self._opened()
        proxy, proxy_headers = self._way()
        # The pool tells connections by these: a session's requests bring its own headers to a proxy, and these.
        to_proxy = session.headers.copy()
        to_proxy.update(proxy_headers or {})
        as_if = aiohttp.ClientRequest("GET", self._base, session=session, proxy=proxy, proxy_headers=to_proxy)
        return await pool.connect(as_if, [], self._timeout)

    def _way(self) -> tuple[URL | None, dict[str, str] | None]:
        """Return the proxy, and the headers for it."""
        if self._proxy is None:
            return None, None
        authorization = self._proxy.authorization
        return self._proxy.url, {"Proxy-Authorization": authorization.reveal()} if authorization else None

    def _opened(self) -> tuple[aiohttp.ClientSession, aiohttp.BaseConnector]:
        if self._session is None or self._session.connector is None:
            raise RuntimeError("a connection is open only within `async with`")
        return self._session, self._session.connector

    def _accepted(self, answer: Answer) -> Answer:
        self.last_clock_skew = answer.clock_skew
        if len(answer.body) > LARGEST_ANSWER:
            raise answer.unusable(phrase("is larger than {largest_answer} bytes", largest_answer=LARGEST_ANSWER))
        if answer.status >= 400:
            raise refusal(answer, credentials=self._credentials)
        if answer.status >= 300:
            raise redirected(answer)
        return answer


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Query
    body: bytes
    headers: Mapping[str, str]
    secrets: tuple[Secret, ...]


def _check(credentials: Credentials | None) -> None:
    if isinstance(credentials, IamToken):
        _check_field(phrase("IAM token"), credentials.token.reveal(), CredentialsError)
    elif isinstance(credentials, AccessKey):
        _check_field(phrase("access key"), credentials.access_key, CredentialsError)
        if credentials.security_token is not None:
            _check_field(phrase("security token"), credentials.security_token.reveal(), CredentialsError)
        # It signs and is not sent: any printable character may stand in it.
        if not credentials.secret_key or not credentials.secret_key.reveal().isprintable():
            raise CredentialsError(phrase("The secret key is empty, or has a line break or control character in it"))


def _check_field(what: Phrase, value: str, error: type[SettingsError]) -> None:
    if not _FIELD_VALUE.fullmatch(value):
        raise error(
            phrase("The {what} is empty, or has a space, line break or other character that none has", what=what),
            hint=phrase("Copy it again, whole and on one line."),
        )


def _authority(url: URL) -> str:
    return url.host_port_subcomponent or ""
