"""Where credentials are found: the sources of the vendor's SDK, Terraform, KooCLI and others; the first match wins.

The order is that of ``docs/settings.md``. Nothing is sent here: :attr:`CredentialSource.fetch` does that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from oauth_helper.credentials import AccessKey, Credentials, CredentialSource, Fetch, IamToken, IamUser
from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.i18n import Text, _, enumerated, joined, listed
from oauth_helper.secret import Secret, safe_text
from oauth_helper.settings import (
    Settings,
    Sources,
    default_cloud,
    read_config_file,
    read_credentials_file,
    read_named_file,
    resolve_settings,
)
from oauth_helper.values import FileValues, check_endpoint, parse_address, require_clean

if TYPE_CHECKING:  # it imports aiohttp, which help and completion do not need
    from oauth_helper.servicestage.iam import Iam

_KEYS: Final = (
    ("env", ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")),
    ("terraform", ("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN")),
    ("terraform", ("OS_ACCESS_KEY", "OS_SECRET_KEY")),
    ("action", ("HUAWEI_CLOUD_ACCESS_KEY_ID", "HUAWEI_CLOUD_SECRET_ACCESS_KEY")),
    ("action", ("CLOUD_SDK_AK", "CLOUD_SDK_SK")),
)
"""The variables of access keys, each with the name of its source."""
_IDP: Final = ("HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_ID_TOKEN_FILE")
_USER: Final = ("HW_USER_NAME", "HW_USER_PASSWORD", "HW_DOMAIN_NAME")
_OPENSTACK: Final = ("OS_AUTH_TOKEN", "OS_USERNAME", "OS_PASSWORD", "OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME")
_POD: Final = ("HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE")
_OIDC: Final = tuple(
    f"HUAWEICLOUD_OIDC_{name}"
    for name in (
        *("PROVIDER_URN", "AGENCY_URN", "ID_TOKEN", "TOKEN_FILE"),
        *("SESSION_NAME", "DURATION_SECONDS", "POLICY", "POLICY_IDS"),
    )
)
_ROLE: Final = tuple(f"HW_ASSUME_ROLE_{name}" for name in ("AGENCY_NAME", "DOMAIN_NAME", "DOMAIN_ID", "DURATION"))
_STS: Final = "HUAWEICLOUD_SDK_STS_ENDPOINT"
_NOT_SUPPORTED: Final = (
    *("HW_USER_ID", "HW_DOMAIN_ID", "HW_INSECURE", "HUAWEICLOUD_SDK_DOMAIN_ID", "HUAWEI_AK", "HWC_AK"),
    *("HUAWEICLOUD_OIDC_ID_TOKEN_FILE", "HUAWEICLOUD_SDK_ID_TOKEN"),
)
"""Variables that other tools read."""
_OPENSTACK_SETTINGS: Final = {
    "region": ("OS_REGION_NAME",),
    "project_id": ("OS_PROJECT_ID",),
    "project_name": ("OS_PROJECT_NAME", "OS_TENANT_NAME"),
}
CHAIN_VARIABLES: Final = frozenset(
    {
        *("OAUTH_HELPER_CREDENTIALS", "OAUTH_HELPER_TOKEN", "HW_AUTH_TOKEN", "OS_AUTH_URL"),
        *("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "HW_SHARED_CONFIG_FILE", "HW_PROFILE", _STS),
        *(name for _source, names in _KEYS for name in names),
        *(*_IDP, *_USER, *_OPENSTACK, *_POD, *_OIDC, *_ROLE, *_NOT_SUPPORTED),
    }
)
"""The variables that identify the user at Huawei Cloud. No browser inherits them, and no Git host gets them."""
METADATA_ENDPOINT: Final = "http://169.254.169.254"
_KOOCLI_FILE: Final = "~/.hcloud/config.json"
_IN_KOOCLI: Final = (re.compile(r"[A-Za-z0-9]{16,32}"), re.compile(r"[A-Za-z0-9]{8,40}"))
"""Keys that KooCLI has not encrypted. The format of encrypted ones is not documented; they are longer."""

_Found = CredentialSource | Text | None  # a source; why one that is there cannot be used; or None if nothing is set


class _Place:
    """The environment, or the profile of the vendor's SDK. It remembers the names that a finder used."""

    def __init__(self, sources: Sources, settings: Settings, *, in_profile: bool = False) -> None:
        self.profile, self.in_profile, self.settings = sources.credentials_file, in_profile, settings
        self.values = self.profile.values if in_profile else sources.environ
        self.name = _("[basic] of {path}", path=self.profile.path) if in_profile else _("the environment")
        self.used: list[str] = []

    def get(self, name: str) -> str:
        if value := self.values.get(name, ""):
            self.used.append(name)
        return value

    def complete(self, *names: str, further: Sequence[str] = ()) -> list[str]:
        """Return the values of names that belong together, then those of ``further`` ones; nothing if none is set."""
        values = {name: self.get(name) for name in (*names, *further)}
        present = [name for name, value in values.items() if value]
        missing = [name for name in names if not values[name]]
        if present and missing:
            named = {"missing": listed(missing), "present": listed(present)}
            text = _("{place} has {present}, but not {missing}", place=self.name, **named)
            raise CredentialsError(text, hint=_("Set {missing} as well, or unset {present}.", **named))
        return list(values.values()) if present else []

    def seconds(self, name: str) -> int:
        value = self.get(name) or "3600"
        if not re.fullmatch("[0-9]{1,6}", value):
            raise CredentialsError(_("{variable} is not a number of seconds", variable=name), hint=_("Such as 3600."))
        return int(value)

    def check(self, *names: str, **limits: Any) -> None:
        for name in names:
            value = self.values.get(name, "")
            require_clean(value, self.origin(name), CredentialsError, in_ini=self.in_profile, **limits)

    def origin(self, name: str) -> str:
        return self.profile.place_of(name) if self.in_profile else name

    def source(self, name: str, names: Sequence[str], identity: Text, fetch: Fetch) -> CredentialSource:
        found_in, file = (self.name, self.profile.path) if self.in_profile else (listed(names), None)
        return CredentialSource(name, found_in, identity, fetch, file)


