"""Where credentials are found; the first match wins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.errors import CredentialsError
from oauth_helper.i18n import Text, _, listed, ngettext
from oauth_helper.secret import Secret
from oauth_helper.values import FileValues, Sourced, require_clean

FoundCredentials = Sourced[AccessKey] | Sourced[IamToken] | Sourced[IamUser]

_TOKEN: Final = "OAUTH_HELPER_TOKEN"  # noqa: S105 - the variable's name
_ACCESS_KEYS: Final = (
    ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
    ("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"),
)
_USER: Final = ("HW_USER_NAME", "HW_USER_PASSWORD", "HW_DOMAIN_NAME")
_FILE_KEYS: Final = ("ak", "sk", "security_token")
_LIKE_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9]{20}")
SECRET_VARIABLES: Final = frozenset({_TOKEN, _USER[1], *(name for names in _ACCESS_KEYS for name in names[1:])})
"""The environment variables whose values are secret."""

CHAIN_VARIABLES: Final = frozenset(
    {
        *(_TOKEN, "OAUTH_HELPER_CREDENTIALS", *_USER, *(name for names in _ACCESS_KEYS for name in names)),
        *("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "HUAWEICLOUD_SDK_STS_ENDPOINT", "HUAWEICLOUD_SDK_IDP_ID"),
        *("HUAWEICLOUD_SDK_ID_TOKEN_FILE", "HUAWEICLOUD_OIDC_PROVIDER_URN", "HUAWEICLOUD_OIDC_AGENCY_URN"),
        *("HUAWEICLOUD_OIDC_ID_TOKEN", "HUAWEICLOUD_OIDC_TOKEN_FILE", "HUAWEICLOUD_OIDC_SESSION_NAME"),
        *("HUAWEICLOUD_OIDC_DURATION_SECONDS", "HUAWEICLOUD_OIDC_POLICY", "HUAWEICLOUD_OIDC_POLICY_IDS"),
        *("HUAWEICLOUD_OIDC_ID_TOKEN_FILE", "HUAWEICLOUD_SDK_ID_TOKEN", "HUAWEICLOUD_SDK_DOMAIN_ID"),
        *("HW_AUTH_TOKEN", "HW_SHARED_CONFIG_FILE", "HW_PROFILE", "HW_USER_ID", "HW_DOMAIN_ID"),
        *("HW_ASSUME_ROLE_AGENCY_NAME", "HW_ASSUME_ROLE_DOMAIN_NAME", "HW_ASSUME_ROLE_DOMAIN_ID"),
        *("HW_ASSUME_ROLE_DURATION", "OS_AUTH_TOKEN", "OS_AUTH_URL", "OS_ACCESS_KEY", "OS_SECRET_KEY"),
        *("OS_USERNAME", "OS_PASSWORD", "OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME"),
        *("HUAWEI_CLOUD_ACCESS_KEY_ID", "HUAWEI_CLOUD_SECRET_ACCESS_KEY", "CLOUD_SDK_AK", "CLOUD_SDK_SK"),
        *("HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "HUAWEI_AK", "HWC_AK"),
    }
)
"""The environment variables that identify the user at Huawei Cloud. They are never sent to a Git host."""


def find_credentials(environ: Mapping[str, str], credentials_file: FileValues) -> FoundCredentials | None:
    """Return the first credentials that are set, with their origin, or None.

    Raises:
        CredentialsError: Half a pair is set: the next source may belong to another account. Or a value cannot be right:
            five wrong signatures lock a key.
    """
    if token := environ.get(_TOKEN):
        if token.strip()[:1] in {"{", "["}:
            raise CredentialsError(
                _("{name} is JSON, not a token", name=_TOKEN),
                hint=_("Set it to the value of IAM's answer header X-Subject-Token alone."),
            )
        check_value(token, _TOKEN, only_ascii=True)
        return Sourced(IamToken(token), _TOKEN)
    for names in _ACCESS_KEYS:
        if key := _access_key(environ, names, _("the environment"), str):
            return Sourced(key, listed(names[:2]))
    if user := _iam_user(environ):
        return Sourced(user, ", ".join(_USER))
    place = _("[basic] of {path}", path=credentials_file.path)
    if key := _access_key(credentials_file.values, _FILE_KEYS, place, credentials_file.place_of):
        return Sourced(key, place, credentials_file.path)
    return None


def no_credentials(credentials_file: FileValues) -> CredentialsError:
    """Return the error for a run that needs credentials and has none."""
    hint = _(
        "Set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK (an access key), or OAUTH_HELPER_TOKEN (an "
        "IAM token). To try without an account, add --sandbox to `link`."
    )
    if credentials_file.trouble:
        hint += _(
            ' "{path}" could not be examined ({trouble}): check HOME.',
            path=credentials_file.path,
            trouble=credentials_file.trouble,
        )
    return CredentialsError(_("No credentials were found"), hint=hint)


def _access_key(
    values: Mapping[str, str], names: tuple[str, str, str], place: str, place_of: Callable[[str], str]
) -> AccessKey | None:
    access_key, secret_key, security_token = (values.get(name, "") for name in names)
    if not (access_key or secret_key or security_token):
        return None
    _refuse_half(values, names[:2], place, further=names[2] if security_token else "")
    for name in names:
        only_ascii = name != names[1]  # the secret key signs and is not sent
        in_ini = names is _FILE_KEYS
        check_value(values.get(name, ""), place_of(name), only_ascii=only_ascii, in_ini=in_ini)
    if len(access_key) == 40 and _LIKE_ACCESS_KEY.fullmatch(secret_key):
        raise CredentialsError(
            _("{first} and {second} look swapped", first=place_of(names[0]), second=place_of(names[1])),
            hint=_("An access key (AK) has about 20 characters, its secret key (SK) 40. Exchange the two values."),
        )
    return AccessKey(access_key, secret_key, security_token or None)


def _iam_user(environ: Mapping[str, str]) -> IamUser | None:
    name, password, domain_name = (environ.get(variable, "") for variable in _USER)
    if not name and not password:  # HW_DOMAIN_NAME alone is common beside an access key of another source
        return None
    _refuse_half(environ, _USER, _("the environment"))
    for variable in _USER:
        check_value(environ[variable], variable, spaces="inside")
    return IamUser(name, Secret(password), domain_name)


def check_value(value: str, source: str, **limits: Any) -> None:
    """Raise CredentialsError if a part of the credentials cannot be sent as it is; see :func:`problem_of`."""
    require_clean(value, source, CredentialsError, **limits)


def _refuse_half(values: Mapping[str, str], required: Sequence[str], place: str, *, further: str = "") -> None:
    missing = [name for name in required if not values.get(name)]
    if missing:
        present = [name for name in (*required, further) if values.get(name)]
        raise CredentialsError(
            _(
                "{present} set in {place}, but {missing} missing",
                present=_are(present),
                place=place,
                missing=_are(missing),
            ),
            hint=_("Set {missing} as well, or unset {present}.", missing=listed(missing), present=listed(present)),
        )


def _are(names: list[str]) -> Text:
    return ngettext("{names} is", "{names} are", len(names), names=listed(names))
