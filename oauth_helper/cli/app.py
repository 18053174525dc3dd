"""The command line: commands, errors as words and exit statuses, signals, completion."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from gettext import gettext
from importlib import import_module
from io import StringIO, TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TextIO

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from oauth_helper.cli.console import Console, ErrorStream, in_words, print_text, speaking
from oauth_helper.cli.help import LANGUAGE_OPTION, TranslatedGroup, command, option
from oauth_helper.cli.options import Choice
from oauth_helper.errors import MachineError, OAuthHelperError, StoppedError, UsageError
from oauth_helper.i18n import Text, _, enumerated
from oauth_helper.secret import escaped, is_plain_word
from oauth_helper.version import VERSION

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_MACHINE: Final = _DISK_FULL | {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EAFNOSUPPORT, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOBUFS),
}
"""What the system refuses whichever program asks: descriptors, memory, processes, the loopback interface."""
_NO_MEMORY: Final = ("can't start new thread", "failed to map segment", "Cannot allocate memory")
"""What Python says without an error number."""


def print_error(error: OAuthHelperError, *, as_json: bool, trace: bool) -> None:
    """Say on standard error what happened and what to do next; with ``as_json`` the last line is for scripts."""
    if trace:
        from oauth_helper.errors import safe_traceback  # noqa: PLC0415 - who uses it wrongly need not wait for it

        ErrorStream().lines([escaped(safe_traceback(error), keep="\n")])
    message = error.message
    if error.request_id:
        message = _("{message} (request id {request_id})", message=message, request_id=error.request_id)
    Console(quiet=True).report(message, error.hint)
    if as_json:
        ErrorStream().lines([json.dumps({"error": error.to_json()})])


def error_for(fault: BaseException) -> OAuthHelperError:
    """Return what an error means: itself if it is ours, else Ctrl-C, something that this machine lacks, or a fault."""
    members = list(_members(fault))
    if ours := next((member for member in members if isinstance(member, OAuthHelperError)), None):
        return ours
    if isinstance(fault, click.Abort | KeyboardInterrupt):
        return StoppedError(_("Interrupted"))
    if isinstance(fault, OSError) and fault.errno in _DISK_FULL:
        return MachineError(
            _("The result could not be written: {strerror}", strerror=fault.strerror),
            hint=_("What was done is done: `oauth-helper list` shows what stands."),
        )
    if lack := next((lack for each in members for cause in (each, each.__cause__) if (lack := _lack(cause))), None):
        error: OAuthHelperError = MachineError(
            _("The system refused something that is needed: {lack}", lack=lack),
            hint=_(
                "Check the limits of memory, open files and processes (`ulimit -a`), and that the address "
                "127.0.0.1 exists. `oauth-helper doctor` checks this machine."
            ),
        )
    else:
        error = OAuthHelperError(_("Unexpected {name__}", name__=type(fault).__name__))
    error.__cause__ = fault
    return error


def usage_error(error: click.ClickException) -> UsageError:
    """Return an error of click's in words that repeat nothing but short plain words: a value may be a secret."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message, more = _usage(error)
    hint = _("See `{command} --help`.", command=context.command_path if context else "oauth-helper")
    return UsageError(message, hint=_("{more} {hint}", more=more, hint=hint) if more else hint)


def _usage(error: click.ClickException) -> tuple[Text, Text | None]:
    match error:
        case click.NoSuchOption():
            typed = error.option_name.lstrip("-")
            if not is_plain_word(typed):
                return _("Unknown option"), None
            unknown = _("Unknown option: {option}", option=error.option_name)
            if error.possibilities:
                return unknown, _("Did you mean {option}?", option=error.possibilities[0])
            takes_names = error.ctx and any(isinstance(one, click.Argument) for one in error.ctx.command.params)
            return unknown, _('Put "--" before a name that begins with "-".') if takes_names else None
        case click.BadOptionUsage() if error.ctx and (found := _named(error.option_name, error.ctx.command)):
            if found.is_flag or found.count:
                return _("The option {option} takes no value", option=_name_of(found)), None
            return _("The option {option} needs a value", option=_name_of(found)), None
        case click.MissingParameter() if error.param:
            missing = _("Missing argument {name}", name=_name_of(error.param))
            return missing, _choices(error.param)
        case UnusableValue():
            return _("{name}: {message}", name=_name_of(error.parameter), message=error.words), None
        case click.BadParameter() if error.param:
            return _bad_value(error.param), None
        case click.UsageError() if error.ctx and isinstance(error.ctx.command, click.Group):
            return _("No command was given"), None
        case _:
            return _("The command line cannot be understood"), None


