"""IAM and STS: the ID of a project, tokens, and temporary access keys. Manuals: "IAM API Reference", "STS"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from aiohttp import ClientTimeout

from oauth_helper.credentials import AccessKey, Credentials, IamSettings, IamToken, IamUser
from oauth_helper.errors import NotPermittedError, SettingsError
from oauth_helper.i18n import Text, _
from oauth_helper.secret import Secret
from oauth_helper.servicestage.api_errors import Answer
from oauth_helper.servicestage.transport import RETRIES, Retries, Transport

_GIVE_THE_PROJECT: Final = _(
    "Give --project-id (OAUTH_HELPER_PROJECT_ID); the console shows it under My Credentials, API Credentials."
)
_CHECK_USER: Final = _(
    "Check HW_USER_NAME, HW_USER_PASSWORD, HW_DOMAIN_NAME and the region. It must be an IAM user "
    "of the account: a HUAWEI ID or a federated user cannot get a token."
)
_KEY_FIELDS: Final = (
    ("access", "accessKeyId", "access_key_id"),
    ("secret", "secretAccessKey", "secret_access_key"),
    ("securitytoken", "securityToken", "security_token"),
    ("expires_at", "expiration"),
)
"""The names of a temporary key's fields: of IAM and the metadata service, of CCE, and of STS."""
_METADATA_TIMEOUT: Final = ClientTimeout(total=3)


