"""The command `link`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import click

from oauth_helper.cli.app import error_for
from oauth_helper.cli.console import language_preference
from oauth_helper.cli.help import Choice, command, option
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    CONNECTION_KEYS,
    PORT_OPTION,
    REPO_TYPE,
    Invocation,
    connection_options,
    output_options,
    read_settings,
    run,
    timeout_option,
)
from oauth_helper.cli.output import EventLines, print_authorization
from oauth_helper.cli.secrets_input import ask, ask_for_secret, can_ask, read_secret
from oauth_helper.credentials import GitCredential, PersonalToken, UserPassword, check_host, check_type, check_user
from oauth_helper.environment import nobody_could_authorize
from oauth_helper.errors import OAuthHelperError, StoppedError, UsageError
from oauth_helper.events import Checked, Event, Failed, Linked
from oauth_helper.i18n import _
from oauth_helper.journal import Journal
from oauth_helper.models import IfExists, LinkRequest, RepoType
from oauth_helper.settings import flag_of

_BROWSER_KEYS: Final = ("browser", "no_browser", "port", "tag", "timeout", "sandbox")
"""Options of a link in a browser only."""


@command(
    "link",
    help="""Link a Git account to ServiceStage.

    REPO_TYPE is one of {types}. A browser window opens, you authorize there, and what the Git host answers is exchanged
    for an authorization at once. Where no window can be opened, your own browser shows a page that takes the address
    where it ends; this terminal takes it too.

    With --with-token ({token_types}) or --with-password ({password_types}) no browser is opened. The secret is the one
    line of standard input; on a terminal you are asked for it, and nothing is shown.
    """,
)
@click.argument("repo_type", type=REPO_TYPE, metavar="REPO_TYPE")
@option("--name", metavar="NAME", help="The authorization's name.  [default: REPO_TYPE-<your login name>]")
@option("--tag", metavar="TAG", help="Site tag: intl for the international site.  [env: OAUTH_HELPER_TAG]")
@option(
    "--if-exists",
    type=Choice([one.value for one in IfExists]),
    default=IfExists.KEEP.value,
    show_default=True,
    help="An authorization of that name exists: leave it and succeed, replace it, or stop.",
)
@BROWSER_OPTION
@option("--no-browser", is_flag=True, help="The same as --browser none.")
@PORT_OPTION
@timeout_option("How long to wait for you.  [env: OAUTH_HELPER_TIMEOUT; default: 600]")
@option("--with-token", is_flag=True, help="No browser: a personal access token, from standard input or a prompt.")
@option("--host", metavar="URL", help="With --with-token: a private Git server.  [default: the official one]")
@option("--with-password", is_flag=True, help="No browser: a password (Bitbucket: an API token), likewise.")
@option("--user", metavar="NAME", help="With --with-password: ACCOUNT/USER; of Bitbucket, the account's email.")
@option("--events", "as_events", is_flag=True, help="Print what happens as JSON, a line each, instead of the result.")
@option("--sandbox", is_flag=True, help="Try it without an account, against a sandbox on this machine.")
@connection_options
@output_options
def link_command(repo_type: str, **options: Any) -> None:
    """Run ``oauth-helper link``."""
    lines = EventLines() if options["as_events"] else None
    try:
        _check_options(RepoType(repo_type), options)
        invocation = read_settings(options)
        linked = _link(RepoType(repo_type), options, invocation, lines)
    except (BrokenPipeError, SystemExit):
        raise
    except (Exception, KeyboardInterrupt) as exception:
        error = error_for(exception)
        if lines:
            lines.tell(Failed(error))
        if error is exception:
            raise
        raise error from exception
    if lines:
        lines.check()
        return
    print_authorization(linked.authorization, as_json=options["as_json"])
    if not options["as_json"]:
        invocation.reporter.print_next_step(linked.authorization.name, in_sandbox=options["sandbox"])


def _check_options(repo_type: RepoType, options: dict[str, Any]) -> None:
    """Reject options that exclude each other, and a Git credential that ServiceStage does not accept."""
    with_token, with_password = options["with_token"], options["with_password"]
    if with_token and with_password:
        raise UsageError(_("--with-token and --with-password exclude each other"), hint=_("Give one of them."))
    for name, flag in (("host", "with_token"), ("user", "with_password")):
        if options[name] is not None and not options[flag]:
            raise UsageError(
                _("--{option} goes with {flag} only", option=name, flag=flag_of(flag)),
                hint=_("Leave out --{option}.", option=name),
            )
    if with_token or with_password:
        if given := [flag_of(key) for key in _BROWSER_KEYS if options[key]]:
            way = "--with-token" if with_token else "--with-password"
            raise UsageError(
                _("{way} needs no browser and no sandbox of its own", way=way),
                hint=_("Leave out {given}.", given=", ".join(given)),
            )
        check_type(repo_type, PersonalToken if with_token else UserPassword)
    if options["no_browser"]:
        options["browser"] = "none"
    if options["sandbox"] and (given := [flag_of(key) for key in CONNECTION_KEYS if options[key]]):
        raise UsageError(
            _("--sandbox brings a ServiceStage of its own"), hint=_("Leave out {flags}.", flags=", ".join(given))
        )


def _link(repo_type: RepoType, options: Mapping[str, Any], invocation: Invocation, lines: EventLines | None) -> Linked:
    from oauth_helper.api import name_for  # noqa: PLC0415 - it imports aiohttp, which help does not need

    reporter = invocation.reporter
    name = name_for(repo_type) if options["name"] is None else options["name"]

    def tell(event: Event) -> None:
        reporter.tell(event)
        if lines:
            lines.tell(event)

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
            raise nobody_could_authorize()
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
    reporter.print_linked(linked, name)
    return linked


_TOKEN_GUIDES: Final = {
    RepoType.GITHUB: _("https://github.com/settings/tokens, scopes repo and admin:repo_hook"),
    RepoType.GITLAB: _("User settings > Access tokens, scope api"),
    RepoType.GITEE: _("Settings > Personal access tokens, scopes user_info, projects and hook"),
    RepoType.BITBUCKET: _("Atlassian account > Security > API tokens, scopes for repositories and webhooks"),
}
"""Where a token is created, and with which scopes."""


def _link_directly(
    request: LinkRequest, options: Mapping[str, Any], invocation: Invocation, tell: Callable[[Event], None]
) -> Linked:
    """Link with a token or password; on a terminal, ask for it only if it is needed."""
    with_token, user = options["with_token"], options["user"]
    host = None if options["host"] is None else check_host(options["host"])
    if not with_token and user is None and not can_ask():
        raise UsageError(
            _("The user name is asked for, and there is no terminal to ask on"), hint=_("Give --user NAME.")
        )
    if user is not None:
        check_user(request.repo_type, user)
    invocation.credentials  # noqa: B018 - without them, nothing is read or asked for
    from oauth_helper.link_steps import link_directly, what_is_kept  # noqa: PLC0415 - see _link()

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
        if guide := _TOKEN_GUIDES.get(request.repo_type):
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
    reporter, settings = invocation.reporter, invocation.settings
    if not request.repo_type.has_oauth:
        reporter.warn(_("{type} is undocumented for OAuth; ServiceStage may refuse it.", type=request.repo_type.value))
    credentials = None if options["sandbox"] else invocation.credentials
    from oauth_helper import api, link_steps, session  # noqa: PLC0415 - see _link()

    async def link() -> Linked:
        async with AsyncExitStack() as stack:
            stack.callback(reporter.stop_countdown)
            simulated_user = None
            if credentials:
                service = await stack.enter_async_context(api.open_service(settings, credentials))
            else:
                service, simulated_user = await stack.enter_async_context(api.open_sandbox())
                reporter.print(_("Everything happens in a sandbox on this machine; no account is touched."))
            browser_options = session.BrowserOptions(
                browser=settings.browser.value,
                port=options["port"],
                say=reporter.print_always,
                keys=reporter.keys,
                simulated_user=simulated_user,
                environ=invocation.environ,
                has_script=options["as_events"],
                preference=language_preference(),
            )
            reporter.takes_pastes = browser_options.has_prompt
            # The sandbox ends with this process, so nothing could resume a link in it.
            journal = Journal.of_the_user() if credentials else None
            opened = await stack.enter_async_context(session.Session(browser_options, tell, journal=journal))
            return await link_steps.link_in_browser(request, service, opened)

    return run(link())
