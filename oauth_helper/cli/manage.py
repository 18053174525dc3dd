"""The commands list, show, delete, repos, deliver and resume."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import click

from oauth_helper.cli.console import in_words, print_text, spoken
from oauth_helper.cli.help import command, option
from oauth_helper.cli.options import Run, connection_options, output_options, run, start_run
from oauth_helper.cli.output import print_authorization, print_columns, print_json, print_table, whole
from oauth_helper.cli.progress import ProgressReporter
from oauth_helper.cli.secrets_input import can_ask, is_utf_16, read_to_end
from oauth_helper.credential_sources import FoundCredentials
from oauth_helper.errors import (
    MachineError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    RefusedError,
    StoppedError,
    UsageError,
)
from oauth_helper.events import Failed, Linked, Outcome
from oauth_helper.i18n import Language, Text, _, listed, ngettext
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, Namespace, Pending, Project, as_argument
from oauth_helper.resume import Settled
from oauth_helper.secret import escaped, is_plain_name, safe_text
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.single_instance import InstanceInfo

T = TypeVar("T")


def with_service(started: Run, credentials: FoundCredentials, work: Callable[[ServiceStageClient], Awaitable[T]]) -> T:
    """Open a client for what the settings say; return what ``work`` returns."""
    from oauth_helper.api import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s, which --help need not pay

    async def connected() -> T:
        async with open_service(started.settings, credentials) as service:
            return await work(service)

    return run(connected())


@command(
    "list",
    help="""List the authorizations of the project.""",
)
@connection_options
@output_options
def list_command(**options: Any) -> None:
    """Run ``oauth-helper list``."""
    started = start_run(options)
    found = with_service(started, started.credentials(), lambda service: service.list_authorizations())
    if started.as_json:
        print_json([one.to_json() for one in found])
    elif found:
        print_table(found)
    else:
        started.reporter.say(_("There are none. `oauth-helper link github` makes one."))


@command(
    "show",
    help="""Show the authorization NAME.""",
)
@click.argument("name")
@connection_options
@output_options
def show_command(name: str, **options: Any) -> None:
    """Run ``oauth-helper show``."""
    started = start_run(options)
    found = with_service(started, started.credentials(), lambda service: service.list_authorizations())
    print_authorization(_named(name, found), as_json=started.as_json)


@command(
    "delete",
    help="""Delete the authorizations NAME...

    All of them must exist, else none is deleted. Components that use one can no longer fetch their source.
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal to ask on.")
@connection_options
@output_options
def delete_command(names: tuple[str, ...], *, yes: bool, **options: Any) -> None:
    """Run ``oauth-helper delete``."""
    started = start_run(options)
    if not yes and not can_ask():
        raise UsageError(
            _("delete asks before it deletes, and there is no terminal to ask on. Nothing was deleted"),
            hint=_("Give --yes if you mean it."),
        )
    unique = tuple(dict.fromkeys(names))
    credentials = started.credentials()
    existing = with_service(started, credentials, lambda service: _existing(service, unique, started))
    # Asked between two connections: within the loop nobody could answer a signal meanwhile.
    if not yes and not click.confirm(escaped(in_words(_("Delete {names}?", names=", ".join(unique)))), err=True):
        started.reporter.say(_("Nothing was deleted."))
        if started.as_json:
            print_json([])
        return

    deleted: list[str] = []

    async def delete(service: ServiceStageClient) -> None:
        for name in unique:
            await service.delete_authorization(name)
            deleted.append(name)
            started.reporter.say(_("Deleted {name}.", name=name))

    try:
        with_service(started, credentials, delete)
    except OAuthHelperError as error:
        if deleted:
            error.message += _(". Deleted before that: {names}", names=", ".join(deleted))
            if started.as_json:
                print_json([one.to_json() for one in existing if one.name in deleted])
        raise
    if started.as_json:
        print_json([one.to_json() for one in existing if one.name in deleted])


async def _existing(service: ServiceStageClient, names: tuple[str, ...], started: Run) -> list[Authorization]:
    try:
        found = await service.list_authorizations()
    except NotPermittedError:
        started.reporter.warn(_("This account may not list authorizations, so it is not known whether they exist."))
        return []
    try:
        return [_named(name, found) for name in names]
    except NoSuchAuthorizationError as error:
        error.message += _(". Nothing was deleted")
        raise


def _named(name: str, found: list[Authorization]) -> Authorization:
    for one in found:
        if one.name == name:
            return one
    # Something else may have been given for a name, such as a token.
    if is_plain_name(name) or not name.isascii():
        raise NoSuchAuthorizationError(_("There is no authorization named {name}", name=safe_text(name)))
    raise NoSuchAuthorizationError(_("There is no authorization of that name"))


_PARAMETER_INVALID: Final = "SVCSTG.REPO.0400"


