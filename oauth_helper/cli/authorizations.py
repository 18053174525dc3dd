"""The commands ``list``, ``show`` and ``delete``: the authorizations that a project has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oauth_helper.authorization import Authorization
from oauth_helper.cli.options import Run, connection_options, output_options, start_run
from oauth_helper.cli.output import print_authorization, print_json, print_table
from oauth_helper.cli.secret_input import can_ask
from oauth_helper.cli.speech import in_words
from oauth_helper.cli.spoken_help import command, option
from oauth_helper.cli.with_service import with_service
from oauth_helper.errors import NoSuchAuthorizationError, NotPermittedError, OAuthHelperError, UsageError
from oauth_helper.phrase import phrase
from oauth_helper.presentable import escaped, is_plain_name, presentable

if TYPE_CHECKING:
    from oauth_helper.servicestage import ServiceStageClient


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
        started.narrator.say(phrase("There are none. `oauth-helper link github` makes one."))


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
            phrase("delete asks before it deletes, and there is no terminal to ask on. Nothing was deleted"),
            hint=phrase("Give --yes if you mean it."),
        )
    unique = tuple(dict.fromkeys(names))
    credentials = started.credentials()
    standing = with_service(started, credentials, lambda service: _standing(service, unique, started))
    # Asked between two connections: within the loop nobody could answer a signal meanwhile.
    if not yes and not click.confirm(escaped(in_words(phrase("Delete {names}?", names=", ".join(unique)))), err=True):
        started.narrator.say(phrase("Nothing was deleted."))
        if started.as_json:
            print_json([])
        return

    deleted: list[str] = []

    async def delete(service: ServiceStageClient) -> None:
        for name in unique:
            await service.delete_authorization(name)
            deleted.append(name)
            started.narrator.say(phrase("Deleted {name}.", name=name))

    try:
        with_service(started, credentials, delete)
    except OAuthHelperError as error:
        if deleted:
            error.message += phrase(". Deleted before that: {names}", names=", ".join(deleted))
        raise
    finally:
        if started.as_json:
            print_json([one.to_json() for one in standing if one.name in deleted])


async def _standing(service: ServiceStageClient, names: tuple[str, ...], started: Run) -> list[Authorization]:
    try:
        found = await service.list_authorizations()
    except NotPermittedError:
        started.narrator.warn(
            phrase("This account may not list authorizations, so it is not known whether they exist.")
        )
        return []
    try:
        return [_named(name, found) for name in names]
    except NoSuchAuthorizationError as error:
        error.message += phrase(". Nothing was deleted")
        raise


def _named(name: str, found: list[Authorization]) -> Authorization:
    for one in found:
        if one.name == name:
            return one
    # Something else may have been given for a name, such as a token.
    if is_plain_name(name) or not name.isascii():
        raise NoSuchAuthorizationError(phrase("There is no authorization named {name}", name=presentable(name)))
    raise NoSuchAuthorizationError(phrase("There is no authorization of that name"))
