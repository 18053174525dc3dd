"""One frozen ``Settings``: flag over environment over file over default, each value with its origin. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from oauth_helper.browser_choice import BROWSER_CHOICES, MAXIMUM_TIMEOUT, is_browser_choice
from oauth_helper.endpoint import check_endpoint
from oauth_helper.errors import SettingsError
from oauth_helper.origin import FileValues, Sourced, first_set, problem_of, shown_unless_secret
from oauth_helper.phrase import NOTHING, Phrase, phrase, verbatim

DEFAULT_TIMEOUT: Final = 600.0
"""Seconds."""

_DEFAULT: Final = phrase("default")
_REGION: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROJECT_ID: Final = re.compile(r"[0-9A-Za-z]{32}")
"""IAM's IDs are 32 hexadecimal digits. Stand-ins for ServiceStage use other letters too; hardly any name does."""
_PROJECT_NAME: Final = re.compile(r"[a-z]{2}-[a-z]{2,12}-\d{1,3}([_-][A-Za-z0-9_-]{0,40})?|[a-z_-]{1,24}")
"""The name of a region's project or of a subproject in it."""

ENVIRONMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "region": ("OAUTH_HELPER_REGION", "HW_REGION_NAME", "HUAWEICLOUD_REGION"),
    "endpoint": ("OAUTH_HELPER_ENDPOINT",),
    "project_id": ("OAUTH_HELPER_PROJECT_ID", "HUAWEICLOUD_SDK_PROJECT_ID"),
    "iam_endpoint": ("OAUTH_HELPER_IAM_ENDPOINT", "HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL"),
    "ca_bundle": ("OAUTH_HELPER_CA_BUNDLE", "SSL_CERT_FILE"),
    "browser": ("OAUTH_HELPER_BROWSER",),
    "tag": ("OAUTH_HELPER_TAG",),
    "timeout": ("OAUTH_HELPER_TIMEOUT",),
}
FILE_KEYS: Final = frozenset(ENVIRONMENT)
_IN_CREDENTIALS_FILE: Final = frozenset({"project_id", "iam_endpoint"})


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings are looked for, in this order."""

    flags: Mapping[str, str | None]
    """By file key; None where the flag was not given."""
    environ: Mapping[str, str]
    config_file: FileValues
    credentials_file: FileValues
    """Section ``[basic]`` of the vendor SDK's profile file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run goes by; a value of None was given nowhere and has no default."""

    region: Sourced[str | None]
    endpoint: Sourced[str | None]
    project_id: Sourced[str | None]
    """None: it is asked of IAM by the region's name."""
    iam_endpoint: Sourced[str | None]
    ca_bundle: Sourced[str | None]
    """File of certificates to trust; None: the system's."""
    browser: Sourced[str]
    tag: Sourced[str | None]
    timeout: Sourced[float]
    """Seconds to wait for the user."""
    config_trouble: Phrase = NOTHING
    """Why it is unknown whether there is a settings file, if it is."""

    @property
    def names_browser(self) -> bool:
        """Whether it was said anywhere how a browser is to be opened."""
        return not self.browser.is_default

    def required_endpoint(self) -> str:
        """Return the endpoint.

        Raises:
            SettingsError: Neither an endpoint nor a region was given.
        """
        if self.endpoint.value is None:
            raise SettingsError(
                phrase("It is not known which ServiceStage to talk to: neither an endpoint nor a region is set"),
                hint=phrase(
                    "Give --region (such as cn-north-4) or --endpoint, or set OAUTH_HELPER_REGION. To try "
                    "without an account, add --sandbox to `link`."
                )
                + _further(self.config_trouble),
            )
        return self.endpoint.value

    def usable_project_id(self) -> str | None:
        """Return the project's ID; None if IAM has to be asked for it.

        Raises:
            SettingsError: What is set is no ID.
        """
        project_id, origin = self.project_id.value, self.project_id.origin
        if project_id is None or _PROJECT_ID.fullmatch(project_id):
            return project_id
        if problem := problem_of(project_id, origin):
            raise SettingsError(problem.message, hint=problem.hint)
        if _PROJECT_NAME.fullmatch(project_id):
            message = phrase('{origin} is a name, not an ID: "{project_id}"', origin=origin, project_id=project_id)
        else:  # it may be anything, a key too, and is not repeated
            message = phrase("{origin} is not a project ID", origin=origin)
        raise SettingsError(
            message,
            hint=phrase(
                "A project ID has 32 hexadecimal digits; the console shows it under My Credentials, API Credentials. "
                "Leave it out to use the project of the region."
            ),
        )

    def required_iam_endpoint(self, purpose: Phrase) -> str:
        """Return the IAM endpoint, wanted for ``purpose``.

        Raises:
            SettingsError: Neither an IAM endpoint nor a region was given.
        """
        if self.iam_endpoint.value is None:
            raise SettingsError(
                phrase("IAM is needed for {purpose}, but neither its endpoint nor a region is set", purpose=purpose),
                hint=phrase("Give --region, or --iam-endpoint.") + _further(self.config_trouble),
            )
        return self.iam_endpoint.value


