"""The sandbox's repositories: namespaces, projects and branches, as an authorization sees them.

Source: the ServiceStage API reference, servicestage_06_0098 to 0107, and 0162 (error codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from oauth_helper.authorization import Authorization
from oauth_helper.sandbox.answers import ServiceError
from oauth_helper.sandbox.gateway import Gateway
from oauth_helper.sandbox.git_host import LOGIN

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