@command(
    "repos",
    help="""Show what the authorization NAME can see at its Git host.

    Without NAMESPACE, all namespaces with their projects; with it, the projects of that one; with PROJECT, its
    branches. With --json the API's own objects, each namespace with its projects in "projects".
    """,
)
@click.argument("name")
@click.argument("namespace", required=False)
@click.argument("project", required=False)
@connection_options
@output_options
def repos_command(name: str, namespace: str | None, project: str | None, **options: Any) -> None:
    """Run ``oauth-helper repos``."""
    started = start_run(options)
    credentials = started.credentials()

    async def ask(service: ServiceStageClient) -> list[Any]:
        return await _found(service, name, namespace, project)

    try:
        found = with_service(started, credentials, ask)
    except RefusedError as error:
        if error.code == _PARAMETER_INVALID and namespace is not None:
            error.hint = _(
                "Check NAMESPACE and PROJECT: `oauth-helper repos {name}` shows what there is.",
                name=as_argument(safe_text(name)),
            )
        raise
    if namespace is None:
        _print_tree(found, started)
    elif project is None:
        _print_projects(namespace, found, started)
    else:
        _print_branches(found, started)


async def _found(service: ServiceStageClient, name: str, namespace: str | None, project: str | None) -> list[Any]:
    from oauth_helper.api import walk_repositories  # noqa: PLC0415 - aiohttp costs 0.3 s

    if namespace is None:
        return await walk_repositories(service, name)
    if project is None:
        return await service.list_projects(name, namespace)
    return await service.list_branches(name, namespace, project)


def _print_tree(found: list[tuple[Namespace, list[Project]]], started: Run) -> None:
    if not found:
        started.reporter.say(_("It can see no namespaces."))
    elif not any(projects for _unused, projects in found):
        started.reporter.say(_("It can see {counted}, and no project in any of them.", counted=_counted(found)))
    if started.as_json:
        print_json([one.to_json() | {"projects": [each.to_json() for each in projects]} for one, projects in found])
        return
    _print_table([(one.key, each) for one, projects in found for each in projects])


def _print_projects(namespace: str, found: list[Project], started: Run) -> None:
    if not found:
        started.reporter.say(_("It can see no project in {namespace}.", namespace=safe_text(namespace)))
    if started.as_json:
        print_json([each.to_json() for each in found])
    else:
        _print_table([(namespace, each) for each in found])


def _print_branches(found: list[str], started: Run) -> None:
    if not found:
        started.reporter.say(_("It has no branches."))
    if started.as_json:
        print_json(found)
        return
    for branch in found:
        print_text(whole(branch))


def _print_table(projects: list[tuple[str, Project]]) -> None:
    if projects:
        rows = [(namespace, each.name, each.clone_url) for namespace, each in projects]
        print_columns([(_("NAMESPACE"), _("PROJECT"), _("CLONE URL")), *rows])


def _counted(found: list[Any]) -> Text:
    return ngettext("{count} namespace", "{count} namespaces", len(found))


_LONGEST: Final = 64 * 1024
"""Bytes read of standard input; the listener takes no more."""


@command(
    "deliver",
    help="""Hand ADDRESS, where the browser ended, to the link that waits for it in another process of yours.

    Without ADDRESS it is asked for, or read from standard input. Ends with the status with which that link ends; with
    2 if no waiting link takes the address, and with 9 if none is waiting.
    """,
)
@click.argument("address", required=False)
@output_options
def deliver_command(address: str | None, **options: Any) -> None:
    """Run ``oauth-helper deliver``."""
    reporter = ProgressReporter(quiet=options["quiet"], verbosity=options["verbose"])
    if address is not None:
        reporter.warn(
            _("The address now stands in your shell's history and in the list of processes, its code included.")
        )
    elif not (sys.stdin and sys.stdin.isatty()):
        address = _piped(quiet=options["quiet"])
    taken, outcome = run(_deliver(address, reporter, Language.ENGLISH if options["as_json"] else spoken().language))
    match outcome:
        case Failed(error):
            reporter.say(_("The link of {name} took it, and ended so:", name=taken.name))
            raise error
        case linked:
            reporter.say(_("Linked {name}.", name=linked.authorization.name))
            print_authorization(linked.authorization, as_json=options["as_json"])


def _piped(*, quiet: bool) -> str:
    if sys.stdin is None:
        return ""
    try:
        given = read_to_end(
            sys.stdin.fileno(), _("Reading the address from standard input…"), quiet=quiet, longest=_LONGEST
        )[:_LONGEST]
    except OSError as error:
        raise UsageError(
            _("Standard input cannot be read: {strerror}", strerror=error.strerror),
            hint=_("Pipe the address in: `oauth-helper deliver <FILE`."),
        ) from None
    if is_utf_16(given):
        raise UsageError(
            _("Standard input is UTF-16 instead of UTF-8"),
            hint=_("Save the address as UTF-8, or run `oauth-helper deliver` on a terminal and paste it."),
        )
    # An address is ASCII; what is around it may be in any encoding.
    return given.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


