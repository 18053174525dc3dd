"""The API gateway and IAM of the sandbox: errors, signatures, tokens, permissions."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.secret import Secret

INTERNAL_ERROR: Final = (500, "SVCSTG.REPO.0500", "internal server error")
"""The public tables have no code for a 500; this one follows their pattern."""

_CLOCK_TOLERANCE: Final = 15 * 60.0  # seconds
_TOKEN_LIFETIME: Final = 24 * 3600.0  # seconds
_ALGORITHM: Final = "SDK-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} Access=(?P<key>[^\s,]+), SignedHeaders=(?P<headers>[^\s,]+), Signature=(?P<digest>[0-9a-f]{{64}})"
)
_DATE_HEADER: Final = "x-sdk-date"
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_ACTIONS: Final = {"list": "list", "redirect-url": "get", "exchange": "create", "delete": "delete"}
"""By route, what a call needs permission for (permissions chapter); the calls for repositories need none."""
_TOKEN_ROUTE: Final = "iam-token"  # noqa: S105 - the name of a route


class ApiError(Exception):
    """An error response of the gateway, of ServiceStage or of IAM."""

    def __init__(self, status: int, body: Mapping[str, object], request_id: str = "") -> None:
        super().__init__(f"refused with {status}")
        headers = {"X-Request-Id": request_id or new_request_id()}
        self.response: web.Response = web.json_response(body, status=status, headers=headers)


def api_error(status: int, code: str, message: str) -> ApiError:
    """Return an error of the gateway or ServiceStage; only the gateway's bodies have the request id, too."""
    request_id, body = new_request_id(), {"error_code": code, "error_msg": message}
    return ApiError(status, body | ({"request_id": request_id} if code.startswith("APIGW.") else {}), request_id)


def _keystone_error(status: HTTPStatus, message: str) -> ApiError:
    return ApiError(status, {"error": {"code": status.value, "message": message, "title": status.phrase}})


def _unauthenticated(reason: str) -> ApiError:
    return api_error(401, "APIGW.0301", f"Incorrect IAM authentication information: {reason}")


def new_request_id() -> str:
    """Return a request id in the gateway's form."""
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
    (value,) = request.headers.getall(name, [])  # ValueError: it is missing or repeated
    return value.strip()


def parse_authorization(header: str) -> re.Match[str] | None:
    """Parse the header ``Authorization``: key, signed headers, digest. None if it is not written as the guide says."""
    parsed = _AUTHORIZATION.fullmatch(header)
    signed = parsed["headers"].split(";") if parsed else []
    is_usable = signed == sorted({name.lower() for name in signed}) and _DATE_HEADER in signed
    return parsed if is_usable else None


@dataclass(eq=False)
class Gateway:
    """Checks the requests to ServiceStage and IAM: signature or token, permission, project."""

    _project_id: str
    _now: Callable[[], float]
    _keys: dict[str, tuple[Secret, str]] = field(default_factory=dict)
    _tokens: dict[Secret, float] = field(default_factory=dict)

    def accept_key(self, key: AccessKey, *, denied: str = "") -> None:
        """Let ``key`` sign requests, except for the action ``denied``."""
        self._keys[key.access_key] = (key.secret_key, denied)

    def accept_token(self, token: IamToken, expires_at: float = math.inf) -> None:
        """Let ``token`` make every call until ``expires_at`` (seconds since the epoch)."""
        self._tokens[token.token] = expires_at

    @web.middleware
    async def answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn :class:`ApiError` into responses; add ``X-Request-Id`` and ``Date``."""
        try:
            if request.match_info.http_exception is not None:
                message = "The API does not exist or has not been published in the environment"
                raise api_error(404, "APIGW.0101", message)
            response = await handler(request)
        except ApiError as error:
            response = error.response
        response.headers.setdefault("X-Request-Id", new_request_id())
        # The sandbox's clock: a client that compares Date with a refused signature sees one time.
        response.headers["Date"] = formatdate(self._now(), usegmt=True)
        return response

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let authenticated clients with permission pass; refuse others with 401 ``APIGW.0301`` or 403 ``IAM.…``."""
        route = (request.match_info.route.name or "").partition(".")[0]
        if route != _TOKEN_ROUTE:
            denied = self._authenticate(request, await request.read())
            if denied and denied == _ACTIONS.get(route):
                action = f"servicestage:repositoryAuth:{denied}"
                raise api_error(403, "IAM.0003", f"Policy doesn't allow {action} to be performed.")
            if request.match_info.get("project_id", self._project_id) != self._project_id:
                raise api_error(403, "IAM.0002", "You are not authorized to perform the requested action.")
        return await handler(request)

    def _authenticate(self, request: web.Request, body: bytes) -> str:
        """Return the action that the client may not do, if there is one."""
        if "X-Auth-Token" in request.headers:
            expires_at = self._tokens.get(Secret(request.headers["X-Auth-Token"]), -math.inf)
            if self._now() >= expires_at:
                is_known = math.isfinite(expires_at)
                expired = f"token expires, expires_at: {_moment(expires_at)}" if is_known else "decrypt token fail"
                raise _unauthenticated(expired)
            return ""
        if "Authorization" not in request.headers:
            raise _unauthenticated("x-auth-token not found")
        authorization = parse_authorization(request.headers["Authorization"])
        secret_key, denied = self._keys.get(authorization["key"], (None, "")) if authorization else (None, "")
        if not authorization or not secret_key or not verify_signature(request, body, authorization, secret_key):
            raise _unauthenticated("verify aksk signature fail")
        try:
            signed_at = datetime.strptime(_header(request, _DATE_HEADER), _DATE_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise _unauthenticated("verify aksk signature fail") from None
        here = datetime.fromtimestamp(self._now(), UTC)
        if abs((here - signed_at).total_seconds()) > _CLOCK_TOLERANCE:
            times = f"signature time: {signed_at:{_DATE_FORMAT}}, server time: {here:{_DATE_FORMAT}}"
            raise _unauthenticated(f"signature expired, {times}")
        return denied


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
        try:
            auth = json.loads(await request.read())["auth"]
            methods, user = auth["identity"]["methods"], auth["identity"]["password"]["user"]
            identity = methods, user["name"], user["domain"]["name"], Secret(str(user["password"]))
            scope = auth["scope"]["project"]
            project = {key: scope[key] for key in ("name", "id") if key in scope}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _keystone_error(HTTPStatus.BAD_REQUEST, "The request body is not a token request.") from None
        if identity != (["password"], self._user.name, self._user.domain_name, self._user.password):
            raise _keystone_error(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
        if not project or not project.items() <= self._project.items():
            raise _keystone_error(HTTPStatus.UNAUTHORIZED, "The project of the scope is unknown, or is not the user's.")
        token = IamToken(secrets.token_urlsafe(96))
        issued_at = self._now()
        self._gateway.accept_token(token, issued_at + _TOKEN_LIFETIME)
        domain = {"name": self._user.domain_name}
        described = {
            "methods": methods,
            "issued_at": _moment(issued_at),
            "expires_at": _moment(issued_at + _TOKEN_LIFETIME),
            "project": {**self._project, "domain": domain},
            "user": {"name": self._user.name, "domain": domain},
            "roles": [],
        }
        headers = {"X-Subject-Token": token.token.reveal()}
        return web.json_response({"token": described}, status=201, headers=headers)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
