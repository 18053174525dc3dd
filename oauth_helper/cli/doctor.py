"""The command ``doctor``: check everything a link needs, a line each, without opening a browser."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.authorization import RepoType, is_legal_name
from oauth_helper.cli.colour import coloured
from oauth_helper.cli.options import REPO_TYPE, Run, connection_options, output_options, start_run
from oauth_helper.cli.output import print_json
from oauth_helper.cli.running import run
from oauth_helper.credential_chain import FoundCredentials, find_credentials, no_credentials
from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.errors import IllegalNameError, NoBrowserError, NotPermittedError, OAuthHelperError
from oauth_helper.files import others_can_read
from oauth_helper.origin import Sourced
from oauth_helper.presentable import presentable
from oauth_helper.settings import BROWSER_CHOICES

if TYPE_CHECKING:
    from oauth_helper.authorization import Authorization
    from oauth_helper.servicestage import ServiceStageClient

_COLOURS: Final = {"ok": "green", "note": "yellow", "fail": "red"}
_TOLERATED_SKEW: Final = 60.0
"""Seconds; signatures are refused from 900 on, but a clock that is off by a minute is on its way there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    subject: str
    verdict: str
    """``ok``, ``note`` (a link can work all the same) or ``fail``."""
    message: str
    hint: str = ""
    exit_status: int = 0


@click.command("doctor", short_help="Check everything a link needs, without opening a browser.")
@click.argument("repo_type", type=REPO_TYPE, metavar="[REPO_TYPE]", default=RepoType.GITHUB.value)
@click.option("--name", metavar="NAME", help="The name a link would use.  [default: REPO_TYPE-<your login name>]")
@click.option("--browser", type=click.Choice(BROWSER_CHOICES), help="As for link.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="The listener's port.  [default: a free one]")
@connection_options
@output_options
def doctor_command(repo_type: str, **options: Any) -> int:
    """Check everything a link needs, a line each, without opening a browser.

    Ends with the status a link would end with, 0 where all is well.
    """
    from oauth_helper.wiring import name_for  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    started = start_run(options)
    name = name_for(RepoType(repo_type)) if options["name"] is None else options["name"]
    findings = run(_all_findings(started, name, options["port"]))
    if started.as_json:
        print_json([asdict(finding) for finding in findings])
    for finding in () if started.as_json else findings:
        _print(finding)
    return next((finding.exit_status for finding in findings if finding.exit_status), 0)


async def _all_findings(started: Run, name: str, port: int | None) -> list[Finding]:
    findings = _settings(started) + _credentials(started)
    async for finding in _service(started, name):
        findings.append(finding)
    return [*findings, _browser(started), await _listener(port)]


def _settings(started: Run) -> list[Finding]:
    findings = []
    for field in fields(started.settings):
        if field.name == "browser":  # its line comes with its check
            continue
        setting: Sourced[object] = getattr(started.settings, field.name)
        value = "not set" if setting.value is None else presentable(f"{setting.value}")
        findings.append(Finding(field.name, "ok", f"{value} ({setting.origin})"))
    return findings


def _credentials(started: Run) -> list[Finding]:
    try:
        found = find_credentials(started.environ, started.credentials_file)
        if found is None:
            raise no_credentials()
    except OAuthHelperError as error:
        return [_failed("credentials", error)]
    findings = [Finding("credentials", "ok", f"{_kind(found)} ({found.origin})")]
    if started.credentials_file.path in found.origin and others_can_read(started.credentials_file.path):
        hint = f"chmod 600 {started.credentials_file.path}"
        findings.append(Finding("credentials", "note", "others can read the file they lie in", hint))
    return findings


def _kind(found: FoundCredentials) -> str:
    if isinstance(found.value, AccessKey):
        return "a temporary access key" if found.value.security_token else "an access key"
    return "an IAM token" if isinstance(found.value, IamToken) else "an IAM user's name and password"


async def _service(started: Run, name: str) -> AsyncIterator[Finding]:
    from oauth_helper.wiring import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    if not is_legal_name(name):
        yield _failed("name", IllegalNameError(f"{presentable(name)!r} cannot be the name of an authorization"))
    try:
        credentials = find_credentials(started.environ, started.credentials_file)
        if credentials is None:
            yield Finding("service", "note", "not asked: there are no credentials")
            return
        async with open_service(started.settings, credentials) as service:
            async for finding in _answer(service, name):
                yield finding
    except OAuthHelperError as error:
        yield _failed("service", error)


async def _answer(service: ServiceStageClient, name: str) -> AsyncIterator[Finding]:
    began = time.perf_counter()
    listed: list[Authorization] | None = None
    try:
        listed = await service.list_authorizations()
    except NotPermittedError as error:
        yield Finding("service", "note", f"{error.message}; a link goes on without the list", error.hint)
    else:
        took = (time.perf_counter() - began) * 1000
        yield Finding("service", "ok", f"answered in {took:.0f} ms; {len(listed)} authorizations")
    if (skew := service.last_clock_skew) is not None:
        verdict = "ok" if abs(skew) <= _TOLERATED_SKEW else "note"
        yield Finding("clock", verdict, f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the server's")
    if listed is not None and is_legal_name(name):
        standing = next((one for one in listed if one.name == name), None)
        taken = f"{name} exists already ({presentable(standing.repo_type)})" if standing else ""
        yield Finding("name", "note" if taken else "ok", taken or f"{name} is free")


def _browser(started: Run) -> Finding:
    from oauth_helper.browsers.default import browser_commands, why_no_browser  # noqa: PLC0415 - only here

    browser = started.settings.browser
    wanted = f"{browser.value} ({browser.origin})"
    if browser.value == "none":
        return Finding("browser", "ok", f"{wanted}: the addresses will be printed")
    reason = why_no_browser(started.environ, sys.platform)
    if reason is None:
        program = browser_commands("", started.environ, sys.platform)[0][0]
        return Finding("browser", "ok", f"{wanted}: {program} would open the page")
    if browser.value == "default":
        return _failed("browser", NoBrowserError(f"{wanted}: {reason}"))
    return Finding(
        "browser",
        "note",
        f"{wanted}: {reason}; the addresses will be printed",
        "Set BROWSER to a program that opens one.",
    )


async def _listener(port: int | None) -> Finding:
    from oauth_helper.listener import Listener  # noqa: PLC0415 - as above

    try:
        async with Listener(port) as listener:
            host, _, number = listener.address.removeprefix("http://").partition(":")
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(host, int(number))
            writer.close()
            await writer.wait_closed()
    except OAuthHelperError as error:
        return _failed("listener", error)
    except (OSError, TimeoutError) as error:
        return Finding("listener", "fail", f"cannot be reached: {error}", "Check this machine's firewall.", 9)
    return Finding("listener", "ok", f"{host} can be listened on and reached")


def _failed(subject: str, error: OAuthHelperError) -> Finding:
    return Finding(subject, "fail", error.message, error.hint, error.exit_status)


def _print(finding: Finding) -> None:
    verdict = coloured(f"{finding.verdict:<5}", sys.stdout, _COLOURS[finding.verdict])
    click.echo(f"{verdict} {finding.subject:<13}{finding.message}")
    if finding.hint:
        click.echo(f"{'':<19}{finding.hint}")
