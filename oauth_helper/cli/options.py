"""Options that several commands share, and what a command makes of them."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from oauth_helper.cli.console import Console, columns_of, repeat_flags
from oauth_helper.cli.help import CONNECTION, LANGUAGE_OPTION, OUTPUT, Choice, InvalidValue, not_one_of, option
from oauth_helper.cli.progress import ProgressReporter
from oauth_helper.cli.secrets_input import ask, ask_for_secret, can_ask, confirm
from oauth_helper.credential_sources import Search, find_settings_and_credentials, user_source
from oauth_helper.credentials import CredentialSource, IamUser
from oauth_helper.environment import is_build_service
from oauth_helper.errors import CredentialsError, StoppedError, safe_traceback
from oauth_helper.i18n import _, enumerated, ngettext
from oauth_helper.journal import Journal
from oauth_helper.models import RepoType
from oauth_helper.secret import escaped
from oauth_helper.settings import (
    BROWSER_CHOICES,
    ENVIRONMENT,
    FILE_KEYS,
    MAXIMUM_TIMEOUT,
    REGIONS,
    Settings,
    Sources,
    UnreadableFileError,
    flag_of,
    is_browser_choice,
    is_region,
    others_can_read,
    read_config_file,
    read_credentials_file,
    resolve_settings,
    save_region,
)
from oauth_helper.values import BLOCKED_PORTS, FileValues, require_clean

if TYPE_CHECKING:  # it imports aiohttp, which help and completion do not need
    from oauth_helper.servicestage.client import ServiceStageClient

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])


class _LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        Console().print_lines([escaped(self.format(record), keep="\n")])


# Our own log only: that of aiohttp may contain an address with a code.
_LOG: Final = _LogHandler(logging.CRITICAL)
_LOG.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
logging.getLogger("oauth_helper").addHandler(_LOG)
logging.getLogger("oauth_helper").setLevel(logging.DEBUG)

_SIGNALS: Final = {"SIGINT": _("Cancelled"), "SIGTERM": _("Terminated"), "SIGHUP": _("Hung up")}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; return its result.

    Raises:
        StoppedError: SIGINT, SIGTERM or SIGHUP came. ``work`` was cancelled and has closed what it had opened.
    """
    return asyncio.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_fault)
    task = loop.create_task(work)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    # nohup ignores SIGHUP on purpose. A shell ignores SIGINT for a background job, which would be hard to stop.
    numbers = [number for name in _SIGNALS if (number := getattr(signal, name, None))]
    with suppress(NotImplementedError):  # Windows, where Ctrl-C arrives as KeyboardInterrupt
        for number in numbers:
            if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        raise StoppedError(_SIGNALS[received[0].name], signal_number=received[0]) from None


