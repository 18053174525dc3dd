"""The option that names a language, which every command has."""

from __future__ import annotations

from typing import Final

import click

from oauth_helper.cli.speech import OPTION, in_words
from oauth_helper.cli.spoken_help import option
from oauth_helper.language import language_of
from oauth_helper.phrase import phrase


def _language(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    # It was heeded before anything was parsed; here it is refused where we do not speak it.
    if value is not None and language_of(value) is None:
        raise click.BadParameter(in_words(phrase("{value!r} is no language of ours: en, zh", value=value)))


LANGUAGE_OPTION: Final = option(
    OPTION,
    metavar="LANG",
    expose_value=False,
    callback=_language,
    help="Language of words, help and pages: en or zh.  [env: OAUTH_HELPER_LANG; default: the locale's]",
)
