"""The command ``oauth-helper``: its subcommands, and the one place where an error becomes words and a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from gettext import gettext
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from oauth_helper.cli.language_option import LANGUAGE_OPTION
from oauth_helper.cli.speech import in_words, print_text, speaking
from oauth_helper.cli.spoken_help import SpokenGroup, option
from oauth_helper.errors import OAuthHelperError, UsageError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import is_plain_word
from oauth_helper.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

_COMMANDS: Final[Mapping[str, tuple[str, Phrase]]] = {
    "link": ("link", phrase("Link a Git account: the main job.")),
    "deliver": ("deliver", phrase("Hand the address to the link that waits in another terminal.")),
    "resume": ("resume", phrase("Finish the links that were cut off after you had authorized.")),
    "list": ("authorizations", phrase("List the authorizations of the project.")),
    "show": ("authorizations", phrase("Show one authorization.")),
    "delete": ("authorizations", phrase("Delete authorizations.")),
    "repos": ("repositories", phrase("Show the repositories that an authorization can see.")),
    "apply": ("apply", phrase("Link all that a file declares and that is missing.")),
    "doctor": ("doctor", phrase("Check everything a link needs, without opening a browser.")),
    "sandbox": ("sandbox", phrase("Run a ServiceStage, Git host and console on this machine.")),
    "completion": ("completion", phrase("Print the completion script of a shell.")),
}
"""In the order in which a new user meets them: the room of each, and what it is for."""


class _Program(SpokenGroup):
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
            unknown = phrase("Unknown command: {name}", name=name) if is_plain_word(name) else phrase("Unknown command")
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
    from oauth_helper.journal_folder import has_entries, journal_folder  # noqa: PLC0415 - --help need not wait for it

    folder = journal_folder()
    if has_entries(folder):
        _forget_expired(folder)


def _forget_expired(folder: Path) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 - as a rule there is nothing to forget

    from oauth_helper.cli.voice import Voice  # noqa: PLC0415 - as above
    from oauth_helper.journal import Journal  # noqa: PLC0415 - as above

    # No secret of a redirect that is too old to be of use outlives the next command, whichever it is.
    for trouble in Journal(folder).forget_expired(datetime.now(UTC)):
        Voice(quiet=False).warn(trouble + phrase("."))


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
            if module := sys.modules.get("oauth_helper.cli.error_stream"):  # else nothing was said
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
    stream.reconfigure(errors="backslashreplace")
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
        from oauth_helper.cli.complaint import usage_error  # noqa: PLC0415 - nothing fails in a help

        return _failed(usage_error(error), given)
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has enough of it. Where click is told so first, it exits.
        _give_up(sys.stdout)
        return 1
    except (Exception, KeyboardInterrupt) as fault:  # noqa: BLE001 - the last boundary: any error ends in words and a status
        from oauth_helper.cli.complaint import error_for  # noqa: PLC0415 - as above

        return _failed(error_for(fault), given)
    return status if isinstance(status, int) else 0


def _failed(error: OAuthHelperError, arguments: Sequence[str]) -> int:
    from oauth_helper.cli.complaint import print_error  # noqa: PLC0415 - nothing fails in a help

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
