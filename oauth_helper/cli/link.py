"""The `link` command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from oauth_helper.cli.console import spoken
from oauth_helper.cli.help import command, option
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    CONNECTION_KEYS,
    PORT_OPTION,
    REPO_TYPE,
    Choice,
    Run,
    connection_options,
    output_options,
    run,
    start_run,
)
from oauth_helper.cli.output import EventLines
from oauth_helper.cli.secrets_input import ask, ask_for_secret, can_ask, read_secret
from oauth_helper.credential_sources import FoundCredentials
from oauth_helper.credentials import GitCredential, PersonalToken, UserPassword, check_host, check_type
from oauth_helper.environment import nobody_could_authorize
from oauth_helper.errors import OAuthHelperError, StoppedError, UsageError
from oauth_helper.events import Checked, Event, Exchanging, Linked
from oauth_helper.i18n import _
from oauth_helper.models import IfExists, LinkRequest, RepoType, as_argument
from oauth_helper.secret import Secret
from oauth_helper.settings import MAXIMUM_TIMEOUT

_OF_A_BROWSER: Final = ("browser", "no_browser", "port", "tag", "timeout", "sandbox")
"""Options that have no meaning where none is opened."""


def check_direct_options(repo_type: RepoType, options: Mapping[str, Any]) -> type[GitCredential]:
    """Return by what the account is proved, where an option was given that goes without a browser.

    Raises:
        UsageError: The options make no sense together, or ServiceStage takes no such proof.
    """
    with_token, with_password = options["with_token"], options["with_password"]
    if with_token and with_password:
        raise UsageError(_("--with-token and --with-password exclude each other"), hint=_("Give one of them."))
    for name, needed in (("host", "with_token"), ("user", "with_password")):
        if options[name] is not None and not options[needed]:
            raise UsageError(
                _("--{option} goes with {flag} only", option=name, flag=_flag(needed)),
                hint=_("Leave out --{option}.", option=name),
            )
    way = _flag("with_token" if with_token else "with_password")
    if given := [_flag(key) for key in _OF_A_BROWSER if options[key]]:
        raise UsageError(
            _("{way} needs no browser and no sandbox of its own", way=way),
            hint=_("Leave out {given}.", given=", ".join(given)),
        )
    kind = PersonalToken if with_token else UserPassword
    check_type(repo_type, kind)
    return kind


def run_direct_link(
    request: LinkRequest, kind: type[GitCredential], started: Run, options: Mapping[str, Any], lines: EventLines | None
) -> Linked:
    """Link; return what stands then."""
    host = None if options["host"] is None else check_host(options["host"])
    if kind is UserPassword and options["user"] is None and not can_ask():
        raise UsageError(
            _("The user name is asked for, and there is no terminal to ask on"), hint=_("Give --user NAME.")
        )
    link = _DirectLink(request, started, started.credentials(), lines)
    if not can_ask():
        # Even where nothing will come of it: who writes it must not find that nobody reads.
        secret = read_secret(_("token") if kind is PersonalToken else _("password"), quiet=started.quiet)
        return link.carry_out(_git_credential(kind, host, options["user"], secret))
    if kept := link.look_before_asking():
        return kept
    host_name = request.repo_type.display_name
    if kind is PersonalToken:
        return link.carry_out(PersonalToken(ask_for_secret(_("Personal access token of {host}", host=host_name)), host))
    user = options["user"] or ask(_("User name at {host}", host=host_name))
    return link.carry_out(UserPassword(user, ask_for_secret(_("Password"))))


def _git_credential(kind: type[GitCredential], host: str | None, user: str, secret: Secret) -> GitCredential:
    return PersonalToken(secret, host) if kind is PersonalToken else UserPassword(user, secret)


@dataclass(slots=True)
class _DirectLink:
    """One link, which takes one connection, or two where somebody is asked in between."""

    request: LinkRequest
    started: Run
    credentials: FoundCredentials
    lines: EventLines | None
    may_be_made: bool = False
    """Whether ServiceStage may have been asked to create it."""

    def look_before_asking(self) -> Linked | None:
        """Return what is kept as it is."""
        if kept := run(self._look()):
            self._tell(Checked(self.request.name, self.request.repo_type))
            self._tell(kept)
        return kept

    def carry_out(self, git_credential: GitCredential) -> Linked:
        """Link by ``proof``."""
        reporter = self.started.reporter
        try:
            return run(self._link(git_credential))
        except StoppedError as stopped:
            # Where it had ended, all that was left to do was to close: the end stands.
            if reporter.failure:  # pragma: no cover - aiohttp 3.11 closes without a wait in which a signal is heard
                raise reporter.failure from None
            if reporter.linked:  # pragma: no cover - aiohttp 3.11 closes without a wait in which a signal is heard
                return reporter.linked
            raise self._explained(stopped) from None

    async def _look(self) -> Linked | None:
        from oauth_helper.api import open_service, what_is_kept  # noqa: PLC0415 - aiohttp costs 0.3 s

        async with open_service(self.started.settings, self.credentials) as service:
            return await what_is_kept(self.request, service)

    async def _link(self, git_credential: GitCredential) -> Linked:
        from oauth_helper.api import open_service, run_direct_link  # noqa: PLC0415 - as above

        async with open_service(self.started.settings, self.credentials) as service:
            return await run_direct_link(self.request, git_credential, service, self._tell)

    def _tell(self, event: Event) -> None:
        self.may_be_made = self.may_be_made or isinstance(event, Exchanging)
        self.started.reporter.tell(event)
        if self.lines:
            self.lines.tell(event)

    def _explained(self, stopped: StoppedError) -> StoppedError:
        reporter, name = self.started.reporter, self.request.name
        if self.may_be_made:
            stopped.message += _(" while ServiceStage was asked to create {name}", name=name)
            stopped.hint = _(
                "`oauth-helper show {name}` tells whether it exists. If not, run the command again.",
                name=as_argument(name),
            )
        elif reporter.progress.is_deleting:
            stopped.message += _(
                " while ServiceStage was asked to delete the authorization named {name}, which may be gone", name=name
            )
        else:
            stopped.message += _(". Nothing was created")
            stopped.nothing_created = True
        if reporter.progress.has_deleted:
            stopped.message += _(". The authorization that was named {name} is deleted", name=name)
        return stopped


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


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
@option(
    "--timeout",
    type=click.FloatRange(1, MAXIMUM_TIMEOUT),
    metavar="SECONDS",
    help="How long to wait for you.  [env: OAUTH_HELPER_TIMEOUT; default: 600]",
)
@option("--with-token", is_flag=True, help="No browser: a personal access token, from standard input or a prompt.")
@option("--host", metavar="URL", help="With --with-token: a private Git server.  [default: the official one]")
@option("--with-password", is_flag=True, help="No browser: a password, from standard input or a prompt.")
@option("--user", metavar="NAME", help="With --with-password: whose it is.  [default: asked for on a terminal]")
@option("--events", "as_events", is_flag=True, help="Print what happens as JSON, a line each, instead of the result.")
@option("--sandbox", is_flag=True, help="Try it without an account, against a sandbox on this machine.")
@connection_options
@output_options
def link_command(repo_type: str, **options: Any) -> None:
    """Run ``oauth-helper link``."""
    lines = _event_lines() if options["as_events"] else None
    try:
        linked = _linked(RepoType(repo_type), options, lines)
    except (BrokenPipeError, SystemExit):
        raise
    except (Exception, KeyboardInterrupt) as fault:
        from oauth_helper.cli.app import error_for  # noqa: PLC0415 - as below
        from oauth_helper.events import Failed  # noqa: PLC0415 - as below

        error = error_for(fault)
        if lines:
            lines.tell_end(Failed(error))
        if error is fault:
            raise
        raise error from fault
    if lines:
        lines.check()
    else:
        from oauth_helper.cli.output import print_authorization  # noqa: PLC0415 - as above
        from oauth_helper.cli.progress import say_what_comes_next  # noqa: PLC0415 - it is time enough for it now

        print_authorization(linked.authorization, as_json=options["as_json"])
        if not options["as_json"]:
            say_what_comes_next(linked.authorization.name, in_sandbox=options["sandbox"], quiet=options["quiet"])


def _event_lines() -> EventLines:
    from oauth_helper.cli.output import EventLines  # noqa: PLC0415 - who reads none need not wait for it

    return EventLines()


def _linked(repo_type: RepoType, options: dict[str, Any], lines: EventLines | None) -> Linked:
    git_credential = None
    if any(options[key] not in {None, False} for key in ("with_token", "with_password", "host", "user")):
        git_credential = check_direct_options(repo_type, options)
    if options["no_browser"]:
        options["browser"] = "none"
    if options["sandbox"] and (given := [key for key in CONNECTION_KEYS if options[key]]):
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise UsageError(_("--sandbox brings a ServiceStage of its own"), hint=_("Leave out {flags}.", flags=flags))
    started = start_run(options)
    try:
        request = _request(repo_type, options, started)
        if git_credential:
            linked = run_direct_link(request, git_credential, started, options, lines)
        elif started.is_unattended and not (options["sandbox"] or lines):
            raise nobody_could_authorize()
        else:
            linked = _run(_browser_link(request, started, options, lines))
    except OAuthHelperError as error:
        if not started.reporter.progress.may_be_created:
            error.say_that_nothing_was_created()
        raise
    from oauth_helper.cli.progress import say_how_it_ended  # noqa: PLC0415 - as above

    say_how_it_ended(linked, request.name, started.reporter)
    return linked


def _browser_link(request: LinkRequest, started: Run, options: dict[str, Any], lines: EventLines | None) -> _Link:
    if not request.repo_type.has_oauth:
        started.reporter.warn(
            _("{type} is undocumented for OAuth; ServiceStage may refuse it.", type=request.repo_type.value)
        )
    credentials = None if options["sandbox"] else started.credentials()
    return _Link(request, started, credentials, options["port"], lines)


@dataclass(frozen=True, slots=True)
class _Link:
    """What one link is run with."""

    request: LinkRequest
    started: Run
    credentials: FoundCredentials | None
    """None: in the sandbox."""
    port: int | None
    lines: EventLines | None

    def tell(self, event: Event, at: datetime) -> None:
        """Tell an event to people, and to the script where it asks for it."""
        self.started.reporter.tell(event)
        if self.lines:
            self.lines.tell(event, at)


def _request(repo_type: RepoType, options: dict[str, Any], started: Run) -> LinkRequest:
    from oauth_helper.api import name_for  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    return LinkRequest(
        repo_type=repo_type,
        name=name_for(repo_type) if options["name"] is None else options["name"],
        tag=started.settings.tag.value,
        if_exists=IfExists(options["if_exists"]),
        timeout=started.settings.timeout.value,
    )


def _run(link: _Link) -> Linked:
    try:
        return run(_link(link))
    except StoppedError as stopped:
        reporter = link.started.reporter
        # Where it had ended, all that was left to do was to close: the end stands.
        if reporter.failure:
            raise reporter.failure from None
        if reporter.linked:
            return reporter.linked
        from oauth_helper.cli.progress import explain_stop  # noqa: PLC0415 - as above

        explain_stop(stopped, reporter, link.request.name, in_sandbox=link.credentials is None)
        raise stopped from None


def _import_the_rest() -> None:
    from oauth_helper.api import link as _link  # noqa: F401, PLC0415 - as above


async def _link(link: _Link) -> Linked:
    from asyncio import to_thread  # noqa: PLC0415 - as above
    from contextlib import AsyncExitStack  # noqa: PLC0415 - as above

    from oauth_helper.api import open_sandbox, open_service  # noqa: PLC0415 - as above

    settings = link.started.settings
    async with AsyncExitStack() as doors:
        if link.credentials is None:
            service, simulated_user = await doors.enter_async_context(open_sandbox())
            link.started.reporter.say(_("Everything happens in a sandbox on this machine; no account is touched."))
        else:
            service, simulated_user = await doors.enter_async_context(open_service(settings, link.credentials)), None
        async with service.kept_ready():  # its TLS comes about while the rest is imported
            await to_thread(_import_the_rest)
        from oauth_helper.api import run_link  # noqa: PLC0415 - as said
        from oauth_helper.cli.progress import LONGEST, HeldBack  # noqa: PLC0415 - as said
        from oauth_helper.journal import Journal  # noqa: PLC0415 - as said
        from oauth_helper.session import BrowserOptions  # noqa: PLC0415 - as said

        reporter = link.started.reporter
        doors.callback(reporter.stop_clock)
        # Log lines are written at once: held back, an event would come after the request that follows it.
        told = HeldBack(link.tell, longest=0.0 if link.started.verbosity > 1 else LONGEST)
        doors.callback(told.catch_up)  # however it ends
        browser_options = BrowserOptions(
            browser=settings.browser.value,
            port=link.port,
            say=reporter.insist,
            keys=reporter.keys,
            simulated_user=simulated_user,
            environ=link.started.environ,
            has_script=link.lines is not None,
            preference=spoken(),
        )
        reporter.takes_pastes = browser_options.has_prompt
        # The sandbox ends with us: nobody could finish there what we leave.
        journal = Journal.of_the_user() if link.credentials else None
        return await run_link(link.request, service, browser_options, told.tell, journal=journal)
