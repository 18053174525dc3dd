"""The API gateway and IAM of the sandbox: errors, signatures, tokens, permissions."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web
from aiohttp.typedefs import Handler

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

    def __init__(self, status: int, body: Mapping[str, object], request_id: str = "") -> None:
        super().__init__(f"refused with {status}")
        self._status = status
        self._body = body
        self._request_id = request_id or new_request_id()

    def response(self) -> web.Response:
        """Return the HTTP response."""
        return web.json_response(self._body, status=self._status, headers={"X-Request-Id": self._request_id})


def gateway_error(status: int, code: str, message: str) -> ApiError:
    """The API gateway refuses before a service is asked; the body has the request id (api-sign-errorcode)."""
    request_id = new_request_id()
    return ApiError(status, {"error_msg": message, "error_code": code, "request_id": request_id}, request_id)


def service_error(status: int, code: str, message: str) -> ApiError:
    """ServiceStage or a policy of IAM refuses; only the header has the request id (samples of the manual)."""
    return ApiError(status, {"error_code": code, "error_msg": message})


def internal_error() -> ApiError:
    """ServiceStage fails. The public tables have no code for a 500; this one follows their pattern."""
    return service_error(500, "SVCSTG.REPO.0500", "internal server error")


def _keystone_error(status: HTTPStatus, message: str) -> ApiError:
    """IAM's token call refuses, with Keystone's nested body."""
    return ApiError(status, {"error": {"code": status.value, "message": message, "title": status.phrase}})


class Action(StrEnum):
    """What a call needs permission for (permissions chapter of the API reference)."""

    LIST = "servicestage:repositoryAuth:list"
    GET = "servicestage:repositoryAuth:get"
    CREATE = "servicestage:repositoryAuth:create"
    DELETE = "servicestage:repositoryAuth:delete"


EVERY_ACTION: Final = frozenset(Action)
_ACTIONS: Final = {"list": Action.LIST, "redirect-url": Action.GET, "exchange": Action.CREATE, "delete": Action.DELETE}
"""By the name of the route. The calls for repositories need no permission of their own (permissions chapter)."""
_TOKEN_ROUTE: Final = "iam-token"  # noqa: S105 - the name of a route


def new_request_id() -> str:
    """Return a request id in the gateway's form: 32 hexadecimal digits."""
    return secrets.token_hex(16)


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


@dataclass(eq=False)
class Gateway:
    """Checks the requests to ServiceStage and IAM: signature or token, permission, project.

    It holds the valid keys and tokens, and counts refused signatures.
    """

    _project_id: str
    _now: Callable[[], float]
    _keys: dict[str, tuple[Secret, frozenset[Action]]] = field(default_factory=dict)
    _tokens: dict[Secret, float] = field(default_factory=dict)
    _failures: Counter[str] = field(default_factory=Counter)
    _locked_until: dict[str, float] = field(default_factory=dict)

    def accept_key(self, key: AccessKey, actions: frozenset[Action] = EVERY_ACTION) -> None:
        """Let ``key`` sign requests for ``actions``."""
        self._keys[key.access_key] = (key.secret_key, actions)

    def accept_token(self, token: IamToken, expires_at: float = math.inf) -> None:
        """Let ``token`` make every call until ``expires_at`` (seconds since the epoch)."""
        self._tokens[token.token] = expires_at

    @web.middleware
    async def answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn :class:`ApiError` into responses; add ``X-Request-Id`` and ``Date``."""
        try:
            if request.match_info.http_exception is not None:
                message = "The API does not exist or has not been published in the environment"
                raise gateway_error(404, "APIGW.0101", message)
            response = await handler(request)
        except web.HTTPRequestEntityTooLarge:
            response = gateway_error(413, "APIGW.0201", "Request entity too large").response()
        except ApiError as error:
            response = error.response()
        response.headers.setdefault("X-Request-Id", new_request_id())
        # The sandbox's clock: a client that compares Date with a refused signature sees one time.
        response.headers["Date"] = formatdate(self._now(), usegmt=True)
        return response

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let authenticated clients with permission pass; refuse others with 401 ``APIGW.0301`` or 403 ``IAM.…``."""
        route = request.match_info.route.name or ""
        if route != _TOKEN_ROUTE:
            allowed = self._authenticate(request, await request.read())
            action = _ACTIONS.get(route.partition(".")[0])
            if action and action not in allowed:
                raise service_error(403, "IAM.0003", f"Policy doesn't allow {action} to be performed.")
            if request.match_info.get("project_id", self._project_id) != self._project_id:
                raise service_error(403, "IAM.0002", "You are not authorized to perform the requested action.")
        return await handler(request)

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
        except ApiError:
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


def token_expired(expires_at: float) -> ApiError:
    """Return the error for a token that was valid until ``expires_at`` (seconds since the epoch)."""
    moment = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _unauthenticated(f"token expires, expires_at: {moment}")


def _unauthenticated(reason: str) -> ApiError:
    return gateway_error(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")


@dataclass(eq=False)
class Iam:
    """IAM with one account, one user and one project (API reference, api-iam)."""

    _user: IamUser
    _project: Mapping[str, str]
    _gateway: Gateway
    _now: Callable[[], float]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; their names are those of the faults."""
        return [
            web.get("/v3/projects", self._list_projects, name="iam-project", allow_head=False),
            web.post("/v3/auth/tokens", self._create_token, name=_TOKEN_ROUTE),
        ]

    async def _list_projects(self, request: web.Request) -> web.Response:
        matches = request.query.get("name", self._project["name"]) == self._project["name"]
        projects = [{**self._project, "enabled": True, "is_domain": False}] if matches else []
        return web.json_response({"projects": projects, "links": {"self": str(request.url)}})

    async def _create_token(self, request: web.Request) -> web.Response:
        scope = self._read_scope(await request.read())
        if not scope or not scope.items() <= self._project.items():
            raise _keystone_error(HTTPStatus.UNAUTHORIZED, "The project of the scope is unknown, or is not the user's.")
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
            ApiError: 400: not a request by password for a project's token; 401: wrong name, account or password.
        """
        try:
            auth = json.loads(body)["auth"]
            methods, identity = auth["identity"]["methods"], auth["identity"]["password"]["user"]
            account = (identity["name"], identity["domain"]["name"])
            password = identity["password"]
            scope = dict(auth["scope"]["project"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _keystone_error(HTTPStatus.BAD_REQUEST, "The request body is not a token request.") from None
        is_ours = methods == ["password"] and account == (self._user.name, self._user.domain_name)
        if not (is_ours and isinstance(password, str) and self._user.password.matches(password)):
            raise _keystone_error(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
        return {key: scope[key] for key in ("name", "id") if key in scope}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
