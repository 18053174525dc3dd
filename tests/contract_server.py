"""ServiceStage as the contract page has it, and nothing more: each request is checked whole, by no code of ours.

Source: the ServiceStage API reference, chapter "Git Repository Access". Signatures are judged by the vendor's signer.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote

from aiohttp import web
from contract_rules import ACCESS_KEY, PROJECT, SECRET_KEY, Json, Route, body_faults, header_faults, read_json
from fake_servicestage import FakeServiceStage, Received
from repo_type_contract import TYPES, types_with

STATE: Final = "$2a$10$.uQYThj5yKFs51w9s9ajeuQ0NSGshPH7IUfXoZLPlz7J/oAJ8Babc"
CODE: Final = "fb32b45c3513bc3267f5"
TOKEN: Final = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
PASSWORD: Final = "pl@nted passw0rd/+="
USER: Final = "account/someone"
CONSOLE: Final = "https://console.huaweicloud.com/servicestage/oauth?repo_type="

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{4,63}")
_TYPES: Final = {
    "redirect": set(TYPES),
    "oauth": set(TYPES),
    "personal": types_with("personal"),
    "password": types_with("password"),
}


@dataclass
class ContractServer:
    """Serves one project; at the end of its context, any violation of the contract is a failure."""

    records: dict[str, Json] = field(default_factory=dict)
    namespaces: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    understands: str = "documented"
    """Or ``terraform``: the body of a password."""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    """With which status and code an operation is always refused."""
    violations: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    """How often each operation was asked for."""

    async def __aenter__(self) -> Self:
        self._server = await FakeServiceStage(self._respond).__aenter__()
        return self

    async def __aexit__(self, *end: Any) -> None:
        await self._server.__aexit__(*end)
        if end[0] is None:
            assert self.violations == []

    @property
    def _host(self) -> str:
        return self._server.endpoint.removeprefix("http://")

    def environment(self) -> dict[str, str]:
        """What points the command here."""
        return self.keys() | {"OAUTH_HELPER_ENDPOINT": self._server.endpoint}

    @staticmethod
    def keys() -> dict[str, str]:
        """The project, and who may do everything there."""
        return {
            "OAUTH_HELPER_PROJECT_ID": PROJECT,
            "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
            "HUAWEICLOUD_SDK_SK": SECRET_KEY,
        }

    def put(self, name: str, repo_type: str = "github", kind: str = "oauth", **more: object) -> Json:
        """Have an authorization stand; return the record, as an answer to its creation has it."""
        site = f"https://{repo_type}.com"
        record: Json = {
            "name": name,
            "repo_type": repo_type,
            "repo_host": f"https://api.{repo_type}.com",
            "repo_home": f"{site}/someone",
            "repo_user": "someone",
            "avartar": f"{site}/someone.png",
            "token_type": kind,
            "create_time": int(time.time() * 1000),
            "update_time": int(time.time() * 1000),
            "status": 0,
        }
        self.records[name] = record | more
        return self.records[name]

    def _respond(self, request: Received) -> web.Response:
        path, _, query = request.target.partition("?")
        for route in _routes(self):
            found = route.path.fullmatch(path)
            if found and route.method == request.method:
                self.calls[route.operation] += 1
                self._check(request, route, dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))))
                if route.operation in self.refusals:
                    return refusal(*self.refusals[route.operation])
                given = [unquote(part) for part in found.groups()]
                return route.answer(*given, *([read_json(request.body)] if route.bodies else []))
        self._object("no such operation", request)
        return refusal(404, "APIGW.0101")

    def _object(self, what: str, request: Received) -> None:
        self.violations.append(f"{request.method} {request.target}: {what}")

    def _check(self, request: Received, route: Route, query: Mapping[str, str]) -> None:
        for what in header_faults(request, route, self._host) + body_faults(request, route):
            self._object(what, request)
        if not set(query) <= route.query:
            self._object(f"query {sorted(query)}", request)

    def list_all(self) -> web.Response:
        listed = [record | {"tag": record.get("tag")} for record in self.records.values()]
        return web.json_response({"authorizations": listed, "count": len(listed)})

    def redirect(self, repo_type: str) -> web.Response:
        callback = quote(CONSOLE + repo_type, safe="")
        scope = quote("read:user repo write:repo_hook", safe="")
        site = f"https://{repo_type}.com/login/oauth/authorize?client_id=0123456789abcdef0123"
        return web.json_response({"url": f"{site}&redirect_uri={callback}&state={quote(STATE, safe='')}&scope={scope}"})

    def create(self, repo_type: str, kind: str, body: Json) -> web.Response:
        if repo_type not in _TYPES[kind]:
            return refusal(400, "SVCSTG.REPO.0401")
        if not self._is_understood(kind, body) or not _NAME.fullmatch(body["name"]):
            return refusal(400, "SVCSTG.REPO.0400")
        if body["name"] in self.records:
            return refusal(400, "SVCSTG.REPO.0403")
        if kind == "oauth" and (body["code"], body["state"]) != (CODE, STATE):
            return refusal(400, "SVCSTG.REPO.0402")
        host = {"repo_host": body["host"]} if "host" in body else {}
        return web.json_response({"authorization": self.put(body["name"], repo_type, kind, **host)})

    def _is_understood(self, kind: str, body: Json) -> bool:
        return kind != "password" or ("user" in body) == (self.understands == "documented")

    def delete(self, name: str) -> web.Response:
        if self.records.pop(name, None) is None:
            self.violations.append(f"DELETE of {name}, which is not there")
            return refusal(500, "SVCSTG.REPO.0500")
        return web.Response(status=204)

    def list_namespaces(self) -> web.Response:
        return web.json_response(
            {"namespaces": [{"id": str(number), "name": name} for number, name in enumerate(self.namespaces)]}
        )

    def list_projects(self, namespace: str) -> web.Response:
        projects = [
            {"id": str(number), "name": name, "clone_url": f"https://github.com/{namespace}/{name}.git"}
            for number, name in enumerate(self.namespaces[namespace])
        ]
        return web.json_response({"projects": projects})

    def list_branches(self, namespace: str, project: str) -> web.Response:
        return web.json_response({"branches": self.namespaces[namespace][project.replace(":", "/")]})


def refusal(status: int, code: str) -> web.Response:
    """A refusal, as API Gateway and ServiceStage both write it."""
    return web.json_response(
        {"error_code": code, "error_msg": "refused"}, status=status, headers={"X-Request-Id": "0" * 32}
    )


def _routes(server: ContractServer) -> tuple[Route, ...]:
    def path(text: str) -> re.Pattern[str]:
        return re.compile(f"/v1/{PROJECT}/git/{text}")

    tag, none = frozenset({"tag"}), frozenset[str]()
    oauth = ((frozenset({"name", "code", "state"}), none),)
    personal = ((frozenset({"name", "token"}), frozenset({"host"})),)
    password = ((frozenset({"name", "user", "password"}), none), (frozenset({"name", "token"}), none))
    repos, plain = r"repos/([^/?:]+)", r"([A-Za-z0-9._-]+)"
    return (
        Route("list", "GET", path("auths"), server.list_all),
        Route("redirect", "GET", path("auths/([a-z]+)/redirect"), server.redirect, tag),
        Route("oauth", "POST", path("auths/([a-z]+)/(oauth)"), server.create, tag, oauth),
        Route("personal", "POST", path("auths/([a-z]+)/(personal)"), server.create, none, personal),
        Route("password", "POST", path("auths/([a-z]+)/(password)"), server.create, none, password),
        Route("delete", "DELETE", path(f"auths/{plain}"), server.delete),
        Route("namespaces", "GET", path("repos/namespaces"), server.list_namespaces, asks_by_authorization=True),
        Route("projects", "GET", path(f"{repos}/projects"), server.list_projects, asks_by_authorization=True),
        Route("branches", "GET", path(f"{repos}/([^/?]+)/branches"), server.list_branches, asks_by_authorization=True),
    )