def user_source(name: str, found_in: Text, user: IamUser, *, of_account: bool = False) -> CredentialSource:
    """Return the source of an IAM user, for whom IAM issues a token for the project, or for the whole account."""
    identity = _("IAM user {user} of {account}", user=user.name, account=user.domain_name)
    return CredentialSource(name, found_in, identity, lambda iam: iam.token_of_user(user, of_account=of_account))


def _fixed(credentials: Credentials) -> tuple[Text, Fetch]:
    """Return what is said about complete credentials, and a function that returns them."""
    identity = _("an IAM token")
    if isinstance(credentials, AccessKey):
        identity = _("a temporary access key") if credentials.security_token else _("an access key")

    async def fetch(_iam: Iam) -> Credentials:
        return credentials

    return identity, fetch


def _host(address: str) -> str:
    with suppress(ValueError):
        return parse_address(address).host or ""
    return ""


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError):
        return False


def _checked(token: str, place: str) -> str:
    if not token or token.strip()[:1] in {"{", "["}:
        message = _("{name} is JSON, not a token", name=place) if token else _("{name} is empty", name=place)
        hint = _("Give the token alone; of an IAM token, the answer's header X-Subject-Token.")
        raise CredentialsError(message, hint=hint)
    require_clean(token, place, CredentialsError, only_ascii=True)
    return token


def _token_file(path: str, place: str) -> Callable[[], Secret]:
    """Return a function that reads the token again, because the file may be renewed; try it now."""

    def read() -> Secret:
        token = read_named_file(path, place, CredentialsError).strip()
        return Secret(_checked(token, _('"{path}"', path=path)))

    read()
    return read


def _token(name: str, variable: str, place: _Place) -> _Found:
    if not (token := place.get(variable)):
        return None
    return place.source(name, (variable,), *_fixed(IamToken(_checked(token, variable))))


def _key(name: str, names: Sequence[str], place: _Place) -> _Found:
    if not (values := place.complete(*names[:2], further=names[2:])):
        return None
    place.check(names[1])  # it signs and is not sent
    place.check(names[0], *names[2:], only_ascii=True)
    if len(values[0]) == 40 and re.fullmatch("[A-Za-z0-9]{20}", values[1]):
        raise CredentialsError(
            _("{first} and {second} look swapped", first=place.origin(names[0]), second=place.origin(names[1])),
            hint=_("An access key (AK) has about 20 characters, its secret key (SK) 40. Exchange the two values."),
        )
    return place.source(name, names[:2], *_fixed(AccessKey(*values)))


def _user(variables: tuple[str, str, str], place: _Place) -> _Found:
    if not any(place.values.get(variable) for variable in variables[:2]):
        return None  # the name of an account alone is common beside an access key
    name, password, domain_name = place.complete(*variables)
    place.check(*variables, spaces="inside")
    user = IamUser(name, Secret(password), domain_name)
    return user_source("terraform", listed(variables), user, of_account=bool(place.values.get(_ROLE[0])))