def _log_fault(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Log an exception outside all tasks; asyncio would log foreign messages and the arguments of callbacks."""
    fault = context.get("exception")
    trace = safe_traceback(fault) if fault else context["message"]
    logging.getLogger(__name__).error("A fault of oauth-helper:\n%s", trace)


def _browser_choice(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_browser_choice(value):
        raise not_one_of(value, _("{choices}, nor a path", choices=enumerated(BROWSER_CHOICES)), param)
    return value


def _complete_browser(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    if incomplete.startswith(("/", ".", "~")):
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(choice) for choice in BROWSER_CHOICES if choice.startswith(incomplete)]


def _complete_region(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [region for region in REGIONS if region.startswith(incomplete)]


def check_port(_ctx: click.Context, param: click.Parameter, port: int | None) -> int | None:
    """Reject a port that browsers block: the callback of options that name one."""
    if port in BLOCKED_PORTS:
        text = _("browsers block port {port}; use another one, such as {other}", port=port, other=8765)
        raise InvalidValue(text, param=param)
    return port


def _also_before_command(ctx: click.Context, param: click.Parameter, value: int) -> int:
    """Combine an option behind the command with the same one before it."""
    before = ctx.parent.params.get(param.name or "", 0) if ctx.parent else 0
    return type(value)(value + before)


CODEARTS: Final = "codearts"
"""What users call the repository type devcloud."""
REPO_TYPE: Final = Choice(
    [CODEARTS if one is RepoType.DEVCLOUD else one.value for one in RepoType], {RepoType.DEVCLOUD.value: CODEARTS}
)
BROWSER_OPTION: Final = option(
    "--browser",
    metavar="WHICH",
    callback=_browser_choice,
    shell_complete=_complete_browser,
    help="auto (the default): a dedicated window if possible, else the default browser; default: the default browser; "
    "chromium, firefox or a path: a window in that browser; none: print the addresses.",
)
PORT_OPTION: Final = option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    callback=check_port,
    help="Port of the page on 127.0.0.1 (default: any free one).",
)


def timeout_option(help: str) -> Callable[[Function], Function]:  # noqa: A002 - click's name
    """Return the option that limits how long a command waits for the user."""
    return option("--timeout", type=click.FloatRange(1, MAXIMUM_TIMEOUT), metavar="SECONDS", help=help)


CONNECTION_KEYS: Final = ("region", "cloud", "endpoint", "project_id", "iam_endpoint", "ca_bundle")
"""The settings of :data:`connection_options`."""
EVENTS_OPTION: Final = option(
    "--events", "as_events", group=OUTPUT, is_flag=True, help="Print each event as a line of JSON on standard output."
)
_connection = partial(option, group=CONNECTION)
_output = partial(option, group=OUTPUT, callback=_also_before_command)


def _all_of(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    return lambda command: reduce(lambda decorated, add: add(decorated), reversed(options), command)


connection_options: Final = _all_of(
    _connection("--region", metavar="REGION", shell_complete=_complete_region, help="Region, such as cn-north-4."),
    _connection("--cloud", metavar="DOMAIN", help="Domain of the cloud (default: myhuaweicloud.com)."),
    _connection("--endpoint", metavar="URL", help="ServiceStage endpoint (default: the region's)."),
    _connection("--project-id", metavar="ID", help="Project ID (default: the region's project)."),
    _connection("--iam-endpoint", metavar="URL", help="IAM endpoint (default: the region's)."),
    _connection("--ca-bundle", type=click.Path(), metavar="FILE", help="CA bundle, PEM (default: the system's)."),
)
"""Adds the options of every command that talks to ServiceStage."""
output_options: Final = _all_of(
    _output("--json", "as_json", is_flag=True, help="Print JSON on standard output, and errors as JSON too."),
    _output("-q", "--quiet", is_flag=True, help="Only print errors and what you must do."),
    _output("-v", "--verbose", count=True, help="Print more; -vv: every request, and the traceback of an error."),
    LANGUAGE_OPTION,
)
"""Adds the options of every command."""


class Invocation:
    """The settings, credentials and reporter of a command that talks to ServiceStage.

    Raises:
        SettingsError: A value in the options, the environment or a file cannot be used.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        _import_aiohttp()
        _LOG.setLevel(logging.DEBUG if options["verbose"] > 1 else logging.CRITICAL)
        self.environ: Mapping[str, str] = os.environ
        self.quiet: bool = options["quiet"]
        self.verbosity: int = options["verbose"]
        self.as_json: bool = options["as_json"]
        self.may_ask: bool = may_ask(options)
        self.reporter: ProgressReporter = ProgressReporter(quiet=self.quiet, verbosity=self.verbosity)
        self._asked_region = ""
        self._flags = {key: None if options.get(key) is None else str(options[key]) for key in FILE_KEYS}
        self._config = read_config_file(os.environ)
        if options.get("sandbox"):
            # The sandbox needs nothing that says how to reach the user's account.
            keys = FILE_KEYS - {*CONNECTION_KEYS, "credentials"}
            names = {name for key in keys for name in ENVIRONMENT[key]}
            environ = {name: value for name, value in os.environ.items() if name in names}
            values = {key: value for key, value in self._config.values.items() if key in keys}
            config = replace(self._config, values=values)
            self.settings: Settings = resolve_settings(Sources(self._flags, environ, config, FileValues("")))
            self.search: Search = Search()
        else:
            self._find_settings()
        click.get_current_context().find_root().obj = self

    def _find_settings(self) -> None:
        sources = Sources(self._flags, os.environ, self._config, read_credentials_file(os.environ))
        self.settings, self.search = find_settings_and_credentials(sources)
        self._repeat_flags()

    def _repeat_flags(self, *, without: str = "") -> None:
        """Add the connection flags that the user typed to every command that is printed."""
        # What cannot be used may be a secret in the wrong place.
        is_usable = self.settings.plausible
        typed = [(key, value) for key in CONNECTION_KEYS if key != without and (value := self._flags[key])]
        repeat_flags(
            shlex.join(word for key, value in typed if is_usable.get(key, True) for word in (flag_of(key), value))
        )

    @cached_property
    def credentials(self) -> CredentialSource:
        """Where the credentials come from; if there are none, an IAM user that is asked for on a terminal.

        Raises:
            CredentialsError: There are none, or half a pair.
        """
        for notice in self.settings.notices:
            self.reporter.warn(notice)
        if self.search.source is None and self.search.error is None and can_ask():
            return _ask_for_iam_user(self.reporter)
        found = self.search.required()
        if found.file and others_can_read(found.file):
            self.reporter.warn(_("Others can read {path}; run: chmod 600 on it.", path=found.file))
        if self.verbosity:
            text = _("Credentials: {identity} ({found_in}).", identity=found.identity, found_in=found.found_in)
            self.reporter.print(text)
        return found

    def prepare(self) -> None:
        """Find the region, and then the credentials; on a terminal ask for what is missing.

        Raises:
            SettingsError: Neither an endpoint nor a region is known, or there are no usable credentials.
        """
        if self.settings.endpoint.value is None and self.may_ask:
            self._flags["region"] = self._asked_region = _ask_for_region(self.reporter)
            self._find_settings()
        self.settings.required_endpoint()
        self.credentials  # noqa: B018 - asks outside the event loop, if it has to

    def offer_to_save_region(self) -> None:
        """Offer to save the region that was asked for."""
        region, self._asked_region = self._asked_region, ""
        path = Path(self._config.path)
        if not region or (path.exists() and not path.is_file()):
            return
        question = _("Save region {region} in {path}, so that you need not enter it again?", region=region, path=path)
        try:
            if confirm(question, default=True):
                save_region(path, region)
                self._repeat_flags(without="region")
        except StoppedError:
            pass
        except (OSError, UnreadableFileError) as error:
            self.reporter.warn(_("The region was not saved: {why}.", why=str(error)))

    def mention_unfinished_links(self, *, besides: str = "") -> None:
        """Tell that earlier links can be finished; ``besides`` the one that this command finishes itself."""
        pendings, _problems = Journal.of_the_user().read_all()
        if count := sum(pending.target.name != besides for pending in pendings):
            text = ngettext(
                "{count} link is unfinished; `oauth-helper resume` finishes it.",
                "{count} links are unfinished; `oauth-helper resume` finishes them.",
                count,
            )
            self.reporter.print(text)

    @property
    def is_unattended(self) -> bool:
        """Whether no person can authorize, and the user names neither a browser nor a program for that."""
        return is_build_service(self.environ) and not self.environ.get("BROWSER") and self.settings.browser.is_default

    def run_with_service(self, work: Callable[[ServiceStageClient], Awaitable[T]]) -> T:
        """Open a client, and return what ``work`` returns.

        Raises:
            OAuthHelperError: There are no usable credentials or settings, or ``work`` failed.
        """
        from oauth_helper.api import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s, which help does not need

        self.prepare()

        async def connected() -> T:
            async with open_service(self.settings, self.credentials) as service:
                return await work(service)

        return run(connected())


def _import_aiohttp() -> None:
    """Import aiohttp without the system's certificates.

    It loads them twice, into contexts that we never use: ours is in ``servicestage/transport.py``. That would take a
    fifth of the time from the start to the first request.
    """
    chosen = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        import aiohttp  # noqa: F401, PLC0415 - it costs 0.2 s, which help does not need
    finally:
        del os.environ["SSL_CERT_FILE"]
        if chosen is not None:
            os.environ["SSL_CERT_FILE"] = chosen


def _ask_for_region(console: Console) -> str:
    console.print_always(_("Which region? Enter a number, or any region's name. (--region sets it.)"))
    cells = [f"{number:>3} {region:<17}" for number, region in enumerate(REGIONS, start=1)]
    in_line = max(columns_of(console.stream) // len(cells[0]), 1)
    console.print_lines(["".join(cells[at : at + in_line]).rstrip() for at in range(0, len(cells), in_line)])
    while True:
        answer = ask(_("Region")).strip().lower()
        if answer.isdecimal() and 0 < int(answer) <= len(REGIONS):
            return REGIONS[int(answer) - 1]
        if is_region(answer) and not answer.isdecimal():
            return answer
        console.print_always(_("That is not a region: names look like cn-north-4."))


def _ask_for_iam_user(console: Console) -> CredentialSource:
    text = _(
        "No access key is set. Sign in as an IAM user (not with a HUAWEI ID), or press Ctrl-C and set "
        "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK."
    )
    console.print_always(text)
    domain_name, name = ask(_("Account name")), ask(_("IAM user name"))
    password = ask_for_secret(_("Password"))
    for answer in (domain_name, name, password.reveal()):
        require_clean(answer, _("Your answer"), CredentialsError, spaces="inside")
    return user_source("terminal", _("your answers"), IamUser(name, password, domain_name))


def may_ask(options: Mapping[str, Any]) -> bool:
    """Whether there is a terminal, and a person who reads the messages."""
    return can_ask() and not (options["as_json"] or options["quiet"] or options.get("as_events"))