def _bad_value(parameter: click.Parameter) -> Text:
    name, kind = _name_of(parameter), parameter.type
    if isinstance(kind, click.IntRange | click.FloatRange):
        limits = {"name": name, "lowest": kind.min, "highest": kind.max}
        if isinstance(kind, click.IntRange):
            return _("{name} takes a whole number from {lowest} to {highest}", **limits)
        return _("{name} takes a number from {lowest} to {highest}", **limits)
    return _("The value of {name} cannot be used", name=name)


class UnusableValue(click.BadParameter):
    """What a value of an option or argument should be, in words that may be shown."""

    def __init__(self, words: Text, param: click.Parameter) -> None:
        super().__init__(words, param=param)
        self.words = words
        self.parameter = param


def not_one_of(value: str, choices: list[str], param: click.Parameter) -> UnusableValue:
    """Return the error for a value that is none of the ``choices``."""
    names = enumerated(choices)
    if is_plain_word(value):
        return UnusableValue(_('"{value}" is not one of {choices}', value=value, choices=names), param)
    return UnusableValue(_("it must be one of {choices}", choices=names), param)


def _choices(parameter: click.Parameter) -> Text | None:
    kind = parameter.type
    if not isinstance(kind, click.Choice):
        return None
    return _("It is one of {choices}.", choices=enumerated([str(one) for one in kind.choices]))


def _named(name: str, command: click.Command) -> click.Option | None:
    return next((one for one in command.params if isinstance(one, click.Option) and name in one.opts), None)


