"""Where credentials are found: the sources of the vendor's SDK, Terraform, KooCLI and others; the first match wins.

The order is that of ``docs/settings.md``. Nothing is sent here: :meth:`CredentialSource.fetch` does that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from oauth_helper import koocli
from oauth_helper.credential_sources import (
    AssumedAgency,
    EcsAgency,
    FixedCredentials,
    IdentityProviderToken,
    OidcToken,
    PodIdentity,
    UserCredentials,
)
from oauth_helper.credentials import AccessKey, CredentialSource, IamToken, IamUser
from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.i18n import Text, _, enumerated, joined, listed, ngettext
from oauth_helper.secret import Secret
from oauth_helper.settings import (
    Settings,
    Sources,
    UnreadableFileError,
    default_cloud,
    read_config_file,
    read_credentials_file,
    read_text_file,
    resolve_settings,
)
from oauth_helper.values import FileValues, check_endpoint, parse_address, require_clean

_SDK_KEY: Final = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")
_TERRAFORM_KEY: Final = ("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN")
_OPENSTACK_KEY: Final = ("OS_ACCESS_KEY", "OS_SECRET_KEY", "")
_ACTION_KEY: Final = ("HUAWEI_CLOUD_ACCESS_KEY_ID", "HUAWEI_CLOUD_SECRET_ACCESS_KEY", "")
_EXPLORER_KEY: Final = ("CLOUD_SDK_AK", "CLOUD_SDK_SK", "")
_KEYS: Final = (_SDK_KEY, _TERRAFORM_KEY, _OPENSTACK_KEY, _ACTION_KEY, _EXPLORER_KEY)
_PROFILE_KEY: Final = ("ak", "sk", "security_token")
_IDP: Final = ("HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_ID_TOKEN_FILE")
_USER: Final = ("HW_USER_NAME", "HW_USER_PASSWORD", "HW_DOMAIN_NAME")
_OPENSTACK: Final = ("OS_AUTH_TOKEN", "OS_USERNAME", "OS_PASSWORD", "OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME")
_POD: Final = ("HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE")
_OIDC: Final = "HUAWEICLOUD_OIDC_"
_ROLE: Final = "HW_ASSUME_ROLE_"
_UNUSED: Final = (
    *("HW_USER_ID", "HW_DOMAIN_ID", "HW_INSECURE", "HUAWEICLOUD_SDK_DOMAIN_ID", "HUAWEI_AK", "HWC_AK"),
    *("HUAWEICLOUD_OIDC_ID_TOKEN_FILE", "HUAWEICLOUD_SDK_ID_TOKEN"),
)
"""Variables that other tools read. We only report them."""
_OPENSTACK_SETTINGS: Final = {
    "region": ("OS_REGION_NAME",),
    "project_id": ("OS_PROJECT_ID",),
    "project_name": ("OS_PROJECT_NAME", "OS_TENANT_NAME"),
}
CHAIN_VARIABLES: Final = frozenset(
    {
        *("OAUTH_HELPER_CREDENTIALS", "OAUTH_HELPER_TOKEN", "HW_AUTH_TOKEN", "OS_AUTH_URL"),
        *(*_IDP, *_USER, *_OPENSTACK, *_POD, *_UNUSED, *(name for names in _KEYS for name in names if name)),
        *("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "HUAWEICLOUD_SDK_STS_ENDPOINT", "HW_SHARED_CONFIG_FILE", "HW_PROFILE"),
        *(f"{_OIDC}{name}" for name in ("PROVIDER_URN", "AGENCY_URN", "ID_TOKEN", "TOKEN_FILE", "SESSION_NAME")),
        *(f"{_OIDC}{name}" for name in ("DURATION_SECONDS", "POLICY", "POLICY_IDS")),
        *(f"{_ROLE}{name}" for name in ("AGENCY_NAME", "DOMAIN_NAME", "DOMAIN_ID", "DURATION")),
    }
)
"""The variables that identify the user at Huawei Cloud. No browser inherits them, and no Git host gets them."""
_LIKE_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9]{20}")
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
METADATA_ENDPOINT: Final = "http://169.254.169.254"


class Search(Struct):
    """What was found, and what is not used."""

    source: CredentialSource | None = None
    error: CredentialsError | None = None
    """Why there is no source although something is set: half of it is missing, or it cannot be right."""
    reasons: list[Text] = []
    """Why other places have no usable credentials."""
    unused: list[Text] = []
    """What is set and not used."""
    used: set[str] = set()
    """The variables that were used, or named in ``reasons``."""

    def required(self) -> CredentialSource:
        """Return the source.

        Raises:
            CredentialsError: There is none.
        """
        if self.source:
            return self.source
        if self.error:
            raise self.error
        no_variable = _("the environment: no variable of credentials is set")
        hint = _(
            "Set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK (an access key: console, My Credentials, Access Keys), or "
            "OAUTH_HELPER_TOKEN (an IAM token). To try without an account, add --sandbox to `link`. Looked in: "
            "{reasons}.",
            reasons=joined([no_variable, *self.reasons]),
        )
        if self.unused:
            hint += _(" Set, but not used: {names}.", names=joined(self.unused))
        raise CredentialsError(_("No credentials were found"), hint=hint)


_Found = CredentialSource | Text | None
"""A source; why one that is there cannot be used; or None if nothing is set."""


class _Places:
    """Where a finder looks. It remembers the variables that the finder used."""

    def __init__(self, environ: Mapping[str, str], profile: FileValues, trusted_hosts: tuple[str, str]) -> None:
        self.environ, self.profile, self.trusted_hosts = environ, profile, trusted_hosts
        self.used: list[str] = []

    def get(self, name: str) -> str:
        if value := self.environ.get(name, ""):
            self.used.append(name)
        return value


def find_credentials(environ: Mapping[str, str] | None = None) -> CredentialSource:
    """Return the credentials that this user or machine has for Huawei Cloud, in the order of ``docs/settings.md``.

    Nothing is sent. :class:`~oauth_helper.ServiceStageClient` accepts the result, and fetches what must be fetched.
    Region, IAM endpoint and the other settings come from the environment and the settings file.

    Args:
        environ: The environment variables; by default those of this process.

    Raises:
        CredentialsError: There are none, half of a pair is missing, or a value cannot be right.
        SettingsError: A setting or a file cannot be used.
    """
    environ = os.environ if environ is None else environ
    sources = Sources({}, environ, read_config_file(environ), read_credentials_file(environ))
    settings, search = find_settings_and_credentials(sources)
    source = search.required()
    source.iam = settings.iam
    return source


def find_settings_and_credentials(sources: Sources) -> tuple[Settings, Search]:
    """Return the settings, and where credentials are found, which may decide some of the settings.

    Raises:
        SettingsError: A setting cannot be used.
    """
    settings = resolve_settings(sources)
    search = _search(sources, settings)
    if (source := search.source) and (source.variables or source.defaults):
        settings = resolve_settings(replace(sources, variables=source.variables, defaults=source.defaults))
    return settings, search


def _search(sources: Sources, settings: Settings) -> Search:
    environ, selected, origin = sources.environ, settings.credentials.value, settings.credentials.origin
    if selected and selected not in SOURCE_NAMES:
        message = _("{origin} names no source of credentials", origin=origin)
        return Search(error=CredentialsError(message, hint=_("Use one of {names}.", names=enumerated(SOURCE_NAMES))))
    region = settings.region.value or environ.get("OS_REGION_NAME")
    cloud = default_cloud(region) if settings.cloud.is_default else settings.cloud.value
    trusted = _host(settings.iam_endpoint.value or ""), cloud
    search = Search()
    for names, find in _CHAIN:
        if find is _ecs and selected not in names:
            continue
        places = _Places(environ, sources.credentials_file, trusted)
        try:
            found: _Found | CredentialsError = find(places)
        except SettingsError as error:
            found = CredentialsError(error.message, hint=error.hint)
        if isinstance(found, Text):
            search.used.update(places.used)
            (search.unused if search.source and find is not _profile else search.reasons).append(found)
        elif found is None or (selected and selected not in names) or search.source or search.error:
            if isinstance(found, CredentialSource) and not places.used:  # in a file
                search.unused.append(found.found_in)
        else:
            search.used.update(places.used)
            search.source, search.error = (found, None) if isinstance(found, CredentialSource) else (None, found)
            if search.source and any(name.startswith("OS_") for name in places.used):
                search.source.variables = _OPENSTACK_SETTINGS
    if base := search.source:
        try:
            search.source = _assumed(base, places := _Places(environ, sources.credentials_file, trusted))
            search.used.update(places.used)
        except CredentialsError as error:
            search.source, search.error = None, error
    _report_others(search, sources)
    if selected and not (search.source or search.error):
        search.error = CredentialsError(
            _("{origin} selects {name}, which is not set up", origin=origin, name=selected),
            hint=joined([*search.reasons, _("Set it up, or unset {origin}", origin=origin)]) + _("."),
        )
    return search


def _report_others(search: Search, sources: Sources) -> None:
    environ = sources.environ
    unused = CHAIN_VARIABLES - search.used - {"OAUTH_HELPER_CREDENTIALS", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"}
    never = {name for name in _UNUSED if environ.get(name)}
    if names := sorted(name for name in unused - never if environ.get(name)):
        other = _("another source is used") if search.source else _("they do not form a whole source")
        search.unused.append(_("{names} ({why})", names=enumerated(names), why=other))
    if never:
        search.unused.append(_("{names} ({why})", names=enumerated(sorted(never)), why=_("not supported")))
    for path in (sources.credentials_file.path, koocli.DEFAULT_FILE):
        if not _exists(path):
            search.reasons.append(_('"{path}" does not exist', path=path))
    if _exists(devkit := f"{environ.get('HUAWEICLOUD_HOME') or '~/.config/huaweicloud'}/credentials.json"):
        search.unused.append(_('"{path}" (DevKit)', path=devkit))


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError):
        return False


def _token(name: str, variable: str, places: _Places) -> _Found:
    if not (token := places.get(variable)):
        return None
    _check_token(token, variable)
    return FixedCredentials(name, Text(variable), IamToken(token))


def _key(name: str, names: tuple[str, str, str], places: _Places) -> _Found:
    values = {variable: places.get(variable) for variable in names if variable}
    key = _access_key(values, names, _("the environment"), str)
    return FixedCredentials(name, listed(names[:2]), key) if key else None


def _user(variables: tuple[str, str, str], places: _Places) -> _Found:
    if not any(places.environ.get(variable) for variable in variables[:2]):
        return None  # the name of an account alone is common beside an access key
    values = _complete(places, variables) or {}
    for variable, value in values.items():
        check_value(value, variable, spaces="inside")
    name, password, domain_name = values.values()
    return UserCredentials("terraform", enumerated(variables), IamUser(name, Secret(password), domain_name))


def _openstack_secret(places: _Places) -> _Found:
    """Never send the secrets of another OpenStack to Huawei Cloud."""
    is_set = [name for name in _OPENSTACK if places.environ.get(name)]
    if not set(is_set) - {"OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME"}:
        return None
    host, (iam, cloud) = _host(places.get("OS_AUTH_URL")), places.trusted_hosts
    if not host or (host not in {iam, cloud} and not host.endswith(f".{cloud}")):
        places.used += is_set
        return _("{names}: OS_AUTH_URL does not name the IAM of this cloud", names=enumerated(is_set))
    if "OS_AUTH_TOKEN" in is_set:
        return _token("terraform", "OS_AUTH_TOKEN", places)
    domain = "OS_DOMAIN_NAME" if "OS_DOMAIN_NAME" in is_set else "OS_USER_DOMAIN_NAME"
    return _user(("OS_USERNAME", "OS_PASSWORD", domain), places)


def _oidc(places: _Places) -> _Found:
    provider, agency, token, file = (
        f"{_OIDC}{name}" for name in ("PROVIDER_URN", "AGENCY_URN", "ID_TOKEN", "TOKEN_FILE")
    )
    values = {name: places.get(name) for name in (provider, agency, token, file)}
    if not any(values.values()):
        return None
    by = token if values[token] else file
    _refuse_half(values, (provider, agency, by), _("the environment"))
    for name in (provider, agency):
        check_value(values[name], name)
    places.get("HUAWEICLOUD_SDK_STS_ENDPOINT")
    policy, policy_ids = places.get(f"{_OIDC}POLICY"), places.get(f"{_OIDC}POLICY_IDS")
    fields = {
        "provider_urn": values[provider],
        "agency_urn": values[agency],
        "agency_session_name": places.get(f"{_OIDC}SESSION_NAME") or "oidc-sts-session",
        "duration_seconds": _seconds(places, f"{_OIDC}DURATION_SECONDS"),
        **({"policy": policy} if policy else {}),
        **({"policy_ids": [part.strip() for part in policy_ids.split(",") if part.strip()]} if policy_ids else {}),
    }
    if by == token:
        _check_token(values[token], token)
    read_token = _token_file(values[file], file) if by == file else lambda: Secret(values[token])
    return OidcToken(enumerated([provider, agency, by]), fields, read_token)


def _idp(places: _Places) -> _Found:
    return _identity_provider({name: places.get(name) for name in _IDP}, _IDP, listed(_IDP), str)


def _profile_idp(places: _Places) -> _Found:
    file = places.profile
    found_in = _("[basic] of {path}", path=file.path)
    if source := _identity_provider(file.values, ("idp_id", "id_token_file"), found_in, file.place_of):
        source.file = file.path
    return source


def _identity_provider(
    values: Mapping[str, str], names: tuple[str, str], found_in: Text, place_of: Callable[[str], str]
) -> CredentialSource | None:
    provider, path = (values.get(name, "") for name in names)
    if not (provider or path):
        return None
    _refuse_half(values, names, found_in if place_of is not str else _("the environment"))
    check_value(provider, place_of(names[0]), only_ascii=True, in_ini=place_of is not str)
    return IdentityProviderToken(found_in, provider, _token_file(path, place_of(names[1])))


def _profile(places: _Places) -> _Found:
    file = places.profile
    found_in = _("[basic] of {path}", path=file.path)
    if key := _access_key(file.values, _PROFILE_KEY, found_in, file.place_of):
        source = FixedCredentials("profile", found_in, key)
        source.file = file.path
        return source
    if file.unreadable:
        return _('"{path}" could not be examined ({reason}): check HOME', path=file.path, reason=file.unreadable)
    if not Path(file.path).exists():
        return None
    return _('"{path}" has no ak and sk in a section [basic]', path=file.path)


def _koocli(places: _Places) -> _Found:
    named, profile = places.get("HW_SHARED_CONFIG_FILE"), places.get("HW_PROFILE")
    try:
        return koocli.read_profile(Path(named or koocli.DEFAULT_FILE).expanduser(), profile)
    except (FileNotFoundError, RuntimeError):
        if named:
            raise _no_such_file("HW_SHARED_CONFIG_FILE", named) from None
        return None


def _pod(places: _Places) -> _Found:
    if not (values := _complete(places, _POD)):
        return None
    uri, path = values.values()
    check_endpoint(uri, origin=_POD[0], allows_link_local=True)
    return PodIdentity(listed(_POD), uri, _token_file(path, _POD[1]))


def _ecs(_places: _Places) -> _Found:
    return EcsAgency()


_CHAIN: Final[Sequence[tuple[tuple[str, ...], Callable[[_Places], _Found]]]] = (
    (("token",), partial(_token, "token", "OAUTH_HELPER_TOKEN")),
    (("oidc",), _oidc),
    (("idp",), _idp),
    (("env",), partial(_key, "env", _SDK_KEY)),
    (("terraform",), partial(_token, "terraform", "HW_AUTH_TOKEN")),
    (("terraform",), partial(_key, "terraform", _TERRAFORM_KEY)),
    (("terraform",), partial(_key, "terraform", _OPENSTACK_KEY)),
    (("terraform",), partial(_user, _USER)),
    (("terraform",), _openstack_secret),
    (("action",), partial(_key, "action", _ACTION_KEY)),
    (("action",), partial(_key, "action", _EXPLORER_KEY)),
    (("idp", "profile"), _profile_idp),
    (("profile",), _profile),
    (("koocli",), _koocli),
    (("pod",), _pod),
    (("ecs",), _ecs),
)
"""The names that select a source, and what finds it; in the order in which they are tried."""
SOURCE_NAMES: Final = tuple(dict.fromkeys(name for names, _find in _CHAIN for name in names))
"""The values of ``OAUTH_HELPER_CREDENTIALS``."""


def _assumed(base: CredentialSource, places: _Places) -> CredentialSource:
    agency, name, number, duration = (
        f"HW_ASSUME_ROLE_{n}" for n in ("AGENCY_NAME", "DOMAIN_NAME", "DOMAIN_ID", "DURATION")
    )
    values = {variable: places.get(variable) for variable in (agency, name, number, duration)}
    if not any(values.values()):
        return base
    by = number if values[number] and not values[name] else name
    _refuse_half(values, (agency, by), _("the environment"), further=duration)
    for variable in (agency, by):
        check_value(values[variable], variable, spaces="inside")
    places.get("HUAWEICLOUD_SDK_STS_ENDPOINT")
    account = {"domain_name" if by == name else "domain_id": values[by]}
    return AssumedAgency(base, values[agency], account, _seconds(places, duration))


def _complete(places: _Places, names: Sequence[str]) -> dict[str, str] | None:
    """Return the values of these variables, which belong together; None if none is set."""
    values = {name: places.get(name) for name in names}
    if not any(values.values()):
        return None
    _refuse_half(values, names, _("the environment"))
    return values


def _seconds(places: _Places, variable: str) -> int:
    value = places.get(variable) or "3600"
    if not _SECONDS.fullmatch(value):
        raise CredentialsError(_("{variable} is not a number of seconds", variable=variable), hint=_("Such as 3600."))
    return int(value)


def _host(address: str) -> str:
    with suppress(ValueError):
        return parse_address(address).host or ""
    return ""


def _token_file(path: str, place: str) -> Callable[[], Secret]:
    """Return a function that reads the token again, because the file may be renewed; try it now."""

    def read() -> Secret:
        try:
            token = read_text_file(Path(path).expanduser()).strip()
        except (FileNotFoundError, RuntimeError):
            raise _no_such_file(place, path) from None
        except UnreadableFileError as error:
            raise CredentialsError(_('"{path}" {reason}', path=path, reason=error.reason), hint=error.hint) from None
        if not token:
            raise CredentialsError(_('"{path}" is empty', path=path), hint=_("It must contain the token alone."))
        _check_token(token, _('the token in "{path}"', path=path))
        return Secret(token)

    read()
    return read


def _no_such_file(place: str, path: str | Path) -> CredentialsError:
    message = _("{variable} names a file that is not there: {path}", variable=place, path=path)
    return CredentialsError(message, hint=_("Create it, or unset the variable."))


def _check_token(token: str, place: str) -> None:
    if token.strip()[:1] in {"{", "["}:
        raise CredentialsError(
            _("{name} is JSON, not a token", name=place),
            hint=_("Set it to the token alone; of an IAM token, to the answer's header X-Subject-Token."),
        )
    check_value(token, place, only_ascii=True)


def _access_key(
    values: Mapping[str, str], names: tuple[str, str, str], place: str, place_of: Callable[[str], str]
) -> AccessKey | None:
    access_key, secret_key, security_token = (values.get(name, "") for name in names)
    if not (access_key or secret_key or security_token):
        return None
    _refuse_half(values, names[:2], place, further=names[2])
    for name in names:
        only_ascii = name != names[1]  # the secret key signs and is not sent
        check_value(values.get(name, ""), place_of(name), only_ascii=only_ascii, in_ini=names is _PROFILE_KEY)
    if len(access_key) == 40 and _LIKE_ACCESS_KEY.fullmatch(secret_key):
        raise CredentialsError(
            _("{first} and {second} look swapped", first=place_of(names[0]), second=place_of(names[1])),
            hint=_("An access key (AK) has about 20 characters, its secret key (SK) 40. Exchange the two values."),
        )
    return AccessKey(access_key, secret_key, security_token or None)


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
