"""The command `sandbox`: run a ServiceStage, a Git host and a cloud console until stopped."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from oauth_helper.cli.console import Console, print_text, translate
from oauth_helper.cli.help import Command, option
from oauth_helper.cli.options import check_port, output_options, run
from oauth_helper.cli.output import print_json
from oauth_helper.cli.secrets_input import read_secret_file
from oauth_helper.errors import StoppedError, UsageError
from oauth_helper.i18n import _
from oauth_helper.settings import flag_of, others_can_read

_REGISTRATION_KEYS: Final = ("git_host", "client_id", "client_secret_file")


class _SandboxCommand(Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        from oauth_helper.sandbox.faults import Call, Kind  # noqa: PLC0415 - it imports aiohttp

        for title, words in ((_("WHAT fails"), Call), (_("HOW it fails"), Kind)):
            with formatter.section(translate(title)):
                formatter.write_dl([(word, translate(word.description)) for word in words])


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
    help="Fail at a call, such as exchange=0402, once or TIMES (a number, or always); see below. Can be repeated: "
    "faults of one call take turns.",
)
@option("--git-host", metavar="URL", help="Let users authorize at this OpenID provider (its issuer address).")
@option("--client-id", metavar="ID", help="With --git-host: the client ID registered there.")
@option(
    "--client-secret-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --git-host: a file with that client's secret.",
)
@option(
    "--console-port",
    type=click.IntRange(1, 65535),
    metavar="N",
    callback=check_port,
    help="Port of the console, the target of redirect URIs (default: a free one).",
)
@output_options
def sandbox_command(**options: Any) -> None:
    """Run ``oauth-helper sandbox``."""
    console = Console(quiet=options["quiet"])
    try:
        run(_serve(console, options))
    except StoppedError:
        console.print(_("The sandbox has stopped."))


async def _serve(console: Console, options: Mapping[str, Any]) -> None:
    from oauth_helper.sandbox import Sandbox, faults, oidc  # noqa: PLC0415 - it imports aiohttp

    registration = None
    given = [key for key in _REGISTRATION_KEYS if options[key] is not None]
    if 0 < len(given) < len(_REGISTRATION_KEYS):
        raise UsageError(
            _("These options go together: {options}", options=", ".join(map(flag_of, _REGISTRATION_KEYS))),
            hint=_("See `oauth-helper sandbox --help`."),
        )
    if given:
        path = options["client_secret_file"]
        registration = oidc.Registration(
            options["git_host"], options["client_id"], read_secret_file(path, _("client secret"))
        )
        if others_can_read(str(path)):
            console.warn(_("Others can read {path}; run: chmod 600 on it.", path=path))
    async with Sandbox(
        faults=[faults.Fault.parse(value) for value in options["faults"]],
        registration=registration,
        console_port=options["console_port"],
        warn=console.warn,
    ) as sandbox:
        environ, git_user = sandbox.environment(), sandbox.git_user
        token, password = sandbox.personal_token.reveal(), sandbox.git_password.reveal()
        if options["as_json"]:
            print_json({**environ, "git_user": git_user, "git_token": token, "git_password": password})
        else:
            for name, value in environ.items():
                # The token would win over the access key.
                print_text(f"{'# ' if name == 'OAUTH_HELPER_TOKEN' else ''}export {name}={shlex.quote(value)}")
            comments = [
                _("token for `link --with-token`: {token}", token=token),
                _("password for `--with-password --user {user}`: {password}", user=git_user, password=password),
            ]
            if registration:
                comments += [
                    _("redirect URI for {repo_type}: {address}", repo_type=repo_type, address=address)
                    for repo_type, address in sandbox.redirect_uris.items()
                ]
            for comment in comments:
                print_text(f"# {translate(comment)}")
        console.print(_("The sandbox runs until you press Ctrl-C. Use the lines above in another terminal."))
        await asyncio.Event().wait()
