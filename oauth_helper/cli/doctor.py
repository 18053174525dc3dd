"""The command `doctor`: check everything a link needs; report it for people, scripts, or in public."""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from importlib.metadata import version
from typing import Any, Final

import click

from oauth_helper import errors
from oauth_helper.api import open_service
from oauth_helper.browsers.discovery import PRODUCTS, InstalledBrowser, find_browsers, tool_output, why_no_display
from oauth_helper.cli import console
from oauth_helper.cli.app import print_error
from oauth_helper.cli.console import print_text, translate, width_of
from oauth_helper.cli.help import command, option
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    PORT_OPTION,
    REPO_TYPE,
    Invocation,
    connection_options,
    output_options,
    run,
)
from oauth_helper.cli.output import print_json
from oauth_helper.credential_sources import CHAIN_VARIABLES
from oauth_helper.credentials import CredentialSource
from oauth_helper.environment import Place, cannot_authorize, find_environment
from oauth_helper.errors import OAuthHelperError
from oauth_helper.exchange import find_existing, is_list_alone_refused
from oauth_helper.i18n import NO_TEXT, Sentence, Text, _, enumerated, joined, ngettext
from oauth_helper.journal import Journal
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import LinkRequest, RepoType, name_for
from oauth_helper.secret import safe_text
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import tls_context
from oauth_helper.session import BrowserOptions, plan_browser
from oauth_helper.settings import BROWSER_CHOICES, ENVIRONMENT, flag_of, others_can_read, regions_file
from oauth_helper.values import Sourced
from oauth_helper.version import VERSION

OK: Final = "ok"
NOTE: Final = "note"
"""A link can work all the same."""
FAIL: Final = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    subject: str
    verdict: str
    message: Text
    hint: Text = NO_TEXT
    """What to do; empty if there is nothing to do."""
    error: OAuthHelperError | None = None
    """The error that a link would end with."""


def _failed(subject: str, error: OAuthHelperError) -> Finding:
    return Finding(subject, FAIL, error.message, error.hint, error)


@command(
    "doctor",
    help="""Check everything a link needs, a line each, without opening a browser.

    Fix the first "fail" first; "note" doesn't block linking. The exit status is the one that a link would have.
    """,
)
@click.argument("repo_type", type=REPO_TYPE, metavar="[REPO_TYPE]", default=RepoType.GITHUB.value)
@option("--name", metavar="NAME", help="The name a link would use.  [default: REPO_TYPE-<your login name>]")
@BROWSER_OPTION
@PORT_OPTION
@option(
    "--report",
    "as_report",
    is_flag=True,
    help="Print a report that can be shown in public: no secret, name, path or private host.",
)
@connection_options
@output_options
def doctor_command(repo_type: str, **options: Any) -> int:
    """Run ``oauth-helper doctor``."""
    if options["as_report"] and options["as_json"]:
        raise errors.UsageError(_("--report is for people, --json for scripts"), hint=_("Give one of them."))
    findings = run(_check_all(RepoType(repo_type), options))
    if options["as_report"]:
        print_report(findings)
    elif options["as_json"]:
        keys = ("subject", "verdict", "message", "hint")
        print_json([{key: getattr(finding, key) for key in keys} for finding in findings])
    else:
        print_findings(findings, repo_type)
    error = next((finding.error for finding in findings if finding.error), None)
    if error and options["as_json"]:
        print_error(error, as_json=True)
    return error.exit_status if error else 0


async def _check_all(repo_type: RepoType, options: Mapping[str, Any]) -> list[Finding]:
    """Make every check; none of them opens a browser or creates anything."""
    try:
        invocation = Invocation(options)
    except OAuthHelperError as error:
        return [_failed(_("settings"), error), await check_listener(options["port"])]
    name = name_for(repo_type) if options["name"] is None else options["name"]
    findings: list[Finding] = []
    request = None
    try:
        request = LinkRequest(repo_type, name)
    except errors.IllegalNameError as error:
        findings.append(_failed(_("name"), error))
    credentials, about_credentials = _check_credentials(invocation)
    findings += [_check_place(invocation), *_check_settings(invocation), *about_credentials]
    findings += [finding async for finding in _check_service(invocation, credentials, request)]
    return [*findings, *_check_pending(), await _check_browser(invocation), await check_listener(options["port"])]


