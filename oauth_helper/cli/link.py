"""The commands `link` and `capture`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.cli.app import failure_as_last_event
from oauth_helper.cli.console import language_preference, print_text
from oauth_helper.cli.help import WITHOUT_BROWSER, Choice, command, option
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    CONNECTION_KEYS,
    EVENTS_OPTION,
    PORT_OPTION,
    REPO_TYPE,
    Invocation,
    connection_options,
    may_ask,
    output_options,
    run,
    timeout_option,
)
from oauth_helper.cli.output import EventLines, print_authorization, print_json
from oauth_helper.cli.progress import ProgressReporter
from oauth_helper.cli.secrets_input import ask, ask_for_secret, can_ask, read_address, read_secret
from oauth_helper.credentials import (
    TOKEN_GUIDES,
    GitCredential,
    PersonalToken,
    UserPassword,
    check_host,
    check_type,
    check_user,
)
from oauth_helper.environment import cannot_authorize
from oauth_helper.errors import OAuthHelperError, StoppedError, UsageError
from oauth_helper.events import Checked, Event, Failed, Linked
from oauth_helper.i18n import _, enumerated
from oauth_helper.journal import Journal
from oauth_helper.models import IfExists, LinkRequest, RepoType, name_for
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.settings import Settings, Sources, flag_of, resolve_settings
from oauth_helper.values import FileValues

if TYPE_CHECKING:
    from oauth_helper.session import BrowserOptions

_BROWSER_KEYS: Final = ("browser", "no_browser", "port", "tag", "timeout", "sandbox")
"""Options of a link in a browser only."""


@command(
    "link",
    help="""Link a Git account to ServiceStage.

    REPO_TYPE is github, gitlab, gitee, bitbucket or codearts (undocumented for OAuth). A browser window opens and you
    authorize there. If no window can open, authorize in your own browser and paste the final address on the page that
    it shows, or in this terminal.
    """,
)
@click.argument("repo_type", type=REPO_TYPE, metavar="[REPO_TYPE]", required=False)
@option("--name", metavar="NAME", help="Name of the authorization (default: REPO_TYPE-<your login name>).")
@option(
    "--if-exists",
    type=Choice([one.value for one in IfExists]),
    default=IfExists.KEEP.value,
    metavar="ACTION",
    help="If that name exists: keep it (the default), replace it, or fail.",
)
@BROWSER_OPTION
@option("--no-browser", is_flag=True, hidden=True)
@PORT_OPTION
@timeout_option("Seconds to wait for you to authorize (default: 600).")
@option("--tag", metavar="TAG", help="Site tag; intl for the international site.")
@option("--sandbox", is_flag=True, help="Try it without an account, in a sandbox on this machine.")
@option("--with-token", group=WITHOUT_BROWSER, is_flag=True, help="Use a personal access token: github, gitlab, gitee.")
@option("--host", group=WITHOUT_BROWSER, metavar="URL", help="With --with-token: address of a private Git server.")
@option("--with-password", group=WITHOUT_BROWSER, is_flag=True, help="Use a password; of bitbucket, an API token.")
@option(
    "--user",
    group=WITHOUT_BROWSER,
    metavar="NAME",
    help="With --with-password: ACCOUNT/USER, or your email.",
)
@connection_options
@EVENTS_OPTION
@output_options
def link_command(repo_type: str | None, **options: Any) -> None:
    """Run ``oauth-helper link``."""
    lines = EventLines() if options["as_events"] else None
    with failure_as_last_event(lines):
        repo_type = repo_type or _ask_for_repo_type(may_ask=may_ask(options))
        _check_options(RepoType(repo_type), options)
        invocation = Invocation(options)
        if options["if_exists"] == IfExists.REPLACE:
            text = _("While an authorization is replaced, builds and components that use it fail.")
            invocation.reporter.warn(text)
        linked = _link(RepoType(repo_type), options, invocation, lines)
    if lines:
        lines.check()
        return
    reporter, as_json = invocation.reporter, options["as_json"]
    if as_json or not reporter.is_shown_beside_result:
        print_authorization(linked.authorization, as_json=as_json)
    if not as_json:
        invocation.offer_to_save_region()
        reporter.print_next_step(linked.authorization.name, repo_type if options["sandbox"] else None)


def _ask_for_repo_type(*, may_ask: bool) -> str:
    """Ask for the Git host; by default it is that of the Git checkout's ``origin``."""
    choices = enumerated(REPO_TYPE.choices)
    if not may_ask:
        hint = _("It is one of {choices}. See `oauth-helper link --help`.", choices=choices)
        raise UsageError(_("Missing argument REPO_TYPE"), hint=hint)
    url = ""
    with suppress(OSError, subprocess.SubprocessError):
        command = ("git", "remote", "get-url", "origin")
        environ = {
            name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ
        }  # no secrets
        url = subprocess.run(  # noqa: S603
            command, env=environ, capture_output=True, text=True, timeout=2, check=False
        ).stdout
    default = next((one for one in RepoType if one.site and re.search(rf"[@/.]{re.escape(one.site)}[:/]", url)), None)
    while True:
        answer = ask(_("Git host ({choices})", choices=choices), default=default.value if default else "")
        with suppress(click.BadParameter):
            return REPO_TYPE.convert(answer, None, None)


