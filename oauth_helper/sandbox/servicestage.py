"""ServiceStage as the sandbox implements it: authorizations, and the repositories behind them."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import string
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Final, Literal
from urllib.parse import quote, urlencode

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from oauth_helper.models import is_legal_name
from oauth_helper.sandbox.gateway import Action, Gateway, ServiceError
from oauth_helper.sandbox.git_host import LOGIN, PROVIDERS, Account, AuthorizationServer, GitHost, OAuthApplication
from oauth_helper.secret import Secret

PasswordBody = Literal["documented", "terraform"]
"""The body that is accepted for a password: user and password, or both in one Basic value."""

REPOSITORIES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    LOGIN: {
        "hello-world": ("main", "develop", "feature/login"),
        "spoon-knife": ("main",),
        "empty": (),
    },
    "sandbox-group/tools": {"build.tools": ("master", "release/1.0")},
    "sandbox-group/attic": {},
}
"""What the Git host's account has: branches by project by namespace."""

_BCRYPT_ALPHABET: Final = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits
_BCRYPT_LAST: Final = _BCRYPT_ALPHABET[::4]
"""The last character of a bcrypt hash has only four bits; one in 16 is a full stop."""


_Purpose = tuple[str, str]
"""Repository type and tag: what a state was issued for. It is valid for nothing else."""


