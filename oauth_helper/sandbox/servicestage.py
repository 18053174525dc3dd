"""ServiceStage as the sandbox offers it."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import string
from collections.abc import Callable, Container, Mapping, MutableMapping, Set
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlencode

from aiohttp import web
from msgspec import structs

from oauth_helper.models import Authorization, is_legal_name
from oauth_helper.sandbox.faults import Call, FaultInjector, ServiceError, envelope
from oauth_helper.sandbox.gateway import Action, Gateway
from oauth_helper.sandbox.git_host import LOGIN, PLAYED_HOSTS, Account, AuthorizationServer, GitHost, OAuthApplication
from oauth_helper.secret import Secret

PasswordBody = Literal["documented", "terraform"]
"""Which body for a password is understood: user and password, or both as one."""


class DirectCreation:
    """Adds to ``authorizations`` what the account of ``git_host`` is proved by."""

    def __init__(
        self,
        authorizations: MutableMapping[str, Authorization],
        *,
        project_id: str,
        git_host: GitHost,
        password_body: PasswordBody,
        now: Callable[[], float],
    ) -> None:
        self._authorizations = authorizations
        self._project_id = project_id
        self._git_host = git_host
        self._password_body = password_body
        self._now = now

    async def create_personal(self, request: web.Request) -> web.Response:
        """Answer "Creating Private Token Authorization"."""
        repo_type = self._repo_type(request, "token")
        name, body = _read(await request.read(), needed={"name", "token"}, possible={"host"})
        host = body.get("host")
        if host is not None and not host.startswith(("https://", "http://")):
            raise _invalid("host")
        self._check_free(name)
        if not self._git_host.knows_token(Secret(body["token"])):
            raise _not_authorized()
        return self._create(name, repo_type, "personal", host)

    async def create_password(self, request: web.Request) -> web.Response:
        """Answer "Creating Password Authorization"."""
        repo_type = self._repo_type(request, "password")
        raw = await request.read()
        if self._password_body == "terraform":  # noqa: S105 - a kind of body, not a password
            name, body = _read(raw, needed={"name", "token"})
            user, password = _read_basic(body["token"])
        else:
            name, body = _read(raw, needed={"name", "user", "password"})
            user, password = body["user"], body["password"]
        self._check_free(name)
        if not self._git_host.knows_user(user, Secret(password)):
            raise _not_authorized()
        return self._create(name, repo_type, "password", None)

    def _repo_type(self, request: web.Request, git_credential: Literal["token", "password"]) -> str:
        if request.match_info["project_id"] != self._project_id:
            raise ServiceError(403, "IAM.0002", "You are not authorized to perform the requested action.")
        repo_type = request.match_info["repo_type"]
        if repo_type not in PLAYED_HOSTS or PLAYED_HOSTS[repo_type].git_credential != git_credential:
            raise ServiceError(400, "SVCSTG.REPO.0401", "repository not implemented")
        return repo_type

    def _check_free(self, name: str) -> None:
        if name in self._authorizations:
            raise ServiceError(400, "SVCSTG.REPO.0403", "resource already exist")

    def _create(self, name: str, repo_type: str, token_type: str, host: str | None) -> web.Response:
        account = self._git_host.account()
        moment = int(self._now() * 1000)
        made = Authorization(
            name=name,
            repo_type=repo_type,
            repo_host=host or account.host,
            repo_home=account.home,
            repo_user=account.login,
            avartar=account.avatar,
            token_type=token_type,
            create_time=moment,
            update_time=moment,
            status=0,
        )
        self._authorizations[name] = made
        return web.json_response(
            {"authorization": {key: value for key, value in made.to_json().items() if key != "tag"}}
        )


def _read(raw: bytes, *, needed: Set[str], possible: Set[str] = frozenset()) -> tuple[str, Mapping[str, str]]:
    """Read a body of texts: those needed, those possible, and nothing else."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        raise _invalid("body") from None
    if not isinstance(record, dict) or not needed <= set(record) <= needed | possible:
        raise _invalid("body")
    for field, value in record.items():
        if not isinstance(value, str) or not value:
            raise _invalid(field)
    if not is_legal_name(record["name"]):
        raise _invalid("name")
    return record["name"], record


