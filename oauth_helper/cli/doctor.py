"""The `doctor` command."""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from oauth_helper.browsers.discovery import PRODUCTS, FoundBrowser, Machine
from oauth_helper.cli.console import coloured, fitted, in_words, padded, print_text, spoken, width_of
from oauth_helper.cli.help import command, option
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    PORT_OPTION,
    REPO_TYPE,
    Run,
    connection_options,
    output_options,
    run,
    start_run,
)
from oauth_helper.credential_sources import SECRET_VARIABLES, FoundCredentials, find_credentials, no_credentials
from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.environment import Place, nobody_could_authorize
from oauth_helper.errors import (
    ClockSkewError,
    IllegalNameError,
    MachineError,
    NameTakenError,
    NoBrowserError,
    NotPermittedError,
    OAuthHelperError,
    SettingsError,
    UsageError,
)
from oauth_helper.exchange import find_existing, is_list_alone_refused
from oauth_helper.i18n import NO_TEXT, Sentence, Text, _, ngettext
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, LinkRequest, RepoType
from oauth_helper.secret import safe_text
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserPlan
from oauth_helper.settings import BROWSER_CHOICES, ENVIRONMENT
from oauth_helper.values import Sourced

OK: Final = "ok"
NOTE: Final = "note"
"""A link can work all the same."""
FAIL: Final = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    subject: str
    verdict: str
    message: Text
    hint: Text = NO_TEXT
    """How to mend it; of what is well, nothing."""
    error: OAuthHelperError | None = None
    """What a link would end with."""

    def to_json(self) -> dict[str, str]:
        """Return what a script is told."""
        return {"subject": self.subject, "verdict": self.verdict, "message": self.message, "hint": self.hint}


def failed(subject: str, error: OAuthHelperError) -> Finding:
    """Return what is found where a link would end with ``error``."""
    return Finding(subject, FAIL, error.message, error.hint, error)


MASK: Final = "***"

_PUBLIC: Final = frozenset(
    {*BROWSER_CHOICES, *(product.name for product in PRODUCTS), *(os.strerror(number) for number in errno.errorcode)}
    | {name for names in ENVIRONMENT.values() for name in names}
    | {f"--{key.replace('_', '-')}" for key in ENVIRONMENT}
    | SECRET_VARIABLES
    | {"HUAWEICLOUD_SDK_AK", "HW_ACCESS_KEY", "HW_USER_NAME", "HW_DOMAIN_NAME", "127.0.0.1", "intl", ""}
    | {"HTTPS_PROXY", "https_proxy"}
)
_REGION: Final = r"(?:ae|af|ap|cn|eu|la|me|my|na|ru|sa|tr)-(?:central|(?:north|south)?(?:east|west)?)-\d{1,3}"
_PUBLIC_HOST: Final = re.compile(rf"(?:iam|servicestage)\.{_REGION}\.myhuaweicloud\.com|127\.0\.0\.1|localhost|\[::1\]")
_SHAPES: Final = re.compile(
    rf"{_REGION}|\d+(?:\.\d+)? s|[A-Z][A-Za-z]{{2,40}}Error|(?:APIGW?|IAM|PEP|SVCSTG)(?:\.[A-Z0-9]{{2,6}}){{1,3}}"
    r"|U\+[0-9A-F]{4,6}(?: [A-Z -]+)?"
)
"""A region, seconds, a kind of exception, a code of the API, a character that cannot be seen."""
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?")
_HOSTS: Final = frozenset({"host", "peer", "proxy", "server"})
"""The names under which our words have a host."""


def redacted(text: str) -> str:
    """Return a phrase in English, with nothing in it but our own words and what anybody may know."""
    if not isinstance(text, Text):
        return str(_value("", text))
    return "".join(_sentence(sentence) for sentence in text.sentences)