async def _deliver(address: str | None, reporter: ProgressReporter, language: Language) -> tuple[InstanceInfo, Outcome]:
    from oauth_helper.api import deliver_to_waiting, waiting_links  # noqa: PLC0415 - aiohttp costs 0.3 s

    waiting = waiting_links()
    named = [_("{name} ({host})", name=notice.name, host=notice.repo_type.display_name) for notice in waiting]
    reporter.say(_("Waiting for its address: {links}.", links=listed(named)))
    text = await _asked(reporter) if address is None else address
    reporter.say(_("Handing the address over. It may take some seconds until the end is known."))
    return await deliver_to_waiting(waiting, text, language=language)


async def _asked(reporter: ProgressReporter) -> str:
    import asyncio  # noqa: PLC0415 - a help need not wait for it

    from oauth_helper.terminal_prompt import (  # noqa: PLC0415 - as above
        HAS_SETTINGS,
        TerminalPrompt,
    )

    if not HAS_SETTINGS:  # a Windows console
        from oauth_helper.cli.secrets_input import ask_for_secret  # noqa: PLC0415 - as above

        question = _("Paste the address of the page where the browser ended. It is not shown")
        return ask_for_secret(question).reveal()
    pasted: asyncio.Queue[str] = asyncio.Queue()
    async with TerminalPrompt(offer=pasted.put_nowait, say=reporter.insist):
        # Not before: until the prompt is open, the terminal shows what is pasted.
        reporter.insist(_("Paste the address of the page where the browser ended. It is not shown."))
        return await pasted.get()


@command(
    "resume",
    help="""Finish the pending exchanges of earlier runs, the oldest first.

    A link that was cut off between the redirect and ServiceStage's answer keeps the redirect for 10 minutes. Each is
    finished at the endpoint and in the project of its own run. Nothing pending is no error.
    """,
)
@connection_options
@output_options
def resume_command(**options: Any) -> None:
    """Run ``oauth-helper resume``."""
    started = start_run(options)
    _sweep(started)
    journal = Journal.of_the_user()
    pendings, troubles = journal.read_all()
    for trouble in troubles:
        started.reporter.warn(_("What an earlier run left cannot be read: {trouble}.", trouble=trouble))
    settled = _settled(pendings, journal, started) if pendings else []
    _say_how_each_ended(settled, started, is_alone=len(settled) == 1 and not troubles)
    _print(settled, troubles, started)
    if troubles:
        raise MachineError(
            ngettext(
                "{count} redirect of an earlier run cannot be read",
                "{count} redirects of earlier runs cannot be read",
                len(troubles),
            ),
            hint=_("The warnings above name the files. Remove what is not yours, then run the command again."),
        )
    for one in settled:
        if isinstance(one.outcome, Failed):
            raise one.outcome.error


def _sweep(started: Run) -> None:
    """Remove what the window of a killed link has left: its profile's history holds the code."""
    from oauth_helper.browsers.launch import sweep_all  # noqa: PLC0415 - a help need not wait for it

    sweep_all(started.environ)


def _settled(pendings: Sequence[Pending], journal: Journal, started: Run) -> list[Settled]:
    try:
        return run(_resume(pendings, journal, started, started.credentials()))
    except StoppedError as stopped:
        stopped.hint = _("What is not finished is kept: run `oauth-helper resume` again.")
        raise


def _say_how_each_ended(settled: Sequence[Settled], started: Run, *, is_alone: bool) -> None:
    """Say it of each if there are several: the error at the end is that of the first failure alone."""
    console = started.reporter
    for one in () if is_alone else settled:
        name = one.pending.target.name
        if isinstance(one.outcome, Linked):
            console.say(_("Linked {name}.", name=name))
        else:
            error = one.outcome.error
            console.warn(_("{name}: {message}. {hint}", name=name, message=error.message, hint=error.hint))


async def _resume(
    pendings: Sequence[Pending], journal: Journal, started: Run, credentials: FoundCredentials
) -> list[Settled]:
    from oauth_helper.api import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s
    from oauth_helper.resume import resume_all  # noqa: PLC0415 - aiohttp costs 0.3 s

    return await resume_all(
        pendings,
        journal,
        lambda target: open_service(started.settings, credentials, target=target),
        started.reporter.tell,
    )


def _print(settled: Sequence[Settled], troubles: Sequence[str], started: Run) -> None:
    linked = [one.outcome.authorization for one in settled if isinstance(one.outcome, Linked)]
    if started.as_json:
        print_json([authorization.to_json() for authorization in linked])
        return
    if not settled and not troubles:
        started.reporter.say(_("Nothing is pending."))
    for authorization in linked:
        print_authorization(authorization, as_json=False)
