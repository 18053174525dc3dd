"""The command line: the commands, errors as text and exit statuses, completion, standard streams."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib import import_module
from itertools import takewhile
from typing import Any, Final, TextIO

import click
from click.core import ParameterSource
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
)

from oauth_helper.cli.console import Console, choose_language, drain_writers, print_text, style, translate
from oauth_helper.cli.help import Choice, Command, InvalidValue, Option, command
from oauth_helper.cli.options import output_options
from oauth_helper.cli.output import EventLines
from oauth_helper.errors import MachineError, OAuthHelperError, StoppedError, UsageError, safe_traceback
from oauth_helper.events import Failed
from oauth_helper.i18n import Text, _, enumerated
from oauth_helper.journal import Journal
from oauth_helper.secret import escaped, is_plain_word
from oauth_helper.version import VERSION

with suppress(ImportError):  # Windows has none
    import resource

_NAME: Final = "oauth-helper"
_COMPLETION_VARIABLE: Final = "_OAUTH_HELPER_COMPLETE"
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_NO_MEMORY: Final = ("can't start new thread", "failed to map segment", "Cannot allocate memory")
"""Messages of Python that come without an error number."""


def print_error(error: OAuthHelperError, *, as_json: bool, trace: bool = False) -> None:
    """Print what happened and what to do next on standard error; with ``as_json`` the last line is for scripts."""
    console = Console()
    if trace:
        console.print_lines([escaped(safe_traceback(error), keep="\n")])
    console.print_error(error.message, error.hint)
    request_id = error.request_id and _("request id {request_id}", request_id=error.request_id)
    code = error.code if error.code != str(error.status) else None  # without a code, it is the status
    if not as_json and (code or request_id):
        details = translate(enumerated([each for each in (code, request_id) if each]))
        console.print_lines([style(escaped(details), console.stream, dim=True)])
    if as_json:
        console.print_lines([json.dumps({"error": error.to_json()})])


@contextmanager
def failure_as_last_event(lines: EventLines | None) -> Iterator[None]:
    """Turn any exception into an error of ours, and write that as the last event."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as exception:
        error = error_for(exception)
        if lines:
            lines.tell(Failed(error))
        if error is exception:
            raise
        raise error from exception


def error_for(exception: BaseException) -> OAuthHelperError:
    """Return our error for any exception: itself if it is ours, else Ctrl-C, a limit of this machine, or a fault."""
    everything = list(_flattened(exception))
    if ours := next((each for each in everything if isinstance(each, OAuthHelperError)), None):
        return ours
    if isinstance(exception, click.ClickException):
        return _usage_error(exception)
    if isinstance(exception, KeyboardInterrupt | click.Abort):
        return StoppedError(_("Cancelled"))
    if isinstance(exception, OSError) and exception.errno in _DISK_FULL:
        return MachineError(
            _("The result could not be written: {strerror}", strerror=exception.strerror),
            hint=_("Everything else was done: see `oauth-helper list`."),
        )
    error = OAuthHelperError(_("Unexpected {name__}", name__=type(exception).__name__))
    if lack := next(filter(None, map(_lack, everything)), None):
        error = MachineError(
            _("The system refused something that is needed: {lack}", lack=lack),
            hint=_(
                "Check the limits of memory, open files and processes (`ulimit -a`), and that the address "
                "127.0.0.1 exists. `oauth-helper doctor` checks this machine."
            ),
        )
    error.__cause__ = exception
    return error


