"""What a user proves an identity to ServiceStage with, as data. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from oauth_helper.secret import Secret


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key (AK/SK), permanent or temporary. Requests are signed with it; the key itself is not sent."""

    access_key: str
    secret_key: Secret
    security_token: Secret | None = None
    """Present with a temporary key; sent as ``X-Security-Token``."""

    def __init__(self, access_key: str, secret_key: str | Secret, security_token: str | Secret | None = None) -> None:
        object.__setattr__(self, "access_key", access_key)
        object.__setattr__(self, "secret_key", _secret(secret_key))
        object.__setattr__(self, "security_token", _secret(security_token) if security_token else None)


@dataclass(frozen=True, slots=True)
class IamToken:
    """A project-scoped IAM token, sent as ``X-Auth-Token``; it lasts 24 hours at most."""

    token: Secret

    def __init__(self, token: str | Secret) -> None:
        object.__setattr__(self, "token", _secret(token))


@dataclass(frozen=True, slots=True)
class IamUser:
    """An IAM user's name and password, for which IAM gives an :class:`IamToken`."""

    name: str
    password: Secret
    domain_name: str
    """The account the user belongs to."""


Credentials = AccessKey | IamToken
"""What a request to ServiceStage can be authenticated with."""


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)