def short_host(host: str) -> str:
    """Return a host's name, each part of it cut down to its ends; as it is where everybody knows it."""
    name, colon, port = host.rpartition(":") if re.fullmatch(r".*:\d{1,5}", host) else (host, "", "")
    if _PUBLIC_HOST.fullmatch(name):
        return host
    *parts, last = name.split(".")
    shortened = [f"{part[0]}…{part[-1]}" if len(part) > 3 else "…" for part in parts]
    return ".".join([*shortened, last if last.isalpha() and parts else "…"]) + colon + port


def _sentence(sentence: Sentence) -> str:
    values = {name: _value(name, value) for name, value in sentence.values.items()}
    try:
        return Text(sentences=(Sentence(sentence.template, values, sentence.plural, sentence.count),))
    except (ValueError, TypeError):  # a form that stars do not take
        return MASK


def _value(name: str, value: object) -> object:
    match value:
        case Text():
            return redacted(value)
        case bool() | int() | float() | datetime() | Enum() | None:
            return value
        case OSError(strerror=str(reason)) if reason in _PUBLIC:
            return reason
        case str():
            return _text(name, value)
        case _:
            return MASK


def _text(name: str, text: str) -> str:
    if all(part in _PUBLIC or _SHAPES.fullmatch(part) for part in re.split(", | and |^: ", text)):
        return text
    if text.startswith(("http://", "https://")):
        return _address(text)
    return short_host(text) if name in _HOSTS and _HOST.fullmatch(text) else MASK


def _address(text: str) -> str:
    try:
        address = urlsplit(text)
        host, port = address.hostname or "", address.port
    except ValueError:
        return MASK
    shown = short_host(f"[{host}]" if ":" in host else host)
    return (
        f"{address.scheme}://{shown}" + (f":{port}" if port else "") + (f"/{MASK}" if address.path.strip("/") else "")
    )


def known(values: Mapping[str, str], names: tuple[str, ...], shape: str) -> list[str]:
    """Return ``NAME=value`` of each variable that is set; stars for a value that is not of that ``shape``."""
    set_ones = [(name, values[name]) for name in names if values.get(name)]
    return [f"{name}={value if re.fullmatch(shape, value) else MASK}" for name, value in set_ones]


PLACES: Final[Mapping[Place, Text]] = {
    Place.BUILD: _("a build service (CI is set): nobody is asked for anything"),
    Place.CODESPACE: _("a codespace: your editor forwards the page's port to your machine"),
    Place.GITPOD: _("Gitpod: your editor forwards the page's port to your machine"),
    Place.DEV_CONTAINER: _("a dev container: your editor forwards the page's port to your machine"),
    Place.SSH: _("over SSH: a link opens no browser, and prints the `ssh -L` line to run first"),
    Place.WSL: _("WSL: a browser of Windows reaches the page through localhost forwarding"),
    Place.CONTAINER: _("a container: a browser outside reaches the page only if it shares the network"),
    Place.DESKTOP: _("this machine, with you in front of it, as far as can be told"),
}


def check_place(started: Run) -> Finding:
    """Return where we run, and what follows."""
    from oauth_helper.browsers.discovery import environment  # noqa: PLC0415 - --help need not pay for asyncio

    if started.is_unattended:
        return failed("place", nobody_could_authorize())
    return Finding("place", OK, PLACES[environment(started.environ).place])


def check_pending() -> list[Finding]:
    """Return what earlier runs have left; where there is nothing, no line."""
    pendings, troubles = Journal.of_the_user().read_all()
    names = ", ".join(pending.target.name for pending in pendings)
    unfinished = _("{names}: the redirect came, but it is not known to be exchanged", names=names)
    found = [Finding("pending", NOTE, unfinished, _("`oauth-helper resume` finishes it."))] if pendings else []
    in_the_way = _("Let that folder and its files be yours alone; what is no entry of ours can be removed.")
    return found + [Finding("pending", NOTE, trouble, in_the_way) for trouble in troubles]