class Iam:
    """IAM and STS as these settings name them.

    Args:
        settings: The endpoints, and which project is meant.
        retries: When calls are sent again because the server is busy or a connection broke.
    """

    def __init__(self, settings: IamSettings, *, retries: Retries = RETRIES) -> None:
        self.settings = settings
        self._retries = retries

    async def post(
        self,
        path: str,
        document: object,
        *,
        endpoint: str | None = None,
        credentials: Credentials | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        secrets: tuple[Secret, ...] = (),
        check: Text | None = None,
        allows_link_local: bool = False,
    ) -> Answer:
        """Send ``document`` as JSON to IAM, or to another ``endpoint``, and return the answer.

        Args:
            path: Below the endpoint.
            document: What is sent.
            endpoint: STS, or the address that CCE gives to a pod.
            credentials: What authenticates the request, if not the document.
            headers: Further headers.
            secrets: Parts of the document and headers that an error must not show.
            check: The hint if the credentials are refused.
            allows_link_local: Whether plain http to a link-local address is allowed.
        """
        # json.dumps escapes to ASCII: a name from the environment may contain bytes that are not UTF-8 (PEP 383).
        body = json.dumps(document).encode()
        options = {"check": check, "allows_link_local": allows_link_local}
        async with self._transport(endpoint, credentials, **options) as transport:
            return await transport.request("POST", path, body=body, headers=headers, secrets=secrets, is_safe=True)

    def _transport(self, endpoint: str | None, credentials: Credentials | None, **options: Any) -> Transport:
        origin = _("The endpoint of STS or the pod") if endpoint else _("The IAM endpoint")
        return Transport(
            endpoint or self._required_endpoint(),
            credentials=credentials,
            ca_bundle=self.settings.ca_bundle,
            origin=origin,
            **{"retries": self._retries, **options},
        )

    def _required_endpoint(self) -> str:
        if self.settings.iam_endpoint is None:
            raise SettingsError(
                _("IAM is needed for the credentials or the project, but neither its endpoint nor a region is set"),
                hint=_("Give --region, or --iam-endpoint."),
            )
        return self.settings.iam_endpoint

    async def find_project_id(self, credentials: Credentials) -> str:
        """Return the ID of the project with that name (``GET /v3/projects``).

        Raises:
            SettingsError: There is none or more than one, so the user must name it; or the name is missing.
            NotPermittedError: The credentials may not call IAM.
            UnavailableError: IAM gave no usable answer.
        """
        name = self.settings.project_name
        if not name or not name.isprintable():
            raise SettingsError(
                _("The project's ID is not known, and without a region IAM cannot be asked for it"),
                hint=_("Give --project-id, or --region."),
            )
        async with self._transport(None, credentials) as iam:
            try:
                answer = await iam.request("GET", "/v3/projects", query=(("name", name),), is_safe=True)
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
                    _('IAM knows {count} named "{name}"', count=count, name=name), hint=_GIVE_THE_PROJECT
                )

    async def token_of_user(self, user: IamUser, *, of_account: bool = False) -> IamToken:
        """Return a token (``POST /v3/auth/tokens``) for the project, or of the whole account to assume an agency.

        Raises:
            SettingsError: Neither region nor project is given.
            CredentialsError: IAM refused the user.
            UnavailableError: IAM gave no usable answer.
        """
        project_id, name = self.settings.project_id, self.settings.project_name
        scope: dict[str, dict[str, str]] = {"project": {"id": project_id} if project_id else {"name": name or ""}}
        if of_account:
            scope = {"domain": {"name": user.domain_name}}
        elif not (project_id or name):
            raise SettingsError(
                _("A token is for a project: --region or --project-id is missing"), hint=_GIVE_THE_PROJECT
            )
        account = {"name": user.domain_name}
        password = {"user": {"name": user.name, "password": user.password.reveal(), "domain": account}}
        document = {"auth": {"identity": {"methods": ["password"], "password": password}, "scope": scope}}
        path = "/v3/auth/tokens?nocatalog=true"  # an answer without the endpoints of all services
        answer = await self.post(path, document, secrets=(user.password,), check=_CHECK_USER)
        token = answer.headers.get("X-Subject-Token", "")
        issued = answer.json_object().get("token")
        match issued:
            case {"project": {"id": str() as scoped}} if scoped:
                project_id = scoped
            case _:
                pass  # the project that was asked for
        if not token or not (project_id or of_account):
            raise answer.unusable(_("has no token for a project"))
        expires_at = read_time(issued.get("expires_at")) if isinstance(issued, dict) else None
        return IamToken(token, expires_at=expires_at, project_id=project_id)

    async def token_of_identity_provider(self, provider: str, id_token: Secret, check: Text) -> Secret:
        """Return an unscoped token for the ID token of an identity provider (API "Obtaining a Token with an ID Token").

        Raises:
            CredentialsError: IAM refused the ID token.
            UnavailableError: IAM gave no usable answer.
        """
        document = {"auth": {"id_token": {"id": id_token.reveal()}}}
        headers = {"X-Idp-Id": provider}
        path = "/v3.0/OS-AUTH/id-token/tokens"
        answer = await self.post(path, document, headers=headers, secrets=(id_token,), check=check)
        if not (token := answer.headers.get("X-Subject-Token", "")):
            raise answer.unusable(_("has no token"))
        return Secret(token)

    async def temporary_key(
        self, method: str, details: Mapping[str, object], *, credentials: Credentials | None = None, **about: Any
    ) -> AccessKey:
        """Return a temporary key of IAM for a token or an agency (``POST /v3.0/OS-CREDENTIAL/securitytokens``)."""
        document = {"auth": {"identity": {"methods": [method], method: details}}}
        path = "/v3.0/OS-CREDENTIAL/securitytokens"
        return read_temporary_key(await self.post(path, document, credentials=credentials, **about))

    async def assumed_key(self, path: str, document: Mapping[str, object], **about: Any) -> AccessKey:
        """Return the temporary key of an agency (STS, ``POST /v5/agencies/…``).

        Raises:
            SettingsError: The cloud's STS is not known without a region.
            CredentialsError: STS refused.
            UnavailableError: STS gave no usable answer.
        """
        if not (endpoint := self.settings.sts_endpoint):
            raise SettingsError(_("STS is needed, but no region is set"), hint=_("Pass --region (e.g. cn-north-4)."))
        return read_temporary_key(await self.post(path, document, endpoint=endpoint, **about))

    async def pod_key(self, uri: str, token: Secret) -> AccessKey:
        """Return the temporary key that CCE gives to this pod at ``uri``, which may be plain http if it is near."""
        answer = await self.post(
            "/" if uri.endswith("/") else "",
            {},
            endpoint=uri,
            headers={"Authorization": token.reveal()},
            secrets=(token,),
            check=_("Check that an agency is associated with the service account of this pod."),
            allows_link_local=True,
        )
        return read_temporary_key(answer)

    async def metadata_key(self, endpoint: str) -> AccessKey:
        """Return the temporary key of the agency of the ECS that this program runs on, from its metadata service."""
        options = {"timeout": _METADATA_TIMEOUT, "allows_link_local": True}
        async with self._transport(endpoint, None, **options) as metadata:
            headers = {}
            ttl = {"X-Metadata-Token-Ttl-Seconds": "21600"}
            answer = await metadata.request("PUT", "/meta-data/latest/api/token", headers=ttl, allowed={404, 405, 503})
            if answer.status < 300:
                headers = {"X-Metadata-Token": answer.text.strip()}
            secrets = tuple(map(Secret, headers.values()))
            path = "/openstack/latest/securitykey"
            return read_temporary_key(await metadata.request("GET", path, headers=headers, secrets=secrets))


def read_temporary_key(answer: Answer) -> AccessKey:
    """Return the temporary key in an answer of IAM, STS, CCE or the metadata service.

    Raises:
        UnusableAnswerError: It has none.
    """
    document = answer.json_object()
    found = document.get("credential") or document.get("credentials")
    record = found if isinstance(found, dict) else {}
    access_key, secret_key, security_token, expires_at = (
        next((value for name in names if isinstance(value := record.get(name), str)), "") for names in _KEY_FIELDS
    )
    if not (access_key and secret_key and security_token):
        raise answer.unusable(_("has no temporary access key"))
    return AccessKey(access_key, secret_key, security_token, expires_at=read_time(expires_at))


def read_time(text: object) -> datetime | None:
    """Return an ISO 8601 time, UTC if it names no zone; None if it cannot be read."""
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
