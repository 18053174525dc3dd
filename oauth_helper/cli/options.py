"""Options that several commands share."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from oauth_helper.cli.console import users_environ
from oauth_helper.cli.help import LANGUAGE_OPTION, option
from oauth_helper.cli.progress import ProgressReporter
from oauth_helper.credential_sources import FoundCredentials
from oauth_helper.credentials import IamUser
from oauth_helper.environment import is_build_service
from oauth_helper.errors import StoppedError
from oauth_helper.i18n import _, enumerated
from oauth_helper.models import RepoType
from oauth_helper.secret import escaped, is_plain_word
from oauth_helper.settings import BROWSER_CHOICES, Settings, Sources, is_browser_choice
from oauth_helper.values import BLOCKED_PORTS, FileValues, Sourced

_WORDS: Final = {"SIGINT": _("Interrupted"), "SIGTERM": _("Terminated"), "SIGHUP": _("Hung up")}
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; return what it returns.

    Raises:
        StoppedError: SIGINT, SIGTERM or SIGHUP came. ``work`` was cancelled and has closed what it had opened.
    """
    import asyncio  # noqa: PLC0415 - a help need not wait for it

    return asyncio.run(_until_stopped(work))


def _log_fault(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Log what no task is there to raise; asyncio would show what errors say, and what callbacks are called with."""
    import logging  # noqa: PLC0415 - nothing fails, as a rule

    from oauth_helper.errors import safe_traceback  # noqa: PLC0415 - as above

    fault = context.get("exception")
    logging.getLogger(__name__).error(
        "A fault of oauth-helper:\n%s", safe_traceback(fault) if fault else context["message"]
    )


async def _until_stopped(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # noqa: PLC0415 - as above
    import signal  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_fault)
    task = loop.create_task(work)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for name in _WORDS:
        number = getattr(signal, name, None)
        # nohup means it; a shell that starts a job in the background ignores SIGINT for it, and then cannot stop it.
        ignored = name == "SIGHUP" and number and signal.getsignal(number) is signal.SIG_IGN
        if number and not ignored:
            try:
                loop.add_signal_handler(number, stop, number)
            except NotImplementedError:  # pragma: no cover - Windows, where Ctrl-C arrives as KeyboardInterrupt
                break
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        raise StoppedError(_WORDS[received[0].name], signal_number=received[0]) from None


Command = Callable[..., Any]


def _browser_choice(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_browser_choice(value):
        from oauth_helper.cli.app import UnusableValue  # noqa: PLC0415 - a help need not wait for it

        choices = enumerated(BROWSER_CHOICES)
        raise UnusableValue(
            _('"{value}" is not one of {choices}, nor a path', value=value, choices=choices)
            if is_plain_word(value)
            else _("it must be one of {choices}, or a path", choices=choices),
            param,
        )
    return value


if TYPE_CHECKING:
    _ClickChoice = click.Choice[str]
else:
    _ClickChoice = click.Choice


class Choice(_ClickChoice):
    """A choice whose error repeats a value only if it can be no secret."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the choice that fits."""
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter:
            if param is None:
                raise
        from oauth_helper.cli.app import not_one_of  # noqa: PLC0415 - a help need not wait for it

        raise not_one_of(value, [str(one) for one in self.choices], param)


def _fitting_browsers(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - nobody but a shell asks what fits

    if typed[:1] in {"/", ".", "~"}:
        return [CompletionItem(typed, type="file")]
    return [CompletionItem(choice) for choice in BROWSER_CHOICES if choice.startswith(typed)]


BROWSER_OPTION: Final = option(
    "--browser",
    metavar="WHICH",
    callback=_browser_choice,
    shell_complete=_fitting_browsers,
    help="auto: a window of our own where that works, else the default browser; default: the default browser; "
    "chromium, firefox or a path: a window in that one; none: print the addresses.  "
    "[env: OAUTH_HELPER_BROWSER; default: auto]",
)


def browsable_port(_ctx: click.Context, param: click.Parameter, port: int | None) -> int | None:
    """Refuse a port at which browsers open no page: the callback of options that name one."""
    if port in BLOCKED_PORTS:
        from oauth_helper.cli.app import UnusableValue  # noqa: PLC0415 - a help need not wait for it

        raise UnusableValue(
            _("browsers block port {port}; use another one, such as {other}", port=port, other=8765), param
        )
    return port


PORT_OPTION: Final = option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    callback=browsable_port,
    help="The listener's port.  [default: a free one]",
)
CONNECTION_KEYS: Final = ("region", "endpoint", "project_id", "iam_endpoint", "ca_bundle")
"""The settings that :func:`connection_options` adds flags for."""

REPO_TYPE: Final = Choice([one.value for one in RepoType], case_sensitive=False)

_CONNECTION_OPTIONS: Final = (
    option("--region", metavar="REGION", help="Region, such as cn-north-4.  [env: OAUTH_HELPER_REGION]"),
    option("--endpoint", metavar="URL", help="ServiceStage.  [env: OAUTH_HELPER_ENDPOINT; default: the region's]"),
    option("--project-id", metavar="ID", help="Project.  [env: OAUTH_HELPER_PROJECT_ID; default: asked of IAM]"),
    option("--iam-endpoint", metavar="URL", help="IAM.  [env: OAUTH_HELPER_IAM_ENDPOINT; default: the region's]"),
    option(
        "--ca-bundle",
        type=click.Path(),
        metavar="FILE",
        help="Certificates to trust.  [env: OAUTH_HELPER_CA_BUNDLE, SSL_CERT_FILE; default: the system's]",
    ),
)


_OUTPUT_OPTIONS: Final = (
    option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and errors as JSON too."),
    option("-q", "--quiet", is_flag=True, help="Say nothing on standard error but errors and what you must do."),
    option("-v", "--verbose", count=True, help="Say more; twice: with every call, and the trace of an error."),
    LANGUAGE_OPTION,
)


@dataclass(frozen=True)
class Run:
    """What every command that talks to ServiceStage starts from."""

    settings: Settings
    environ: Mapping[str, str]
    credentials_file: FileValues
    quiet: bool
    verbosity: int
    as_json: bool

    @cached_property
    def reporter(self) -> ProgressReporter:
        """Who tells people what is happening."""
        from oauth_helper.cli.progress import ProgressReporter  # noqa: PLC0415 - a connection comes about meanwhile

        return ProgressReporter(quiet=self.quiet, verbosity=self.verbosity)

    def credentials(self) -> FoundCredentials:
        """Find the credentials; on a terminal, ask for an IAM user where there are none.

        Raises:
            CredentialsError: There are none, or half a pair.
        """
        from oauth_helper.credential_sources import find_credentials, no_credentials  # noqa: PLC0415 - a help need not wait for it

        found = find_credentials(self.environ, self.credentials_file)
        if found is None:
            from oauth_helper.cli.secrets_input import can_ask  # noqa: PLC0415 - as above

            if not can_ask():
                raise no_credentials(self.credentials_file)
            return _ask_for_iam_user(self.reporter)
        if self.others_can_read(found):
            self.reporter.warn(_("Others can read {path}; run: chmod 600 on it.", path=self.credentials_file.path))
        return found

    @property
    def is_unattended(self) -> bool:
        """Whether nobody is there to authorize, nor a browser or program that was named for it."""
        return is_build_service(self.environ) and not (self.environ.get("BROWSER") or self.settings.names_browser)

    def others_can_read(self, found: FoundCredentials) -> bool:
        """Whether credentials were found in a file that others can read."""
        from oauth_helper.settings import others_can_read  # noqa: PLC0415 - a help need not wait for it

        return found.file is not None and others_can_read(found.file)


def connection_options(command: Command) -> Command:
    """Add the options of every command that talks to ServiceStage."""
    return _with_options(command, _CONNECTION_OPTIONS)


def output_options(command: Command) -> Command:
    """Add the options of every command."""
    return _with_options(command, _OUTPUT_OPTIONS)


def start_run(options: Mapping[str, Any]) -> Run:
    """Make the run's settings of the options given, the environment and the files.

    Raises:
        SettingsError: A value that was given cannot be used.
    """
    from oauth_helper.settings import FILE_KEYS, Sources, read_config_file, read_credentials_file, resolve_settings  # noqa: PLC0415 - as above  # noqa: PLC0415 - as above

    if options["verbose"] > 1:
        _log_to_standard_error()
    flags = {key: None if options.get(key) is None else str(options[key]) for key in FILE_KEYS}
    if options.get("sandbox"):
        sources = _sources_of_the_sandbox(flags)
    else:
        sources = Sources(flags, os.environ, read_config_file(os.environ), read_credentials_file(os.environ))
    return Run(
        settings=resolve_settings(sources),
        environ=users_environ(),
        credentials_file=sources.credentials_file,
        quiet=options["quiet"],
        verbosity=options["verbose"],
        as_json=options["as_json"],
    )


def _log_to_standard_error() -> None:
    """Show what our rooms log. Only ours: what aiohttp logs may hold an address with a code."""
    import logging  # noqa: PLC0415 - who does not ask for it need not wait for it

    from oauth_helper.cli.console import ErrorStream  # noqa: PLC0415 - as above

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ErrorStream().lines([escaped(self.format(record), keep="\n")])

    handler = Handler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    logger = logging.getLogger("oauth_helper")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)

    def stop() -> None:
        logger.removeHandler(handler)
        logger.setLevel(level)

    if context := click.get_current_context(silent=True):
        context.find_root().call_on_close(stop)


