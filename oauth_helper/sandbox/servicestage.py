"""ServiceStage as the sandbox implements it: authorizations, and the repositories behind them."""

from __future__ import annotations

import base64
import secrets
import string
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from oauth_helper.sandbox.gateway import ApiError, api_error
from oauth_helper.sandbox.git_host import LOGIN, PROVIDERS, Account, GitHost, OAuthApplication
from oauth_helper.sandbox.oidc import OidcProvider
from oauth_helper.secret import Secret

PasswordBody = Literal["documented", "terraform"]
"""The body that is accepted for a password: user and password, or both in one Basic value."""

_Body = TypeVar("_Body", bound=Struct)

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

_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{4,63}\Z")]
"""The user guide's rule (servicestage_03_0076)."""
_Filled = Annotated[str, Meta(min_length=1)]


class _OAuthBody(Struct):
    name: _Name
    code: _Filled
    state: _Filled


class _TokenBody(Struct, forbid_unknown_fields=True):
    name: _Name
    token: _Filled
    host: Annotated[str, Meta(pattern="^https?://")] | None = None


class _PasswordBody(Struct, forbid_unknown_fields=True):
    name: _Name
    user: _Filled
    password: _Filled


@dataclass(eq=False)
class ServiceStage:
    """ServiceStage with one project, whose OAuth applications are registered with ``authorization_server``.

    Tokens, passwords and repositories need no consent; they are always those of ``git_host``.
    """

    applications: Mapping[str, OAuthApplication]
    authorization_server: GitHost | OidcProvider
    git_host: GitHost
    now: Callable[[], float]
    password_body: PasswordBody
    _states: dict[Secret, tuple[str, str]] = field(default_factory=dict)
    """Repository type and tag for which a state was issued. It is valid for nothing else."""
    _authorizations: dict[str, dict[str, object]] = field(default_factory=dict)

    def expire(self, name: str) -> None:
        """Make the authorization expired, as when its user revokes it at the Git host."""
        self._authorizations[name]["status"] = 1

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; their names are those of the faults."""
        auths, repos = "/v1/{project_id}/git/auths", "/v1/{project_id}/git/repos"
        return [
            web.get(auths, self._list, name="list", allow_head=False),
            web.get(f"{auths}/{{repo_type}}/redirect", self._show_redirect_url, name="redirect-url", allow_head=False),
            web.post(f"{auths}/{{repo_type}}/oauth", self._create_oauth, name="exchange"),
            web.post(f"{auths}/{{repo_type}}/personal", self._create_personal, name="exchange.personal"),
            web.post(f"{auths}/{{repo_type}}/password", self._create_password, name="exchange.password"),
            web.delete(f"{auths}/{{name}}", self._delete, name="delete"),
            web.get(f"{repos}/namespaces", self._namespaces, allow_head=False),
            web.get(f"{repos}/{{namespace}}/projects", self._projects, allow_head=False),
            web.get(f"{repos}/{{namespace}}/{{project}}/branches", self._branches, allow_head=False),
        ]

    async def _list(self, _request: web.Request) -> web.Response:
        records = list(self._authorizations.values())
        return web.json_response({"authorizations": records, "count": len(records)})

    async def _show_redirect_url(self, request: web.Request) -> web.Response:
        application = self._application_for(request)
        # The last character of a bcrypt hash has only four bits; one in 16 is a full stop.
        last = secrets.choice(_BCRYPT_ALPHABET[::4])
        state = Secret("$2a$10$" + "".join(secrets.choice(_BCRYPT_ALPHABET) for _ in range(52)) + last)
        self._states[state] = application.repo_type, request.query.get("tag", "")
        parameters = {
            "client_id": application.client_id,
            "redirect_uri": application.redirect_uri,
            **({"response_type": application.response_type} if application.response_type else {}),
            "scope": application.scope,
            "state": state.reveal(),
        }
        endpoint = self.authorization_server.authorization_endpoint(application)
        # An endpoint keeps its own query (RFC 6749 section 3.1).
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters, quote_via=quote, safe='')}"
        return web.json_response({"url": url})

    async def _create_oauth(self, request: web.Request) -> web.Response:
        application, tag = self._application_for(request), request.query.get("tag", "")
        body = await _read(request, _OAuthBody)
        # Refuse first what does not depend on code and state: a taken name costs neither.
        self._check_free(body.name)
        # Showing a state uses it up, right or wrong; a code only if the state was right.
        is_valid = self._states.pop(Secret(body.state), None) == (application.repo_type, tag)
        account = await self.authorization_server.exchange(application, Secret(body.code)) if is_valid else None
        if account is None:
            raise _refused("0402", "oauth code or state invalid")
        return self._create(body.name, application.repo_type, "oauth", account, tag or None)

    async def _create_personal(self, request: web.Request) -> web.Response:
        repo_type = self._repo_type_for(request, "token")
        body = await _read(request, _TokenBody)
        if Secret(body.token) != self.git_host.personal_token:
            raise _not_authorized()
        account = self.git_host.account()
        return self._create(body.name, repo_type, "personal", account._replace(host=body.host or account.host))

    async def _create_password(self, request: web.Request) -> web.Response:
        repo_type = self._repo_type_for(request, "password")
        if self.password_body == "terraform":  # noqa: S105 - a kind of body, not a password
            basic = await _read(request, _TokenBody)
            try:
                name, (user, password) = basic.name, base64.b64decode(basic.token, validate=True).decode().split(":", 1)
            except ValueError:
                raise _invalid("token") from None
        else:
            body = await _read(request, _PasswordBody)
            name, user, password = body.name, body.user, body.password
        if not self.git_host.knows_user(user, Secret(password)):
            raise _not_authorized()
        return self._create(name, repo_type, "password", self.git_host.account())

    async def _delete(self, request: web.Request) -> web.Response:
        if self._authorizations.pop(request.match_info["name"], None) is None:
            # The manual has 204 and 500 only. A 500 would blame the server for a wrong name; of the documented
            # codes, which all are 400, this one means that no authorization has the name.
            raise _refused("0450", "no repository authorization")
        return web.Response(status=204)

    async def _namespaces(self, request: web.Request) -> web.Response:
        self._check_authorization(request)
        return web.json_response({"namespaces": [{"id": _id_of(name), "name": name} for name in REPOSITORIES]})

    async def _projects(self, request: web.Request) -> web.Response:
        self._check_authorization(request)
        namespace = _namespace_of(request)
        paths = {project: f"{namespace}/{project}" for project in REPOSITORIES[namespace]}
        host = self.git_host.address
        projects = [
            {"id": _id_of(path), "name": project, "clone_url": f"{host}/{path}.git"} for project, path in paths.items()
        ]
        return web.json_response({"projects": projects})

    async def _branches(self, request: web.Request) -> web.Response:
        self._check_authorization(request)
        # The manual: "a slash is written as a colon". No project here has one.
        branches = REPOSITORIES[_namespace_of(request)].get(request.match_info["project"])
        if branches is None:
            raise _invalid("project")
        return web.json_response({"branches": branches})

    def _create(
        self, name: str, repo_type: str, token_type: str, account: Account, tag: str | None = None
    ) -> web.Response:
        self._check_free(name)  # Another request may have taken it by now.
        moment = int(self.now() * 1000)
        record: dict[str, object] = {
            "name": name,
            "repo_type": repo_type,
            "repo_host": account.host,
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
        application = self.applications.get(request.match_info["repo_type"])
        if application is None:
            raise _refused("0401", "repository not implemented")
        return application

    def _repo_type_for(self, request: web.Request, credential: Literal["token", "password"]) -> str:
        provider = PROVIDERS.get(request.match_info["repo_type"])
        if provider is None or provider.credential != credential:
            raise _refused("0401", "repository not implemented")
        return request.match_info["repo_type"]

    def _check_free(self, name: str) -> None:
        if name in self._authorizations:
            raise _refused("0403", "resource already exist")

    def _check_authorization(self, request: web.Request) -> None:
        authorization = self._authorizations.get(request.headers.get("X-Repo-Auth", ""))
        if authorization is None:
            raise _refused("0450", "no repository authorization")
        if authorization["status"] != 0:
            raise _not_authorized()


async def _read(request: web.Request, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, RecursionError):
        raise _invalid("body") from None


def _namespace_of(request: web.Request) -> str:
    """Find the namespace by its id or its name; an escaped slash in the address is decoded already."""
    names = {key: name for name in REPOSITORIES for key in (name, _id_of(name))}
    try:
        return names[request.match_info["namespace"]]
    except KeyError:
        raise _invalid("namespace") from None


def _id_of(name: str) -> str:
    """Return a number as Git hosts use them, the same each time."""
    return str(zlib.crc32(name.encode()))


def _refused(code: str, message: str) -> ApiError:
    return api_error(400, f"SVCSTG.REPO.{code}", message)


def _invalid(field: str) -> ApiError:
    return _refused("0400", f"parameter invalid: {field}")


def _not_authorized() -> ApiError:
    # No page says which code a wrong token has; of the documented ones, this one is about the Git host's grant.
    return _refused("0451", "repository authorization invalid")
