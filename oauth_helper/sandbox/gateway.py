"""The API gateway and IAM of the sandbox: errors, signatures, tokens, permissions."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.secret import Secret

CLOCK_TOLERANCE: Final = 15 * 60.0
"""Seconds by which ``X-Sdk-Date`` may differ from the server's time."""
FAILURES_BORNE: Final = 5
"""Refused signatures in a row before the key is locked by the next one."""
LOCK_TIME: Final = 5 * 60.0
"""Seconds for which a key stays locked."""
TOKEN_LIFETIME: Final = 24 * 3600.0
"""Seconds for which a token of IAM is valid."""

_ALGORITHM: Final = "SDK-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} Access=(?P<key>[^\s,]+), SignedHeaders=(?P<headers>[^\s,]+), Signature=(?P<digest>[0-9a-f]{{64}})"
)
_DATE_HEADER: Final = "x-sdk-date"
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"


class ApiError(Exception):
    """An error response of the gateway, of ServiceStage or of IAM."""

    def __init__(self, status: int, body: Mapping[str, object], request_id: str) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.body = body
        self.request_id = request_id

    def response(self) -> web.Response:
        """Return the HTTP response."""
        return web.json_response(self.body, status=self.status, headers={"X-Request-Id": self.request_id})


class GatewayError(ApiError):
    """The API gateway refuses before a service is asked; the body has the request id (api-sign-errorcode)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        request_id = new_request_id()
        super().__init__(status, {"error_msg": message, "error_code": code, "request_id": request_id}, request_id)


class ServiceError(ApiError):
    """ServiceStage or a policy of IAM refuses; only the header has the request id (samples of the manual)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, {"error_code": code, "error_msg": message}, new_request_id())


class InternalError(ServiceError):
    """ServiceStage fails. The public tables have no code for a 500; this one follows their pattern."""

    def __init__(self) -> None:
        super().__init__(500, "SVCSTG.REPO.0500", "internal server error")


