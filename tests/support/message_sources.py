"""Extractors for Babel: the ``[[…]]`` of templates, help texts, hints of errors, and messages of click.

``babel.cfg`` names them. Babel calls the second one once, for this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import IO, Any, Final

import click
from babel.messages.catalog import Message

from oauth_helper.cli.app import program
from oauth_helper.errors import OAuthHelperError

PACKAGE: Final = Path(__file__).parents[2] / "oauth_helper"
Match = tuple[int, str, str | tuple[str, str], list[str]]

CLICK: Final[tuple[str | tuple[str, str], ...]] = (
    "Usage:",
    "Options",
    "Commands",
    "Show this message and exit.",
    "default: {default}",
    "required",
    "Error: The value you entered was invalid.",
    "Error: invalid input",
    "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}",
    "Missing argument",
    "Missing option",
    "Missing command.",
    "No such option: {name}",
    "No such option {name!r}.",
    "No such command {name!r}.",
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    ("(Possible option: {possibilities})", "(Possible options: {possibilities})"),
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    "Option {name!r} does not take a value.",
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    "Choose from:\n\t{choices}",
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    "{value!r} is not a valid {number_type}.",
    "{value} is not in the range {range}.",
    "integer range",
    "float range",
)
"""The messages of click 8.1.8 to 8.5 that a user of our commands can see."""


def templates(fileobj: IO[bytes], keywords: object, comment_tags: object, options: dict[str, Any]) -> Iterator[Match]:
    """Find the messages of a template."""
    for message in re.findall(r"\[\[(.*?)\]\]", fileobj.read().decode(), re.DOTALL):
        yield 0, "", " ".join(message.split()), []


def run_time(fileobj: object, keywords: object, comment_tags: object, options: dict[str, Any]) -> Iterator[Match]:
    """Find the messages that exist only when the program runs."""
    for message in (*CLICK, *_helps(program), *_hints(OAuthHelperError)):
        yield 0, "ngettext" if isinstance(message, tuple) else "", message, []


def _helps(command: click.Command) -> Iterator[str]:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    yield from (cleandoc(help_) for help_ in (command.help, *(option.help for option in options)) if help_)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if subcommand := command.get_command(context, name):
                yield from _helps(subcommand)


def _hints(error: type[OAuthHelperError]) -> Iterable[str]:
    children = [child for child in error.__subclasses__() if child.__module__ == error.__module__]
    return (error.default_hint, *(hint for child in children for hint in _hints(child)))


def english_of(message: Message) -> tuple[str, ...]:
    """Return the message in English: one form, or singular and plural."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def translations_of(message: Message) -> tuple[str, ...]:
    """Return the translations of a message; an empty string where one is missing."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))
