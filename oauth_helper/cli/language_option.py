"""The option that names a language, which every command has."""

from __future__ import annotations

from typing import Final

import click

from oauth_helper.cli.speech import OPTION
from oauth_helper.cli.spoken_help import option
from oauth_helper.language import language_of


def _language(_ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    # It was heeded before anything was parsed; here it is refused where we do not speak it.
    if value is not None and language_of(value) is None:
        from oauth_helper.cli.complaint import not_one_of  # noqa: PLC0415 - a help need not wait for it

        raise not_one_of(value, ["en", "zh"], param)


LANGUAGE_OPTION: Final = option(
    OPTION,
    metavar="LANG",
    expose_value=False,
    callback=_language,
    help="Language of words, help and pages: en or zh.  [env: OAUTH_HELPER_LANG; default: the locale's]",
)