class KeystoneError(ApiError):
    """IAM's token call refuses, with Keystone's nested body."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        error = {"code": status.value, "message": message, "title": status.phrase}
        super().__init__(status, {"error": error}, new_request_id())


class Action(StrEnum):
    """What a call needs permission for (permissions chapter of the API reference)."""

    LIST = "servicestage:repositoryAuth:list"
    GET = "servicestage:repositoryAuth:get"
    CREATE = "servicestage:repositoryAuth:create"
    DELETE = "servicestage:repositoryAuth:delete"


EVERY_ACTION: Final = frozenset(Action)


def new_request_id() -> str:
    """Return a request id in the gateway's form: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def answering_errors(now: Callable[[], float]) -> Middleware:
    """Return the middleware that turns :class:`ApiError` into responses and adds ``X-Request-Id`` and ``Date``."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.match_info.http_exception is not None:
                message = "The API does not exist or has not been published in the environment"
                raise GatewayError(404, "APIGW.0101", message)
            response = await handler(request)
        except web.HTTPRequestEntityTooLarge:
            response = GatewayError(413, "APIGW.0201", "Request entity too large").response()
        except ApiError as error:
            response = error.response()
        response.headers.setdefault("X-Request-Id", new_request_id())
        # The sandbox's clock: a client that compares Date with a refused signature sees one time.
        response.headers["Date"] = formatdate(now(), usegmt=True)
        return response

    return middleware


def verify_signature(request: web.Request, body: bytes, authorization: re.Match[str], secret_key: Secret) -> bool:
    """Whether the holder of ``secret_key`` signed exactly this request (SDK-HMAC-SHA256, api-sign-algorithm)."""
    signed = authorization["headers"].split(";")
    path, _, query = request.raw_path.partition("?")
    # Decode before encoding: an escaped slash is signed as a slash. The signed path ends in one.
    decoded = unquote_to_bytes(path)
    # Sorted by the decoded name, then value; a name without a value keeps its "=".
    pairs = sorted(
        (unquote_to_bytes(name), unquote_to_bytes(value))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    try:
        lines = (
            request.method.upper(),
            quote(decoded if decoded.endswith(b"/") else decoded + b"/", safe="/"),
            "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs),
            *(f"{name}:{_header(request, name)}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        )
        canonical = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
        text = "\n".join((_ALGORITHM, _header(request, _DATE_HEADER), canonical))
    except ValueError:
        return False
    digest = hmac.new(secret_key.reveal().encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha256)
    return hmac.compare_digest(digest.hexdigest(), authorization["digest"])


def _header(request: web.Request, name: str) -> str:
    """Return the one value of a header.

    Raises:
        ValueError: The header is missing or repeated, so it is unclear what was signed.
    """
    (value,) = request.headers.getall(name, [])
    return value.strip()


def parse_authorization(header: str) -> re.Match[str] | None:
    """Parse the header ``Authorization``: key, signed headers, digest. None if it is not written as the guide says."""
    parsed = _AUTHORIZATION.fullmatch(header)
    signed = parsed["headers"].split(";") if parsed else []
    is_usable = signed == sorted({name.lower() for name in signed}) and _DATE_HEADER in signed
    return parsed if is_usable else None


class Gateway:
    """Holds the valid keys and tokens, and counts refused signatures."""

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
        """Let ``token`` make every call until ``expires_at`` (seconds since the epoch)."""
        self._tokens[token.token] = expires_at

    def guarded(self, handler: Handler, action: Action | None = None) -> Handler:
        """Return ``handler`` for authenticated clients that may do ``action``.

        The handler raises:
            GatewayError: 401 ``APIGW.0301``, with the reason.
            ServiceError: 403 ``IAM.0003``, the code of a policy that denies this one action.
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
        authorization = parse_authorization(request.headers["Authorization"])
        if authorization is None:
            raise _unauthenticated("verify aksk signature fail")
        key = authorization["key"]
        if self._now() < self._locked_until.get(key, -math.inf):
            raise _unauthenticated("AK access failed to reach the limit, forbidden")
        try:
            self._check_clock(request)
            secret_key, actions = self._keys.get(key, (None, EVERY_ACTION))
            if secret_key is None or not verify_signature(request, body, authorization, secret_key):
                raise _unauthenticated("verify aksk signature fail")
        except GatewayError:
            self._failures[key] += 1
            if self._failures[key] > FAILURES_BORNE:
                del self._failures[key]
                self._locked_until[key] = self._now() + LOCK_TIME
            raise
        del self._failures[key]
        return actions

    def _check_token(self, token: Secret) -> None:
        expires_at = self._tokens.get(token)
        if expires_at is None:
            raise _unauthenticated("decrypt token fail")
        if self._now() >= expires_at:
            raise token_expired(expires_at)

    def _check_clock(self, request: web.Request) -> None:
        try:
            signed_at = datetime.strptime(_header(request, _DATE_HEADER), _DATE_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise _unauthenticated("verify aksk signature fail") from None
        here = datetime.fromtimestamp(self._now(), UTC)
        if abs((here - signed_at).total_seconds()) > CLOCK_TOLERANCE:
            times = f"signature time: {signed_at:{_DATE_FORMAT}}, server time: {here:{_DATE_FORMAT}}"
            raise _unauthenticated(f"signature expired, {times}")


def token_expired(expires_at: float) -> GatewayError:
    """Return the error for a token that was valid until ``expires_at`` (seconds since the epoch)."""
    moment = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _unauthenticated(f"token expires, expires_at: {moment}")


def _unauthenticated(reason: str) -> GatewayError:
    return GatewayError(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")


class Iam:
    """IAM with one account, one user and one project (API reference, api-iam)."""

    def __init__(
        self, *, user: IamUser, project_id: str, region: str, gateway: Gateway, now: Callable[[], float]
    ) -> None:
        self._user = user
        self._project = {"id": project_id, "name": region}
        self._gateway = gateway
        self._now = now

    def application(self, middlewares: Iterable[Middleware]) -> web.Application:
        """Return the web application; its route names are those of the faults."""
        application = web.Application(middlewares=middlewares)
        projects = self._gateway.guarded(self._list_projects)
        application.router.add_get("/v3/projects", projects, name="iam-project", allow_head=False)
        application.router.add_post("/v3/auth/tokens", self._create_token, name="iam-token")
        return application

    async def _list_projects(self, request: web.Request) -> web.Response:
        matches = request.query.get("name", self._project["name"]) == self._project["name"]
        projects = [{**self._project, "enabled": True, "is_domain": False}] if matches else []
        return web.json_response({"projects": projects, "links": {"self": str(request.url)}})

    async def _create_token(self, request: web.Request) -> web.Response:
        scope = self._read_scope(await request.read())
        if not scope or not scope.items() <= self._project.items():
            raise KeystoneError(HTTPStatus.UNAUTHORIZED, "The project of the scope is unknown, or is not the user's.")
        token = IamToken(secrets.token_urlsafe(96))
        issued_at = self._now()
        self._gateway.accept_token(token, issued_at + TOKEN_LIFETIME)
        domain = {"name": self._user.domain_name}
        described: dict[str, object] = {
            "methods": ["password"],
            "issued_at": _moment(issued_at),
            "expires_at": _moment(issued_at + TOKEN_LIFETIME),
            "project": {**self._project, "domain": domain},
            "user": {"name": self._user.name, "domain": domain},
            "roles": [],
        }
        if not request.query.get("nocatalog"):
            described["catalog"] = []
        headers = {"X-Subject-Token": token.token.reveal()}
        return web.json_response({"token": described}, status=201, headers=headers)

    def _read_scope(self, body: bytes) -> Mapping[str, object]:
        """Return name or id of the project, after the body has proved who asks.

        Raises:
            KeystoneError: 400: not a request by password for a project's token; 401: wrong name, account or password.
        """
        try:
            auth = json.loads(body)["auth"]
            methods, identity = auth["identity"]["methods"], auth["identity"]["password"]["user"]
            account = (identity["name"], identity["domain"]["name"])
            password = identity["password"]
            scope = dict(auth["scope"]["project"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise KeystoneError(HTTPStatus.BAD_REQUEST, "The request body is not a token request.") from None
        is_ours = methods == ["password"] and account == (self._user.name, self._user.domain_name)
        if not (is_ours and isinstance(password, str) and self._user.password.matches(password)):
            raise KeystoneError(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
        return {key: scope[key] for key in ("name", "id") if key in scope}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