_PLACES: Final[Mapping[Place, Text]] = {
    Place.BUILD: _("a build service (CI is set): no questions are asked"),
    Place.CODESPACE: _("a codespace: your editor forwards the page's port to your machine"),
    Place.GITPOD: _("Gitpod: your editor forwards the page's port to your machine"),
    Place.DEV_CONTAINER: _("a dev container: your editor forwards the page's port to your machine"),
    Place.SSH: _("over SSH: a link opens no browser, and prints the `ssh -L` line to run first"),
    Place.WSL: _("WSL: a browser of Windows reaches the page through localhost forwarding"),
    Place.CONTAINER: _("a container: a browser outside reaches the page only if it shares the network"),
    Place.DESKTOP: _("this machine"),
}


def _check_place(invocation: Invocation) -> Finding:
    if invocation.is_unattended:
        return _failed(_("place"), cannot_authorize())
    return Finding(_("place"), OK, _PLACES[find_environment(invocation.environ).place])


_UNSET: Final = {"ca_bundle": _("certificates of the system"), "tag": _("no tag")}


def _check_settings(invocation: Invocation) -> Iterator[Finding]:
    settings, defaults, path = invocation.settings, list[Text](), invocation.settings.config.path
    if settings.config.unreadable:
        yield Finding(_("settings"), NOTE, _("the settings file could not be examined"), settings.config.unreadable)
    elif settings.config.values:
        region = _("{path} (region {region})", path=path, region=settings.region.value)
        yield Finding(_("settings"), OK, region if settings.region.file == path else Text(path))
    yield from (Finding(_("settings"), NOTE, notice) for notice in settings.notices)
    if regions := regions_file(invocation.environ):
        hint = _("Set HUAWEICLOUD_SDK_REGION_SERVICESTAGE_<REGION> to its endpoint.")
        yield Finding(_("settings"), NOTE, _('"{path}" is not read', path=regions), hint)
    for name in ("region", "endpoint", "project_id", "iam_endpoint", "cloud", "ca_bundle", "tag", "timeout"):
        setting: Sourced[Any] = getattr(settings, name)
        value = f"{setting.value:g} s" if name == "timeout" else safe_text(setting.value or "")
        if setting.is_default and name in {"cloud", "ca_bundle", "tag", "timeout"}:
            defaults.append(_("{name} {value}", name=name, value=value) if value else _UNSET[name])
            continue
        found = _("{value} ({origin})", value=value, origin=setting.origin) if value else _("not set")
        try:
            if name == "region" and not value:
                settings.required_endpoint()
            elif name == "ca_bundle":
                tls_context(setting.value)
            elif name == "project_id" and not settings.usable_project_id() and (by := settings.project_name).value:
                found = _("asked of IAM by its name {name} ({origin})", name=by.value, origin=by.origin)
            is_missing = found == "not set" and name != "region"
            yield Finding(name, NOTE if is_missing else OK, found)
        except errors.SettingsError as error:
            yield _failed(name, error)
    yield Finding(_("defaults"), OK, enumerated(defaults))


def _check_credentials(invocation: Invocation) -> tuple[CredentialSource | None, list[Finding]]:
    search = invocation.search
    try:
        found = search.required()
    except OAuthHelperError as error:
        return None, [_failed(_("credentials"), error)]
    text = _("{identity} ({found_in})", identity=found.identity, found_in=found.found_in)
    findings = [Finding(_("credentials"), OK, text)]
    if search.unused:
        text = _("set, but not used: {names}", names=joined(search.unused))
        hint = _("The first source that is found counts; OAUTH_HELPER_CREDENTIALS selects another one.")
        findings.append(Finding(_("credentials"), NOTE, text, hint))
    if found.file and others_can_read(found.file):
        hint = _("Run: {command}", command=f"chmod 600 {found.file}")
        findings.append(Finding(_("credentials"), NOTE, _("other users can read their file"), hint))
    return found, findings


_TOLERATED_SKEW: Final = 60.0
"""Seconds; servers refuse signatures from 900 on."""


