"""The command ``doctor``: check everything a link needs, a line each, without opening a browser."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.authorization import RepoType, is_legal_name
from oauth_helper.cli.colour import coloured
from oauth_helper.cli.complaint import print_error
from oauth_helper.cli.options import BROWSER_OPTION, REPO_TYPE, Run, connection_options, output_options, start_run
from oauth_helper.cli.output import print_json
from oauth_helper.cli.running import run
from oauth_helper.cli.speech import in_words
from oauth_helper.cli.spoken_help import command, option
from oauth_helper.credential_chain import FoundCredentials, find_credentials, no_credentials
from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.errors import (
    IllegalNameError,
    MachineError,
    NameTakenError,
    NoBrowserError,
    NotPermittedError,
    OAuthHelperError,
    SettingsError,
)
from oauth_helper.journal import Journal
from oauth_helper.link_request import LinkRequest
from oauth_helper.origin import Sourced
from oauth_helper.phrase import NOTHING, Phrase, counted, phrase, verbatim
from oauth_helper.presentable import presentable
from oauth_helper.standing import find_standing, is_list_alone_refused

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
    message: Phrase
    hint: Phrase = NOTHING
    error: OAuthHelperError | None = None
    """What a link would end with."""

    def to_json(self) -> dict[str, str]:
        """Return what a script is told."""
        return {"subject": self.subject, "verdict": self.verdict, "message": self.message, "hint": self.hint}


@command("doctor")
@click.argument("repo_type", type=REPO_TYPE, metavar="[REPO_TYPE]", default=RepoType.GITHUB.value)
@option("--name", metavar="NAME", help="The name a link would use.  [default: REPO_TYPE-<your login name>]")
@BROWSER_OPTION
@option("--port", type=click.IntRange(1, 65535), metavar="N", help="The listener's port.  [default: a free one]")
@connection_options
@output_options
def doctor_command(repo_type: str, **options: Any) -> int:
    """Check everything a link needs, a line each, without opening a browser.

    Ends with the status a link would end with, 0 where all is well.
    """
    findings = _of_the_run(options, RepoType(repo_type))
    if options["as_json"]:
        print_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            _print(finding)
    error = next((finding.error for finding in findings if finding.error), None)
    if error and options["as_json"]:
        print_error(error, as_json=True, trace=False)
    return error.exit_status if error else 0


def _of_the_run(options: dict[str, Any], repo_type: RepoType) -> list[Finding]:
    from oauth_helper.wiring import name_for  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    try:
        started = start_run(options)
    except OAuthHelperError as error:
        return [_failed("settings", error), run(_listener(options["port"]))]
    name = name_for(repo_type) if options["name"] is None else options["name"]
    return run(_all_findings(started, repo_type, name, options["port"]))


async def _all_findings(started: Run, repo_type: RepoType, name: str, port: int | None) -> list[Finding]:
    credentials, told = _credentials(started)
    findings = _settings(started) + told
    async for finding in _service(started, credentials, LinkRequest(repo_type, name) if is_legal_name(name) else None):
        findings.append(finding)
    return [*findings, *_pending(), await _browser(started), await _listener(port)]


def _settings(started: Run) -> list[Finding]:
    findings = []
    for field in fields(started.settings):
        if field.name == "browser" or (field.name == "endpoint" and not started.settings.endpoint.value):
            continue  # the lines of these come with their checks
        setting: Sourced[object] = getattr(started.settings, field.name)
        value: str = phrase("not set") if setting.value is None else presentable(f"{setting.value}")
        findings.append(Finding(field.name, "ok", phrase("{value} ({origin})", value=value, origin=setting.origin)))
    try:
        started.settings.required_endpoint()
    except SettingsError as error:
        findings.append(_failed("endpoint", error))
    return findings


def _credentials(started: Run) -> tuple[FoundCredentials | None, list[Finding]]:
    try:
        found = find_credentials(started.environ, started.credentials_file)
        if found is None:
            raise no_credentials()
    except OAuthHelperError as error:
        return None, [_failed("credentials", error)]
    findings = [Finding("credentials", "ok", phrase("{kind} ({origin})", kind=_kind(found), origin=found.origin))]
    if started.others_can_read(found):
        hint = verbatim(f"chmod 600 {started.credentials_file.path}")
        findings.append(Finding("credentials", "note", phrase("others can read the file they lie in"), hint))
    return found, findings


def _kind(found: FoundCredentials) -> Phrase:
    if isinstance(found.value, AccessKey):
        return phrase("a temporary access key") if found.value.security_token else phrase("an access key")
    return phrase("an IAM token") if isinstance(found.value, IamToken) else phrase("an IAM user's name and password")


async def _service(
    started: Run, credentials: FoundCredentials | None, request: LinkRequest | None
) -> AsyncIterator[Finding]:
    from oauth_helper.wiring import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    if request is None:
        yield _failed("name", IllegalNameError(phrase("The name has characters or a length that ServiceStage refuses")))
    if credentials is None or not started.settings.endpoint.value:
        yield Finding("service", "note", phrase("not asked: what it takes is missing"))
        return
    try:
        async with open_service(started.settings, credentials) as service:
            async for finding in _answer(service, request):
                yield finding
    except OAuthHelperError as error:
        yield _failed("service", error)


async def _answer(service: ServiceStageClient, request: LinkRequest | None) -> AsyncIterator[Finding]:
    began = time.perf_counter()
    listed: list[Authorization] | None = None
    try:
        listed = await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
        yield Finding(
            "service", "note", phrase("{message}; a link goes on without the list", message=error.message), error.hint
        )
    else:
        took = (time.perf_counter() - began) * 1000
        answered = counted(
            "answered in {took:.0f} ms; {count} authorization",
            "answered in {took:.0f} ms; {count} authorizations",
            len(listed),
            took=took,
        )
        yield Finding("service", "ok", answered)
    if (skew := service.last_clock_skew) is not None:
        verdict = "ok" if abs(skew) <= _TOLERATED_SKEW else "note"
        if skew > 0:
            yield Finding("clock", verdict, phrase("{seconds:.0f} s behind the server's", seconds=skew))
        else:
            yield Finding("clock", verdict, phrase("{seconds:.0f} s ahead of the server's", seconds=-skew))
    if listed is not None and request is not None:
        yield _name(request, listed)


def _name(request: LinkRequest, listed: list[Authorization]) -> Finding:
    try:
        standing = find_standing(request, listed)
    except NameTakenError as error:
        return _failed("name", error)
    if standing:
        return Finding("name", "note", phrase("{name} exists already; a link keeps it as it is", name=request.name))
    return Finding("name", "ok", phrase("{name} is free", name=request.name))


def _pending() -> list[Finding]:
    pendings, troubles = Journal.of_the_user().read_all()
    names = ", ".join(pending.target.name for pending in pendings)
    unfinished = phrase("{names}: the redirect came, but it is not known to be exchanged", names=names)
    found = [Finding("pending", "note", unfinished, phrase("`oauth-helper resume` finishes it."))] if pendings else []
    return found + [Finding("pending", "note", trouble) for trouble in troubles]


async def _browser(started: Run) -> Finding:
    from oauth_helper.wiring import Ways, plan_opening  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    browser = started.settings.browser
    wanted = phrase("{value} ({origin})", value=browser.value, origin=browser.origin)
    ways = Ways(browser=browser.value, say=started.narrator.insist, environ=started.environ)
    try:
        plan = await plan_opening(ways)
    except NoBrowserError as error:
        return _failed(
            "browser",
            NoBrowserError(phrase("{wanted}: {message}", wanted=wanted, message=error.message), hint=error.hint),
        )
    return Finding("browser", "note" if plan.warning else "ok", phrase("{wanted}: {why}", wanted=wanted, why=plan.why))


async def _listener(port: int | None) -> Finding:
    from oauth_helper.listener import Listener  # noqa: PLC0415 - as above

    try:
        async with Listener(port) as listener:
            host, _, number = listener.address.removeprefix("http://").partition(":")
            import asyncio  # noqa: PLC0415 - a help need not wait for it

            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(host, int(number))
            writer.close()
            await writer.wait_closed()
    except OAuthHelperError as error:
        return _failed("listener", error)
    except (OSError, TimeoutError) as error:
        return _failed(
            "listener",
            MachineError(
                phrase("cannot be reached: {error}", error=error), hint=phrase("Check this machine's firewall.")
            ),
        )
    return Finding("listener", "ok", phrase("{host} can be listened on and reached", host=host))


def _failed(subject: str, error: OAuthHelperError) -> Finding:
    return Finding(subject, "fail", error.message, error.hint, error)


def _print(finding: Finding) -> None:
    verdict = coloured(f"{finding.verdict:<5}", sys.stdout, _COLOURS[finding.verdict])
    click.echo(f"{verdict} {finding.subject:<13}{in_words(finding.message)}")
    if finding.hint:
        click.echo(f"{'':<19}{in_words(finding.hint)}")