def _openstack_secret(place: _Place) -> _Found:
    """Never send the secrets of another OpenStack to Huawei Cloud."""
    is_set = [name for name in _OPENSTACK if place.values.get(name)]
    if not set(is_set) - {"OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME"}:
        return None
    settings, host = place.settings, _host(place.get("OS_AUTH_URL"))
    region = settings.region.value or place.values.get("OS_REGION_NAME")
    cloud = default_cloud(region) if settings.cloud.is_default else settings.cloud.value
    if not host or not (host in {cloud, _host(settings.iam_endpoint.value or "")} or host.endswith(f".{cloud}")):
        place.used += is_set
        return _("{names}: OS_AUTH_URL does not name the IAM of this cloud", names=enumerated(is_set))
    if "OS_AUTH_TOKEN" in is_set:
        return _token("terraform", "OS_AUTH_TOKEN", place)
    domain = "OS_DOMAIN_NAME" if "OS_DOMAIN_NAME" in is_set else "OS_USER_DOMAIN_NAME"
    return _user(("OS_USERNAME", "OS_PASSWORD", domain), place)


def _oidc(place: _Place) -> _Found:
    """STS gives a temporary key of an agency for an OpenID Connect ID token."""
    provider, agency, token, file, session, duration, policy, policy_ids = _OIDC
    by = token if place.get(token) else file
    if not (values := place.complete(provider, agency, by)):
        return None
    place.check(provider, agency)
    place.get(_STS)
    fields: dict[str, Any] = {
        "provider_urn": values[0],
        "agency_urn": values[1],
        "agency_session_name": place.get(session) or "oidc-sts-session",
        "duration_seconds": place.seconds(duration),
    }
    if text := place.get(policy):
        fields["policy"] = text
    if text := place.get(policy_ids):
        fields["policy_ids"] = [part.strip() for part in text.split(",") if part.strip()]
    read_token = partial(Secret, _checked(values[2], token)) if by == token else _token_file(values[2], file)

    async def fetch(iam: Iam) -> Credentials:
        secret = read_token()
        document = fields | {"id_token": secret.reveal()}
        check = _("Check the URNs, that the agency trusts the provider, and that the ID token has not expired.")
        return await iam.assumed_key("/v5/agencies/assume-with-oidc", document, secrets=(secret,), check=check)

    identity = _("an OpenID Connect token for the agency {agency}", agency=values[1])
    return place.source("oidc", (provider, agency, by), identity, fetch)


def _identity_provider(names: tuple[str, str], place: _Place) -> _Found:
    """IAM gives a temporary key for an ID token of an identity provider."""
    if not (values := place.complete(*names)):
        return None
    place.check(names[0], only_ascii=True)
    provider, path = values
    read_token = _token_file(path, place.origin(names[1]))

    async def fetch(iam: Iam) -> Credentials:
        check = _("Check the identity provider's ID, and that its token has not expired.")
        token = await iam.token_of_identity_provider(provider, read_token(), check)
        details = {"id": token.reveal(), "duration_seconds": 21600}
        return await iam.temporary_key("token", details, secrets=(token,), check=check)

    return place.source("idp", names, _("a token of the identity provider {provider}", provider=provider), fetch)


def _pod(place: _Place) -> _Found:
    if not (values := place.complete(*_POD)):
        return None
    uri, path = values
    check_endpoint(uri, origin=_POD[0], allows_link_local=True)
    read_token = _token_file(path, _POD[1])
    return place.source("pod", _POD, _("the agency of this pod (CCE)"), lambda iam: iam.pod_key(uri, read_token()))


def _ecs(_place: _Place) -> CredentialSource:
    """Return the agency of this ECS. Its metadata service is contacted only if it is selected."""
    found_in, identity = _("the metadata service of this ECS"), _("the agency of this ECS")
    return CredentialSource("ecs", found_in, identity, lambda iam: iam.metadata_key(METADATA_ENDPOINT))


def _profile(place: _Place) -> _Found:
    if found := _key("profile", ("ak", "sk", "security_token"), place):
        return found
    file = place.profile
    if file.unreadable:
        return _('"{path}" could not be examined ({reason}): check HOME', path=file.path, reason=file.unreadable)
    return _('"{path}" has no ak and sk in a section [basic]', path=file.path) if _exists(file.path) else None


class _KooCliKey(Struct, frozen=True, rename="camel"):
    access_key_id: str = ""
    secret_access_key: str = ""
    security_token: str = ""


class _KooCliSso(Struct, frozen=True, rename="camel"):
    sts_token: _KooCliKey = _KooCliKey()


