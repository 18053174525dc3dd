"""Credentials for ServiceStage and for Git hosts."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from oauth_helper.errors import UsageError
from oauth_helper.i18n import Text, _, listed
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret
from oauth_helper.values import COPY_AGAIN, FileValues, check_endpoint, require_clean

_MARGIN: Final = timedelta(minutes=1)
"""Temporary credentials that expire within this time are fetched again before a command uses them."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key (AK/SK), permanent or temporary. Requests are signed with it; the key itself is not sent."""

    access_key: str
    secret_key: Secret
    security_token: Secret | None = None  # of a temporary key; sent as X-Security-Token
    expires_at: datetime | None = field(default=None, compare=False)  # of a temporary key, if that is known

    def __init__(
        self,
        access_key: str,
        secret_key: str | Secret,
        security_token: str | Secret | None = None,
        *,
        expires_at: datetime | None = None,
    ) -> None:
        object.__setattr__(self, "access_key", access_key)
        object.__setattr__(self, "secret_key", _secret(secret_key))
        object.__setattr__(self, "security_token", _secret(security_token) if security_token else None)
        object.__setattr__(self, "expires_at", expires_at)


@dataclass(frozen=True, slots=True)
class IamToken:
    """A project-scoped IAM token, sent as ``X-Auth-Token``; it lasts 24 hours at most."""

    token: Secret
    expires_at: datetime | None = field(default=None, compare=False)
    project_id: str | None = field(default=None, compare=False)  # that IAM issued it for, if that is known

    def __init__(
        self, token: str | Secret, *, expires_at: datetime | None = None, project_id: str | None = None
    ) -> None:
        object.__setattr__(self, "token", _secret(token))
        object.__setattr__(self, "expires_at", expires_at)
        object.__setattr__(self, "project_id", project_id)


@dataclass(frozen=True, slots=True)
class IamUser:
    """An IAM user's name and password, for which IAM issues an :class:`IamToken`."""

    name: str
    password: Secret
    domain_name: str  # the account


Credentials = AccessKey | IamToken
"""What authenticates a request to ServiceStage."""


class IamSettings(Struct, frozen=True):
    """How IAM and STS are reached, and which project is meant."""

    iam_endpoint: str | None = None
    sts_endpoint: str = ""
    project_id: str | None = None
    project_name: str | None = None  # if there is no ID
    ca_bundle: str | None = None


Fetch = Callable[[Any], Awaitable[Credentials]]
"""Gets credentials from an :class:`oauth_helper.servicestage.iam.Iam`."""


@dataclass(eq=False, repr=False)
class CredentialSource:
    """A place where credentials were found; ServiceStageClient fetches temporary ones again before they expire."""

    name: str  # that OAUTH_HELPER_CREDENTIALS selects it by
    found_in: Text  # the variables or the file
    identity: Text  # what was found, and as whom it acts as far as that is known. It contains no secret
    fetch: Fetch
    file: str | None = None  # that secrets were read from, if any
    iam: IamSettings = field(default_factory=IamSettings)
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # as Sources.variables
    defaults: FileValues | None = None  # as Sources.defaults
    _fetched: Credentials | None = field(default=None, init=False)

    @property
    def expires_at(self) -> datetime | None:
        """When the fetched credentials expire; None: nothing was fetched, or they last."""
        return self._fetched.expires_at if self._fetched else None

    async def current(self, iam: Any, *, until: datetime | None = None) -> Credentials:
        """Return the credentials that were fetched before; fetch them (again) if they expire before ``until``."""
        if self._fetched is None or (self.expires_at and self.expires_at < (until or datetime.now(UTC) + _MARGIN)):
            self._fetched = await self.fetch(iam)
        return self._fetched


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


TOKEN_TYPES: Final = tuple(one for one in RepoType if one.git_credential == "token")
PASSWORD_TYPES: Final = tuple(one for one in RepoType if one.git_credential == "password")
TOKEN_GUIDES: Final = {
    RepoType.GITHUB: _("https://github.com/settings/tokens, scopes repo and admin:repo_hook"),
    RepoType.GITLAB: _("User settings > Access tokens, scope api"),
    RepoType.GITEE: _("Settings > Personal access tokens, scopes user_info, projects and hook"),
    RepoType.BITBUCKET: _("Atlassian account > Security > API tokens, scopes for repositories and webhooks"),
}
"""Where a token is created, and with which scopes."""
_ASSIGNMENT: Final = re.compile(r"(export )?[A-Z][A-Z0-9_]{2,}=[^=]")


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A personal access token of the Git host; UsageError if it cannot be one, or may not be sent to ``host``."""

    token: Secret
    host: str | None = None
    """A private Git server, ``https://HOST[:PORT][/PATH]``; None: the official one."""

    def __post_init__(self) -> None:
        token = self.token.reveal()
        if not token:
            raise UsageError(_("The token is empty"), hint=COPY_AGAIN)
        if _ASSIGNMENT.match(token):
            raise UsageError(_("The token is a line NAME=VALUE"), hint=_("Give what is after the = alone."))
        require_clean(token, _("The token"), UsageError)
        if self.host is not None:
            object.__setattr__(self, "host", check_host(self.host))


@dataclass(frozen=True, slots=True)
class UserPassword:
    """A user of the Git host, and the password. Raises UsageError: they cannot be a user name and a password."""

    user: str
    password: Secret

    def __post_init__(self) -> None:
        # RFC 7617 section 2: a colon would end the name in the pair of name and password.
        if not self.user or not self.user.isprintable() or ":" in self.user:
            raise UsageError(
                _("The user name is empty, or has a colon or control character in it"),
                hint=_("Of Bitbucket, give the account's email address; of CodeArts, ACCOUNT/USER."),
            )
        if not self.password:
            raise UsageError(_("The password is empty"), hint=COPY_AGAIN)
        require_clean(self.password.reveal(), _("The password"), UsageError, spaces="anywhere")


GitCredential = PersonalToken | UserPassword


def check_user(repo_type: RepoType, user: str) -> None:
    """Check that a user's name has the form that the Git host knows. Raises UsageError: it has not."""
    if repo_type is RepoType.DEVCLOUD and not re.fullmatch(r"[^/]+/[^/]+", user):
        raise UsageError(
            _("A user of CodeArts has the form ACCOUNT/USER"),
            hint=_("Pass --user ACCOUNT/USER: the name of the account, a slash, and the name of the IAM user."),
        )


def check_type(repo_type: RepoType, kind: type[GitCredential]) -> None:
    """Check that the API takes that kind of credential for a Git host of that type. Raises UsageError: it does not."""
    is_token = kind is PersonalToken
    types = TOKEN_TYPES if is_token else PASSWORD_TYPES
    if repo_type not in types:
        values = {"host": repo_type.display_name, "names": listed([one.display_name for one in types])}
        kind_name, other = (_("token"), "--with-password") if is_token else (_("password"), "--with-token")
        raise UsageError(
            _(
                "{host} cannot be linked with a {kind}: ServiceStage takes one for {names} only",
                kind=kind_name,
                **values,
            ),
            hint=_("Use {other}, or leave it out to link it in a browser.", other=other),
        )


def check_host(text: str) -> str:
    """Return the address of a private Git server, without a slash at its end; UsageError as of check_endpoint()."""
    return check_endpoint(text, origin=_("The Git server's address"), error=UsageError)
