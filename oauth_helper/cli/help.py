"""Help texts and the language of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import cleandoc
from typing import Any, Final, TypeVar

import click

from oauth_helper.cli.console import OPTION, fitted, in_language, in_words, print_text, spoken, width_of
from oauth_helper.errors import UsageError
from oauth_helper.i18n import Language, Text, _, enumerated, language_of
from oauth_helper.models import RepoType


def repo_type_names() -> dict[str, Text]:
    """Return what a help has at ``{hosts}``, ``{types}``, ``{token_types}`` and ``{password_types}``."""
    in_browser = [one for one in RepoType if one.has_oauth]
    return {
        "hosts": enumerated([one.display_name for one in in_browser]),
        "types": enumerated([one.value for one in in_browser]),
        "token_types": enumerated([one.value for one in RepoType if one.git_credential == "token"]),
        "password_types": enumerated([one.value for one in RepoType if one.git_credential == "password"]),
    }


_AS_IT_STANDS: Final = "\b\n"
"""click's mark of a paragraph whose lines are not to be broken anew."""
_NARROWEST: Final = 10
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class TranslatedFormatter(click.HelpFormatter):
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


class _TranslatedContext(click.Context):
    formatter_class: type[click.HelpFormatter] = TranslatedFormatter


class TranslatedOption(click.Option):
    """An option."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return what its line in the help says."""
        with _spoken_help(self):
            return super().get_help_record(ctx)


class _Helpful(click.Command):
    """Prints its help as all text for people is printed."""

    context_class: type[click.Context] = _TranslatedContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; an error says of which command it is."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that shows the help."""
        if found := super().get_help_option(ctx):
            found.callback = _show_help
        return found


def _show_help(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        print_text(ctx.get_help())
        ctx.exit()


class TranslatedCommand(_Helpful):
    """A command."""

    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; an argument too many is named by its position, because it may be a secret."""
        rest = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            taken = sum(isinstance(parameter, click.Argument) for parameter in self.params)
            raise UsageError(
                _("Unexpected argument {number}", number=taken + 1),
                hint=_("See `{command} --help`.", command=ctx.command_path),
            )
        return rest

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it is for."""
        with _spoken_help(self):
            super().format_help_text(ctx, formatter)


class TranslatedGroup(_Helpful, click.Group):
    """A command that has others."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it is for."""
        with _spoken_help(self):
            super().format_help_text(ctx, formatter)


def command(name: str, *, help: str) -> Callable[[Callable[..., Any]], TranslatedCommand]:  # noqa: A002 - click's name
    """Make a function the command of that name. Its help is no docstring: PYTHONOPTIMIZE=2 removes those."""
    return click.command(name, cls=TranslatedCommand, help=help)


def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Give a command an option; the attributes are click's."""
    return click.option(*names, cls=TranslatedOption, **attributes)


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

    return text.format_map({name: in_words(names) for name, names in repo_type_names().items()})


def _broken(text: str, width: int) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if paragraph.startswith(_AS_IT_STANDS):
            yield from paragraph.removeprefix(_AS_IT_STANDS).splitlines()
        else:
            yield from fitted(" ".join(paragraph.split()), width)


def _language(_ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    # It was heeded before anything was parsed; here it is refused where we do not speak it.
    if value is not None and language_of(value) is None:
        from oauth_helper.cli.app import not_one_of  # noqa: PLC0415 - a help need not wait for it

        raise not_one_of(value, ["en", "zh"], param)


LANGUAGE_OPTION: Final = option(
    OPTION,
    metavar="LANG",
    expose_value=False,
    callback=_language,
    help="Language of words, help and pages: en or zh.  [env: OAUTH_HELPER_LANG; default: the locale's]",
)
