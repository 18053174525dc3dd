"""The click classes of commands, options and choices: translated help, and errors that repeat no secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from oauth_helper.cli.console import LANGUAGE_FLAG, LANGUAGE_VARIABLE, padded, print_text, translate, width_of, wrapped
from oauth_helper.i18n import Text, _, enumerated, language_of
from oauth_helper.secret import is_plain_word

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

OPTIONS: Final = _("Options")
WITHOUT_BROWSER: Final = _("Without a browser")
CONNECTION: Final = _("Connection (also in config.toml, or as OAUTH_HELPER_REGION and so on)")
OUTPUT: Final = _("Output")


class _HelpFormatter(click.HelpFormatter):
    """Breaks lines by columns, and between Chinese characters; click counts characters."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:  # noqa: ARG002 - click's
        self.write(translate(_("Usage: ")) + f"{prog} {args}\n")

    def write_heading(self, heading: str) -> None:
        self.write(translate(_("{heading}:", heading=heading)) + "\n")

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
        for term, description in rows:
            start = padded(term, first)
            if width_of(term) + col_spacing > first:
                start += "\n" + " " * (self.current_indent + first)
            lines = wrapped(description, max(self.width - first - self.current_indent, 10))
            indent = " " * self.current_indent
            self.write(f"{indent}{start}" + f"\n{indent}{' ' * first}".join(lines) + "\n")


class _Context(click.Context):
    formatter_class: type[click.HelpFormatter] = _HelpFormatter


class Command(click.Command):
    """A command with translated help."""

    context_class: type[click.Context] = _Context

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; an error knows its command."""
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

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write what the command is for."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_translated(self.help))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups."""
        groups: dict[Text, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                group = groups.setdefault(getattr(parameter, "group", OUTPUT), [])
                group.append((record[0], _translated(parameter.help)))
        for title, records in groups.items():
            with formatter.section(translate(title if len(groups) > 1 else OPTIONS)):
                formatter.write_dl(records)


def _translated(english: str | None) -> str:
    return translate(_(cleandoc(english or "")))


def _show_help(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        print_text(ctx.get_help())
        ctx.exit()


class Option(click.Option):
    """An option in a group of the help."""

    def __init__(self, *args: Any, group: Text = OUTPUT, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


def command(name: str, *, help: str) -> Callable[[Callable[..., Any]], Command]:  # noqa: A002 - click's name
    """Make a function the command ``name``. Its help is no docstring, because PYTHONOPTIMIZE=2 removes those."""
    return click.command(name, cls=Command, help=help)


def option(*names: str, group: Text = OPTIONS, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Add an option to a command, in a group of its help; the attributes are click's."""
    return click.option(*names, cls=Option, group=group, **attributes)


class InvalidValue(click.BadParameter):
    """What an option or argument accepts, in words that may be shown."""


if TYPE_CHECKING:  # click 8.1 has no generic class
    _ClickChoice = click.Choice[str]
else:
    _ClickChoice = click.Choice


def not_one_of(value: str, choices: Text, param: click.Parameter | None) -> InvalidValue:
    """Return the error for a value that is none of the choices; it repeats the value only if that is no secret."""
    if is_plain_word(value):
        return InvalidValue(_('"{value}" is not one of {choices}', value=value, choices=choices), param=param)
    return InvalidValue(_("it must be one of {choices}", choices=choices), param=param)


class Choice(_ClickChoice):
    """A choice in any capitalisation."""

    def __init__(self, choices: Sequence[str], aliases: Mapping[str, str] | None = None) -> None:
        super().__init__(choices, case_sensitive=False)
        self._aliases = aliases or {}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the choice that fits.

        Raises:
            InvalidValue: None does.
        """
        with suppress(click.BadParameter):
            return str(super().convert(self._aliases.get(str(value).lower(), value), param, ctx))
        raise not_one_of(value, enumerated(list(self.choices)), param)


def _check_language(_ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None and language_of(value) is None:
        shown = f' "{value}"' if is_plain_word(value) else ""
        raise InvalidValue(_("unsupported language{shown} (choose en or zh)", shown=shown), param=param)


LANGUAGE_OPTION: Final = option(
    LANGUAGE_FLAG,
    group=OUTPUT,
    metavar="LANG",
    envvar=LANGUAGE_VARIABLE,
    expose_value=False,
    callback=_check_language,
    help="Language of messages and pages: en or zh.",
)
