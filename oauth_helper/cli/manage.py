"""The commands `list`, `show`, `delete`, `repos`, `deliver` and `resume`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.cli.console import Console, language_preference, print_text, translate
from oauth_helper.cli.help import command, option
from oauth_helper.cli.options import Invocation, connection_options, output_options, run
from oauth_helper.cli.output import one_line, print_authorization, print_columns, print_json, print_table
from oauth_helper.cli.secrets_input import ask_for_secret, can_ask, confirm, read_address
from oauth_helper.errors import (
    MachineError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    RefusedError,
    StoppedError,
    UsageError,
)
from oauth_helper.events import Captured, Failed, Linked
from oauth_helper.i18n import Language, _, listed, ngettext
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, Target, as_argument
from oauth_helper.secret import is_plain_name, safe_text
from oauth_helper.terminal_prompt import HAS_SETTINGS, TerminalPrompt

if TYPE_CHECKING:  # it imports aiohttp, which help and completion do not need
    from oauth_helper.servicestage.client import ServiceStageClient


@command("list", help="""List the authorizations of the project.""")
@connection_options
@output_options
def list_command(**options: Any) -> None:
    """Run ``oauth-helper list``."""
    invocation = Invocation(options)
    found = invocation.run_with_service(lambda service: service.list_authorizations())
    if invocation.as_json:
        print_json([one.to_json() for one in found])
    elif found:
        print_table(found)
    else:
        invocation.reporter.print(_("No authorizations yet. Create one with `oauth-helper link github`."))
    invocation.mention_unfinished_links()


@command("show", help="""Show the authorization NAME.""")
@click.argument("name")
@connection_options
@output_options
def show_command(name: str, **options: Any) -> None:
    """Run ``oauth-helper show``."""
    invocation = Invocation(options)
    found = invocation.run_with_service(lambda service: service.list_authorizations())
    print_authorization(_find(name, found), as_json=invocation.as_json)


def _find(name: str, found: list[Authorization]) -> Authorization:
    for one in found:
        if one.name == name:
            return one
    # The user may have given something else in place of the name, such as a token.
    if is_plain_name(name) or not name.isascii():
        raise NoSuchAuthorizationError(_('There is no authorization named "{name}"', name=safe_text(name)))
    raise NoSuchAuthorizationError(_("There is no authorization of that name"))


@command(
    "delete",
    help="""Delete the authorizations NAME...

    If one of them does not exist, none is deleted. Builds and components that use a deleted authorization fail.
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@option("-y", "--yes", is_flag=True, help="Do not ask for confirmation; required without a terminal.")
@connection_options
@output_options
def delete_command(names: tuple[str, ...], *, yes: bool, **options: Any) -> None:
    """Run ``oauth-helper delete``."""
    invocation = Invocation(options)
    reporter = invocation.reporter
    if not yes and not can_ask():
        raise UsageError(
            _("Refusing to delete without confirmation"), hint=_("Nothing was deleted. Pass --yes to confirm.")
        )
    names = tuple(dict.fromkeys(names))
    existing: list[Authorization] = []
    try:
        found = invocation.run_with_service(lambda service: service.list_authorizations())
        existing = [_find(name, found) for name in names]
    except NotPermittedError:
        text = _("This account may not list authorizations, so it is unknown whether they exist.")
        reporter.warn(text)
    except NoSuchAuthorizationError as error:
        error.message += _(". Nothing was deleted")
        raise
    shown = translate(_(", ")).join(translate(_('"{name}"', name=name)) for name in names)
    reporter.warn(_("Builds and components that use {names} will fail.", names=shown))
    # Not inside the event loop, which could not handle a signal meanwhile.
    if not yes and not confirm(_("Delete {names}?", names=shown), default=False):
        reporter.print(_("Nothing was deleted."))
        if invocation.as_json:
            print_json([])
        return
    deleted: list[str] = []

    async def delete(service: ServiceStageClient) -> None:
        for name in names:
            await service.delete_authorization(name)
            deleted.append(name)
            reporter.print(_('Deleted "{name}".', name=name))

    try:
        invocation.run_with_service(delete)
    except OAuthHelperError as error:
        if deleted:
            error.message += _(". Deleted before that: {names}", names=", ".join(deleted))
        raise
    finally:
        if invocation.as_json and deleted:
            print_json([one.to_json() for one in existing if one.name in deleted])


