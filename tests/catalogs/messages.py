"""Collect every text that people read: of the sources, the templates, the commands' help, and click's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Final

import click
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file

from oauth_helper.cli.program import program
from oauth_helper.errors import OAuthHelperError

PACKAGE: Final = Path(__file__).parents[2] / "oauth_helper"
DOMAIN: Final = "oauth_helper"
KEYWORDS: Final = {"phrase": None, "template": None, "counted": (1, 2)}
_MARKED: Final = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_WITHOUT_WORDS: Final = re.compile(r"(\{[^}]*\})*")

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
"""Of click 8.1.8 to 8.5, what a user of our commands can meet. It asks in the domain that the process has set."""


def collect() -> Catalog:
    """Return all messages, each with the files where it stands."""
    catalog = Catalog(project="oauth-helper", charset="utf-8", fuzzy=False)
    places: dict[str | tuple[str, str], set[str]] = {}
    for file, message in _all_messages():
        places.setdefault(message, set()).add(file)
    for message, files in places.items():
        catalog.add(message, locations=[(file, 0) for file in sorted(files)])
    return catalog


def english_of(message: Message) -> tuple[str, ...]:
    """Return the message in English: one form, or singular and plural."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def translations_of(message: Message) -> tuple[str, ...]:
    """Return what it is translated to, empty forms included."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))


def _all_messages() -> Iterator[tuple[str, str | tuple[str, str]]]:
    yield from _of_the_sources()
    for path in sorted(PACKAGE.rglob("templates/*.html")):
        for message in _MARKED.findall(path.read_text(encoding="utf-8")):
            yield _relative(path), " ".join(message.split())
    for message in _help_of(program):
        yield "oauth_helper/cli", message
    for error in _tree(OAuthHelperError):
        yield "oauth_helper/errors.py", error.default_hint
    for message in CLICK:
        yield "click", message


def _of_the_sources() -> Iterator[tuple[str, str | tuple[str, str]]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for _, message, _, _ in extract_from_file("python", path, KEYWORDS):
            words = message if isinstance(message, str) else message[0]
            if not _WITHOUT_WORDS.fullmatch(words):
                yield _relative(path), message if isinstance(message, str) else (message[0], message[1])


def _tree(root: type[OAuthHelperError]) -> Iterator[type[OAuthHelperError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == root.__module__:
            yield from _tree(child)


def _help_of(command: click.Command) -> Iterator[str]:
    if command.help:
        yield cleandoc(command.help)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            yield cleandoc(parameter.help)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if found := command.get_command(context, name):
                yield from _help_of(found)


def _relative(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))
