"""The command ``sandbox``: run the embedded ServiceStage, Git host and console until stopped."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.cli.narration import Narrator
from oauth_helper.cli.options import output_options
from oauth_helper.cli.output import print_json
from oauth_helper.cli.running import run
from oauth_helper.cli.speech import in_words
from oauth_helper.cli.spoken_help import SpokenCommand, option
from oauth_helper.errors import StoppedError
from oauth_helper.phrase import Phrase, phrase

if TYPE_CHECKING:
    from oauth_helper.sandbox import Fault

_COMMENTED_OUT: Final = frozenset({"OAUTH_HELPER_TOKEN"})
"""It would win over the access key; whoever wants the token takes the mark away."""


class _SandboxCommand(SpokenCommand):
    """A command whose help ends with what can go wrong."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        from oauth_helper.sandbox.faults import CALLS, KINDS  # noqa: PLC0415 - aiohttp costs 0.3 s

        for title, table in ((phrase("WHAT goes wrong"), CALLS), (phrase("HOW it goes wrong"), KINDS)):
            with formatter.section(in_words(title)):
                formatter.write_dl([(word, in_words(meaning)) for word, meaning in table.items()])


def _faults(ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> list[Fault]:
    if not values or ctx.resilient_parsing:  # a shell completes
        return []
    from oauth_helper.sandbox import Fault  # noqa: PLC0415 - aiohttp costs 0.3 s

    return [Fault.parse(value) for value in values]


@click.command("sandbox", cls=_SandboxCommand, short_help="Run a ServiceStage, Git host and console on this machine.")
@option(
    "--fault",
    "faults",
    multiple=True,
    metavar="WHAT=HOW[:TIMES]",
    callback=_faults,
    help="Go wrong at a call, once or TIMES (a number, or always); see below. Give it again for more: those of one "
    "call take their turns.",
)
@output_options
def sandbox_command(**options: Any) -> None:
    """Run a ServiceStage, a Git host and a cloud console on this machine until stopped.

    Standard output gets lines for your shell that point oauth-helper, and the vendor's SDK, at the sandbox.
    """
    narrator = Narrator(quiet=options["quiet"], verbosity=options["verbose"])
    try:
        run(_serve(narrator, options["faults"], as_json=options["as_json"]))
    except StoppedError:
        narrator.say(phrase("The sandbox has stopped."))


async def _serve(narrator: Narrator, faults: list[Fault], *, as_json: bool) -> None:
    from oauth_helper.sandbox import Sandbox  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    async with Sandbox(faults=faults) as sandbox:
        if as_json:
            print_json(sandbox.environment())
        else:
            for name, value in sandbox.environment().items():
                mark = "# " if name in _COMMENTED_OUT else ""
                click.echo(f"{mark}export {name}={shlex.quote(value)}")
            token, password = sandbox.personal_token.reveal(), sandbox.git_password.reveal()
            _print_comment(phrase("token for `link --with-token`: {token}", token=token))
            _print_comment(
                phrase(
                    "password for `--with-password --user {user}`: {password}", user=sandbox.git_user, password=password
                )
            )
        narrator.say(phrase("The sandbox runs until Ctrl-C. Use the lines above in another terminal."))
        await asyncio.Event().wait()


def _print_comment(words: Phrase) -> None:
    click.echo(f"# {in_words(words)}")
