"""The API gateway in front of the sandbox's ServiceStage and IAM: who asks, and whether they may."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.sandbox.answers import GatewayError, ServiceError
from oauth_helper.sandbox.request_signature import DATE_HEADER, ReceivedRequest, Signature
from oauth_helper.secret import Secret

CLOCK_TOLERANCE: Final = 15 * 60.0
"""Seconds by which ``X-Sdk-Date`` may differ from the server's time."""
FAILURES_BORNE: Final = 5
"""Refused signatures in a row that a key survives; one more locks it."""
LOCK_TIME: Final = 5 * 60.0
"""Seconds for which a key stays locked."""

_SIGNING_DATE: Final = "%Y%m%dT%H%M%SZ"


class Action(StrEnum):
    """What the calls need permission for (permissions chapter of the API reference)."""

    LIST = "servicestage:repositoryAuth:list"
    GET = "servicestage:repositoryAuth:get"
    CREATE = "servicestage:repositoryAuth:create"
    DELETE = "servicestage:repositoryAuth:delete"


EVERY_ACTION: Final = frozenset(Action)


class Gateway:
    """Knows the keys and tokens that are good, and counts the signatures that were not."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._keys: dict[str, tuple[Secret, frozenset[Action]]] = {}
        self._tokens: dict[Secret, float] = {}
        self._failures: Counter[str] = Counter()
        self._locked_until: dict[str, float] = {}

    def accept_key(self, key: AccessKey, actions: frozenset[Action] = EVERY_ACTION) -> None:
        """Let ``key`` sign requests for ``actions``."""
        self._keys[key.access_key] = (key.secret_key, actions)

    def accept_token(self, token: IamToken, expires_at: float = math.inf) -> None:
        """Let ``token`` ask for everything, until ``expires_at`` (seconds since the epoch)."""
        self._tokens[token.token] = expires_at

    def guarded(self, handler: Handler, action: Action | None = None) -> Handler:
        """Return ``handler`` for those alone who prove who they are and may do ``action``.

        The handler raises:
            GatewayError: 401 ``APIGW.0301``, with the reason.
            ServiceError: 403 ``IAM.0003``: known, but not permitted. The code for a policy that says no, which
                unlike ``APIGW.0302`` and ``0402`` speaks of this action alone.
        """

        async def guard(request: web.Request) -> web.StreamResponse:
            actions = self._authenticate(request, await request.read())
            if action is not None and action not in actions:
                raise ServiceError(403, "IAM.0003", f"Policy doesn't allow {action} to be performed.")
            return await handler(request)

        return guard

    def _authenticate(self, request: web.Request, body: bytes) -> frozenset[Action]:
        if "X-Auth-Token" in request.headers:
            self._check_token(Secret(request.headers["X-Auth-Token"]))
            return EVERY_ACTION
        if "Authorization" not in request.headers:
            raise _unauthenticated("x-auth-token not found")
        received = ReceivedRequest(request.method, request.raw_path, tuple(request.headers.items()), body)
        return self._check_signature(request.headers["Authorization"], received)

    def _check_token(self, token: Secret) -> None:
        expires_at = self._tokens.get(token)
        if expires_at is None:
            raise _unauthenticated("decrypt token fail")
        if self._now() >= expires_at:
            moment = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise _unauthenticated(f"token expires, expires_at: {moment}")

    def _check_signature(self, authorization: str, request: ReceivedRequest) -> frozenset[Action]:
        try:
            signature = Signature.read(authorization)
        except ValueError:
            raise _unauthenticated("verify aksk signature fail") from None
        key = signature.access_key
        if self._now() < self._locked_until.get(key, -math.inf):
            raise _unauthenticated("AK access failed to reach the limit, forbidden")
        try:
            actions = self._verify(signature, request)
        except GatewayError:
            self._count_failure(key)
            raise
        del self._failures[key]
        return actions

    def _verify(self, signature: Signature, request: ReceivedRequest) -> frozenset[Action]:
        self._check_clock(request)
        secret_key, actions = self._keys.get(signature.access_key, (None, frozenset[Action]()))
        if secret_key is None or not signature.is_genuine(request, secret_key):
            raise _unauthenticated("verify aksk signature fail")
        return actions

    def _check_clock(self, request: ReceivedRequest) -> None:
        try:
            signed_at = datetime.strptime(request.header(DATE_HEADER), _SIGNING_DATE).replace(tzinfo=UTC)
        except ValueError:
            raise _unauthenticated("verify aksk signature fail") from None
        here = datetime.fromtimestamp(self._now(), UTC)
        if abs((here - signed_at).total_seconds()) > CLOCK_TOLERANCE:
            times = f"signature time: {signed_at:{_SIGNING_DATE}}, server time: {here:{_SIGNING_DATE}}"
            raise _unauthenticated(f"signature expired, {times}")

    def _count_failure(self, key: str) -> None:
        self._failures[key] += 1
        if self._failures[key] > FAILURES_BORNE:
            del self._failures[key]
            self._locked_until[key] = self._now() + LOCK_TIME


def _unauthenticated(reason: str) -> GatewayError:
    return GatewayError(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")