def _name_of(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return (parameter.metavar or parameter.name or "").upper().strip("[].")


def _members(fault: BaseException) -> Iterator[BaseException]:
    """Return the error itself, or those in a group."""
    if isinstance(fault, BaseExceptionGroup):
        for each in fault.exceptions:
            yield from _members(each)
    else:
        yield fault


def _lack(fault: BaseException | None) -> str | Text | None:
    if isinstance(fault, OSError) and fault.errno in _MACHINE:
        return fault.strerror or type(fault).__name__
    if isinstance(fault, MemoryError):
        return _("memory")
    if isinstance(fault, RuntimeError | ImportError) and any(words in str(fault) for words in _NO_MEMORY):
        return _("memory or threads")
    return None


COMPLETION_VARIABLE: Final = "_OAUTH_HELPER_COMPLETE"


_BREAKS: Final = frozenset({"=", ":"})
"""Where bash breaks words besides at blanks (its COMP_WORDBREAKS), as far as words of ours hold it."""


class _Bash(BashComplete):
    """Puts together again what bash has broken: ``--browser = ch``, ``http : //127.0.0.1``."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        *whole, last = _whole([*args, incomplete])
        return whole, last


class _WholeWords(ShellComplete):
    """For shells that replace the whole word, ``--browser=ch``, where click gives what belongs behind the ``=``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            return [CompletionItem(f"{option}={item.value}", item.type, item.help) for item in items]
        return items


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    pass


_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


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
@click.argument("shell", type=Choice(list(_SHELLS)), metavar="SHELL")
def completion_command(shell: str) -> None:
    """Run ``oauth-helper completion``."""
    # As bytes: on Windows a shell would stumble over what text becomes there, lines that end with CR LF.
    program = click.get_current_context().find_root().command
    click.echo(_completer(shell, program).source().encode(), nl=False)


def answer_the_shell(program: Callable[[], click.Command]) -> int | None:
    """Tell the shell what of ``program`` fits where TAB was pressed, if it is a shell that asks; else None.

    The user is in the middle of a line: where anything goes wrong, nothing is said.
    """
    if not (instruction := os.environ.get(COMPLETION_VARIABLE)):
        return None
    with suppress(Exception, KeyboardInterrupt), redirect_stderr(StringIO()):
        shell, _, what = instruction.partition("_")
        completer = _completer(shell, program())
        told = completer.source() if what == "source" else f"{completer.complete()}\n"
        # Past Python's buffer: at exit it would complain of a shell that no longer listens. And see above.
        os.write(sys.stdout.fileno(), told.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        return 0
    return 1


def _completer(shell: str, program: click.Command) -> ShellComplete:
    return _SHELLS[shell](program, {}, "oauth-helper", COMPLETION_VARIABLE)


def _whole(words: list[str]) -> list[str]:
    whole = words[:1]
    for before, word in pairwise(words):
        if before in _BREAKS or word in _BREAKS:
            whole[-1] += word
        else:
            whole.append(word)
    return whole


_COMMANDS: Final[Mapping[str, tuple[str, Text]]] = {
    "link": ("link", _("Link a Git account: the main job.")),
    "deliver": ("manage", _("Hand the address to the link that waits in another terminal.")),
    "resume": ("manage", _("Finish the links that were cut off after you had authorized.")),
    "list": ("manage", _("List the authorizations of the project.")),
    "show": ("manage", _("Show one authorization.")),
    "delete": ("manage", _("Delete authorizations.")),
    "repos": ("manage", _("Show the repositories that an authorization can see.")),
    "apply": ("apply", _("Link all that a file declares and that is missing.")),
    "doctor": ("doctor", _("Check everything a link needs, without opening a browser.")),
    "sandbox": ("sandbox", _("Run a ServiceStage, Git host and console on this machine.")),
    "completion": ("app", _("Print the completion script of a shell.")),
}
"""In the order in which a new user meets them: the room of each, and what it is for."""


class _Program(TranslatedGroup):
    """A group whose commands are imported when they are wanted: its help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list({**_COMMANDS, **self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        room, short_help = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"oauth_helper.cli.{room}"), f"{cmd_name}_command")
        command.short_help = in_words(short_help)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not (ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name)):
            # What was given may be a redirect or a token.
            unknown = _("Unknown command: {name}", name=name) if is_plain_word(name) else _("Unknown command")
            raise UsageError(unknown)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section(gettext("Commands")):
            formatter.write_dl([(name, in_words(short_help)) for name, (_, short_help) in _COMMANDS.items()])


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
    if ctx.invoked_subcommand == "completion":
        return  # every shell that starts may run it
    from oauth_helper.journal import has_entries, journal_folder  # noqa: PLC0415 - --help need not wait for it

    folder = journal_folder()
    if folder and has_entries(folder):
        _forget_expired(folder)


def _forget_expired(folder: Path) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 - usually nothing has expired

    from oauth_helper.cli.console import Console  # noqa: PLC0415 - as above
    from oauth_helper.journal import Journal  # noqa: PLC0415 - as above

    # Expired codes and states do not outlive the next command, whichever it is.
    deleted, warnings = Journal(folder).forget_expired(datetime.now(UTC))
    console = Console(quiet=False)
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
        if getattr(sys, name) is None:  # closed by whoever started us (`2>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to our end
    given = list(arguments) or ["--help"]
    with ExitStack() as stack:
        stack.enter_context(_without_core_dumps())
        for stream in (sys.stdout, sys.stderr):
            stack.enter_context(_escaping(stream))
        stack.enter_context(speaking(given, os.environ))
        try:
            return _status_of(given)
        finally:
            if module := sys.modules.get("oauth_helper.cli.console"):  # else nothing was written
                module.drain_writers()
            for stream in (sys.stdout, sys.stderr):
                _give_up_where_nobody_reads(stream)


@contextmanager
def _without_core_dumps() -> Iterator[None]:
    """Write no core file: it would hold keys, tokens, code and state. What we start inherits that."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:  # pragma: no cover - Windows
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@contextmanager
def _escaping(stream: TextIO) -> Iterator[None]:
    """Escape what the encoding of ``stream`` lacks: a success must not end as an error because of a character."""
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


def _status_of(given: Sequence[str]) -> int:
    try:
        status = program.main(given, prog_name="oauth-helper", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _failed(usage_error(error), given)
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has enough of it. Where click is told so first, it exits.
        _give_up(sys.stdout)
        return 1
    except (Exception, KeyboardInterrupt) as fault:  # noqa: BLE001 - the last boundary: any error ends in words and a status
        return _failed(error_for(fault), given)
    return status if isinstance(status, int) else 0


def _failed(error: OAuthHelperError, arguments: Sequence[str]) -> int:

    flags = _flags_of(arguments)
    verbosity = sum(flag[1:].count("v") if flag[:2] != "--" else flag == "--verbose" for flag in flags)
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):  # nobody is there to be told; the status remains
        print_error(error, as_json=not {"--json", "--events"}.isdisjoint(flags), trace=verbosity > 1)
    return error.exit_status


def _flags_of(arguments: Sequence[str]) -> list[str]:
    """Return the flags among the arguments: parsing them may be what failed.

    The value of an option is none, nor is anything behind ``--``.
    """
    context = click.Context(program)
    command: Any = program
    flags: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            break
        if not argument.startswith("-"):
            command = (program.get_command(context, argument) if command is program else None) or command
        elif argument in _with_value(command):
            next(rest, None)
        else:
            flags.append(argument)
    return flags


def _with_value(command: click.Command) -> set[str]:
    options = [one for one in command.params if isinstance(one, click.Option) and not (one.is_flag or one.count)]
    return {name for one in options for name in one.opts}


def _give_up_where_nobody_reads(stream: TextIO) -> None:
    """Python would flush it once more at exit, complain behind the last line that is for scripts, and end with 120."""
    try:
        stream.flush()
    except OSError:
        _give_up(stream)


def _give_up(stream: TextIO) -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
