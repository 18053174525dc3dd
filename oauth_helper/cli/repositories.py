"""The command ``repos``: what an authorization can see at its Git host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.authorization import as_argument
from oauth_helper.cli.options import Run, connection_options, output_options, start_run
from oauth_helper.cli.output import print_columns, print_json, whole
from oauth_helper.cli.speech import print_text
from oauth_helper.cli.spoken_help import command
from oauth_helper.cli.with_service import with_service
from oauth_helper.errors import RefusedError
from oauth_helper.phrase import Phrase, counted, phrase
from oauth_helper.presentable import presentable

if TYPE_CHECKING:
    from oauth_helper.repository import Namespace, Project
    from oauth_helper.servicestage import ServiceStageClient

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
            error.hint = phrase(
                "Check NAMESPACE and PROJECT: `oauth-helper repos {name}` shows what there is.",
                name=as_argument(presentable(name)),
            )
        raise
    if namespace is None:
        _print_tree(found, started)
    elif project is None:
        _print_projects(namespace, found, started)
    else:
        _print_branches(found, started)


async def _found(service: ServiceStageClient, name: str, namespace: str | None, project: str | None) -> list[Any]:
    from oauth_helper.wiring import walk_repositories  # noqa: PLC0415 - aiohttp costs 0.3 s

    if namespace is None:
        return await walk_repositories(service, name)
    if project is None:
        return await service.list_projects(name, namespace)
    return await service.list_branches(name, namespace, project)


def _print_tree(found: list[tuple[Namespace, list[Project]]], started: Run) -> None:
    if not found:
        started.narrator.say(phrase("It can see no namespaces."))
    elif not any(projects for _, projects in found):
        started.narrator.say(phrase("It can see {counted}, and no project in any of them.", counted=_counted(found)))
    if started.as_json:
        print_json([one.to_json() | {"projects": [each.to_json() for each in projects]} for one, projects in found])
        return
    _print_table([(one.key, each) for one, projects in found for each in projects])


def _print_projects(namespace: str, found: list[Project], started: Run) -> None:
    if not found:
        started.narrator.say(phrase("It can see no project in {namespace}.", namespace=presentable(namespace)))
    if started.as_json:
        print_json([each.to_json() for each in found])
    else:
        _print_table([(namespace, each) for each in found])


def _print_branches(found: list[str], started: Run) -> None:
    if not found:
        started.narrator.say(phrase("It has no branches."))
    if started.as_json:
        print_json(found)
        return
    for branch in found:
        print_text(whole(branch))


def _print_table(projects: list[tuple[str, Project]]) -> None:
    if projects:
        rows = [(namespace, each.name, each.clone_url) for namespace, each in projects]
        print_columns([(phrase("NAMESPACE"), phrase("PROJECT"), phrase("CLONE URL")), *rows])


def _counted(found: list[Any]) -> Phrase:
    return counted("{count} namespace", "{count} namespaces", len(found))