class _KooCliProfile(_KooCliKey, frozen=True, rename="camel"):
    name: str = ""
    mode: str = "AKSK"
    region: str = ""
    project_id: str = ""
    sso_auth: _KooCliSso = _KooCliSso()


class _KooCliFile(Struct):
    """KooCLI's config.json, as Terraform's provider reads it."""

    current: str = "default"
    profiles: tuple[_KooCliProfile, ...] = ()


def _koocli(place: _Place) -> _Found:
    named, name = place.get("HW_SHARED_CONFIG_FILE"), place.get("HW_PROFILE")
    path = named or _KOOCLI_FILE
    if not named and not _exists(path):
        return None
    try:
        text = read_named_file(path, "HW_SHARED_CONFIG_FILE", CredentialsError)
        file = msgspec.json.decode(text, type=_KooCliFile)
    except CredentialsError as error:
        if named:
            raise
        return error.message
    except (msgspec.MsgspecError, RecursionError):  # the error's text may repeat a part of the file
        return _('"{path}" is not a configuration file of KooCLI', path=path)
    name = name or file.current
    where = _('profile "{profile}" of "{path}" (KooCLI)', profile=safe_text(name, limit=64), path=path)
    found = next((one for one in file.profiles if one.name == name), _KooCliProfile())
    key = found.sso_auth.sts_token if found.mode.upper() == "SSO" else found
    if found.mode.upper() not in {"AKSK", "SSO"}:
        return _("{where} has the mode {mode}, which is not used", where=where, mode=safe_text(found.mode, limit=32))
    values = (key.access_key_id, key.secret_access_key)
    if not any(values):
        return _("{where} has no access key", where=where)
    if not all(pattern.fullmatch(value) for pattern, value in zip(_IN_KOOCLI, values, strict=True)):
        command = "`hcloud configure set --cli-auth-encrypt=false`"
        return _("{where} is encrypted; {command} stores it for other tools too", where=where, command=command)
    path = str(Path(path).expanduser())
    defaults = FileValues(path, {"region": found.region, "project_id": found.project_id})
    fixed = _fixed(AccessKey(*values, key.security_token))
    return CredentialSource("koocli", where, *fixed, file=path, defaults=defaults)


_CHAIN: Final[Sequence[tuple[tuple[str, ...], Callable[[_Place], _Found]]]] = (
    (("token",), partial(_token, "token", "OAUTH_HELPER_TOKEN")),
    (("oidc",), _oidc),
    (("idp",), partial(_identity_provider, _IDP)),
    (("env",), partial(_key, *_KEYS[0])),
    (("terraform",), partial(_token, "terraform", "HW_AUTH_TOKEN")),
    (("terraform",), partial(_key, *_KEYS[1])),
    (("terraform",), partial(_key, *_KEYS[2])),
    (("terraform",), partial(_user, _USER)),
    (("terraform",), _openstack_secret),
    (("action",), partial(_key, *_KEYS[3])),
    (("action",), partial(_key, *_KEYS[4])),
    (("idp", "profile"), partial(_identity_provider, ("idp_id", "id_token_file"))),
    (("profile",), _profile),
    (("koocli",), _koocli),
    (("pod",), _pod),
    (("ecs",), _ecs),
)
"""The names that select a source, and what finds it; in the order in which they are tried."""
SOURCE_NAMES: Final = tuple(dict.fromkeys(name for names, _find in _CHAIN for name in names))
"""The values of ``OAUTH_HELPER_CREDENTIALS``."""


class Search(Struct):
    """What was found, and what is not used."""

    source: CredentialSource | None = None
    error: CredentialsError | None = None
    """Why there is no source although something is set: half of it is missing, or it cannot be right."""
    reasons: list[Text] = []
    """Why other places have no usable credentials."""
    unused: list[Text] = []
    """What is set and not used."""

    def required(self) -> CredentialSource:
        """Return the source. Raises CredentialsError: there is none."""
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


def find_credentials(environ: Mapping[str, str] | None = None) -> CredentialSource:
    """Return the credentials that this user or machine has for Huawei Cloud, in the order of ``docs/settings.md``.

    Nothing is sent. :class:`~oauth_helper.ServiceStageClient` accepts the result, and fetches what must be fetched.
    Other settings come from the environment and the settings file. Raises CredentialsError or SettingsError.
    """
    environ = os.environ if environ is None else environ
    sources = Sources({}, environ, read_config_file(environ), read_credentials_file(environ))
    settings, search = find_settings_and_credentials(sources)
    return replace(search.required(), iam=settings.iam)


