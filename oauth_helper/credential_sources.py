"""The kinds of sources of credentials, and how each gets its credentials from IAM, STS or a metadata service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from oauth_helper.credentials import AccessKey, Credentials, CredentialSource, IamToken, IamUser
from oauth_helper.errors import CredentialsError
from oauth_helper.i18n import Text, _
from oauth_helper.secret import Secret
from oauth_helper.values import FileValues

if TYPE_CHECKING:  # it imports aiohttp, which help and completion do not need
    from oauth_helper.servicestage.iam import Iam


class FixedCredentials(CredentialSource):
    """An access key or a token that is complete as it was found."""

    def __init__(self, name: str, found_in: Text, credentials: Credentials) -> None:
        identity = _("an IAM token")
        if isinstance(credentials, AccessKey):
            identity = _("a temporary access key") if credentials.security_token else _("an access key")
        super().__init__(name, found_in, identity)
        self._credentials = credentials

    async def fetch(self, iam: Iam) -> Credentials:  # noqa: ARG002 - nothing has to be fetched
        return self._credentials


class UserCredentials(CredentialSource):
    """An IAM user, for whom IAM issues a token."""

    def __init__(self, name: str, found_in: Text, user: IamUser) -> None:
        super().__init__(name, found_in, _("IAM user {user} of {account}", user=user.name, account=user.domain_name))
        self._user = user
        self.of_account = False
        """Whether the token is for the account instead of a project."""

    async def fetch(self, iam: Iam) -> Credentials:
        return await iam.token_of_user(self._user, of_account=self.of_account)


class OidcToken(CredentialSource):
    """An OpenID Connect ID token, for which STS gives a temporary key of an agency."""

    def __init__(self, found_in: Text, fields: Mapping[str, object], read_token: Callable[[], Secret]) -> None:
        identity = _("an OpenID Connect token for the agency {agency}", agency=str(fields["agency_urn"]))
        super().__init__("oidc", found_in, identity)
        self._fields, self._read_token = fields, read_token

    async def fetch(self, iam: Iam) -> Credentials:
        token = self._read_token()
        fields = {**self._fields, "id_token": token.reveal()}
        check = _("Check the URNs, that the agency trusts the provider, and that the ID token has not expired.")
        return await iam.assumed_key("/v5/agencies/assume-with-oidc", fields, secrets=(token,), check=check)


class IdentityProviderToken(CredentialSource):
    """An ID token of an identity provider, for which IAM gives a temporary key."""

    def __init__(self, found_in: Text, provider: str, read_token: Callable[[], Secret]) -> None:
        super().__init__("idp", found_in, _("a token of the identity provider {provider}", provider=provider))
        self._provider, self._read_token = provider, read_token

    async def fetch(self, iam: Iam) -> Credentials:
        check = _("Check the identity provider's ID, and that its token has not expired.")
        token = await iam.token_of_identity_provider(self._provider, self._read_token(), check)
        details = {"id": token.reveal(), "duration_seconds": 21600}
        return await iam.temporary_key("token", details, secrets=(token,), check=check)


class PodIdentity(CredentialSource):
    """The agency of a pod in CCE."""

    def __init__(self, found_in: Text, uri: str, read_token: Callable[[], Secret]) -> None:
        super().__init__("pod", found_in, _("the agency of this pod (CCE)"))
        self._uri, self._read_token = uri, read_token

    async def fetch(self, iam: Iam) -> Credentials:
        return await iam.pod_key(self._uri, self._read_token())


class EcsAgency(CredentialSource):
    """The agency of the ECS that this program runs on. Its metadata service is contacted only if it is selected."""

    def __init__(self, endpoint: str = "http://169.254.169.254") -> None:
        super().__init__("ecs", _("the metadata service of this ECS"), _("the agency of this ECS"))
        self._endpoint = endpoint

    async def fetch(self, iam: Iam) -> Credentials:
        return await iam.metadata_key(self._endpoint)


class AssumedAgency(CredentialSource):
    """An agency of another account, which the credentials of another source assume."""

    def __init__(self, base: CredentialSource, agency: str, account: Mapping[str, str], seconds: int) -> None:
        (name,) = account.values()
        super().__init__(
            base.name,
            _("{base}, then HW_ASSUME_ROLE_*", base=base.found_in),
            _("agency {agency} of {account}, assumed with {base}", agency=agency, account=name, base=base.identity),
        )
        self.file: str | None = base.file
        self.variables: Mapping[str, tuple[str, ...]] = base.variables
        self.defaults: FileValues | None = base.defaults
        self._base, self._agency, self._account, self._seconds = base, agency, account, seconds
        if isinstance(base, UserCredentials):
            base.of_account = True

    async def fetch(self, iam: Iam) -> Credentials:
        base = await self._base.current(iam)
        check = _("Check HW_ASSUME_ROLE_AGENCY_NAME, and that the agency trusts your account.")
        if not (domain_id := self._account.get("domain_id")):
            details = {**self._account, "agency_name": self._agency, "duration_seconds": self._seconds}
            return await iam.temporary_key("assume_role", details, credentials=base, check=check)
        if isinstance(base, IamToken):
            raise CredentialsError(
                _("An agency is assumed by HW_ASSUME_ROLE_DOMAIN_ID with an access key only, not with a token"),
                hint=_("Set HW_ASSUME_ROLE_DOMAIN_NAME instead."),
            )
        urn = f"iam::{domain_id}:agency:{self._agency}"
        fields = {"agency_urn": urn, "agency_session_name": "oauth-helper", "duration_seconds": self._seconds}
        return await iam.assumed_key("/v5/agencies/assume", fields, credentials=base, check=check)