async def _check_service(
    invocation: Invocation, credentials: CredentialSource | None, request: LinkRequest | None
) -> AsyncIterator[Finding]:
    """Yield what an answer of ServiceStage shows: of the service, the clock and the name."""
    if credentials is None or not invocation.settings.endpoint.value:
        missing = _("skipped: region or credentials missing")
        yield Finding(_("service"), NOTE, missing, _("Fix what is marked above, and run it again."))
        return
    try:
        async with open_service(invocation.settings, credentials) as service:
            if credentials.expires_at:
                until = f"{credentials.expires_at.astimezone():%Y-%m-%d %H:%M:%S %z}"
                yield Finding(_("credentials"), OK, _("valid until {until}", until=until))
            async for finding in _check_answer(service, request):
                yield finding
    except OAuthHelperError as error:
        yield _failed(_("service"), error)


async def _check_answer(service: ServiceStageClient, request: LinkRequest | None) -> AsyncIterator[Finding]:
    began = time.perf_counter()
    existing = None
    try:
        existing = await service.list_authorizations()
    except errors.NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
        text = _("{message}; a link goes on without the list", message=error.message)
        yield Finding(_("service"), NOTE, text, error.hint)
    else:
        text = ngettext(
            "answered in {took:.0f} ms; {count} authorization",
            "answered in {took:.0f} ms; {count} authorizations",
            len(existing),
            took=(time.perf_counter() - began) * 1000,
        )
        if service.proxy:
            text += _(", through the proxy {proxy}", proxy=service.proxy)
        yield Finding(_("service"), OK, text)
    if (skew := service.last_clock_skew) is not None:
        text = _("{seconds:.0f} s ahead of the server's", seconds=-skew)
        if skew > 0:
            text = _("{seconds:.0f} s behind the server's", seconds=skew)
        hint = NO_TEXT if abs(skew) <= _TOLERATED_SKEW else errors.ClockSkewError(text).hint
        yield Finding(_("clock"), NOTE if hint else OK, text, hint)
    if existing is None or request is None:
        return
    try:
        if find_existing(request, existing):
            text = _("{name} is already linked; a link keeps it", name=request.name)
            hint = _("To relink it: --if-exists replace. To keep both: --name NAME.")
            yield Finding(_("name"), NOTE, text, hint)
        else:
            yield Finding(_("name"), OK, _("{name} is free", name=request.name))
    except errors.NameTakenError as error:
        yield _failed(_("name"), error)


def _check_pending() -> Iterator[Finding]:
    pendings, problems = Journal.of_the_user().read_all()
    if pendings:
        names = ", ".join(pending.target.name for pending in pendings)
        text = _("unfinished: {names}", names=names)
        yield Finding(_("pending"), NOTE, text, _("`oauth-helper resume` finishes it."))
    for problem in problems:
        hint = _("Make that folder and its files yours alone, and remove files that are not entries of oauth-helper.")
        yield Finding(_("pending"), NOTE, problem, hint)


async def _check_browser(invocation: Invocation) -> Finding:
    browser = invocation.settings.browser
    wanted = _("{value} ({origin})", value=browser.value, origin=browser.origin)
    browser_options = BrowserOptions(
        browser=browser.value,
        say=invocation.reporter.print_always,
        environ=invocation.environ,
        has_script=invocation.is_unattended,  # the check of the place reports that no person can authorize
    )
    try:
        plan = await plan_browser(browser_options)
    except errors.NoBrowserError as error:
        text = _("{wanted}: {message}", wanted=wanted, message=error.message)
        return _failed(_("browser"), errors.NoBrowserError(text, hint=error.hint))
    if plan.windows and (why := await asyncio.to_thread(why_no_display, invocation.environ)):
        return _failed(_("browser"), errors.NoBrowserError(_("{wanted}: {message}", wanted=wanted, message=why)))
    message = _("{wanted}: {why}", wanted=wanted, why=plan.why)
    if not plan.warning:
        return Finding(_("browser"), OK, message)
    hint = _("Open the address that a link prints in any browser, or have BROWSER name one.")
    if plan.windows:
        hint = plan.warning
    elif plan.opens_default:
        hint = _("The page takes the address where your browser ends. Chromium or Firefox would save the copy.")
    return Finding(_("browser"), NOTE, message, hint)


