"""The command `capture`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

from oauth_helper.cli.app import failure_as_last_event
from oauth_helper.cli.console import language_preference, print_text
from oauth_helper.cli.help import command, option
from oauth_helper.cli.options import BROWSER_OPTION, EVENTS_OPTION, PORT_OPTION, output_options, run, timeout_option
from oauth_helper.cli.output import EventLines, print_json
from oauth_helper.cli.progress import ProgressReporter
from oauth_helper.cli.secrets_input import ask, can_ask, read_file_or_stdin
from oauth_helper.errors import UsageError
from oauth_helper.events import Event
from oauth_helper.i18n import _
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.settings import Sources, UnreadableFileError, resolve_settings
from oauth_helper.values import FileValues

_VARIABLES: Final = ("OAUTH_HELPER_BROWSER", "OAUTH_HELPER_TIMEOUT")


@command(
    "capture",
    help="""Capture the redirect of any OAuth authorization URL, and print it.

    URL is an authorization URL that another tool shows, or - for standard input. The browser opens as for `link`; when
    the provider redirects to the tool's own address, that address is captured and printed, code and state included.
    Nothing is saved. Authorize only applications that you know: anyone who gets the output can act for you.
    """,
)
@click.argument("url", required=False)
@option("--redirect-uri", metavar="URI", help="Where the provider redirects to, if URL does not contain it.")
@option("--no-state", is_flag=True, help="Accept a URL without a state: then any page can bring another redirect.")
@option("--code", "code_only", is_flag=True, help="Print the code only.")
@BROWSER_OPTION
@option("--no-browser", is_flag=True, hidden=True)
@PORT_OPTION
@timeout_option("Seconds to wait for you to authorize (default: 600).")
@EVENTS_OPTION
@output_options
def capture_command(url: str | None, **options: Any) -> None:
    """Run ``oauth-helper capture``."""
    lines = EventLines() if options["as_events"] else None
    with failure_as_last_event(lines):
        response = _capture(url, options, lines)
    if lines:
        lines.check()
    elif options["as_json"]:
        print_json({name: value.reveal() for name, value in response.parameters.items()})
    else:
        print_text((response.code if options["code_only"] else response.redirect).reveal())


def _capture(url: str | None, options: dict[str, Any], lines: EventLines | None) -> AuthorizationResponse:
    if sum(options[name] for name in ("as_json", "as_events", "code_only")) > 1:
        raise UsageError(_("--code, --json and --events exclude each other"), hint=_("Use only one."))
    flags = {key: None if options[key] is None else str(options[key]) for key in ("browser", "timeout")}
    if options["no_browser"]:
        flags["browser"] = "none"
    environ = {name: value for name, value in os.environ.items() if name in _VARIABLES}
    settings = resolve_settings(Sources(flags, environ, FileValues(""), FileValues("")))
    reporter = ProgressReporter(quiet=options["quiet"], verbosity=options["verbose"])
    request = AuthorizationRequest.parse(
        _read(url, quiet=options["quiet"]), redirect_uri=options["redirect_uri"], needs_state=not options["no_state"]
    )
    if request.state is None:
        reporter.warn(_("Without a state, any page in your browser can bring another redirect."))
    from oauth_helper import api, session  # noqa: PLC0415 - they import aiohttp, which help does not need

    def tell(event: Event) -> None:
        reporter.tell(event)
        if lines:
            lines.tell(event)

    browser_options = session.BrowserOptions(
        browser=settings.browser.value,
        port=options["port"],
        say=reporter.print_always,
        keys=reporter.keys,
        environ=os.environ,
        has_script=options["as_events"],
        shows_result=reporter.is_terminal and not (options["as_json"] or options["as_events"]),
        preference=language_preference(),
    )
    reporter.takes_pastes = browser_options.has_prompt
    try:
        return run(api.capture_redirect(request, browser_options, tell, seconds=settings.timeout.value))
    finally:
        reporter.stop_countdown()


def _read(url: str | None, *, quiet: bool) -> str:
    if url is None and can_ask():
        return ask(_("Authorization URL"))
    if url is None:
        raise UsageError(_("No authorization URL"), hint=_("Pass it as an argument, or - to read standard input."))
    if url != "-":
        return url
    try:
        content = read_file_or_stdin(Path(url), _("Reading the URL from standard input…"), quiet=quiet)
    except UnreadableFileError as error:
        raise UsageError(_("Standard input {reason}", reason=error.reason)) from None
    return content.decode("utf-8", "replace")
