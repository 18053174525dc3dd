"""The command ``link``: the main job."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import click

from oauth_helper.authorization import RepoType
from oauth_helper.cli.direct_link import check_direct_options, run_direct_link
from oauth_helper.cli.event_lines import EventLines
from oauth_helper.cli.meaning import add_meaning
from oauth_helper.cli.narration import Narrator
from oauth_helper.cli.options import (
    BROWSER_OPTION,
    CONNECTION_KEYS,
    REPO_TYPE,
    Run,
    connection_options,
    output_options,
    start_run,
)
from oauth_helper.cli.output import print_authorization, status_in_words
from oauth_helper.cli.running import run
from oauth_helper.cli.speech import spoken
from oauth_helper.cli.spoken_help import command, option
from oauth_helper.cli.voice import Voice
from oauth_helper.credential_chain import FoundCredentials
from oauth_helper.errors import OAuthHelperError, StoppedError, UsageError
from oauth_helper.events import Event, Failed, Linked
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.phrase import phrase
from oauth_helper.presentable import presentable
from oauth_helper.settings import MAXIMUM_TIMEOUT
from oauth_helper.whereabouts import nobody_could_authorize


@command("link", short_help="Link a Git account: the main job.")
@click.argument("repo_type", type=REPO_TYPE, metavar="REPO_TYPE")
@option("--name", metavar="NAME", help="The authorization's name.  [default: REPO_TYPE-<your login name>]")
@option("--tag", metavar="TAG", help="Site tag: intl for the international site.  [env: OAUTH_HELPER_TAG]")
@option(
    "--if-exists",
    type=click.Choice([one.value for one in IfExists]),
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
    """Link a Git account to ServiceStage.

    REPO_TYPE is github, gitlab, gitee or bitbucket. A browser window opens, you authorize there, and what the Git
    host answers is exchanged for an authorization at once. Where no window can be opened, your own browser shows a
    page that takes the address where it ends; this terminal takes it too.

    With --with-token (github, gitlab, gitee) or --with-password (bitbucket, devcloud) no browser is opened. The secret
    is the one line of standard input; on a terminal you are asked for it, and nothing is shown.
    """
    lines = EventLines() if options["as_events"] else None
    try:
        linked = _linked(RepoType(repo_type), options, lines)
    except OAuthHelperError as error:
        if lines:
            lines.tell_end(Failed(error))
        raise
    if lines:
        lines.check()
    else:
        print_authorization(linked.authorization, as_json=options["as_json"])
        if not options["as_json"]:
            _say_what_comes_next(linked.authorization.name, Voice(quiet=options["quiet"]))


def _linked(repo_type: RepoType, options: dict[str, Any], lines: EventLines | None) -> Linked:
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
            linked = run_direct_link(request, proof, started, options, lines)
        elif started.is_unattended and not (options["sandbox"] or lines):
            raise nobody_could_authorize()
        else:
            linked = _run(_browser_link(request, started, options, lines))
    except OAuthHelperError as error:
        add_meaning(error, started.narrator)
        raise
    _say_how_it_ended(linked, request.name, started.narrator)
    return linked


def _browser_link(request: LinkRequest, started: Run, options: dict[str, Any], lines: EventLines | None) -> _Link:
    if request.repo_type is RepoType.DEVCLOUD:
        started.narrator.warn(phrase("devcloud is undocumented for OAuth; ServiceStage may refuse it."))
    credentials = None if options["sandbox"] else started.credentials()
    return _Link(request, started, credentials, options["port"], lines)


def _say_what_comes_next(name: str, voice: Voice) -> None:
    voice.say(
        phrase(
            "Next: in ServiceStage, choose {name} for the source of a component. `oauth-helper repos {name}` shows the "
            "repositories that it can see.",
            name=presentable(name),
        )
    )


def _say_how_it_ended(linked: Linked, name: str, narrator: Narrator) -> None:
    if narrator.has_joined and linked.kept:
        narrator.say(phrase("Linked {name}: the other oauth-helper did.", name=name))
    elif linked.kept:
        narrator.say(phrase("Kept {name} as it is; --if-exists replace would link it anew.", name=name))
    else:
        narrator.say(phrase("Linked {name}.", name=name))
    if not linked.authorization.works:
        status = status_in_words(linked.authorization)
        narrator.warn(phrase("ServiceStage says that it does not work yet: status {status}.", status=status))


@dataclass(frozen=True, slots=True)
class _Link:
    """What one link is run with."""

    request: LinkRequest
    started: Run
    credentials: FoundCredentials | None
    """None: in the sandbox."""
    port: int | None
    lines: EventLines | None

    def tell(self, event: Event) -> None:
        """Tell an event to people, and to the script where it asks for it."""
        if isinstance(event, Failed):
            add_meaning(event.error, self.started.narrator)
        self.started.narrator.tell(event)
        if self.lines:
            self.lines.tell(event)


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
    narrator = link.started.narrator
    try:
        return run(_link(link))
    except StoppedError as stopped:
        # Where it had ended, all that was left to do was to close: the end stands.
        if narrator.failure:
            raise narrator.failure from None
        if narrator.linked:
            return narrator.linked
        raise _explained(stopped, link) from None


async def _link(link: _Link) -> Linked:
    from oauth_helper.journal import Journal  # noqa: PLC0415 - as above
    from oauth_helper.wiring import Ways, open_sandbox, open_service, run_link  # noqa: PLC0415 - as above

    settings, narrator = link.started.settings, link.started.narrator
    async with AsyncExitStack() as doors:
        doors.callback(narrator.stop_clock)
        if link.credentials is None:
            service, visitor = await doors.enter_async_context(open_sandbox())
            narrator.say(phrase("Everything happens in a sandbox on this machine; no account is touched."))
        else:
            service, visitor = await doors.enter_async_context(open_service(settings, link.credentials)), None
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
        return await run_link(link.request, service, ways, link.tell, journal=journal)


def _explained(stopped: StoppedError, link: _Link) -> StoppedError:
    narrator, name = link.started.narrator, link.request.name
    asked = phrase(" while ServiceStage was asked to create {name}", name=name)
    if narrator.is_deleting:
        asked = phrase(
            " while ServiceStage was asked to delete the authorization named {name}, which may be gone", name=name
        )
    stopped.message += asked if narrator.has_redirect else phrase(". Nothing was created")
    if narrator.has_deleted:
        stopped.message += phrase(". The authorization that was named {name} is deleted", name=name)
    if not narrator.has_redirect:
        return stopped
    if link.credentials and narrator.is_kept:
        stopped.hint = phrase(
            "The redirect is kept: `oauth-helper resume` finishes it within 10 minutes of its coming."
        )
    elif link.credentials:
        stopped.hint = phrase(
            "`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=name
        )
    else:
        stopped.hint = phrase("The sandbox has ended too. Run the command again when you are ready.")
    return stopped