def _sources_of_the_sandbox(flags: Mapping[str, str | None]) -> Sources:
    """Leave out whatever says how to reach the user's account: the sandbox needs none of it."""
    from dataclasses import replace  # noqa: PLC0415 - a help need not wait for it

    from oauth_helper.settings import (  # noqa: PLC0415 - as above
        ENVIRONMENT,
        FILE_KEYS,
        Sources,
        read_config_file,
    )
    from oauth_helper.values import FileValues  # noqa: PLC0415 - as above

    config = read_config_file(os.environ)
    ours = FILE_KEYS - set(CONNECTION_KEYS)
    names = {name for key in ours for name in ENVIRONMENT[key]}
    return Sources(
        flags,
        {name: value for name, value in os.environ.items() if name in names},
        replace(config, values={key: value for key, value in config.values.items() if key in ours}),
        FileValues(""),
    )


def _with_options(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for add in reversed(options):
        command = add(command)
    return command


def _ask_for_iam_user(reporter: ProgressReporter) -> Sourced[IamUser]:
    from oauth_helper.cli.secrets_input import ask, ask_for_secret  # noqa: PLC0415 - a help need not wait for it
    from oauth_helper.credential_sources import check_value  # noqa: PLC0415 - as above
    from oauth_helper.credentials import IamUser  # noqa: PLC0415 - as above
    from oauth_helper.values import Sourced  # noqa: PLC0415 - as above

    reporter.insist(_("No credentials are set. Sign in as an IAM user (a HUAWEI ID itself cannot be used here)."))
    domain_name, name = ask(_("Account name")), ask(_("IAM user name"))
    password = ask_for_secret(_("Password"))
    for answer in (domain_name, name, password.reveal()):
        check_value(answer, _("Your answer"), spaces="inside")
    return Sourced(IamUser(name, password, domain_name), _("your answers"))
