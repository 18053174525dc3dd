"""The checks of ``doctor``, in the order in which a link would stumble: the first that failed is what to mend first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Final

from oauth_helper.authorization import RepoType
from oauth_helper.cli.doctor.finding import NOTE, OK, Finding, failed
from oauth_helper.cli.doctor.machine import check_browser, check_listener, check_pending, check_place
from oauth_helper.cli.doctor.service import check_service
from oauth_helper.cli.options import Run
from oauth_helper.credential_chain import FoundCredentials, find_credentials, no_credentials
from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.errors import IllegalNameError, OAuthHelperError, SettingsError
from oauth_helper.link_request import LinkRequest
from oauth_helper.origin import Sourced
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import presentable

_UNSET: Final[Mapping[str, Phrase]] = {
    "project_id": phrase("asked of IAM by the region's name"),
    "ca_bundle": phrase("the system's certificates"),
    "tag": phrase("none is sent"),
}
"""What happens where a setting is not set; else nothing does."""


async def check_all(started: Run, repo_type: RepoType, name: str, port: int | None) -> list[Finding]:
    """Make every check; none of them opens a browser or creates anything."""
    findings: list[Finding] = []
    request: LinkRequest | None = None
    try:
        request = LinkRequest(repo_type, name)
    except IllegalNameError as error:
        findings.append(failed("name", error))
    credentials, told = _credentials(started)
    findings += [check_place(started), *_settings(started), *told]
    async for finding in check_service(started, credentials, request):
        findings.append(finding)
    return [*findings, *check_pending(), await check_browser(started), await check_listener(port)]


def _settings(started: Run) -> Iterator[Finding]:
    for field in fields(started.settings):
        if field.name == "browser" or (field.name == "endpoint" and not started.settings.endpoint.value):
            continue  # the lines of these come with their checks
        setting: Sourced[object] = getattr(started.settings, field.name)
        if setting.value is None:
            yield Finding(field.name, OK, _UNSET.get(field.name, phrase("not set")))
            continue
        if field.name == "ca_bundle" and (error := _trouble_with(f"{setting.value}")):
            yield failed(field.name, error)
            continue
        value = presentable(f"{setting.value:g} s" if isinstance(setting.value, float) else f"{setting.value}")
        yield Finding(field.name, OK, phrase("{value} ({origin})", value=value, origin=setting.origin))
    try:
        started.settings.required_endpoint()
    except SettingsError as error:
        yield failed("endpoint", error)


def _trouble_with(ca_bundle: str) -> SettingsError | None:
    from oauth_helper.servicestage import tls_context  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    try:
        tls_context(ca_bundle)
    except SettingsError as error:
        return error
    return None


def _credentials(started: Run) -> tuple[FoundCredentials | None, list[Finding]]:
    try:
        found = find_credentials(started.environ, started.credentials_file)
        if found is None:
            raise no_credentials()
    except OAuthHelperError as error:
        return None, [failed("credentials", error)]
    findings = [Finding("credentials", OK, phrase("{kind} ({origin})", kind=_kind(found), origin=found.origin))]
    if started.others_can_read(found):
        hint = phrase("Run: {command}", command=f"chmod 600 {started.credentials_file.path}")
        findings.append(Finding("credentials", NOTE, phrase("others can read the file they lie in"), hint))
    return found, findings


def _kind(found: FoundCredentials) -> Phrase:
    if isinstance(found.value, AccessKey):
        return phrase("a temporary access key") if found.value.security_token else phrase("an access key")
    return phrase("an IAM token") if isinstance(found.value, IamToken) else phrase("an IAM user's name and password")
