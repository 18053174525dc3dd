"""The command ``oauth-helper``: its subcommands, and the one place where an error becomes words and a status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from gettext import gettext
from importlib import import_module
from typing import TYPE_CHECKING, Final, TextIO

import click

from oauth_helper.cli.language_option import LANGUAGE_OPTION
from oauth_helper.cli.speech import in_words, speak
from oauth_helper.cli.spoken_help import SpokenGroup, option
from oauth_helper.errors import MachineError, OAuthHelperError, StoppedError, UsageError
from oauth_helper.phrase import Phrase, phrase, verbatim
from oauth_helper.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_WRITTEN: Final = phrase("What was done is done: `oauth-helper list` shows what stands.")

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section(gettext("Commands")):
            formatter.write_dl([(name, in_words(short_help)) for name, (_, short_help) in _COMMANDS.items()])


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"oauth-helper {VERSION}")
        ctx.exit()


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    """Link a Git account ({hosts}) to Huawei Cloud ServiceStage."""
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
    """Run the command; return its exit status. Never raises, never exits."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us (`2>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to our end
    given = list(arguments) or ["--help"]
    speak(given, os.environ)
    try:
        return _status_of(given)
    finally:
        if module := sys.modules.get("oauth_helper.cli.error_stream"):  # else nothing was said
            module.drain_writers()
        for stream in (sys.stdout, sys.stderr):
            _give_up_where_nobody_reads(stream)


def _status_of(given: Sequence[str]) -> int:
    try:
        status = program.main(given, prog_name="oauth-helper", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _failed(
            UsageError(verbatim(" ".join(error.format_message().split()).rstrip(".")), hint=_usage_hint(error)), given
        )
    except (click.Abort, KeyboardInterrupt):
        return _failed(StoppedError(phrase("Interrupted")), given)
    except OAuthHelperError as error:
        return _failed(error, given)
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has enough of it. Where click is told so first, it exits.
        _give_up(sys.stdout)
        return 1
    except Exception as fault:  # noqa: BLE001 - the last boundary: a fault of ours still ends in words and status 1
        return _failed(_fault(fault), given)
    return status if isinstance(status, int) else 0


def _failed(error: OAuthHelperError, arguments: Sequence[str]) -> int:
    from oauth_helper.cli.complaint import print_error, trace_is_wanted  # noqa: PLC0415 - nothing fails in a help

    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):  # nobody is there to be told; the status remains
        print_error(error, as_json=not {"--json", "--events"}.isdisjoint(arguments), trace=trace_is_wanted(arguments))
    return error.exit_status


def _give_up_where_nobody_reads(stream: TextIO) -> None:
    """Python would flush it once more at exit, complain behind the last line that is for scripts, and end with 120."""
    try:
        stream.flush()
    except OSError:
        _give_up(stream)


def _give_up(stream: TextIO) -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fault(fault: Exception) -> OAuthHelperError:
    if isinstance(fault, OSError) and fault.errno in _DISK_FULL:
        return MachineError(
            phrase("The result could not be written: {strerror}", strerror=fault.strerror), hint=_WRITTEN
        )
    error = OAuthHelperError(phrase("Unexpected {name__}", name__=type(fault).__name__))
    error.__cause__ = fault
    return error


def _usage_hint(error: click.ClickException) -> Phrase:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return phrase("See `{command} --help`.", command=context.command_path if context else "oauth-helper")
