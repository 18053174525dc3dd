"""The sandbox's authorizations that no browser makes: of a personal access token, of user and password.

Source: the ServiceStage API reference, pages "Creating Private Token Authorization" and "Creating Password
Authorization"; for the other body of the latter, the vendor's Terraform provider (repositories/requests.go).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, MutableMapping, Set
from typing import Literal

from aiohttp import web

from oauth_helper.authorization import Authorization, is_legal_name
from oauth_helper.sandbox.answers import ServiceError
from oauth_helper.sandbox.git_host import GitHost
from oauth_helper.sandbox.git_hosts import PLAYED_HOSTS
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

    def _repo_type(self, request: web.Request, proof: Literal["token", "password"]) -> str:
        if request.match_info["project_id"] != self._project_id:
            raise ServiceError(403, "IAM.0002", "You are not authorized to perform the requested action.")
        repo_type = request.match_info["repo_type"]
        if repo_type not in PLAYED_HOSTS or PLAYED_HOSTS[repo_type].proof != proof:
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