def _flattened(exception: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception, its cause, and those of a group."""
    if exception:
        yield exception
        for each in (exception.__cause__, *(exception.exceptions if isinstance(exception, BaseExceptionGroup) else ())):
            yield from _flattened(each)


def _lack(exception: BaseException) -> str | None:
    """Return what the system refused: descriptors, memory, processes, a folder or the loopback interface."""
    if isinstance(exception, OSError) and exception.errno:
        return exception.strerror
    is_memory = isinstance(exception, MemoryError) or any(text in str(exception) for text in _NO_MEMORY)
    return _("memory or threads") if is_memory else None


def _usage_error(error: click.ClickException) -> UsageError:  # noqa: C901 - a table
    """Return click's error in our words, which repeat only short plain words: a value may be a secret."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command if context else program
    message, more = _("The command line cannot be understood"), None
    match error:
        case click.NoSuchOption():
            message = _("Unknown option")
            if is_plain_word(error.option_name.lstrip("-")):
                message = _("Unknown option: {option}", option=error.option_name)
                if error.possibilities:
                    more = _("Did you mean {option}?", option=error.possibilities[0])
                elif any(isinstance(one, click.Argument) for one in command.params):
                    more = _('Put "--" before a name that begins with "-".')
        case click.BadOptionUsage() if context:
            option = next(one for one in command.get_params(context) if error.option_name in one.opts)
            message = _("The option {option} needs a value", option=_name_of(option))
            if getattr(option, "is_flag", False) or getattr(option, "count", False):
                message = _("The option {option} takes no value", option=_name_of(option))
        case click.MissingParameter(param=click.Parameter() as param):
            message = _("Missing argument {name}", name=_name_of(param))
            if isinstance(param.type, click.Choice):
                more = _("It is one of {choices}.", choices=enumerated(list(param.type.choices)))
        case click.BadParameter(param=click.Parameter() as param):
            name, kind = _name_of(param), param.type
            message = _("The value of {name} cannot be used", name=name)
            if isinstance(error, InvalidValue):
                if context and context.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT:
                    name = str(param.envvar)
                message = _("{name}: {message}", name=name, message=error.message)
            elif isinstance(kind, click.IntRange | click.FloatRange):
                limits = {"lowest": kind.min, "highest": kind.max}
                message = _("{name} must be a number from {lowest} to {highest}", name=name, **limits)
        case _ if type(error) is click.UsageError and context:
            expected = sum(isinstance(one, click.Argument) for one in command.params)
            message = _("Unexpected argument {number}", number=expected + 1)
        case _:
            pass
    hint = _("See `{command} --help`.", command=context.command_path if context else "oauth-helper")
    return UsageError(message, hint=_("{more} {hint}", more=more, hint=hint) if more else hint)


def _name_of(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return (parameter.metavar or parameter.name or "").upper().strip("[].")


_SHELLS: Final = ("bash", "zsh", "fish")


class _WholeWords(ShellComplete):
    """For shells that replace a whole word such as ``--browser=ch``; click completes what follows the ``=``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(args, incomplete)
        option, equals, _value = incomplete.partition("=")
        if equals and option.startswith("--"):
            return [CompletionItem(f"{option}={item.value}", item.type, item.help) for item in items]
        return items


for _kind in (ZshComplete, FishComplete):
    add_completion_class(type(_kind.__name__, (_WholeWords, _kind), {}))


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
def completion_command(shell: str) -> int:
    """Run ``oauth-helper completion``."""
    return shell_complete(program, {}, _NAME, _COMPLETION_VARIABLE, f"{shell}_source")


@command("help", help="Show the help of COMMAND, or of the program.")
@click.argument("name", required=False, metavar="[COMMAND]")
def help_command(name: str | None) -> None:
    """Run ``oauth-helper help``."""
    program.main([*([name] if name else []), "--help"], prog_name=_NAME, standalone_mode=False)


_COMMANDS: Final[Mapping[str, tuple[str, Text]]] = {
    "link": ("link", _("Link a Git account.")),
    "list": ("manage", _("List the authorizations of the project.")),
    "show": ("manage", _("Show one authorization.")),
    "repos": ("manage", _("List the repositories that an authorization can access.")),
    "delete": ("manage", _("Delete authorizations.")),
    "apply": ("apply", _("Create the authorizations a file declares that don't exist yet.")),
    "resume": ("manage", _("Finish interrupted links.")),
    "deliver": ("manage", _("Send the final address to a link waiting in another terminal.")),
    "capture": ("link", _("Capture the redirect of any OAuth authorization URL.")),
    "doctor": ("doctor", _("Check everything a link needs, without opening a browser.")),
    "sandbox": ("sandbox", _("Run a ServiceStage, Git host and console on this machine, to try things.")),
    "completion": ("app", _("Print the completion script of a shell.")),
    "help": ("app", _("Show the help of a command.")),
}
"""The module and the short help of each command, in the order in which a new user meets them."""
_ALIASES: Final = {"login": "link"}
"""Commands that the help does not list."""
_MEANT: Final = {"auth": "link", "add": "link", "ls": "list", "rm": "delete", "version": "--version"}


class _Program(Command, click.Group):
    """A group whose commands are imported when they run: its own help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list({**_COMMANDS, **self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = _ALIASES.get(cmd_name, cmd_name)
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
            if not is_plain_word(name):  # the user may have pasted a redirect or a token here
                raise UsageError(_("Unknown command"))
            close = _MEANT.get(name) or next(iter(get_close_matches(name, _COMMANDS, 1)), None)
            meant = _("Did you mean `oauth-helper {command}`?", command=close) if close else None
            raise UsageError(_('Unknown command "{name}"', name=name), hint=meant)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(translate(_("Commands"))):
            formatter.write_dl([(name, translate(short_help)) for name, (_, short_help) in _COMMANDS.items()])
        Command.format_options(self, ctx, formatter)


@click.group(
    cls=_Program,
    help="Link a Git account (GitHub, GitLab, Gitee, Bitbucket) to Huawei Cloud ServiceStage.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@output_options
@click.version_option(
    VERSION, prog_name=_NAME, message="%(prog)s %(version)s", cls=Option, help="Show the version and exit."
)
@click.pass_context
def program(ctx: click.Context, /, **_options: Any) -> None:
    """Run ``oauth-helper``."""
    if ctx.invoked_subcommand is None:
        print_text(ctx.get_help())
    if ctx.invoked_subcommand in {None, "completion"}:  # which every shell that starts may run
        return
    # Expired codes and states do not outlive the next command.
    deleted, warnings = Journal.of_the_user().forget_expired(datetime.now(UTC))
    expired = [
        _(
            'The interrupted link "{name}" was not finished within 10 minutes, so its redirect was deleted. '
            "`oauth-helper list` shows whether the authorization exists.",
            name=pending.target.name,
        )
        for pending in deleted
    ]
    for text in (*(warning + _(".") for warning in warnings), *expired):
        Console().warn(text)


@program.result_callback()
@click.pass_context
def _end(ctx: click.Context, /, result: int | None, **_options: Any) -> int | None:
    if ctx.obj:
        ctx.obj.offer_to_save_region()
    return result


def run_program(arguments: Sequence[str]) -> int:
    """Run the command, or answer a shell that completes; return the exit status. Never raises, never exits."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process (`2>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to our end
    if sys.platform != "win32":  # a core file would hold keys, tokens, code and state; child processes inherit this
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for stream in (sys.stdout, sys.stderr):
        # A character that the encoding lacks must not turn a success into an error. Shells on Windows do not read
        # CR LF. A terminal that is open for reading too cannot be flushed.
        with suppress(AttributeError, OSError):
            stream.reconfigure(errors="backslashreplace", newline="\n")  # type: ignore[union-attr]
    choose_language(arguments)
    try:
        return _run(arguments)
    finally:
        drain_writers()
        for stream in (sys.stdout, sys.stderr):
            try:  # if that failed at exit, Python would print a message behind the last line, and exit with 120
                stream.flush()
            except OSError:
                _redirect_to_null(stream)


def _run(arguments: Sequence[str]) -> int:
    try:
        status = program.main(arguments, _NAME, standalone_mode=False, complete_var=_COMPLETION_VARIABLE)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as end:  # the reader of our output has gone, or a shell has its answer
        _redirect_to_null(sys.stdout)
        return 1 if getattr(end, "code", 1) else 0
    except (Exception, KeyboardInterrupt) as exception:  # noqa: BLE001 - the last boundary: every error becomes a status
        if os.environ.get(_COMPLETION_VARIABLE):  # the user is in the middle of a line
            return 1
        error = error_for(exception)
        words = list(takewhile("--".__ne__, arguments))  # parsing may have failed before it came to them
        verbosity = sum(word.count("v") for word in words if re.fullmatch("-[a-z]+", word)) + words.count("--verbose")
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):  # without a reader, the status remains
            print_error(error, as_json=not {"--json", "--events"}.isdisjoint(words), trace=verbosity > 1)
        return error.exit_status
    return status if isinstance(status, int) else 0


def _redirect_to_null(stream: TextIO) -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
