"""IAM and STS: the ID of a project, tokens, and temporary access keys. Manuals: "IAM API Reference", "STS"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
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
_KEY_FIELDS: Final = (
    ("access", "accessKeyId", "access_key_id"),
    ("secret", "secretAccessKey", "secret_access_key"),
    ("securitytoken", "securityToken", "security_token"),
    ("expires_at", "expiration"),
)
"""The names of a temporary key's fields: of IAM and the metadata service, of CCE, and of STS."""
_METADATA: Final = {"timeout": ClientTimeout(total=3), "allows_link_local": True}


class Iam:
    """IAM and STS as these settings name them. Every method but :meth:`find_project_id` gets credentials.

    Raises:
        SettingsError: A setting is missing.
        CredentialsError: What was sent is refused; the hint is ``check`` where that is given.
        UnavailableError: There is no usable answer.
    """

    def __init__(self, settings: IamSettings, *, retries: Retries = RETRIES) -> None:
        self.settings = settings
        self._retries = retries

    def _transport(self, endpoint: str | None, **options: Any) -> Transport:
        origin = _("The endpoint of STS or the pod") if endpoint else _("The IAM endpoint")
        endpoint = endpoint or self.settings.iam_endpoint
        if endpoint is None:
            raise SettingsError(
                _("IAM is needed for the credentials or the project, but neither its endpoint nor a region is set"),
                hint=_("Give --region, or --iam-endpoint."),
            )
        options = {"credentials": None, "retries": self._retries, **options}
        return Transport(endpoint, ca_bundle=self.settings.ca_bundle, origin=origin, **options)

    async def _post(
        self,
        path: str,
        document: object,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[Secret, ...] = (),
        **options: Any,
    ) -> Answer:
        # json.dumps escapes to ASCII: a name from the environment may contain bytes that are not UTF-8 (PEP 383).
        body = json.dumps(document).encode()
        async with self._transport(endpoint, **options) as transport:
            return await transport.request(
                "POST", path, body=body, headers=headers or {}, secrets=secrets, is_safe=True
            )

    async def find_project_id(self, credentials: Credentials) -> str:
        """Return the ID of the project with that name (``GET /v3/projects``).

        Raises:
            SettingsError: There is none or more than one, so the user must name it; or the name is missing.
            NotPermittedError: The credentials may not call IAM.
        """
        name = self.settings.project_name
        if not name or not name.isprintable():
            raise SettingsError(
                _("The project's ID is not known, and without a region IAM cannot be asked for it"),
                hint=_("Give --project-id, or --region."),
            )
        async with self._transport(None, credentials=credentials) as iam:
            try:
                answer = await iam.request("GET", "/v3/projects", query=(("name", name),), is_safe=True)
            except NotPermittedError as error:
                error.hint = _GIVE_THE_PROJECT
                raise
        match answer.json_object().get("projects"):
            case [{"id": str() as project_id}] if project_id:
                return project_id
            case [] | [_, _, *_] as projects:
                count = _("more than one project") if projects else _("no project")
                text = _('IAM knows {count} named "{name}"', count=count, name=name)
                raise SettingsError(text, hint=_GIVE_THE_PROJECT)
            case _:
                raise answer.unusable(_("has no list of projects"))

    async def token_of_user(self, user: IamUser, *, of_account: bool = False) -> IamToken:
        """Return a token (``POST /v3/auth/tokens``) for the project, or of the whole account to assume an agency."""
        project_id, name = self.settings.project_id, self.settings.project_name
        scope: dict[str, dict[str, str]] = {"project": {"id": project_id} if project_id else {"name": name or ""}}
        if of_account:
            scope = {"domain": {"name": user.domain_name}}
        elif not (project_id or name):
            text = _("A token is for a project: --region or --project-id is missing")
            raise SettingsError(text, hint=_GIVE_THE_PROJECT)
        account = {"name": user.domain_name}
        password = {"user": {"name": user.name, "password": user.password.reveal(), "domain": account}}
        answer = await self._post(
            "/v3/auth/tokens?nocatalog=true",  # an answer without the endpoints of all services
            {"auth": {"identity": {"methods": ["password"], "password": password}, "scope": scope}},
            secrets=(user.password,),
            check=_(
                "Check HW_USER_NAME, HW_USER_PASSWORD, HW_DOMAIN_NAME and the region. It must be an IAM user "
                "of the account: a HUAWEI ID or a federated user cannot get a token."
            ),
        )
        found = answer.json_object().get("token")
        issued = found if isinstance(found, dict) else {}
        match issued.get("project"):
            case {"id": str() as scoped} if scoped:
                project_id = scoped
        token = answer.headers.get("X-Subject-Token", "")
        if not token or not (project_id or of_account):
            raise answer.unusable(_("has no token for a project"))
        return IamToken(token, expires_at=_read_time(issued.get("expires_at")), project_id=project_id)

    async def token_of_identity_provider(self, provider: str, id_token: Secret, check: Text) -> Secret:
        """Return an unscoped token for an ID token (API "Obtaining a Token with an ID Token")."""
        document = {"auth": {"id_token": {"id": id_token.reveal()}}}
        path, headers = "/v3.0/OS-AUTH/id-token/tokens", {"X-Idp-Id": provider}
        answer = await self._post(path, document, headers=headers, secrets=(id_token,), check=check)
        if not (token := answer.headers.get("X-Subject-Token", "")):
            raise answer.unusable(_("has no token"))
        return Secret(token)

    async def temporary_key(self, method: str, details: Mapping[str, object], **about: Any) -> AccessKey:
        """Return a temporary key of IAM for a token or an agency (``POST /v3.0/OS-CREDENTIAL/securitytokens``)."""
        document = {"auth": {"identity": {"methods": [method], method: details}}}
        return _temporary_key(await self._post("/v3.0/OS-CREDENTIAL/securitytokens", document, **about))

    async def assumed_key(self, path: str, document: Mapping[str, object], **about: Any) -> AccessKey:
        """Return the temporary key of an agency (STS, ``POST /v5/agencies/…``)."""
        if not (endpoint := self.settings.sts_endpoint):
            raise SettingsError(_("STS is needed, but no region is set"), hint=_("Pass --region (e.g. cn-north-4)."))
        return _temporary_key(await self._post(path, document, endpoint=endpoint, **about))

    async def pod_key(self, uri: str, token: Secret) -> AccessKey:
        """Return the temporary key that CCE gives to this pod at ``uri``, which may be plain http if it is near."""
        answer = await self._post(
            "/" if uri.endswith("/") else "",
            {},
            endpoint=uri,
            headers={"Authorization": token.reveal()},
            secrets=(token,),
            check=_("Check that an agency is associated with the service account of this pod."),
            allows_link_local=True,
        )
        return _temporary_key(answer)

    async def metadata_key(self, endpoint: str) -> AccessKey:
        """Return the temporary key of the agency of the ECS that this program runs on, from its metadata service."""
        async with self._transport(endpoint, **_METADATA) as metadata:
            ttl = {"X-Metadata-Token-Ttl-Seconds": "21600"}
            answer = await metadata.request("PUT", "/meta-data/latest/api/token", headers=ttl, allowed={404, 405, 503})
            headers = {"X-Metadata-Token": answer.text.strip()} if answer.status < 300 else {}
            secrets = tuple(map(Secret, headers.values()))
            path = "/openstack/latest/securitykey"
            return _temporary_key(await metadata.request("GET", path, headers=headers, secrets=secrets))


def _temporary_key(answer: Answer) -> AccessKey:
    document = answer.json_object()
    found = document.get("credential") or document.get("credentials")
    record = found if isinstance(found, dict) else {}
    access_key, secret_key, security_token, expires_at = (
        next((value for name in names if isinstance(value := record.get(name), str)), "") for names in _KEY_FIELDS
    )
    if not (access_key and secret_key and security_token):
        raise answer.unusable(_("has no temporary access key"))
    return AccessKey(access_key, secret_key, security_token, expires_at=_read_time(expires_at))


def _read_time(text: object) -> datetime | None:
    """Return an ISO 8601 time, UTC if it names no zone; None if it cannot be read."""
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