_PARAMETER_INVALID: Final = "SVCSTG.REPO.0400"


@command(
    "repos",
    help="""List the repositories that the authorization NAME can access, by namespace.

    With NAMESPACE, only its projects; with PROJECT too, that project's branches. --json prints the API's own objects,
    and each namespace has its projects in "projects".
    """,
)
@click.argument("name")
@click.argument("namespace", required=False)
@click.argument("project", required=False)
@connection_options
@output_options
def repos_command(name: str, namespace: str | None, project: str | None, **options: Any) -> None:
    """Run ``oauth-helper repos``."""
    invocation = Invocation(options)
    records: Sequence[Any]
    rows: Sequence[tuple[str, ...]]
    try:
        if namespace is None:
            from oauth_helper.api import walk_repositories  # noqa: PLC0415 - it imports aiohttp

            found = invocation.run_with_service(lambda service: walk_repositories(service, name))
            records = [one.to_json() | {"projects": [each.to_json() for each in projects]} for one, projects in found]
            rows = [(one.key, each.name, each.clone_url) for one, projects in found for each in projects]
            empty = _("It can access no namespaces.")
            if found:
                namespaces = ngettext("{count} namespace", "{count} namespaces", len(found))
                empty = _("It can access {namespaces}, but no project in them.", namespaces=namespaces)
        elif project is None:
            projects = invocation.run_with_service(lambda service: service.list_projects(name, namespace))
            records = [each.to_json() for each in projects]
            rows = [(namespace, each.name, each.clone_url) for each in projects]
            empty = _("It can access no project in {namespace}.", namespace=safe_text(namespace))
        else:
            records = invocation.run_with_service(lambda service: service.list_branches(name, namespace, project))
            rows = [(branch,) for branch in records]
            empty = _("It has no branches.")
    except RefusedError as error:
        if error.code == _PARAMETER_INVALID and namespace is not None:
            argument = as_argument(safe_text(name))
            error.hint = _("Check NAMESPACE and PROJECT: `oauth-helper repos {name}` lists them.", name=argument)
        raise
    if not rows:
        invocation.reporter.print(empty)
    if invocation.as_json:
        print_json(records)
    elif project is not None:
        for branch in rows:
            print_text(one_line(*branch))
    elif rows:
        print_columns([(_("NAMESPACE"), _("PROJECT"), _("CLONE URL")), *rows])


@command(
    "deliver",
    help="""Send ADDRESS, the final address in the browser, to the link that waits for it in another terminal.

    Without ADDRESS, it is read from standard input or asked for. The exit status is that of the waiting link, 2 if no
    link takes the address, or 9 if none is waiting.
    """,
)
@click.argument("address", required=False)
@output_options
def deliver_command(address: str | None, **options: Any) -> None:
    """Run ``oauth-helper deliver``."""
    console = Console(quiet=options["quiet"])
    if address is not None:
        text = _("The address, code included, is now in your shell's history and the process list.")
        console.warn(text)
    elif not (sys.stdin and sys.stdin.isatty()):
        address = read_address(quiet=console.is_quiet)
    authorization = run(_deliver(address, console, as_json=options["as_json"]))
    if authorization:
        console.print(_('Linked "{name}".', name=authorization.name))
        print_authorization(authorization, as_json=options["as_json"])


