"""click's commands and options with their help in the language that is spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import cleandoc
from typing import Any, Final, TypeVar

import click

from oauth_helper.cli.fitting import fitted, width_of
from oauth_helper.cli.speech import in_language, in_words, spoken
from oauth_helper.language import Language

_AS_IT_STANDS: Final = "\b\n"
"""click's mark of a paragraph whose lines are not to be broken anew."""
_NARROWEST: Final = 10
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class SpokenFormatter(click.HelpFormatter):
    """Breaks lines by columns, and where scripts without blanks may be broken; click counts characters."""

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        if spoken().language is Language.ENGLISH:
            super().write_text(text)
            return
        indent = " " * self.current_indent
        self.write("\n".join(f"{indent}{line}".rstrip() for line in _broken(text, self.width - self.current_indent)))
        self.write("\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms, and behind each what it means."""
        if spoken().language is Language.ENGLISH:
            super().write_dl(rows, col_max, col_spacing)
            return
        rows = list(rows)
        first = min(max(width_of(term) for term, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for term, meaning in rows:
            lines = list(_broken(meaning, max(self.width - first - self.current_indent, _NARROWEST)))
            if width_of(term) + col_spacing > first:
                self.write(f"{indent}{term}\n")
            else:
                self.write(f"{indent}{term}{' ' * (first - width_of(term))}{lines.pop(0)}\n")
            self.write("".join(f"{indent}{' ' * first}{line}\n" for line in lines))


class _SpokenContext(click.Context):
    formatter_class: type[click.HelpFormatter] = SpokenFormatter


class SpokenOption(click.Option):
    """An option."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return what its line in the help says."""
        with _spoken_help(self):
            return super().get_help_record(ctx)


class SpokenCommand(click.Command):
    """A command."""

    context_class: type[click.Context] = _SpokenContext

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it is for."""
        with _spoken_help(self):
            super().format_help_text(ctx, formatter)


class SpokenGroup(click.Group):
    """A command that has others."""

    context_class: type[click.Context] = _SpokenContext

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it is for."""
        with _spoken_help(self):
            super().format_help_text(ctx, formatter)


def command(name: str) -> Callable[[Callable[..., Any]], SpokenCommand]:
    """Make a function the command of that name."""
    return click.command(name, cls=SpokenCommand)


def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Give a command an option; the attributes are click's."""
    return click.option(*names, cls=SpokenOption, **attributes)


@contextmanager
def _spoken_help(documented: click.Command | click.Option) -> Iterator[None]:
    """Have the help of ``documented`` in the language that is spoken, within the context."""
    english = documented.help
    documented.help = english and _filled(in_language(cleandoc(english)))
    try:
        yield
    finally:
        documented.help = english


def _filled(text: str) -> str:
    """Name the repository types there are, where a help leaves a place for them."""
    if "{" not in text:
        return text
    from oauth_helper.cli.repo_type_names import repo_type_names  # noqa: PLC0415 - most helps name none

    return text.format_map({name: in_words(names) for name, names in repo_type_names().items()})


def _broken(text: str, width: int) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if paragraph.startswith(_AS_IT_STANDS):
            yield from paragraph.removeprefix(_AS_IT_STANDS).splitlines()
        else:
            yield from fitted(" ".join(paragraph.split()), width)
