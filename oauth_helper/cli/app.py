"""The command line: the commands, errors as text and exit statuses, completion, standard streams."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from datetime import UTC, datetime
from gettext import gettext
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import Final, TextIO

import click
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from oauth_helper.cli.console import Console, drain_writers, print_text, translate, use_language
from oauth_helper.cli.help import LANGUAGE_OPTION, Choice, Command, InvalidValue, command, option
from oauth_helper.errors import MachineError, OAuthHelperError, StoppedError, UsageError, safe_traceback
from oauth_helper.i18n import Text, _, enumerated
from oauth_helper.journal import Journal
from oauth_helper.secret import escaped, is_plain_word
from oauth_helper.version import VERSION

with suppress(ImportError):  # Windows has none
    import resource

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_MACHINE: Final = _DISK_FULL | {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EAFNOSUPPORT, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOBUFS),
}
"""The system refuses descriptors, memory, processes or the loopback interface, whatever the program."""
_NO_MEMORY: Final = ("can't start new thread", "failed to map segment", "Cannot allocate memory")
"""Messages of Python that come without an error number."""


def print_error(error: OAuthHelperError, *, as_json: bool, trace: bool = False) -> None:
    """Print what happened and what to do next on standard error; with ``as_json`` the last line is for scripts."""
    console = Console()
    if trace:
        console.print_lines([escaped(safe_traceback(error), keep="\n")])
    message = error.message
    if error.request_id:
        message = _("{message} (request id {request_id})", message=message, request_id=error.request_id)
    console.print_error(message, error.hint)
    if as_json:
        console.print_lines([json.dumps({"error": error.to_json()})])


def error_for(exception: BaseException) -> OAuthHelperError:
    """Return our error for any exception: itself if it is ours, else Ctrl-C, a limit of this machine, or a fault."""
    members = list(_members(exception))
    if ours := next((member for member in members if isinstance(member, OAuthHelperError)), None):
        return ours
    match exception:
        case click.ClickException():
            return _usage_error(exception)
        case click.Abort() | KeyboardInterrupt():
            return StoppedError(_("Interrupted"))
        case OSError() if exception.errno in _DISK_FULL:
            return MachineError(
                _("The result could not be written: {strerror}", strerror=exception.strerror),
                hint=_("What was done is done: `oauth-helper list` shows what stands."),
            )
        case _:
            pass
    lacks = (_lack(cause) for each in members for cause in (each, each.__cause__))
    if lack := next(filter(None, lacks), None):
        error: OAuthHelperError = MachineError(
            _("The system refused something that is needed: {lack}", lack=lack),
            hint=_(
                "Check the limits of memory, open files and processes (`ulimit -a`), and that the address "
                "127.0.0.1 exists. `oauth-helper doctor` checks this machine."
            ),
        )
    else:
        error = OAuthHelperError(_("Unexpected {name__}", name__=type(exception).__name__))
    error.__cause__ = exception
    return error


def _members(exception: BaseException) -> Iterator[BaseException]:
    if isinstance(exception, BaseExceptionGroup):
        for each in exception.exceptions:
            yield from _members(each)
    else:
        yield exception


def _lack(exception: BaseException | None) -> str | Text | None:
    match exception:
        case OSError() if exception.errno in _MACHINE:
            return exception.strerror or type(exception).__name__
        case MemoryError():
            return _("memory")
        case RuntimeError() | ImportError() if any(text in str(exception) for text in _NO_MEMORY):
            return _("memory or threads")
    return None


def _usage_error(error: click.ClickException) -> UsageError:
    """Return click's error in our words, which repeat only short plain words: a value may be a secret."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message, more = _explained(error)
    hint = _("See `{command} --help`.", command=context.command_path if context else "oauth-helper")
    return UsageError(message, hint=_("{more} {hint}", more=more, hint=hint) if more else hint)


