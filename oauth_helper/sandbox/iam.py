"""The sandbox's IAM: the project of a region, and tokens for its one user."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web

from oauth_helper.credentials import IamToken, IamUser
from oauth_helper.faults import Call
from oauth_helper.sandbox.answers import KeystoneError, envelope
from oauth_helper.sandbox.gateway import Gateway
from oauth_helper.sandbox.misbehaving import Front

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
        self, *, user: IamUser, project: Project, gateway: Gateway, front: Front, now: Callable[[], float]
    ) -> None:
        self._user = user
        self._project = project
        self._gateway = gateway
        self._front = front
        self._now = now

    def application(self) -> web.Application:
        """Return what is to be served."""
        application = web.Application(middlewares=[envelope(self._now), self._front.meet])
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