class ServiceStage:
    """ServiceStage with one project, whose OAuth applications are registered with ``authorization_server``.

    Tokens, passwords and repositories need no consent; they are always those of ``git_host``.
    """

    def __init__(
        self,
        *,
        project_id: str,
        applications: Mapping[str, OAuthApplication],
        authorization_server: AuthorizationServer,
        git_host: GitHost,
        gateway: Gateway,
        now: Callable[[], float],
        password_body: PasswordBody,
    ) -> None:
        self._project_id = project_id
        self._applications = applications
        self._authorization_server = authorization_server
        self._git_host = git_host
        self._gateway = gateway
        self._now = now
        self._password_body = password_body
        self._states: dict[Secret, _Purpose] = {}
        self._authorizations: dict[str, dict[str, object]] = {}

    def expire(self, name: str) -> None:
        """Make the authorization expired, as when its user revokes it at the Git host."""
        self._authorizations[name]["status"] = 1

    def application(self, middlewares: Iterable[Middleware]) -> web.Application:
        """Return the web application; its route names are those of the faults."""
        application = web.Application(middlewares=middlewares)
        auths, repos = "/v1/{project_id}/git/auths", "/v1/{project_id}/git/repos"
        routes: tuple[tuple[str | None, str, str, Handler, Action | None], ...] = (
            ("list", "GET", auths, self._list, Action.LIST),
            ("redirect-url", "GET", f"{auths}/{{repo_type}}/redirect", self._show_redirect_url, Action.GET),
            ("exchange", "POST", f"{auths}/{{repo_type}}/oauth", self._create_oauth, Action.CREATE),
            ("exchange.personal", "POST", f"{auths}/{{repo_type}}/personal", self._create_personal, Action.CREATE),
            ("exchange.password", "POST", f"{auths}/{{repo_type}}/password", self._create_password, Action.CREATE),
            ("delete", "DELETE", f"{auths}/{{name}}", self._delete, Action.DELETE),
            # The calls for repositories need no permission of their own (permissions chapter).
            (None, "GET", f"{repos}/namespaces", self._namespaces, None),
            (None, "GET", f"{repos}/{{namespace}}/projects", self._projects, None),
            (None, "GET", f"{repos}/{{namespace}}/{{project}}/branches", self._branches, None),
        )
        for name, method, path, handler, action in routes:
            guarded = self._gateway.guarded(self._in_project(handler), action)
            application.router.add_route(method, path, guarded, name=name)
        return application

    def _in_project(self, handler: Handler) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            if request.match_info["project_id"] != self._project_id:
                raise ServiceError(403, "IAM.0002", "You are not authorized to perform the requested action.")
            return await handler(request)

        return check

    async def _list(self, _request: web.Request) -> web.Response:
        records = list(self._authorizations.values())
        return web.json_response({"authorizations": records, "count": len(records)})

    async def _show_redirect_url(self, request: web.Request) -> web.Response:
        application = self._application_for(request)
        digits = [secrets.choice(_BCRYPT_ALPHABET) for _ in range(52)]
        state = Secret("$2a$10$" + "".join([*digits, secrets.choice(_BCRYPT_LAST)]))
        self._states[state] = application.repo_type, request.query.get("tag", "")
        response_type = {} if application.response_type is None else {"response_type": application.response_type}
        parameters = {
            "client_id": application.client_id,
            "redirect_uri": application.redirect_uri,
            **response_type,
            "scope": application.scope,
            "state": state.reveal(),
        }
        endpoint = self._authorization_server.authorization_endpoint(application)
        # An endpoint keeps its own query (RFC 6749 section 3.1).
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters, quote_via=quote, safe='')}"
        return web.json_response({"url": url})

    async def _create_oauth(self, request: web.Request) -> web.Response:
        application, tag = self._application_for(request), request.query.get("tag", "")
        body = _read_body(await request.read(), needed={"name", "code", "state"}, others_allowed=True)
        # Refuse first what does not depend on code and state: a taken name costs neither.
        self._check_free(body["name"])
        # Showing a state uses it up, right or wrong; a code only if the state was right.
        if self._states.pop(Secret(body["state"]), None) != (application.repo_type, tag):
            raise ServiceError(400, "SVCSTG.REPO.0402", "oauth code or state invalid")
        account = await self._authorization_server.exchange(application, Secret(body["code"]))
        if account is None:
            raise ServiceError(400, "SVCSTG.REPO.0402", "oauth code or state invalid")
        self._check_free(body["name"])  # the name may be taken by now
        return self._create(body["name"], application.repo_type, "oauth", account, tag=tag or None)

    async def _create_personal(self, request: web.Request) -> web.Response:
        repo_type = self._repo_type_for(request, "token")
        body = _read_body(await request.read(), needed={"name", "token"}, optional={"host"})
        if not body.get("host", "https://").startswith(("https://", "http://")):
            raise _invalid("host")
        self._check_free(body["name"])
        if not self._git_host.knows_token(Secret(body["token"])):
            raise _not_authorized()
        return self._create(body["name"], repo_type, "personal", self._git_host.account(), host=body.get("host"))

    async def _create_password(self, request: web.Request) -> web.Response:
        repo_type = self._repo_type_for(request, "password")
        raw = await request.read()
        if self._password_body == "terraform":  # noqa: S105 - a kind of body, not a password
            body = _read_body(raw, needed={"name", "token"})
            user, password = _read_basic(body["token"])
        else:
            body = _read_body(raw, needed={"name", "user", "password"})
            user, password = body["user"], body["password"]
        self._check_free(body["name"])
        if not self._git_host.knows_user(user, Secret(password)):
            raise _not_authorized()
        return self._create(body["name"], repo_type, "password", self._git_host.account())

    async def _delete(self, request: web.Request) -> web.Response:
        if self._authorizations.pop(request.match_info["name"], None) is None:
            # The manual has 204 and 500 only. A 500 would blame the server for a wrong name; of the documented
            # codes, which all are 400, this one means that no authorization has the name.
            raise ServiceError(400, "SVCSTG.REPO.0450", "no repository authorization")
        return web.Response(status=204)

    async def _namespaces(self, request: web.Request) -> web.Response:
        self._check_authorization(request)
        return web.json_response({"namespaces": [{"id": _id_of(name), "name": name} for name in REPOSITORIES]})

    async def _projects(self, request: web.Request) -> web.Response:
        self._check_authorization(request)
        namespace = _namespace_of(request)
        projects = [
            {
                "id": _id_of(namespace, project),
                "name": project,
                "clone_url": f"{self._git_host.address}/{namespace}/{project}.git",
            }
            for project in REPOSITORIES[namespace]
        ]
        return web.json_response({"projects": projects})

    async def _branches(self, request: web.Request) -> web.Response:
        self._check_authorization(request)
        # The manual: "a slash is written as a colon". No project here has one.
        branches = REPOSITORIES[_namespace_of(request)].get(request.match_info["project"])
        if branches is None:
            raise _invalid("project")
        return web.json_response({"branches": list(branches)})

    def _create(
        self,
        name: str,
        repo_type: str,
        token_type: str,
        account: Account,
        *,
        host: str | None = None,
        tag: str | None = None,
    ) -> web.Response:
        moment = int(self._now() * 1000)
        record: dict[str, object] = {
            "name": name,
            "repo_type": repo_type,
            "repo_host": host or account.host,
            "repo_home": account.home,
            "repo_user": account.login,
            "avartar": account.avatar,
            "token_type": token_type,
            "create_time": moment,
            "update_time": moment,
            "status": 0,
        }
        self._authorizations[name] = {**record, "tag": tag}
        return web.json_response({"authorization": record})

    def _application_for(self, request: web.Request) -> OAuthApplication:
        # Lower case is the only spelling on the wire; most editions of the manual have no OAuth for devcloud.
        application = self._applications.get(request.match_info["repo_type"])
        if application is None:
            raise ServiceError(400, "SVCSTG.REPO.0401", "repository not implemented")
        return application

    def _repo_type_for(self, request: web.Request, credential: Literal["token", "password"]) -> str:
        repo_type = request.match_info["repo_type"]
        if repo_type not in PROVIDERS or PROVIDERS[repo_type].credential != credential:
            raise ServiceError(400, "SVCSTG.REPO.0401", "repository not implemented")
        return repo_type

    def _check_free(self, name: str) -> None:
        if name in self._authorizations:
            raise ServiceError(400, "SVCSTG.REPO.0403", "resource already exist")

    def _check_authorization(self, request: web.Request) -> None:
        authorization = self._authorizations.get(request.headers.get("X-Repo-Auth", ""))
        if authorization is None:
            raise ServiceError(400, "SVCSTG.REPO.0450", "no repository authorization")
        if authorization["status"] != 0:
            raise _not_authorized()