def _explained(error: click.ClickException) -> tuple[Text, Text | None]:
    match error:
        case click.NoSuchOption():
            if not is_plain_word(error.option_name.lstrip("-")):
                return _("Unknown option"), None
            unknown = _("Unknown option: {option}", option=error.option_name)
            if error.possibilities:
                return unknown, _("Did you mean {option}?", option=error.possibilities[0])
            takes_names = error.ctx and any(isinstance(one, click.Argument) for one in error.ctx.command.params)
            return unknown, _('Put "--" before a name that begins with "-".') if takes_names else None
        case click.BadOptionUsage() if error.ctx and (found := _option_of(error.ctx.command, error.option_name)):
            if found.is_flag or found.count:
                return _("The option {option} takes no value", option=_name_of(found)), None
            return _("The option {option} needs a value", option=_name_of(found)), None
        case click.MissingParameter(param=click.Parameter() as param):
            choices = [str(one) for one in param.type.choices] if isinstance(param.type, click.Choice) else []
            more = _("It is one of {choices}.", choices=enumerated(choices)) if choices else None
            return _("Missing argument {name}", name=_name_of(param)), more
        case InvalidValue():
            return _("{name}: {message}", name=_name_of(error.parameter), message=error.text), None
        case click.BadParameter(param=click.Parameter() as param):
            return _bad_value(param), None
        case click.UsageError(ctx=click.Context(command=click.Group())):
            return _("No command was given"), None
        case _:
            return _("The command line cannot be understood"), None


def _bad_value(parameter: click.Parameter) -> Text:
    name, kind = _name_of(parameter), parameter.type
    if isinstance(kind, click.IntRange):
        limits = {"name": name, "lowest": kind.min, "highest": kind.max}
        return _("{name} takes a whole number from {lowest} to {highest}", **limits)
    if isinstance(kind, click.FloatRange):
        return _("{name} takes a number from {lowest} to {highest}", name=name, lowest=kind.min, highest=kind.max)
    return _("The value of {name} cannot be used", name=name)


def _option_of(command: click.Command, name: str) -> click.Option | None:
    return next((one for one in command.params if isinstance(one, click.Option) and name in one.opts), None)