def _read_basic(text: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _invalid("token") from None
    if not colon:
        raise _invalid("token")
    return user, password


def _invalid(which: str) -> ServiceError:
    return ServiceError(400, "SVCSTG.REPO.0400", f"parameter invalid: {which}")


def _not_authorized() -> ServiceError:
    # No page says which code a wrong token has; of the documented ones, this one speaks of what the Git host grants.
    return ServiceError(400, "SVCSTG.REPO.0451", "repository authorization invalid")


ACCOUNT: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    LOGIN: {
        "hello-world": ("main", "develop", "feature/login"),
        "spoon-knife": ("main",),
        "empty": (),
    },
    "sandbox-group/tools": {"build.tools": ("master", "release/1.0")},
    "sandbox-group/attic": {},
}
"""What the one account of the Git host has: branches by project by namespace."""


class Repositories:
    """Answers what the holders of ``authorizations`` may see, by the header ``X-Repo-Auth``."""

    def __init__(self, authorizations: Mapping[str, Authorization], *, project_id: str, git_address: str) -> None:
        self._authorizations = authorizations
        self._project_id = project_id
        self._git_address = git_address

    def serve(self, application: web.Application, gateway: Gateway) -> None:
        """Add the calls, which need no permission of their own (permissions chapter), to ``application``."""
        repos = "/v1/{project_id}/git/repos"
        for path, handler in (
            (f"{repos}/namespaces", self._namespaces),
            (f"{repos}/{{namespace}}/projects", self._projects),
            (f"{repos}/{{namespace}}/{{project}}/branches", self._branches),
        ):
            application.router.add_get(path, gateway.guarded(handler), allow_head=False)

    async def _namespaces(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response({"namespaces": [{"id": _id_of(name), "name": name} for name in ACCOUNT]})

    async def _projects(self, request: web.Request) -> web.Response:
        self._check(request)
        namespace, projects = _namespace_of(request)
        found = [
            {
                "id": _id_of(namespace, project),
                "name": project,
                "clone_url": f"{self._git_address}/{namespace}/{project}.git",
            }
            for project in projects
        ]
        return web.json_response({"projects": found})

    async def _branches(self, request: web.Request) -> web.Response:
        self._check(request)
        _, projects = _namespace_of(request)
        # "A slash is written as a colon": no project here has one.
        branches = projects.get(request.match_info["project"])
        if branches is None:
            raise ServiceError(400, "SVCSTG.REPO.0400", "parameter invalid: project")
        return web.json_response({"branches": list(branches)})

    def _check(self, request: web.Request) -> None:
        if request.match_info["project_id"] != self._project_id:
            raise ServiceError(403, "IAM.0002", "You are not authorized to perform the requested action.")
        authorization = self._authorizations.get(request.headers.get("X-Repo-Auth", ""))
        if authorization is None:
            raise ServiceError(400, "SVCSTG.REPO.0450", "no repository authorization")
        if authorization.status != 0:
            raise ServiceError(400, "SVCSTG.REPO.0451", "repository authorization invalid")


def _namespace_of(request: web.Request) -> tuple[str, Mapping[str, tuple[str, ...]]]:
    """Find the namespace by its id or its name; an escaped slash in the address has been decoded."""
    asked = request.match_info["namespace"]
    for namespace, projects in ACCOUNT.items():
        if asked in {namespace, _id_of(namespace)}:
            return namespace, projects
    raise ServiceError(400, "SVCSTG.REPO.0400", "parameter invalid: namespace")


def _id_of(namespace: str, project: str | None = None) -> str:
    """Return a number as Git hosts give them, the same each time."""
    number = 1000 * (list(ACCOUNT).index(namespace) + 1)
    return str(number if project is None else number + list(ACCOUNT[namespace]).index(project) + 1)


_BCRYPT_ALPHABET: Final = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits
_BCRYPT_LAST: Final = _BCRYPT_ALPHABET[::4]
"""The last character of a bcrypt hash has four bits only; one in 16 is a full stop."""


@dataclass(frozen=True, slots=True)
class _Purpose:
    """What a state was given out for: it is good for nothing else."""

    project_id: str
    repo_type: str
    tag: str


@dataclass(frozen=True, slots=True)
class _OAuthBody:
    """The body of "Creating OAuth Authorization"."""

    name: str
    code: Secret
    state: Secret


class ServiceStage:
    """ServiceStage with one project, whose OAuth applications are registered with ``authorization_server``.

    What needs no consent, the account's token, password and repositories, is always ``git_host``'s.
    """

    def __init__(
        self,
        *,
        project_id: str,
        applications: Mapping[str, OAuthApplication],
        authorization_server: AuthorizationServer,
        git_host: GitHost,
        gateway: Gateway,
        injector: FaultInjector,
        now: Callable[[], float],
        password_body: PasswordBody,
    ) -> None:
        self._project_id = project_id
        self._applications = applications
        self._authorization_server = authorization_server
        self._gateway = gateway
        self._injector = injector
        self._now = now
        self._states: dict[Secret, _Purpose] = {}
        self._authorizations: dict[str, Authorization] = {}
        self._directly = DirectCreation(
            self._authorizations, project_id=project_id, git_host=git_host, password_body=password_body, now=now
        )
        self._repositories = Repositories(self._authorizations, project_id=project_id, git_address=git_host.address)

    def expire(self, name: str) -> None:
        """Have the authorization of that name no longer be good, as where its user revokes it at the Git host."""
        self._authorizations[name] = structs.replace(self._authorizations[name], status=1)

    def application(self) -> web.Application:
        """Return what is to be served."""
        application = web.Application(middlewares=[envelope(self._now), self._injector.meet])
        auths = "/v1/{project_id}/git/auths"
        personal, password = self._directly.create_personal, self._directly.create_password
        for call, method, path, handler, action in (
            (Call.LIST, "GET", auths, self._list, Action.LIST),
            (Call.REDIRECT_URL, "GET", f"{auths}/{{repo_type}}/redirect", self._show_redirect_url, Action.GET),
            (Call.EXCHANGE, "POST", f"{auths}/{{repo_type}}/oauth", self._create_oauth, Action.CREATE),
            (f"{Call.EXCHANGE}.personal", "POST", f"{auths}/{{repo_type}}/personal", personal, Action.CREATE),
            (f"{Call.EXCHANGE}.password", "POST", f"{auths}/{{repo_type}}/password", password, Action.CREATE),
            (Call.DELETE, "DELETE", f"{auths}/{{name}}", self._delete, Action.DELETE),
        ):
            application.router.add_route(method, path, self._gateway.guarded(handler, action), name=call)
        self._repositories.serve(application, self._gateway)
        return application

    async def _list(self, request: web.Request) -> web.Response:
        self._check_project(request)
        records = [
            {**authorization.to_json(), "tag": authorization.tag} for authorization in self._authorizations.values()
        ]
        return web.json_response({"authorizations": records, "count": len(records)})

    async def _show_redirect_url(self, request: web.Request) -> web.Response:
        purpose, application = self._read_purpose(request)
        digits = [secrets.choice(_BCRYPT_ALPHABET) for _ in range(52)]
        state = Secret("$2a$10$" + "".join([*digits, secrets.choice(_BCRYPT_LAST)]))
        self._states[state] = purpose
        return web.json_response({"url": self._authorization_url(application, state)})

    async def _create_oauth(self, request: web.Request) -> web.Response:
        purpose, application = self._read_purpose(request)
        body = _read_oauth_body(await request.read())
        # Whatever can be refused without code and state is refused first: a slip in the name then costs neither.
        _check_free(body.name, self._authorizations)
        # A state is used up by being shown, right or wrong; a code only once its state was right.
        if self._states.pop(body.state, None) != purpose:
            raise _invalid_code_or_state()
        account = await self._authorization_server.exchange(application, body.code)
        if account is None:
            raise _invalid_code_or_state()
        _check_free(body.name, self._authorizations)  # another one may have taken it meanwhile
        record = self._create(body.name, purpose, account).to_json()
        return web.json_response({"authorization": {key: value for key, value in record.items() if key != "tag"}})

    def _create(self, name: str, purpose: _Purpose, account: Account) -> Authorization:
        moment = int(self._now() * 1000)
        self._authorizations[name] = Authorization(
            name=name,
            repo_type=purpose.repo_type,
            repo_host=account.host,
            repo_home=account.home,
            repo_user=account.login,
            avartar=account.avatar,
            token_type="oauth",  # noqa: S106 - the kind of token, not a token
            create_time=moment,
            update_time=moment,
            status=0,
            tag=purpose.tag or None,
        )
        return self._authorizations[name]

    async def _delete(self, request: web.Request) -> web.Response:
        self._check_project(request)
        if self._authorizations.pop(request.match_info["name"], None) is None:
            # The manual has 204 and 500 only. A 500 would call a user's slip the server's fault; of the documented
            # codes, all of them 400, this one means that no authorization has the name.
            raise ServiceError(400, "SVCSTG.REPO.0450", "no repository authorization")
        return web.Response(status=204)

    def _check_project(self, request: web.Request) -> None:
        if request.match_info["project_id"] != self._project_id:
            raise ServiceError(403, "IAM.0002", "You are not authorized to perform the requested action.")

    def _read_purpose(self, request: web.Request) -> tuple[_Purpose, OAuthApplication]:
        self._check_project(request)
        # Lower case is the only spelling on the wire; devcloud has no OAuth in most editions of the manual.
        application = self._applications.get(request.match_info["repo_type"])
        if application is None:
            raise ServiceError(400, "SVCSTG.REPO.0401", "repository not implemented")
        return _Purpose(self._project_id, application.repo_type, request.query.get("tag", "")), application

    def _authorization_url(self, application: OAuthApplication, state: Secret) -> str:
        response_type = {} if application.response_type is None else {"response_type": application.response_type}
        parameters = {
            "client_id": application.client_id,
            "redirect_uri": application.redirect_uri,
            **response_type,
            "scope": application.scope,
            "state": state.reveal(),
        }
        endpoint = self._authorization_server.authorization_endpoint(application)
        # A query that the endpoint has of its own is retained (RFC 6749 section 3.1).
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters, quote_via=quote, safe='')}"


def _read_oauth_body(body: bytes) -> _OAuthBody:
    """Read name, code and state, all mandatory; the name by the user guide's rule (servicestage_03_0076)."""
    try:
        record = json.loads(body)
        name, code, state = (record[field] for field in ("name", "code", "state"))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _invalid_parameter("body") from None
    for field, value in (("name", name), ("code", code), ("state", state)):
        if not isinstance(value, str) or not value:
            raise _invalid_parameter(field)
    if not is_legal_name(name):
        raise _invalid_parameter("name")
    return _OAuthBody(name, Secret(code), Secret(state))


def _check_free(name: str, taken: Container[str]) -> None:
    if name in taken:
        raise ServiceError(400, "SVCSTG.REPO.0403", "resource already exist")


def _invalid_parameter(which: str) -> ServiceError:
    return ServiceError(400, "SVCSTG.REPO.0400", f"parameter invalid: {which}")


def _invalid_code_or_state() -> ServiceError:
    return ServiceError(400, "SVCSTG.REPO.0402", "oauth code or state invalid")