def find_settings_and_credentials(sources: Sources) -> tuple[Settings, Search]:
    """Return the settings, and where credentials are found, which may decide some of them; raise SettingsError."""
    settings = resolve_settings(sources)
    search = _search(sources, settings)
    if (source := search.source) and (source.variables or source.defaults):
        settings = resolve_settings(replace(sources, variables=source.variables, defaults=source.defaults))
    return settings, search


def _search(sources: Sources, settings: Settings) -> Search:
    selected, origin = settings.credentials.value, settings.credentials.origin
    if selected and selected not in SOURCE_NAMES:
        message = _("{origin} names no source of credentials", origin=origin)
        return Search(error=CredentialsError(message, hint=_("Use one of {names}.", names=enumerated(SOURCE_NAMES))))
    search, named = Search(), {"OAUTH_HELPER_CREDENTIALS", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"}
    for names, find in _CHAIN:
        if find is _ecs and selected not in names:
            continue
        is_first = not (search.source or search.error) and (not selected or selected in names)
        place = _Place(sources, settings, in_profile="profile" in names)
        try:
            found: _Found | SettingsError = find(place)
            if is_first and isinstance(found, CredentialSource):
                role = _Place(sources, settings)
                if any(name.startswith("OS_") for name in place.used):
                    found.variables = _OPENSTACK_SETTINGS
                found = _with_role(found, role)
                place.used += role.used
        except SettingsError as error:
            found = error if is_first else None
        if found is None:
            continue
        named.update(place.used)
        if isinstance(found, Text):
            (search.unused if search.source and not place.in_profile else search.reasons).append(found)
        elif isinstance(found, SettingsError):
            search.error = CredentialsError(found.message, hint=found.hint)
        elif is_first:
            search.source = found
        else:
            search.unused.append(_("{identity} ({found_in})", identity=found.identity, found_in=found.found_in))
    _report_others(search, sources, named)
    if selected and not (search.source or search.error):
        search.error = CredentialsError(
            _("{origin} selects {name}, which is not set up", origin=origin, name=selected),
            hint=joined([*search.reasons, _("Set it up, or unset {origin}", origin=origin)]) + _("."),
        )
    return search


def _report_others(search: Search, sources: Sources, named: set[str]) -> None:
    others = CHAIN_VARIABLES - named
    for group, why in (
        (others.difference(_NOT_SUPPORTED), _("incomplete, or not needed")),
        (others.intersection(_NOT_SUPPORTED), _("not supported")),
    ):
        if names := sorted(name for name in group if sources.environ.get(name)):
            search.unused.append(_("{names} ({why})", names=enumerated(names), why=why))
    for path in (sources.credentials_file.path, _KOOCLI_FILE):
        if not _exists(path):
            search.reasons.append(_('"{path}" does not exist', path=path))
    if _exists(devkit := f"{sources.environ.get('HUAWEICLOUD_HOME') or '~/.config/huaweicloud'}/credentials.json"):
        search.unused.append(_('"{path}" (DevKit)', path=devkit))


def _with_role(base: CredentialSource, place: _Place) -> CredentialSource:
    """Return the agency of another account that these credentials assume, if one is set."""
    agency, name, number, duration = _ROLE
    by = number if place.get(number) and not place.get(name) else name
    if not (values := place.complete(agency, by, further=(duration,))):
        return base
    place.check(agency, by, spaces="inside")
    place.get(_STS)
    seconds, account = place.seconds(duration), values[1]

    async def fetch(iam: Iam) -> Credentials:
        credentials = await base.current(iam)
        about: dict[str, Any] = {
            "credentials": credentials,
            "check": _("Check HW_ASSUME_ROLE_AGENCY_NAME, and that the agency trusts your account."),
        }
        if by == name:
            details = {"domain_name": account, "agency_name": values[0], "duration_seconds": seconds}
            return await iam.temporary_key("assume_role", details, **about)
        if isinstance(credentials, IamToken):
            raise CredentialsError(
                _("An agency is assumed by HW_ASSUME_ROLE_DOMAIN_ID with an access key only, not with a token"),
                hint=_("Set HW_ASSUME_ROLE_DOMAIN_NAME instead."),
            )
        urn = f"iam::{account}:agency:{values[0]}"
        fields = {"agency_urn": urn, "agency_session_name": "oauth-helper", "duration_seconds": seconds}
        return await iam.assumed_key("/v5/agencies/assume", fields, **about)

    found_in = _("{base}, then HW_ASSUME_ROLE_*", base=base.found_in)
    text = _("agency {agency} of {account}, assumed with {base}", agency=values[0], account=account, base=base.identity)
    return replace(base, found_in=found_in, identity=text, fetch=fetch)