async def check_listener(port: int | None) -> Finding:
    """Listen as a link would, and connect to it."""
    try:
        async with Listener(port) as listener:
            host, _colon, number = listener.address.removeprefix("http://").partition(":")
            async with asyncio.timeout(5):
                _reader, writer = await asyncio.open_connection(host, int(number))
            writer.close()
            await writer.wait_closed()
    except OAuthHelperError as error:
        return _failed(_("listener"), error)
    except (OSError, TimeoutError) as error:
        text = _("cannot be reached: {error}", error=error)
        return _failed(_("listener"), errors.MachineError(text, hint=_("Check this machine's firewall.")))
    return Finding(_("listener"), OK, _("{host} can be listened on and reached", host=host))


_VERDICTS: Final[Mapping[str, tuple[Text, str]]] = {
    OK: (_("ok"), "green"),
    NOTE: (_("note"), "yellow"),
    FAIL: (_("fail"), "red"),
}


def print_findings(findings: Sequence[Finding], repo_type: str) -> None:
    """Print each finding, wrapped below its message, and a conclusion."""
    width = console.columns_of(sys.stdout) - 1 if sys.stdout.isatty() else 1_000_000
    subjects = [translate(finding.subject) for finding in findings]
    verdict_width = max(5, *(width_of(translate(text)) for text, _colour in _VERDICTS.values())) + 1
    indent = verdict_width + max(12, *map(width_of, subjects)) + 1
    for finding, subject in zip(findings, subjects, strict=True):
        text, colour = _VERDICTS[finding.verdict]
        verdict = console.padded(translate(text), verdict_width)
        start = verdict + console.padded(subject, indent - verdict_width)
        texts = [translate(text) for text in (finding.message, finding.hint) if text]
        for line in (line for text in texts for line in console.wrapped(text, max(width - indent, 1))):
            print_text(start + line, console.style(verdict, sys.stdout, fg=colour, bold=True) if start.strip() else "")
            start = " " * indent
    conclusion = _("Ready: run `oauth-helper link {repo_type}`.", repo_type=repo_type)
    if any(finding.verdict == FAIL for finding in findings):
        conclusion = _("Fix the first line marked {fail} first.", fail=_VERDICTS[FAIL][0])
    for line in console.wrapped(translate(conclusion), width):
        print_text(line, console.style(line, sys.stdout, bold=True))


_LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE")
_LOCALE_SHAPE: Final = r"(?:C|POSIX|[a-z]{2,3}(?:_[A-Z]{2})?)(?:\.[A-Za-z0-9-]{3,10})?(?:@[a-z]{1,10})?"
_TERMINAL_SHAPE: Final = r"(?:xterm|tmux|screen|linux|vt\d+|dumb|rxvt|alacritty|foot|konsole)[a-z0-9.+-]{0,24}"
_OTHER_VARIABLES: Final = (
    *("BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "TMUX", "NO_COLOR", "XDG_RUNTIME_DIR"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "OAUTH_HELPER_CONFIG"),
)
"""The report says whether they are set, not their values."""
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_API_CODE: Final = re.compile(r"[A-Z]{2,8}(?:\.[A-Z0-9]{2,6}){1,3}")


def print_report(findings: Sequence[Finding]) -> None:
    """Print a report for the maintainers of oauth-helper, in English in every language."""
    for line in (*_about_machine(), *run(_about_browsers()), ""):
        print_text(line)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        text = redacted(finding.message)
        if error := finding.error:
            code = f" {error.code}" if _API_CODE.fullmatch(error.code or "") else ""
            text += f" [{error.kind}, status {error.exit_status}{code}]"
        print_text(f"{finding.verdict:<4} {finding.subject:<{width}} {text}".rstrip())


def _about_machine() -> Iterator[str]:
    kernel = _VERSION.match(platform.release())
    system = (platform.system(), kernel[0] if kernel else "", platform.machine())
    streams = [
        f"{name} {'a' if os.isatty(number) else 'no'} terminal"
        for number, name in enumerate(("stdin", "stdout", "stderr"))
    ]
    terminal = _known_values(("TERM",), _TERMINAL_SHAPE) or ["TERM is not set"]
    locale = _known_values(_LOCALE_VARIABLES, _LOCALE_SHAPE) or ["none is set"]
    yield f"oauth-helper {VERSION}"
    yield f"Python {platform.python_version()} on {' '.join(filter(None, system))}"
    yield ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "yarl", "click", "platformdirs"))
    yield f"terminal: {', '.join([*terminal, *streams])}"
    yield f"locale: {', '.join(locale)}, speaks {console.language_preference().language}, writes {sys.stdout.encoding}"
    yield "set: " + (", ".join(name for name in _OTHER_VARIABLES if os.environ.get(name)) or "nothing of interest")


