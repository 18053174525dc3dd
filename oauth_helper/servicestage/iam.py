"""IAM's API: the ID of a region's project, and a token for a user. Manual: "IAM API Reference"."""

from __future__ import annotations

import json
import os
from typing import Final

from msgspec import Struct

from oauth_helper.credentials import Credentials, IamToken, IamUser
from oauth_helper.errors import NotPermittedError, SettingsError
from oauth_helper.i18n import _
from oauth_helper.secret import Secret
from oauth_helper.servicestage.transport import RETRIES, Connection, Retries

_ORIGIN: Final = _("The IAM endpoint")
_GIVE_THE_PROJECT: Final = _(
    "Give --project-id (OAUTH_HELPER_PROJECT_ID); the console shows it under My Credentials, API Credentials."
)


class IssuedToken(Struct, frozen=True):
    """A token that IAM has issued for a project; it lasts 24 hours."""

    token: IamToken
    project_id: str


async def find_project_id(
    iam_endpoint: str,
    region: str,
    credentials: Credentials,
    *,
    ca_bundle: str | os.PathLike[str] | None = None,
    retries: Retries = RETRIES,
) -> str:
    """Return the ID of the project with the region's name (``GET /v3/projects``).

    Raises:
        SettingsError: There is none or more than one, so the user must name it; or the region cannot be a name.
        NotPermittedError: The credentials may not call IAM.
        UnavailableError: IAM gave no usable answer.
    """
    if not region or not region.isprintable():
        raise SettingsError(_("The region is empty, or has control characters in it"), hint=_("Give it as cn-north-4."))
    async with Connection(
        iam_endpoint, credentials=credentials, ca_bundle=ca_bundle, origin=_ORIGIN, retries=retries
    ) as iam:
        try:
            answer = await iam.request("GET", "/v3/projects", query=(("name", region),), is_safe=True)
        except NotPermittedError as error:
            error.hint = _GIVE_THE_PROJECT
            raise
    projects = answer.json_object().get("projects")
    if not isinstance(projects, list):
        raise answer.unusable(_("has no list of projects"))
    ids = [project.get("id") for project in projects if isinstance(project, dict)]
    match ids:
        case [str() as project_id] if project_id:
            return project_id
        case [_]:
            raise answer.unusable(_("has a project without an ID"))
        case _:
            count = _("more than one project") if ids else _("no project")
            raise SettingsError(
                _("IAM knows {count} for the region {region!r}", count=count, region=region),
                hint=_GIVE_THE_PROJECT,
            )


async def fetch_token(
    iam_endpoint: str,
    user: IamUser,
    *,
    region: str | None = None,
    project_id: str | None = None,
    ca_bundle: str | os.PathLike[str] | None = None,
    retries: Retries = RETRIES,
) -> IssuedToken:
    """Return a token (``POST /v3/auth/tokens``) for the project with that ID, or else with the region's name.

    Raises:
        SettingsError: Neither region nor project is given.
        CredentialsError: IAM refused the user.
        UnavailableError: IAM gave no usable answer.
    """
    if not (project_id or region):
        raise SettingsError(_("A token is for a project: --region or --project-id is missing"), hint=_GIVE_THE_PROJECT)
    project = {"id": project_id} if project_id else {"name": region}
    password = {"user": {"name": user.name, "password": user.password.reveal(), "domain": {"name": user.domain_name}}}
    identity = {"methods": ["password"], "password": password}
    # json.dumps escapes to ASCII: a name from the environment may contain bytes that are not UTF-8 (PEP 383).
    body = json.dumps({"auth": {"identity": identity, "scope": {"project": project}}}).encode()
    async with Connection(iam_endpoint, credentials=None, ca_bundle=ca_bundle, origin=_ORIGIN, retries=retries) as iam:
        query = (("nocatalog", "true"),)  # an answer without the endpoints of all services
        answer = await iam.request(
            "POST", "/v3/auth/tokens", query=query, body=body, secrets=(user.password,), is_safe=True
        )
    token = answer.headers.get("X-Subject-Token", "")
    match answer.json_object():
        case {"token": {"project": {"id": str() as scope}}} if scope:
            project_id = scope
        case _:
            pass  # the project that was asked for
    if not token or not project_id:
        raise answer.unusable(_("has no token for a project"))
    return IssuedToken(IamToken(Secret(token)), project_id)
