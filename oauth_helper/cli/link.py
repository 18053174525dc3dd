"""The command ``link``: the main job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from oauth_helper.authorization import RepoType
from oauth_helper.browser_choice import MAXIMUM_TIMEOUT
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    CONNECTION_KEYS,
    REPO_TYPE,
    Choice,
    Run,
    connection_options,
    output_options,
    start_run,
)
from oauth_helper.cli.running import run
from oauth_helper.cli.speech import spoken
from oauth_helper.cli.spoken_help import command, option
from oauth_helper.errors import OAuthHelperError, StoppedError, UsageError
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.phrase import phrase
from oauth_helper.whereabouts import nobody_could_authorize

if TYPE_CHECKING:
    from datetime import datetime

    from oauth_helper.cli.event_lines import EventLines
    from oauth_helper.credential_chain import FoundCredentials
    from oauth_helper.events import Event, Linked


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
@option("--port", type=click.IntRange(1, 65535), metavar="N", help="The listener's port.  [default: a free one]")
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
        from oauth_helper.cli.complaint import error_for  # noqa: PLC0415 - as below
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
        from oauth_helper.cli.ending import say_what_comes_next  # noqa: PLC0415 - it is time enough for it now
        from oauth_helper.cli.output import print_authorization  # noqa: PLC0415 - as above

        print_authorization(linked.authorization, as_json=options["as_json"])
        if not options["as_json"]:
            say_what_comes_next(linked.authorization.name, in_sandbox=options["sandbox"], quiet=options["quiet"])


def _event_lines() -> EventLines:
    from oauth_helper.cli.event_lines import EventLines  # noqa: PLC0415 - who reads none need not wait for it

    return EventLines()


def _linked(repo_type: RepoType, options: dict[str, Any], lines: EventLines | None) -> Linked:
    proof = None
    if any(options[key] not in {None, False} for key in ("with_token", "with_password", "host", "user")):
        from oauth_helper.cli.direct_link import check_direct_options  # noqa: PLC0415 - as above

        proof = check_direct_options(repo_type, options)
    if options["no_browser"]:
        options["browser"] = "none"
    if options["sandbox"] and (given := [key for key in CONNECTION_KEYS if options[key]]):
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise UsageError(
            phrase("--sandbox brings a ServiceStage of its own"), hint=phrase("Leave out {flags}.", flags=flags)
        )
    started = start_run(options)
    try:
        request = _request(repo_type, options, started)
        if proof:
            from oauth_helper.cli.direct_link import run_direct_link  # noqa: PLC0415 - as above

            linked = run_direct_link(request, proof, started, options, lines)
        elif started.is_unattended and not (options["sandbox"] or lines):
            raise nobody_could_authorize()
        else:
            linked = _run(_browser_link(request, started, options, lines))
    except OAuthHelperError as error:
        from oauth_helper.cli.meaning import add_meaning  # noqa: PLC0415 - as above

        add_meaning(error, started.narrator)
        raise
    from oauth_helper.cli.ending import say_how_it_ended  # noqa: PLC0415 - as above

    say_how_it_ended(linked, request.name, started.narrator)
    return linked


def _browser_link(request: LinkRequest, started: Run, options: dict[str, Any], lines: EventLines | None) -> _Link:
    if not request.repo_type.has_oauth:
        started.narrator.warn(
            phrase("{type} is undocumented for OAuth; ServiceStage may refuse it.", type=request.repo_type.value)
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
        self.started.narrator.tell(event)
        if self.lines:
            self.lines.tell(event, at)


def _request(repo_type: RepoType, options: dict[str, Any], started: Run) -> LinkRequest:
    from oauth_helper.wiring import name_for  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

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
        narrator = link.started.narrator
        # Where it had ended, all that was left to do was to close: the end stands.
        if narrator.failure:
            raise narrator.failure from None
        if narrator.linked:
            return narrator.linked
        from oauth_helper.cli.ending import explain_stop  # noqa: PLC0415 - as above

        explain_stop(stopped, narrator, link.request.name, in_sandbox=link.credentials is None)
        raise stopped from None


def _import_the_rest() -> None:
    import oauth_helper.cli.held_back  # noqa: PLC0415 - as above
    import oauth_helper.cli.narration  # noqa: PLC0415 - as above
    import oauth_helper.wiring.links  # noqa: F401, PLC0415 - as above


async def _link(link: _Link) -> Linked:
    from asyncio import to_thread  # noqa: PLC0415 - as above
    from contextlib import AsyncExitStack  # noqa: PLC0415 - as above

    from oauth_helper.wiring import open_sandbox, open_service  # noqa: PLC0415 - as above

    settings = link.started.settings
    async with AsyncExitStack() as doors:
        if link.credentials is None:
            service, visitor = await doors.enter_async_context(open_sandbox())
            link.started.narrator.say(phrase("Everything happens in a sandbox on this machine; no account is touched."))
        else:
            service, visitor = await doors.enter_async_context(open_service(settings, link.credentials)), None
        async with service.kept_ready():  # its TLS comes about while the rest is imported
            await to_thread(_import_the_rest)
        from oauth_helper.cli.held_back import LONGEST, HeldBack  # noqa: PLC0415 - as said
        from oauth_helper.journal import Journal  # noqa: PLC0415 - as said
        from oauth_helper.wiring import Ways, run_link  # noqa: PLC0415 - as said

        narrator = link.started.narrator
        doors.callback(narrator.stop_clock)
        # Log lines are written at once: held back, an event would come after the request that follows it.
        told = HeldBack(link.tell, longest=0.0 if link.started.verbosity > 1 else LONGEST)
        doors.callback(told.catch_up)  # however it ends
        ways = Ways(
            browser=settings.browser.value,
            port=link.port,
            say=narrator.insist,
            keys=narrator.keys,
            visitor=visitor,
            environ=link.started.environ,
            has_script=link.lines is not None,
            preference=spoken(),
        )
        narrator.takes_pastes = ways.has_prompt
        # The sandbox ends with us: nobody could finish there what we leave.
        journal = Journal.of_the_user() if link.credentials else None
        return await run_link(link.request, service, ways, told.tell, journal=journal)
