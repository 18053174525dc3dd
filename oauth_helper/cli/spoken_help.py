"""click's commands and options with their help in the language that is spoken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

import click

from oauth_helper.cli.fitting import fitted, width_of
from oauth_helper.cli.speech import Spoken, spoken
from oauth_helper.language import Language

_AS_IT_STANDS: Final = "\b\n"
"""click's mark of a paragraph whose lines are not to be broken anew."""
_NARROWEST: Final = 10


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
    formatter_class = SpokenFormatter


class SpokenOption(click.Option):
    """An option."""

    help = Spoken()


class SpokenCommand(click.Command):
    """A command."""

    context_class = _SpokenContext
    help = Spoken()
    short_help = Spoken()


class SpokenGroup(click.Group):
    """A command that has others."""

    context_class = _SpokenContext
    help = Spoken()


command = partial(click.command, cls=SpokenCommand)
option = partial(click.option, cls=SpokenOption)


def _broken(text: str, width: int) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if paragraph.startswith(_AS_IT_STANDS):
            yield from paragraph.removeprefix(_AS_IT_STANDS).splitlines()
        else:
            yield from fitted(" ".join(paragraph.split()), width)
