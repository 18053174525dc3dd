"""What Babel cannot find on its own: help texts, and hints of errors.

``babel.cfg`` names the extractor. Babel calls it once, for this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import click
from babel.messages.catalog import Message

from oauth_helper.cli.app import program
from oauth_helper.errors import OAuthHelperError

PACKAGE: Final = Path(__file__).parents[2] / "oauth_helper"
Match = tuple[int, str, str | tuple[str, str], list[str]]


def run_time(fileobj: object, keywords: object, comment_tags: object, options: dict[str, Any]) -> Iterator[Match]:
    """Find the messages that exist only when the program runs."""
    for message in (*_helps(click.Context(program)), *_hints(OAuthHelperError)):
        yield 0, "", message, []


def _helps(context: click.Context) -> Iterator[str]:
    command = context.command
    options = [parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option)]
    yield from (cleandoc(help_) for help_ in (command.help, *(option.help for option in options)) if help_)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if subcommand := command.get_command(context, name):
                yield from _helps(click.Context(subcommand))


def _hints(error: type[OAuthHelperError]) -> Iterable[str]:
    children = [child for child in error.__subclasses__() if child.__module__ == error.__module__]
    return (error.default_hint, *(hint for child in children for hint in _hints(child)))


def english_of(message: Message) -> tuple[str, ...]:
    """Return the message in English: one form, or singular and plural."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def translations_of(message: Message) -> tuple[str, ...]:
    """Return the translations of a message; an empty string where one is missing."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))