def _name_of(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return (parameter.metavar or parameter.name or "").upper().strip("[].")


_COMPLETION_VARIABLE: Final = "_OAUTH_HELPER_COMPLETE"
_SHELLS: Final = ("bash", "zsh", "fish")


class _WholeWords(ShellComplete):
    """For shells that replace a whole word such as ``--browser=ch``; click completes what follows the ``=``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(args, incomplete)
        option, equals, _value = incomplete.partition("=")
        if equals and option.startswith("--"):
            return [CompletionItem(f"{option}={item.value}", item.type, item.help) for item in items]
        return items


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    pass


add_completion_class(_Zsh)
add_completion_class(_Fish)


@command(
    "completion",
    help="""Print the script with which SHELL (bash, zsh or fish) completes what you type.

    \b
    bash 4.4 or newer, in ~/.bashrc:
      source <(oauth-helper completion bash)
    zsh, in ~/.zshrc, behind compinit:
      source <(oauth-helper completion zsh)
    fish, once:
      oauth-helper completion fish >~/.config/fish/completions/oauth-helper.fish
    """,
)
@click.argument("shell", type=Choice(_SHELLS), metavar="SHELL")
def completion_command(shell: str) -> None:
    """Run ``oauth-helper completion``."""
    _print_completion(f"{shell}_source")


def _print_completion(instruction: str) -> int:
    """Answer a shell that completes (``bash_complete``), or print its script (``bash_source``)."""
    shell, _separator, what = instruction.partition("_")
    kind = get_completion_class(shell)
    if kind is None or shell not in _SHELLS:
        return 1
    completion = kind(program, {}, "oauth-helper", _COMPLETION_VARIABLE)
    text = completion.source() if what == "source" else completion.complete() + "\n"
    # As bytes, because on Windows text would have lines that end with CR LF.
    click.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)
    return 0


_COMMANDS: Final[Mapping[str, tuple[str, Text]]] = {
    "link": ("link", _("Link a Git account: the main job.")),
    "deliver": ("manage", _("Hand the address to the link that waits in another terminal.")),
    "resume": ("manage", _("Finish the links that were cut off after you had authorized.")),
    "list": ("manage", _("List the authorizations of the project.")),
    "show": ("manage", _("Show one authorization.")),
    "delete": ("manage", _("Delete authorizations.")),
    "repos": ("manage", _("Show the repositories that an authorization can see.")),
    "apply": ("apply", _("Link all that a file declares and that is missing.")),
    "capture": ("capture", _("Capture the redirect of any OAuth authorization URL.")),
    "doctor": ("doctor", _("Check everything a link needs, without opening a browser.")),
    "sandbox": ("sandbox", _("Run a ServiceStage, Git host and console on this machine.")),
    "completion": ("app", _("Print the completion script of a shell.")),
}
"""The module and the short help of each command, in the order in which a new user meets them."""


class _Program(Command, click.Group):
    """A group whose commands are imported when they run: its own help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list({**_COMMANDS, **self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, short_help = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"oauth_helper.cli.{module}"), f"{cmd_name}_command")
        command.short_help = translate(short_help)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        commands = [
            CompletionItem(name, help=translate(short_help))
            for name, (_module, short_help) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not (ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name)):
            # The user may have pasted a redirect or a token here.
            raise UsageError(_("Unknown command: {name}", name=name) if is_plain_word(name) else _("Unknown command"))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section(gettext("Commands")):
            formatter.write_dl([(name, translate(short_help)) for name, (_, short_help) in _COMMANDS.items()])


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        print_text(f"oauth-helper {VERSION}")
        ctx.exit()


@click.group(
    cls=_Program,
    help="Link a Git account ({hosts}) to Huawei Cloud ServiceStage.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@LANGUAGE_OPTION
@click.pass_context
def program(ctx: click.Context) -> None:
    """Run ``oauth-helper``."""
    # Every shell that starts may run `completion`.
    if ctx.invoked_subcommand != "completion":
        _delete_expired(Journal.of_the_user())


def _delete_expired(journal: Journal) -> None:
    """Expired codes and states do not outlive the next command."""
    deleted, warnings = journal.forget_expired(datetime.now(UTC))
    console = Console()
    for warning in warnings:
        console.warn(warning + _("."))
    for pending in deleted:
        message = _(
            'The interrupted link "{name}" was not finished within 10 minutes, so its redirect was deleted. '
            "`oauth-helper list` shows whether the authorization exists.",
            name=pending.target.name,
        )
        console.warn(message)


def run_program(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status. Never raises, never exits, and leaves the process as it was."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process (`2>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to our end
    arguments = list(arguments) or ["--help"]
    with ExitStack() as stack:
        stack.enter_context(_without_core_dumps())
        for stream in (sys.stdout, sys.stderr):
            stack.enter_context(_with_escapes(stream))
        stack.enter_context(use_language(arguments))
        try:
            if instruction := os.environ.get(_COMPLETION_VARIABLE):
                return _complete(instruction)
            return _status_of(arguments)
        finally:
            drain_writers()
            for stream in (sys.stdout, sys.stderr):
                _flush(stream)


def _complete(instruction: str) -> int:
    # The user is in the middle of a line: an error prints nothing.
    with suppress(Exception, KeyboardInterrupt), redirect_stderr(StringIO()):
        return _print_completion(instruction)
    return 1


@contextmanager
def _without_core_dumps() -> Iterator[None]:
    """Write no core file: it would hold keys, tokens, code and state. Child processes inherit that."""
    if sys.platform == "win32":  # pragma: no cover
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@contextmanager
def _with_escapes(stream: TextIO) -> Iterator[None]:
    """Escape what the encoding of ``stream`` lacks: a character must not turn a success into an error."""
    if not isinstance(stream, TextIOWrapper):
        yield
        return
    errors = stream.errors
    try:
        stream.reconfigure(errors="backslashreplace")
    except OSError:  # a terminal that is open for reading too cannot be flushed
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # it cannot be flushed, or is closed
            stream.reconfigure(errors=errors)


def _status_of(arguments: Sequence[str]) -> int:
    try:
        status = program.main(arguments, prog_name="oauth-helper", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the reader of our output has gone; click exits then
        _redirect_to_null(sys.stdout)
        return 1
    except (Exception, KeyboardInterrupt) as exception:  # noqa: BLE001 - the last boundary: every error becomes a status
        error = error_for(exception)
        flags = _flags_of(arguments)
        verbosity = sum(flag[1:].count("v") if flag[:2] != "--" else flag == "--verbose" for flag in flags)
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):  # without a reader, the status remains
            print_error(error, as_json=not {"--json", "--events"}.isdisjoint(flags), trace=verbosity > 1)
        return error.exit_status
    return status if isinstance(status, int) else 0


def _flags_of(arguments: Sequence[str]) -> list[str]:
    """Return the flags among the arguments, because parsing them may have failed.

    The value of an option is no flag, nor is anything behind ``--``.
    """
    context, flags = click.Context(program), list[str]()
    command: click.Command = program
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            break
        if not argument.startswith("-"):
            command = (program.get_command(context, argument) if command is program else None) or command
        elif (found := _option_of(command, argument)) and not (found.is_flag or found.count):
            next(rest, None)
        else:
            flags.append(argument)
    return flags


def _flush(stream: TextIO) -> None:
    """Flush now: if that failed at exit, Python would print a message behind the last line, and exit with 120."""
    try:
        stream.flush()
    except OSError:
        _redirect_to_null(stream)


def _redirect_to_null(stream: TextIO) -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