def _known_values(names: tuple[str, ...], shape: str) -> list[str]:
    """Return ``NAME=value`` for each variable that is set; a value of another ``shape`` is masked."""
    values = {name: value for name in names if (value := os.environ.get(name))}
    return [f"{name}={value if re.fullmatch(shape, value) else MASK}" for name, value in values.items()]


async def _about_browsers() -> list[str]:
    found = await asyncio.gather(*(_about_browser(browser) for browser in await find_browsers(os.environ)))
    return [f"place: {find_environment(os.environ).place}", "browsers: " + (", ".join(found) or "none found")]


async def _about_browser(browser: InstalledBrowser) -> str:
    number = None
    # Elsewhere `--version` would open a window, or start a launcher.
    if sys.platform == "linux" and len(browser.command) == 1 and browser.packaging == "plain":
        number = _VERSION.search(await tool_output(browser.command[0], "--version", environ=os.environ))
    words = [browser.name, *([number[0]] if number else []), f"({browser.packaging}"]
    return " ".join(words) + (", default)" if browser.is_default else ")")


MASK: Final = "***"
_CLOUDS: Final = ("myhuaweicloud.com", "myhuaweicloud.eu", "g42cloud.com", "hc.sbercloud.ru")
_PUBLIC: Final = frozenset(
    {*BROWSER_CHOICES, *(product.name for product in PRODUCTS), *(os.strerror(number) for number in errno.errorcode)}
    | {name for names in ENVIRONMENT.values() for name in names}
    | {*map(flag_of, ENVIRONMENT), *ENVIRONMENT, *CHAIN_VARIABLES, *_CLOUDS}
    | {"HW_PROJECT_NAME", "OS_PROJECT_NAME", "OS_TENANT_NAME", "HTTPS_PROXY", "https_proxy", "intl", ""}
)
_REGION: Final = r"(?:ae|af|ap|cn|eu|la|me|my|na|ru|sa|tr)-(?:central|(?:north|south)?(?:east|west)?)-\d{1,3}"
_SHAPES: Final = re.compile(
    rf"{_REGION}|\d+(?:\.\d+)? s|[A-Z][A-Za-z]{{2,40}}Error|(?:APIGW?|IAM|PEP|SVCSTG)(?:\.[A-Z0-9]{{2,6}}){{1,3}}"
    r"|U\+[0-9A-F]{4,6}(?: [A-Z -]+)?"
)
"""A region, seconds, a type of exception, a code of the API, an invisible character."""
_PUBLIC_HOST: Final = re.compile(
    rf"((?:https?://)?(?:(?:iam|servicestage|sts)\.{_REGION}\.(?:{'|'.join(map(re.escape, _CLOUDS))})"
    r"|127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?)(/.*)?"
)


def redacted(text: object) -> str:
    """Return a message in English that contains only our own words and public values."""
    if not isinstance(text, Text):
        return str(_public(text))
    return "".join(_sentence(sentence) for sentence in text.sentences)


def _sentence(sentence: Sentence) -> str:
    values = {name: _public(value) for name, value in sentence.values.items()}
    try:
        return Text(sentences=(Sentence(sentence.template, values, sentence.plural, sentence.count),))
    except (ValueError, TypeError):  # a format that the mask does not support
        return MASK


def _public(value: object) -> object:
    match value:
        case Text():
            return redacted(value)
        case bool() | int() | float() | datetime() | Enum() | None:
            return value
        case OSError(strerror=str(reason)) if reason in _PUBLIC:
            return reason
        case str() if all(part in _PUBLIC or _SHAPES.fullmatch(part) for part in re.split(", | and |^: ", value)):
            return value
        case str() if host := _PUBLIC_HOST.fullmatch(value):
            return host[1] + (f"/{MASK}" if host[2] else "")
        case _:
            return MASK