def _check_options(repo_type: RepoType, options: dict[str, Any]) -> None:
    """Reject options that exclude each other, and a Git credential that ServiceStage does not accept."""
    with_token, with_password = options["with_token"], options["with_password"]
    if with_token and with_password:
        raise UsageError(_("--with-token and --with-password exclude each other"), hint=_("Use only one."))
    for name, flag in (("host", "with_token"), ("user", "with_password")):
        if options[name] is not None and not options[flag]:
            raise UsageError(
                _("--{option} needs {flag}", option=name, flag=flag_of(flag)),
                hint=_("Leave out --{option}.", option=name),
            )
    if with_token or with_password:
        if given := [flag_of(key) for key in _BROWSER_KEYS if options[key]]:
            way = "--with-token" if with_token else "--with-password"
            raise UsageError(
                _("{way} uses neither a browser nor a sandbox", way=way),
                hint=_("Leave out {given}.", given=", ".join(given)),
            )
        check_type(repo_type, PersonalToken if with_token else UserPassword)
    if options["no_browser"]:
        options["browser"] = "none"
    if options["sandbox"] and (given := [flag_of(key) for key in CONNECTION_KEYS if options[key]]):
        raise UsageError(_("--sandbox uses its own ServiceStage"), hint=_("Leave out {flags}.", flags=", ".join(given)))


def _link(repo_type: RepoType, options: Mapping[str, Any], invocation: Invocation, lines: EventLines | None) -> Linked:
    reporter = invocation.reporter
    name = name_for(repo_type) if options["name"] is None else options["name"]
    if not options["sandbox"]:
        invocation.mention_unfinished_links(besides=name)
    tell = _teller(reporter, lines)
    try:
        request = LinkRequest(
            repo_type=repo_type,
            name=name,
            tag=invocation.settings.tag.value,
            if_exists=IfExists(options["if_exists"]),
            timeout=invocation.settings.timeout.value,
        )
        if options["with_token"] or options["with_password"]:
            linked = _link_directly(request, options, invocation, tell)
        elif invocation.is_unattended and not (options["sandbox"] or lines):
            raise cannot_authorize()
        else:
            linked = _link_in_browser(request, options, invocation, tell)
    except StoppedError as stopped:
        # If the link has ended, only closing was left to do: its outcome counts.
        match reporter.outcome:
            case Failed(error):
                raise error from None
            case Linked() as linked:
                pass
            case _:
                if not stopped.nothing_created:
                    reporter.explain_stop(stopped, name, in_sandbox=options["sandbox"])
                raise
    except OAuthHelperError as error:
        if not reporter.progress.may_be_created:
            error.say_that_nothing_was_created()
        raise
    reporter.print_linked(linked)
    return linked


def _link_directly(
    request: LinkRequest, options: Mapping[str, Any], invocation: Invocation, tell: Callable[[Event], None]
) -> Linked:
    """Link with a token or password; on a terminal, ask for it only if it is needed."""
    with_token, user = options["with_token"], options["user"]
    host = None if options["host"] is None else check_host(options["host"])
    if not with_token and user is None and not can_ask():
        raise UsageError(_("No user name, and no terminal to ask for it"), hint=_("Pass --user NAME."))
    if user is not None:
        check_user(request.repo_type, user)
    invocation.prepare()  # without credentials, nothing is read or asked for
    from oauth_helper.link_steps import link_directly, what_is_kept  # noqa: PLC0415 - see browser_options()

    if can_ask():
        kept = invocation.run_with_service(lambda service: what_is_kept(request, service))
        if kept:
            tell(Checked(request.name, request.repo_type))
            tell(kept)
            return kept
        host_name = request.repo_type.display_name
        is_bitbucket = request.repo_type is RepoType.BITBUCKET
        if not with_token and user is None:
            user = ask(_("Email address of the Bitbucket account") if is_bitbucket else _("User (ACCOUNT/USER)"))
        what = _("Personal access token of {host}", host=host_name)
        if is_bitbucket:
            what = _("API token of {host}", host=host_name)
        if guide := TOKEN_GUIDES.get(request.repo_type):
            invocation.reporter.print_always(_("Create a token: {guide}.", guide=guide))
        secret = ask_for_secret(what if with_token or is_bitbucket else _("Password"))
    else:
        # Even if the existing authorization is kept: the writer of a pipe must not fail.
        secret = read_secret(_("token") if with_token else _("password"), quiet=invocation.quiet)
    credential: GitCredential = PersonalToken(secret, host) if with_token else UserPassword(user, secret)
    return invocation.run_with_service(partial(link_directly, request, credential, tell=tell))


