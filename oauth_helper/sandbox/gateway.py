"""The API gateway and IAM of the sandbox: signatures, tokens, errors."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.sandbox.faults import Call, FaultInjector, GatewayError, KeystoneError, ServiceError, envelope
from oauth_helper.secret import Secret

DATE_HEADER: Final = "x-sdk-date"
"""The one header that must be signed."""

_ALGORITHM: Final = "SDK-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} Access=(?P<key>[^\s,]+), SignedHeaders=(?P<headers>[^\s,]+), Signature=(?P<digest>[0-9a-f]{{64}})"
)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came over the wire."""

    method: str
    target: str
    """Path and query as they stood in the request line, still percent-encoded."""
    headers: Sequence[tuple[str, str]] = field(repr=False)
    """Every header line, repeated ones included; bytes beyond UTF-8 as surrogates."""
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return the one value of the header ``name``, without the blanks around it.

        Raises:
            ValueError: The header is missing, or was sent more than once, so it cannot be told what was signed.
        """
        values = [value for header, value in self.headers if header.lower() == name]
        if len(values) != 1:
            raise ValueError(f"{len(values)} headers {name}")
        return values[0].strip()


@dataclass(frozen=True, slots=True)
class Signature:
    """What the header ``Authorization`` says: who signed which headers, and the outcome."""

    access_key: str
    signed_headers: tuple[str, ...]
    digest: str = field(repr=False)

    @classmethod
    def read(cls, authorization: str) -> Signature:
        """Read the header's value.

        Raises:
            ValueError: It is not written as the guide writes it, or does not sign ``X-Sdk-Date``.
        """
        match = _AUTHORIZATION.fullmatch(authorization)
        if match is None:
            raise ValueError("not a signature of this algorithm")
        signed = match["headers"].split(";")
        if signed != sorted({name.lower() for name in signed}) or DATE_HEADER not in signed:
            raise ValueError("the signed headers are not lower-case, sorted, single and dated")
        return cls(match["key"], tuple(signed), match["digest"])

    def is_genuine(self, request: ReceivedRequest, secret_key: Secret) -> bool:
        """Whether the holder of ``secret_key`` signed exactly this request."""
        try:
            text = _string_to_sign(request, self.signed_headers)
        except ValueError:
            return False
        digest = hmac.new(secret_key.reveal().encode(), text, hashlib.sha256).hexdigest()
        return hmac.compare_digest(digest, self.digest)


def _string_to_sign(request: ReceivedRequest, signed_headers: Sequence[str]) -> bytes:
    canonical = hashlib.sha256(_canonical_request(request, signed_headers)).hexdigest()
    return "\n".join((_ALGORITHM, request.header(DATE_HEADER), canonical)).encode("utf-8", "surrogateescape")


def _canonical_request(request: ReceivedRequest, signed_headers: Sequence[str]) -> bytes:
    path, _, query = request.target.partition("?")
    lines = (
        request.method.upper(),
        _canonical_path(path),
        _canonical_query(query),
        *(f"{name}:{request.header(name)}" for name in signed_headers),
        "",  # every header line ends in a line feed, the last one too
        ";".join(signed_headers),
        hashlib.sha256(request.body).hexdigest(),
    )
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _canonical_path(path: str) -> str:
    """Decode before encoding: an escaped slash is signed as a slash. The signed form ends in one."""
    decoded = unquote_to_bytes(path)
    return quote(decoded if decoded.endswith(b"/") else decoded + b"/", safe="/")


def _canonical_query(query: str) -> str:
    """Sort by the decoded name, then value (upper case before lower); a name without a value keeps its ``=``."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    decoded = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in decoded)


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


TOKEN_LIFETIME: Final = 24 * 3600.0
"""Seconds for which a token is good."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project: what a region's name stands for within an account."""

    id: str
    name: str

    def to_json(self) -> dict[str, object]:
        """Return IAM's object."""
        return {"id": self.id, "name": self.name, "enabled": True, "is_domain": False}


class Iam:
    """IAM with one account, one user and one project (API reference, api-iam)."""

    def __init__(
        self, *, user: IamUser, project: Project, gateway: Gateway, injector: FaultInjector, now: Callable[[], float]
    ) -> None:
        self._user = user
        self._project = project
        self._gateway = gateway
        self._injector = injector
        self._now = now

    def application(self) -> web.Application:
        """Return what is to be served."""
        application = web.Application(middlewares=[envelope(self._now), self._injector.meet])
        projects = self._gateway.guarded(self._list_projects)
        application.router.add_get("/v3/projects", projects, name=Call.IAM_PROJECT, allow_head=False)
        application.router.add_post("/v3/auth/tokens", self._create_token, name=Call.IAM_TOKEN)
        return application

    async def _list_projects(self, request: web.Request) -> web.Response:
        wanted = request.query.get("name", self._project.name)
        projects = [self._project.to_json()] if wanted == self._project.name else []
        return web.json_response({"projects": projects, "links": {"self": str(request.url)}})

    async def _create_token(self, request: web.Request) -> web.Response:
        scope = _read_token_request(await request.read(), self._user)
        if not scope or not scope.items() <= {"name": self._project.name, "id": self._project.id}.items():
            raise KeystoneError(HTTPStatus.UNAUTHORIZED, "The project of the scope is unknown, or is not the user's.")
        token = IamToken(secrets.token_urlsafe(96))
        issued_at = self._now()
        self._gateway.accept_token(token, issued_at + TOKEN_LIFETIME)
        # The sandbox's catalog is empty; with `nocatalog` there is none at all.
        catalog: dict[str, object] = {} if request.query.get("nocatalog") else {"catalog": []}
        return web.json_response(
            {"token": {**self._describe(issued_at), **catalog}},
            status=201,
            headers={"X-Subject-Token": token.token.reveal()},
        )

    def _describe(self, issued_at: float) -> dict[str, object]:
        domain = {"name": self._user.domain_name}
        return {
            "methods": ["password"],
            "issued_at": _moment(issued_at),
            "expires_at": _moment(issued_at + TOKEN_LIFETIME),
            "project": {"id": self._project.id, "name": self._project.name, "domain": domain},
            "user": {"name": self._user.name, "domain": domain},
            "roles": [],
        }


def _read_token_request(body: bytes, user: IamUser) -> Mapping[str, object]:
    """Return name or id of the scope's project, once the body has shown who asks.

    Raises:
        KeystoneError: 400, the body is not a request by password for a project's token (ServiceStage takes no
            other: a domain's token is for global services); 401, it is not the user's name, account or password.
    """
    try:
        auth = json.loads(body)["auth"]
        methods, identity = auth["identity"]["methods"], auth["identity"]["password"]["user"]
        account = (identity["name"], identity["domain"]["name"])
        password = identity["password"]
        scope = dict(auth["scope"]["project"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeystoneError(HTTPStatus.BAD_REQUEST, "The request body is not a token request.") from None
    known = methods == ["password"] and account == (user.name, user.domain_name)
    if not (known and isinstance(password, str) and user.password.matches(password)):
        raise KeystoneError(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
    return {key: scope[key] for key in ("name", "id") if key in scope}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
