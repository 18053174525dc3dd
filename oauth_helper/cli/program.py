"""The command ``oauth-helper``: its subcommands, and the one place where an error becomes words and a status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import click

from oauth_helper.cli.apply import apply_command
from oauth_helper.cli.authorizations import delete_command, list_command, show_command
from oauth_helper.cli.completion import completion_command
from oauth_helper.cli.deliver import deliver_command
from oauth_helper.cli.doctor import doctor_command
from oauth_helper.cli.link import link_command
from oauth_helper.cli.options import LANGUAGE_OPTION
from oauth_helper.cli.output import print_error, trace_is_wanted
from oauth_helper.cli.repositories import repos_command
from oauth_helper.cli.resume import resume_command
from oauth_helper.cli.sandbox import sandbox_command
from oauth_helper.cli.speech import speak
from oauth_helper.cli.spoken_help import SpokenGroup, option
from oauth_helper.cli.voice import Voice
from oauth_helper.errors import MachineError, OAuthHelperError, StoppedError, UsageError
from oauth_helper.journal import Journal
from oauth_helper.phrase import Phrase, phrase, verbatim

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_WRITTEN: Final = phrase("What was done is done: `oauth-helper list` shows what stands.")


class _Program(SpokenGroup):
    """A group that lists its commands in the order in which a new user meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"oauth-helper {version('oauth-helper')}")
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
    """Link a Git account (GitHub, GitLab, Gitee, Bitbucket) to Huawei Cloud ServiceStage."""
    if ctx.invoked_subcommand == completion_command.name:
        return  # every shell that starts may run it
    # No secret of a redirect that is too old to be of use outlives the next command, whichever it is.
    for trouble in Journal.of_the_user().forget_expired(datetime.now(UTC)):
        Voice(quiet=False).warn(trouble + phrase("."))


for _command in (
    link_command,
    deliver_command,
    resume_command,
    list_command,
    show_command,
    delete_command,
    repos_command,
    apply_command,
    doctor_command,
    sandbox_command,
    completion_command,
):
    program.add_command(_command)


def run_program(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status. Never raises, never exits."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us (`2>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to our end
    given = list(arguments) or ["--help"]
    speak(given, os.environ)
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
    except BrokenPipeError:
        # Whoever read our output has enough of it.
        _give_up_standard_output()
        return 1
    except Exception as fault:  # noqa: BLE001 - the last boundary: a fault of ours still ends in words and status 1
        return _failed(_fault(fault), given)
    return status if isinstance(status, int) else 0


def _failed(error: OAuthHelperError, arguments: Sequence[str]) -> int:
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_standard_output()
    with suppress(OSError):  # nobody is there to be told; the status remains
        print_error(error, as_json=not {"--json", "--events"}.isdisjoint(arguments), trace=trace_is_wanted(arguments))
    return error.exit_status


def _give_up_standard_output() -> None:
    """Python would flush it once more at exit, and complain behind the last line that is for scripts."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