def _link_in_browser(
    request: LinkRequest, options: Mapping[str, Any], invocation: Invocation, tell: Callable[[Event], None]
) -> Linked:
    reporter = invocation.reporter
    if not request.repo_type.has_oauth:
        text = _("{host} is undocumented for OAuth; ServiceStage may refuse it.", host=request.repo_type.display_name)
        reporter.warn(text)
    if not options["sandbox"]:
        invocation.prepare()
    from oauth_helper import api, link_steps, session  # noqa: PLC0415 - see browser_options()

    async def link() -> Linked:
        async with AsyncExitStack() as stack:
            stack.callback(reporter.stop_countdown)
            simulated_user = None
            if options["sandbox"]:
                service, simulated_user = await stack.enter_async_context(api.open_sandbox())
                reporter.print(_("Sandbox mode: everything runs on this machine; no real account is touched."))
            else:
                service = await stack.enter_async_context(api.open_service(invocation.settings, invocation.credentials))
            chosen = browser_options(options, invocation.settings, reporter, simulated_user=simulated_user)
            # The sandbox ends with this process, so nothing could resume a link in it.
            journal = None if options["sandbox"] else Journal.of_the_user()
            opened = await stack.enter_async_context(session.Session(chosen, tell, journal=journal))
            return await link_steps.link_in_browser(request, service, opened)

    return run(link())


def _teller(reporter: ProgressReporter, lines: EventLines | None) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        reporter.tell(event)
        if lines:
            lines.tell(event)

    return tell


def browser_options(
    options: Mapping[str, Any], settings: Settings, reporter: ProgressReporter, **more: Any
) -> BrowserOptions:
    """Return how the redirect may come, and tell the reporter whether the terminal takes it."""
    from oauth_helper.session import BrowserOptions  # noqa: PLC0415 - aiohttp costs 0.3 s, which help does not need

    as_events = options.get("as_events", False)
    chosen = BrowserOptions(
        browser=settings.browser.value,
        port=options.get("port"),
        say=reporter.print_always,
        keys=reporter.keys,
        has_script=as_events,
        shows_result=reporter.is_terminal and not (options["as_json"] or as_events),
        preference=language_preference(),
        **more,
    )
    reporter.takes_pastes = chosen.has_prompt
    return chosen


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


def _capture(url: str | None, options: Mapping[str, Any], lines: EventLines | None) -> AuthorizationResponse:
    if sum(options[name] for name in ("as_json", "as_events", "code_only")) > 1:
        raise UsageError(_("--code, --json and --events exclude each other"), hint=_("Use only one."))
    browser = "none" if options["no_browser"] else options["browser"]
    flags = {"browser": browser, "timeout": None if options["timeout"] is None else str(options["timeout"])}
    environ = {name: os.environ.get(name, "") for name in ("OAUTH_HELPER_BROWSER", "OAUTH_HELPER_TIMEOUT")}
    settings = resolve_settings(Sources(flags, environ, FileValues(""), FileValues("")))
    if url == "-":
        url = read_address(quiet=options["quiet"])
    elif url is None and not can_ask():
        raise UsageError(_("No authorization URL"), hint=_("Pass it as an argument, or - to read standard input."))
    url = ask(_("Authorization URL")) if url is None else url
    request = AuthorizationRequest.parse(url, redirect_uri=options["redirect_uri"], needs_state=not options["no_state"])
    reporter = ProgressReporter(quiet=options["quiet"], verbosity=options["verbose"])
    if request.state is None:
        reporter.warn(_("Without a state, any page in your browser can bring another redirect."))
    from oauth_helper.api import capture_redirect  # noqa: PLC0415 - see browser_options()

    chosen, tell = browser_options(options, settings, reporter), _teller(reporter, lines)
    try:
        return run(capture_redirect(request, chosen, tell, seconds=settings.timeout.value))
    finally:
        reporter.stop_countdown()