async def _deliver(address: str | None, console: Console, *, as_json: bool) -> Authorization | None:
    from oauth_helper.api import deliver_to_waiting, waiting_links  # noqa: PLC0415 - it imports aiohttp

    waiting = waiting_links()
    links = [
        _("{name} ({host})", name=one.name, host=one.repo_type.display_name) if one.repo_type else one.name
        for one in waiting
    ]
    console.print(_("Waiting for the final address: {links}.", links=listed(links)))
    if address is None and not HAS_SETTINGS:  # a Windows console
        address = ask_for_secret(_("Paste the final address (it is not shown)")).reveal()
    elif address is None:
        pasted: asyncio.Queue[str] = asyncio.Queue()
        async with TerminalPrompt(offer=pasted.put_nowait, say=console.print_always):
            # The terminal shows what is pasted until the prompt is open.
            console.print_always(_("Paste the final address (it is not shown)."))
            address = await pasted.get()
    console.print(_("Sent. Waiting for the result (a few seconds)…"))
    language = Language.ENGLISH if as_json else language_preference().language
    instance, outcome = await deliver_to_waiting(waiting, address, language=language)
    if isinstance(outcome, Failed):
        console.print(_('"{name}" was not linked:', name=instance.name))
        raise outcome.error
    if isinstance(outcome, Captured):
        console.print(_("The capture at {name} took it.", name=instance.name))
        return None
    return outcome.authorization


@command(
    "resume",
    help="""Finish links that were interrupted after you had authorized, the oldest first.

    That is possible for 10 minutes. Each is finished at its own endpoint and in its own project. If there is nothing
    to finish, the exit status is 0.
    """,
)
@connection_options
@output_options
def resume_command(**options: Any) -> None:  # noqa: C901 - it has many outcomes
    """Run ``oauth-helper resume``."""
    from oauth_helper import api, link_steps  # noqa: PLC0415 - they import aiohttp
    from oauth_helper.browsers import launch  # noqa: PLC0415 - it imports aiohttp

    invocation = Invocation(options)
    reporter = invocation.reporter
    launch.sweep_all(invocation.environ)  # a killed link has left its browser profile, whose history holds the code
    journal = Journal.of_the_user()
    pendings, problems = journal.read_all()
    for problem in problems:
        reporter.warn(_("What an earlier run left cannot be read: {problem}.", problem=problem))
    if journal.is_hidden:
        text = _(
            'You may not look into a folder above "{folder}", so it is not known whether a link is unfinished. Set '
            "HOME to your home folder, or XDG_STATE_HOME to a folder of your own.",
            folder=journal.folder,
        )
        reporter.warn(text)

    def connect(target: Target) -> AbstractAsyncContextManager[ServiceStageClient]:
        return api.open_service(invocation.settings, invocation.credentials, target=target)

    settled = []
    try:
        if pendings:
            invocation.credentials  # noqa: B018 - asks outside the event loop, if it has to
            settled = run(link_steps.resume_all(pendings, journal, connect, reporter.tell))
    except StoppedError as stopped:
        stopped.hint = _("Unfinished links are kept: run `oauth-helper resume` again.")
        raise
    linked = [outcome.authorization for _pending, outcome in settled if isinstance(outcome, Linked)]
    errors = [(pending.target.name, outcome.error) for pending, outcome in settled if isinstance(outcome, Failed)]
    if len(settled) + len(problems) > 1:  # the error at the end is only the first one
        for name, error in errors:
            reporter.warn(_("{name}: {message}. {hint}", name=name, message=error.message, hint=error.hint))
        for authorization in linked:
            reporter.print(_('Linked "{name}".', name=authorization.name))
    if invocation.as_json:
        print_json([authorization.to_json() for authorization in linked])
    else:
        for authorization in linked:
            print_authorization(authorization, as_json=False)
        if not settled and not problems and not journal.is_hidden:
            reporter.print(_("No link is unfinished."))
    if problems:
        raise MachineError(
            ngettext(
                "{count} redirect of an earlier run cannot be read",
                "{count} redirects of earlier runs cannot be read",
                len(problems),
            ),
            hint=_("The warnings above name the files. Remove the files, then run the command again."),
        )
    if errors:
        raise errors[0][1]