async def check_browser(started: Run) -> Finding:
    """Return how a link would open a browser."""
    from oauth_helper.session import BrowserOptions, plan_browser  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    browser = started.settings.browser
    wanted = _("{value} ({origin})", value=browser.value, origin=browser.origin)
    # That nobody is there is told with the place, and ends a link before it looks for a browser.
    browser_options = BrowserOptions(
        browser=browser.value,
        say=started.reporter.insist,
        environ=started.environ,
        has_script=started.is_unattended,
    )
    try:
        plan = await plan_browser(browser_options)
    except NoBrowserError as error:
        return failed(
            "browser",
            NoBrowserError(_("{wanted}: {message}", wanted=wanted, message=error.message), hint=error.hint),
        )
    if why := await _why_no_display(started, plan):
        return failed("browser", NoBrowserError(_("{wanted}: {message}", wanted=wanted, message=why)))
    message = _("{wanted}: {why}", wanted=wanted, why=plan.why)
    return Finding("browser", NOTE, message, _guidance(plan)) if plan.warning else Finding("browser", OK, message)


async def _why_no_display(started: Run, plan: BrowserPlan) -> Text | None:
    """Return why no window of a browser that was demanded can come up."""
    from oauth_helper.browsers.discovery import why_no_display  # noqa: PLC0415 - as above

    if not plan.windows:
        return None
    return await asyncio.to_thread(why_no_display, started.environ, sys.platform)


def _guidance(plan: BrowserPlan) -> Text:
    if plan.windows:
        return plan.warning
    if plan.opens_default:
        return _("The page takes the address where your browser ends. Chromium or Firefox would save the copy.")
    return _("Open the address that a link prints in any browser, or have BROWSER name one.")


async def check_listener(port: int | None) -> Finding:
    """Listen as a link would, and connect to it."""
    from oauth_helper.listener.handlers import Listener  # noqa: PLC0415 - as above

    try:
        async with Listener(port) as listener:
            host, _unused, number = listener.address.removeprefix("http://").partition(":")
            async with asyncio.timeout(5):
                _reader, writer = await asyncio.open_connection(host, int(number))
            writer.close()
            await writer.wait_closed()
    except OAuthHelperError as error:
        return failed("listener", error)
    except (OSError, TimeoutError) as error:
        reason = _("cannot be reached: {error}", error=error)
        return failed("listener", MachineError(reason, hint=_("Check this machine's firewall.")))
    return Finding("listener", OK, _("{host} can be listened on and reached", host=host), NO_TEXT)


_TOLERATED_SKEW: Final = 60.0
"""Seconds; signatures are refused from 900 on, but a clock that is off by a minute is on its way there."""


async def check_service(
    started: Run, credentials: FoundCredentials | None, request: LinkRequest | None
) -> AsyncIterator[Finding]:
    """Yield what ServiceStage's answer shows; without ``request`` nothing of the name."""
    from oauth_helper.api import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    if credentials is None or not started.settings.endpoint.value:
        missing = _("not asked: what it takes is missing")
        yield Finding("service", NOTE, missing, _("Mend what is marked above, and run it again."))
        return
    try:
        async with open_service(started.settings, credentials) as service:
            async for finding in _answer(service, request):
                yield finding
    except OAuthHelperError as error:
        yield failed("service", error)


async def _answer(service: ServiceStageClient, request: LinkRequest | None) -> AsyncIterator[Finding]:
    began = time.perf_counter()
    listed: list[Authorization] | None = None
    try:
        listed = await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
        yield Finding(
            "service", NOTE, _("{message}; a link goes on without the list", message=error.message), error.hint
        )
    else:
        took = (time.perf_counter() - began) * 1000
        answered = ngettext(
            "answered in {took:.0f} ms; {count} authorization",
            "answered in {took:.0f} ms; {count} authorizations",
            len(listed),
            took=took,
        )
        if service.proxy:
            answered += _(", through the proxy {proxy}", proxy=service.proxy)
        yield Finding("service", OK, answered)
    if (skew := service.last_clock_skew) is not None:
        yield _clock(skew)
    if listed is not None and request is not None:
        yield _name(request, listed)