def resolve_settings(sources: Sources) -> Settings:
    """Find every setting's value and origin.

    Raises:
        SettingsError: A value that was given cannot be used; the message names its origin.
    """
    region = _look_up("region", sources)
    if region.value is not None and not _REGION.fullmatch(region.value):
        problem = problem_of(region.value, region.origin)
        raise SettingsError(
            phrase("{origin} is not a region: {shown}", origin=region.origin, shown=shown_unless_secret(region.value)),
            hint=problem.hint if problem else phrase("Regions look like cn-north-4."),
        )
    return Settings(
        region=region,
        endpoint=_checked_endpoint(_service_endpoint(sources, region.value)),
        project_id=_look_up("project_id", sources),
        iam_endpoint=_checked_endpoint(_iam_endpoint(sources, region.value)),
        ca_bundle=_look_up("ca_bundle", sources),
        browser=_browser(_look_up("browser", sources)),
        tag=_plain(_look_up("tag", sources)),
        timeout=_timeout(_look_up("timeout", sources)),
        config_trouble=_trouble(sources.config_file),
    )


def _trouble(file: FileValues) -> Phrase:
    if not file.trouble:
        return NOTHING
    return phrase(
        '"{path}" could not be examined ({trouble}): check HOME, or set OAUTH_HELPER_CONFIG.',
        path=file.path,
        trouble=file.trouble,
    )


def _further(sentence: Phrase) -> str:
    return phrase(" {sentence}", sentence=sentence) if sentence else ""


def _plain(found: Sourced[str | None]) -> Sourced[str | None]:
    if found.value is not None and (problem := problem_of(found.value, found.origin, spaces="inside")):
        raise SettingsError(problem.message, hint=problem.hint)
    return found


def _look_up(key: str, sources: Sources, more_environment: tuple[str, ...] = ()) -> Sourced[str | None]:
    if flag := sources.flags.get(key):
        return Sourced(flag, f"--{key.replace('_', '-')}")
    if found := first_set(sources.environ, ENVIRONMENT[key] + more_environment):
        return found
    if key in _IN_CREDENTIALS_FILE and (value := sources.credentials_file.values.get(key)):
        file = sources.credentials_file
        if problem := problem_of(value, file.place_of(key), in_ini=True):
            raise SettingsError(problem.message, hint=problem.hint)
        return _from_file(key, value, file, phrase("[basic] of {path}", path=file.path))
    if value := sources.config_file.values.get(key):
        return _from_file(key, value, sources.config_file, verbatim(sources.config_file.path))
    return Sourced(None, _DEFAULT, is_default=True)


def _from_file(key: str, value: str, file: FileValues, origin: Phrase) -> Sourced[str | None]:
    line = file.lines.get(key)
    return Sourced(value, phrase("{origin}, line {line}", origin=origin, line=line) if line else origin, file.path)


def _service_endpoint(sources: Sources, region: str | None) -> Sourced[str | None]:
    of_region = f"HUAWEICLOUD_SDK_REGION_SERVICESTAGE_{region.upper().replace('-', '_')}" if region else ""
    found = _look_up("endpoint", sources, (of_region,) if of_region else ())
    if found.value and found.origin == of_region:
        # The vendor's SDK takes a list here and tries each in turn; the first is the one it prefers.
        return replace(found, value=found.value.partition(",")[0])
    if found.value or not region:
        return found
    return Sourced(
        f"https://servicestage.{region}.myhuaweicloud.com", phrase("default of region {region}", region=region)
    )


def _iam_endpoint(sources: Sources, region: str | None) -> Sourced[str | None]:
    found = _look_up("iam_endpoint", sources)
    if found.value:
        return replace(found, value=found.value.rstrip("/").removesuffix("/v3"))
    if not region:
        return found
    return Sourced(f"https://iam.{region}.myhuaweicloud.com", phrase("default of region {region}", region=region))


def _checked_endpoint(found: Sourced[str | None]) -> Sourced[str | None]:
    if found.value is None:
        return found
    return replace(found, value=check_endpoint(found.value, origin=found.origin))


def _browser(found: Sourced[str | None]) -> Sourced[str]:
    if found.value is None:
        return Sourced("auto", _DEFAULT, is_default=True)
    if not is_browser_choice(found.value):
        raise SettingsError(
            phrase(
                "{origin} names a browser that cannot be had: {found}",
                origin=found.origin,
                found=shown_unless_secret(found.value),
            ),
            hint=phrase(
                "Use one of {browser_choices}, or the path of a browser.", browser_choices=", ".join(BROWSER_CHOICES)
            ),
        )
    return Sourced(found.value, found.origin)


def _timeout(found: Sourced[str | None]) -> Sourced[float]:
    if found.value is None:
        return Sourced(DEFAULT_TIMEOUT, _DEFAULT, is_default=True)
    try:
        seconds = float(found.value)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= MAXIMUM_TIMEOUT:
        raise SettingsError(
            phrase(
                "{origin} is not a number of seconds from 1 to {maximum_timeout}: {found}",
                origin=found.origin,
                maximum_timeout=MAXIMUM_TIMEOUT,
                found=shown_unless_secret(found.value),
            ),
            hint=phrase("Give the seconds to wait for you in the browser, such as 600."),
        )
    return Sourced(seconds, found.origin)