def _read_body(
    raw: bytes, *, needed: Set[str], optional: Set[str] = frozenset(), others_allowed: bool = False
) -> Mapping[str, str]:
    """Read an object of non-empty strings; its ``name`` follows the user guide (servicestage_03_0076)."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        raise _invalid("body") from None
    if not isinstance(record, dict) or not needed <= set(record):
        raise _invalid("body")
    if not others_allowed and not set(record) <= needed | optional:
        raise _invalid("body")
    body = {field: record[field] for field in record if field in needed | optional}
    for field, value in body.items():
        if not isinstance(value, str) or not value:
            raise _invalid(field)
    if not is_legal_name(body["name"]):
        raise _invalid("name")
    return body


def _read_basic(text: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _invalid("token") from None
    if not colon:
        raise _invalid("token")
    return user, password


def _namespace_of(request: web.Request) -> str:
    """Find the namespace by its id or its name; an escaped slash in the address is decoded already."""
    wanted = request.match_info["namespace"]
    for namespace in REPOSITORIES:
        if wanted in {namespace, _id_of(namespace)}:
            return namespace
    raise _invalid("namespace")


def _id_of(namespace: str, project: str | None = None) -> str:
    """Return a number as Git hosts use them, the same each time."""
    number = 1000 * (list(REPOSITORIES).index(namespace) + 1)
    return str(number if project is None else number + list(REPOSITORIES[namespace]).index(project) + 1)


def _invalid(field: str) -> ServiceError:
    return ServiceError(400, "SVCSTG.REPO.0400", f"parameter invalid: {field}")


def _not_authorized() -> ServiceError:
    # No page says which code a wrong token has; of the documented ones, this one is about the Git host's grant.
    return ServiceError(400, "SVCSTG.REPO.0451", "repository authorization invalid")