def _clock(skew: float) -> Finding:
    if skew > 0:
        told = _("{seconds:.0f} s behind the server's", seconds=skew)
    else:
        told = _("{seconds:.0f} s ahead of the server's", seconds=-skew)
    is_well = abs(skew) <= _TOLERATED_SKEW
    return Finding("clock", OK if is_well else NOTE, told, NO_TEXT if is_well else ClockSkewError(told).hint)


def _name(request: LinkRequest, listed: list[Authorization]) -> Finding:
    try:
        existing = find_existing(request, listed)
    except NameTakenError as error:
        return failed("name", error)
    if existing:
        kept = _("{name} exists already; a link keeps it as it is", name=request.name)
        return Finding("name", NOTE, kept, _("To link it anew: --if-exists replace. To keep both: --name NAME."))
    return Finding("name", OK, _("{name} is free", name=request.name))


_UNSET: Final[Mapping[str, Text]] = {
    "project_id": _("asked of IAM by the region's name"),
    "ca_bundle": _("the system's certificates"),
    "tag": _("none is sent"),
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
    if started.settings.config_trouble:
        yield Finding("settings", NOTE, _("the settings file could not be examined"), started.settings.config_trouble)
    for field in fields(started.settings):
        setting = getattr(started.settings, field.name)
        if field.name == "browser" or (field.name == "endpoint" and not started.settings.endpoint.value):
            continue  # the lines of these come with their checks
        if not isinstance(setting, Sourced):
            continue
        if setting.value is None:
            yield Finding(field.name, OK, _UNSET.get(field.name, _("not set")))
            continue
        if field.name == "project_id":
            try:
                started.settings.usable_project_id()
            except SettingsError as error:
                yield failed("project_id", error)
                continue
        if field.name == "ca_bundle" and (trouble := _trouble_with(f"{setting.value}")):
            yield failed(field.name, trouble)
            continue
        value = safe_text(f"{setting.value:g} s" if isinstance(setting.value, float) else f"{setting.value}")
        yield Finding(field.name, OK, _("{value} ({origin})", value=value, origin=setting.origin))
    try:
        started.settings.required_endpoint()
    except SettingsError as error:
        yield failed("endpoint", error)


def _trouble_with(ca_bundle: str) -> SettingsError | None:
    from oauth_helper.servicestage.transport import tls_context  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    try:
        tls_context(ca_bundle)
    except SettingsError as error:
        return error
    return None


def _credentials(started: Run) -> tuple[FoundCredentials | None, list[Finding]]:
    try:
        found = find_credentials(started.environ, started.credentials_file)
        if found is None:
            raise no_credentials(started.credentials_file)
    except OAuthHelperError as error:
        return None, [failed("credentials", error)]
    findings = [Finding("credentials", OK, _("{kind} ({origin})", kind=_kind(found), origin=found.origin))]
    if started.others_can_read(found):
        hint = _("Run: {command}", command=f"chmod 600 {started.credentials_file.path}")
        findings.append(Finding("credentials", NOTE, _("others can read the file they lie in"), hint))
    return found, findings


def _kind(found: FoundCredentials) -> Text:
    if isinstance(found.value, AccessKey):
        return _("a temporary access key") if found.value.security_token else _("an access key")
    return _("an IAM token") if isinstance(found.value, IamToken) else _("an IAM user's name and password")


_PACKAGES: Final = ("aiohttp", "yarl", "click", "platformdirs")
_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE")
_LOCALE_SHAPE: Final = r"(?:C|POSIX|[a-z]{2,3}(?:_[A-Z]{2})?)(?:\.[A-Za-z0-9-]{3,10})?(?:@[a-z]{1,10})?"
_TERMINAL_SHAPE: Final = r"(?:xterm|tmux|screen|linux|vt\d+|dumb|rxvt|alacritty|foot|konsole)[a-z0-9.+-]{0,24}"
_TOLD_IF_SET: Final = (
    *("BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "TMUX", "NO_COLOR", "XDG_RUNTIME_DIR"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "OAUTH_HELPER_CONFIG"),
)
"""That they are set says enough; to what is nobody's business."""
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


def print_report(findings: Sequence[Finding]) -> None:
    """Print it, in English whatever language is spoken: it is for those who mend oauth-helper."""
    for line in (*_machine(), *run(_browsers()), "", *_verdicts(findings)):
        print_text(line)


def _machine() -> Iterator[str]:
    kernel = _VERSION.match(platform.release())
    system = (platform.system(), kernel[0] if kernel else "", platform.machine())
    yield f"oauth-helper {_version('oauth-helper')}"
    yield f"Python {platform.python_version()} on {' '.join(filter(None, system))}"
    yield ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    terminal = known(os.environ, ("TERM",), _TERMINAL_SHAPE) or ["TERM is not set"]
    yield "terminal: " + ", ".join(
        [*terminal, f"stdin {_kind_in_report(0)}, stdout {_kind_in_report(1)}, stderr {_kind_in_report(2)}"]
    )
    locale = known(os.environ, _LOCALE, _LOCALE_SHAPE) or ["none is set"]
    yield "locale: " + ", ".join([*locale, f"speaks {spoken().language}, writes {sys.stdout.encoding}"])
    yield "set: " + (", ".join(name for name in _TOLD_IF_SET if os.environ.get(name)) or "nothing of interest")


async def _browsers() -> list[str]:
    from oauth_helper.browsers.discovery import (  # noqa: PLC0415 - only a report pays for it
        environment,
        find_browsers,
        look_around,
    )

    here = await look_around()
    found = await asyncio.gather(*(_described(here, browser) for browser in find_browsers(here)))
    return [f"place: {environment(os.environ).place}", "browsers: " + (", ".join(found) or "none found")]


async def _described(here: Machine, browser: FoundBrowser) -> str:
    from oauth_helper.browsers.discovery import ask  # noqa: PLC0415 - as above

    # Elsewhere the switch would open a window, or start what starts the browser.
    is_quick = here.is_linux and len(browser.command) == 1 and browser.packaging == "plain"
    found = _VERSION.search(await ask(here, browser.command[0], "--version")) if is_quick else None
    told = [browser.name, *([found[0]] if found else []), f"({browser.packaging}"]
    return " ".join(told) + (", default)" if browser.is_default else ")")


def _verdicts(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        said = redacted(finding.message)
        if finding.error:
            said += f" [{finding.error.kind}, status {finding.error.exit_status}{_code(finding.error)}]"
        yield f"{finding.verdict:<4} {finding.subject:<{width}} {said}".rstrip()


def _code(error: OAuthHelperError) -> str:
    return f" {error.code}" if re.fullmatch(r"[A-Z]{2,8}(?:\.[A-Z0-9]{2,6}){1,3}", error.code or "") else ""


def _kind_in_report(descriptor: int) -> str:
    return "a terminal" if os.isatty(descriptor) else "no terminal"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of a checkout"


_VERDICTS: Final[Mapping[str, tuple[Text, str]]] = {
    OK: (_("ok"), "green"),
    NOTE: (_("note"), "yellow"),
    FAIL: (_("fail"), "red"),
}
_SUBJECTS: Final[Mapping[str, Text]] = {
    "browser": _("browser"),
    "clock": _("clock"),
    "credentials": _("credentials"),
    "listener": _("listener"),
    "name": _("name"),
    "pending": _("pending"),
    "place": _("place"),
    "service": _("service"),
    "settings": _("settings"),
}
"""What is no setting; a setting is called by its key in the file."""
_LONGEST_VERDICT: Final = 5
_LONGEST_SUBJECT: Final = 12
"""Columns at least: what is found begins where it always did."""
_UNBOUNDED: Final = 1_000_000
"""Columns: what is piped is broken by whoever reads it."""
_USUAL: Final = 80
_NARROWEST: Final = 24
"""Columns for what was found; where there are fewer, it goes below its subject."""


def print_findings(findings: Sequence[Finding], repo_type: RepoType) -> None:
    """Print a line for each finding, broken below its message, and the verdict on all."""
    width = _width()
    verdicts = max(_LONGEST_VERDICT, *(width_of(in_words(said)) for said, _ in _VERDICTS.values()))
    subjects = max(_LONGEST_SUBJECT, *(width_of(_subject(finding)) for finding in findings)) + 1
    column = verdicts + 1 + subjects
    is_narrow = width - column < _NARROWEST
    for finding in findings:
        said, colour = _VERDICTS[finding.verdict]
        verdict = padded(in_words(said), verdicts)
        lines = _lines(finding, width - (verdicts + 1 if is_narrow else column))
        subject = _subject(finding) if is_narrow else f"{padded(_subject(finding), subjects)}{lines.pop(0)}"
        print_text(f"{verdict} {subject}", coloured(verdict, sys.stdout, colour))
        for line in lines:
            print_text(" " * (verdicts + 1 if is_narrow else column) + line)
    for line in fitted(in_words(_conclusion(findings, repo_type)), width):
        print_text(line, coloured(line, sys.stdout))


def _lines(finding: Finding, room: int) -> list[str]:
    said = (in_words(finding.message), in_words(finding.hint))
    return [line for text in said if text for line in fitted(text, max(room, 1))]


def _subject(finding: Finding) -> str:
    return in_words(_SUBJECTS.get(finding.subject, finding.subject))


def _conclusion(findings: Sequence[Finding], repo_type: RepoType) -> Text:
    if any(finding.verdict == FAIL for finding in findings):
        return _("Start with the first line marked {fail}.", fail=_VERDICTS[FAIL][0])
    return _("All is well: `oauth-helper link {repo_type}` can start.", repo_type=repo_type)


def _width() -> int:
    if not sys.stdout.isatty():
        return _UNBOUNDED
    try:
        return (os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL) - 1
    except (OSError, ValueError):  # pragma: no cover - Windows, where NUL passes for a terminal
        return _USUAL - 1


if TYPE_CHECKING:
    pass


@command(
    "doctor",
    help="""Check everything a link needs, a line each, without opening a browser.

    What is marked fail would end a link, and the first of it is to be mended first; a link works in spite of a note.
    Ends with the status a link would end with, 0 where all is well.
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
        raise UsageError(_("--report is for people, --json for scripts"), hint=_("Give one of them."))
    findings = _of_the_run(options, RepoType(repo_type))
    _print(findings, RepoType(repo_type), as_report=options["as_report"], as_json=options["as_json"])
    error = next((finding.error for finding in findings if finding.error), None)
    if error and options["as_json"]:
        from oauth_helper.cli.app import print_error  # noqa: PLC0415 - a help need not wait for it

        print_error(error, as_json=True, trace=False)
    return error.exit_status if error else 0


def _print(findings: list[Finding], repo_type: RepoType, *, as_report: bool, as_json: bool) -> None:
    from oauth_helper.cli.output import print_json  # noqa: PLC0415 - as above

    if as_report:
        print_report(findings)
    elif as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        print_findings(findings, repo_type)


def _of_the_run(options: dict[str, Any], repo_type: RepoType) -> list[Finding]:
    from oauth_helper.api import name_for  # noqa: PLC0415 - as above
    from oauth_helper.cli.options import run  # noqa: PLC0415 - as above

    try:
        started = start_run(options)
    except OAuthHelperError as error:
        return [failed("settings", error), run(check_listener(options["port"]))]
    name = name_for(repo_type) if options["name"] is None else options["name"]
    return run(check_all(started, repo_type, name, options["port"]))
