"""The command ``doctor``: check everything a link needs, a line each, without opening a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oauth_helper.authorization import RepoType
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    PORT_OPTION,
    REPO_TYPE,
    connection_options,
    output_options,
    start_run,
)
from oauth_helper.cli.spoken_help import command, option
from oauth_helper.errors import OAuthHelperError, UsageError
from oauth_helper.phrase import phrase

if TYPE_CHECKING:
    from oauth_helper.cli.doctor.finding import Finding


@command(
    "doctor",
    help="""Check everything a link needs, a line each, without opening a browser.

    What is marked fail would end a link, and the first of it is to be mended first; a link works in spite of a note.
    Ends with the status a link would end with, 0 where all is well.
    """,
)
@click.argument("repo_type", type=REPO_TYPE, metavar="[REPO_TYPE]", default=RepoType.GITHUB.value)
@option("--name", metavar="NAME", help="The name a link would use.  [default: REPO_TYPE-<your login name>]")
@BROWSER_OPTION
@PORT_OPTION
@option(
    "--report",
    "as_report",
    is_flag=True,
    help="Print a report that can be shown in public: no secret, name, path or private host.",
)
@connection_options
@output_options
def doctor_command(repo_type: str, **options: Any) -> int:
    """Run ``oauth-helper doctor``."""
    if options["as_report"] and options["as_json"]:
        raise UsageError(phrase("--report is for people, --json for scripts"), hint=phrase("Give one of them."))
    findings = _of_the_run(options, RepoType(repo_type))
    _print(findings, RepoType(repo_type), as_report=options["as_report"], as_json=options["as_json"])
    error = next((finding.error for finding in findings if finding.error), None)
    if error and options["as_json"]:
        from oauth_helper.cli.complaint import print_error  # noqa: PLC0415 - a help need not wait for it

        print_error(error, as_json=True, trace=False)
    return error.exit_status if error else 0


def _print(findings: list[Finding], repo_type: RepoType, *, as_report: bool, as_json: bool) -> None:
    from oauth_helper.cli.doctor.printing import print_findings  # noqa: PLC0415 - as above
    from oauth_helper.cli.doctor.report import print_report  # noqa: PLC0415 - as above
    from oauth_helper.cli.output import print_json  # noqa: PLC0415 - as above

    if as_report:
        print_report(findings)
    elif as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        print_findings(findings, repo_type)


def _of_the_run(options: dict[str, Any], repo_type: RepoType) -> list[Finding]:
    from oauth_helper.cli.doctor.checks import check_all  # noqa: PLC0415 - as above
    from oauth_helper.cli.doctor.finding import failed  # noqa: PLC0415 - as above
    from oauth_helper.cli.doctor.machine import check_listener  # noqa: PLC0415 - as above
    from oauth_helper.cli.running import run  # noqa: PLC0415 - as above
    from oauth_helper.wiring import name_for  # noqa: PLC0415 - as above

    try:
        started = start_run(options)
    except OAuthHelperError as error:
        return [failed("settings", error), run(check_listener(options["port"]))]
    name = name_for(repo_type) if options["name"] is None else options["name"]
    return run(check_all(started, repo_type, name, options["port"]))
