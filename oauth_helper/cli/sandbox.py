"""The command ``sandbox``: run the embedded ServiceStage, Git host and console until stopped."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from oauth_helper.cli.console import in_words, print_text
from oauth_helper.cli.help import TranslatedCommand, option
from oauth_helper.cli.options import browsable_port, output_options, run
from oauth_helper.cli.output import print_json
from oauth_helper.cli.progress import ProgressReporter
from oauth_helper.errors import StoppedError, UsageError
from oauth_helper.i18n import Text, _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oauth_helper.sandbox import Sandbox
    from oauth_helper.sandbox.faults import Fault
    from oauth_helper.secret import Secret

_COMMENTED_OUT: Final = frozenset({"OAUTH_HELPER_TOKEN"})
"""It would win over the access key; whoever wants the token takes the mark away."""
_OF_AN_OUTSIDE_HOST: Final = ("git_host", "client_id", "client_secret_file")


class _Client(NamedTuple):
    """As what ServiceStage is registered with a Git host outside: of ``Registration``, which costs an import."""

    issuer: str
    client_id: str
    client_secret: Secret


class _SandboxCommand(TranslatedCommand):
    """A command whose help ends with what can go wrong."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        from oauth_helper.sandbox.faults import CALLS, KINDS  # noqa: PLC0415 - only this help needs it

        for title, table in ((_("WHAT goes wrong"), CALLS), (_("HOW it goes wrong"), KINDS)):
            with formatter.section(in_words(title)):
                formatter.write_dl([(word, in_words(meaning)) for word, meaning in table.items()])


def _faults(ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> list[Fault]:
    if not values or ctx.resilient_parsing:  # a shell completes
        return []
    from oauth_helper.sandbox.faults import Fault  # noqa: PLC0415 - none is wanted, as a rule

    return [Fault.parse(value) for value in values]


@click.command(
    "sandbox",
    cls=_SandboxCommand,
    help="""Run a ServiceStage, a Git host and a cloud console on this machine until stopped.

    Standard output gets lines for your shell that point oauth-helper, and the vendor's SDK, at the sandbox.
    """,
)
@option(
    "--fault",
    "faults",
    multiple=True,
    metavar="WHAT=HOW[:TIMES]",
    callback=_faults,
    help="Go wrong at a call, once or TIMES (a number, or always); see below. Give it again for more: those of one "
    "call take their turns.",
)
@option(
    "--git-host", metavar="URL", help="Have users consent at this OpenID provider (its issuer), not at our Git host."
)
@option("--client-id", metavar="ID", help="With --git-host: as what ServiceStage is registered there.")
@option(
    "--client-secret-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --git-host: a file with the secret of that client.",
)
@option(
    "--console-port",
    type=click.IntRange(1, 65535),
    metavar="N",
    callback=browsable_port,
    help="The console's port, to which redirect URIs lead.  [default: a free one]",
)
@output_options
def sandbox_command(**options: Any) -> None:
    """Run ``oauth-helper sandbox``."""
    reporter = ProgressReporter(quiet=options["quiet"], verbosity=options["verbose"])
    client = _client(reporter, options)
    try:
        run(_serve(reporter, client, options))
    except StoppedError:
        reporter.say(_("The sandbox has stopped."))


def _client(reporter: ProgressReporter, options: Mapping[str, Any]) -> _Client | None:
    given = [name for name in _OF_AN_OUTSIDE_HOST if options[name] is not None]
    if not given:
        return None
    if len(given) < len(_OF_AN_OUTSIDE_HOST):
        words = ", ".join(f"--{name.replace('_', '-')}" for name in _OF_AN_OUTSIDE_HOST)
        raise UsageError(
            _("These options go together: {options}", options=words),
            hint=_("See `oauth-helper sandbox --help`."),
        )
    from oauth_helper.cli.secrets_input import read_secret_file  # noqa: PLC0415 - no host is given, as a rule
    from oauth_helper.settings import others_can_read  # noqa: PLC0415 - as above

    path = options["client_secret_file"]
    secret = read_secret_file(path, _("client secret"))
    if others_can_read(str(path)):
        reporter.warn(_("Others can read {path}; run: chmod 600 on it.", path=path))
    return _Client(options["git_host"], options["client_id"], secret)


async def _serve(reporter: ProgressReporter, client: _Client | None, options: Mapping[str, Any]) -> None:
    import asyncio  # noqa: PLC0415 - as below

    from oauth_helper.sandbox import Sandbox  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay
    from oauth_helper.sandbox.oidc import Registration  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    async with Sandbox(
        faults=options["faults"],
        registration=client and Registration(*client),
        console_port=options["console_port"],
        warn=reporter.warn,
    ) as sandbox:
        if options["as_json"]:
            token, password = sandbox.personal_token.reveal(), sandbox.git_password.reveal()
            git_user = {"git_user": sandbox.git_user, "git_token": token, "git_password": password}
            print_json({**sandbox.environment(), **git_user})
        else:
            _print_lines(sandbox, with_addresses=client is not None)
        reporter.say(_("The sandbox runs until Ctrl-C. Use the lines above in another terminal."))
        await asyncio.Event().wait()


def _print_lines(sandbox: Sandbox, *, with_addresses: bool) -> None:
    for name, value in sandbox.environment().items():
        mark = "# " if name in _COMMENTED_OUT else ""
        print_text(f"{mark}export {name}={shlex.quote(value)}")
    token, password = sandbox.personal_token.reveal(), sandbox.git_password.reveal()
    _print_comment(_("token for `link --with-token`: {token}", token=token))
    _print_comment(
        _("password for `--with-password --user {user}`: {password}", user=sandbox.git_user, password=password)
    )
    if with_addresses:
        for repo_type, address in sandbox.redirect_uris.items():
            _print_comment(_("redirect URI for {repo_type}: {address}", repo_type=repo_type, address=address))


def _print_comment(words: Text) -> None:
    print_text(f"# {in_words(words)}")
