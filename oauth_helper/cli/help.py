"""Help texts in the language of the command line, and the click classes of commands, options and choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from oauth_helper.cli.console import LANGUAGE_FLAG, print_text, translate, width_of, wrapped
from oauth_helper.errors import UsageError
from oauth_helper.i18n import Text, _, enumerated, language_of
from oauth_helper.models import RepoType
from oauth_helper.secret import is_plain_word

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _translated_help(english: str | None) -> str:
    """Translate a help text and fill in the repository types."""
    in_browser = [one for one in RepoType if one.has_oauth]
    names = {
        "hosts": [one.display_name for one in in_browser],
        "types": [one.value for one in in_browser],
        "token_types": [one.value for one in RepoType if one.git_credential == "token"],
        "password_types": [one.value for one in RepoType if one.git_credential == "password"],
    }
    return translate(_(cleandoc(english or ""), **{key: enumerated(value) for key, value in names.items()}))


class _HelpFormatter(click.HelpFormatter):
    """Breaks lines by columns, and between Chinese characters; click counts characters."""

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        for number, paragraph in enumerate(text.split("\n\n")):
            if paragraph.startswith("\b\n"):  # click's mark of a paragraph whose lines stay as they are
                lines = paragraph.removeprefix("\b\n").splitlines()
            else:
                lines = wrapped(" ".join(paragraph.split()), self.width - self.current_indent)
            self.write("\n" * bool(number) + "".join(f"{indent}{line}".rstrip() + "\n" for line in lines))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = list(rows)
        first = min(max(width_of(term) for term, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for term, meaning in rows:
            lines = wrapped(meaning, max(self.width - first - self.current_indent, 10))
            if width_of(term) + col_spacing > first:
                self.write(f"{indent}{term}\n")
            else:
                self.write(f"{indent}{term}{' ' * (first - width_of(term))}{lines.pop(0)}\n")
            self.write("".join(f"{indent}{' ' * first}{line}\n" for line in lines))


class _Context(click.Context):
    formatter_class: type[click.HelpFormatter] = _HelpFormatter


class Command(click.Command):
    """A command whose usage errors repeat no argument: it may be a secret."""

    context_class: type[click.Context] = _Context
    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and name an unexpected one by its position."""
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if ctx.args and not ctx.resilient_parsing and not isinstance(self, click.Group):
            expected = sum(isinstance(parameter, click.Argument) for parameter in self.params)
            raise UsageError(
                _("Unexpected argument {number}", number=expected + 1),
                hint=_("See `{command} --help`.", command=ctx.command_path),
            )
        return rest

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that shows the help."""
        if found := super().get_help_option(ctx):
            found.callback = _show_help
        return found

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write what the command is for."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_translated_help(self.help))


def _show_help(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        print_text(ctx.get_help())
        ctx.exit()


class _Option(click.Option):
    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        english = self.help
        self.help = _translated_help(english) or None
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = english


def command(name: str, *, help: str) -> Callable[[Callable[..., Any]], Command]:  # noqa: A002 - click's name
    """Make a function the command ``name``. Its help is no docstring, because PYTHONOPTIMIZE=2 removes those."""
    return click.command(name, cls=Command, help=help)


def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Add an option to a command; the attributes are click's."""
    return click.option(*names, cls=_Option, **attributes)


class InvalidValue(click.BadParameter):
    """What an option or argument accepts, in words that may be shown."""

    def __init__(self, text: Text, param: click.Parameter) -> None:
        super().__init__(text, param=param)
        self.text = text
        self.parameter = param


if TYPE_CHECKING:  # click 8.1 has no generic class
    _ClickChoice = click.Choice[str]
else:
    _ClickChoice = click.Choice


class Choice(_ClickChoice):
    """A choice whose error repeats a value only if it cannot be a secret."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the choice that fits.

        Raises:
            InvalidValue: None does.
        """
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter:
            if param is None:
                raise
        raise not_one_of(value, [str(one) for one in self.choices], param)


def not_one_of(value: str, choices: list[str], param: click.Parameter) -> InvalidValue:
    """Return the error for a value that is none of the ``choices``."""
    names = enumerated(choices)
    if is_plain_word(value):
        return InvalidValue(_('"{value}" is not one of {choices}', value=value, choices=names), param)
    return InvalidValue(_("it must be one of {choices}", choices=names), param)


def _language(_ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    # console.use_language() has chosen the language before parsing.
    if value is not None and language_of(value) is None:
        raise not_one_of(value, ["en", "zh"], param)


LANGUAGE_OPTION: Final = option(
    LANGUAGE_FLAG,
    metavar="LANG",
    expose_value=False,
    callback=_language,
    help="Language of words, help and pages: en or zh.  [env: OAUTH_HELPER_LANG; default: the locale's]",
)
