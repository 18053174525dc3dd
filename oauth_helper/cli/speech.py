"""The language in which this process speaks to people, and how its text gets to standard output."""

from __future__ import annotations

import gettext
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import click

from oauth_helper.catalogs import DOMAIN, FOLDER, catalog_of
from oauth_helper.language import Language, Preference, language_of, language_of_locale
from oauth_helper.phrase import Phrase
from oauth_helper.presentable import escaped

VARIABLE: Final = "OAUTH_HELPER_LANG"
OPTION: Final = "--lang"


class _Speech:
    """What was chosen; a process speaks one language."""

    preference = Preference(Language.ENGLISH)
    environ: Mapping[str, str] = os.environ


@contextmanager
def speaking(arguments: Sequence[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Speak what the user wants within the context: ``--lang`` over the variable over the locale.

    Before anything is parsed: help and the errors of parsing are to be in that language too. What is no language of
    ours is left for the parser to refuse.
    """
    before = _Speech.preference, _Speech.environ, gettext.textdomain(), os.environ.get("LANGUAGE")
    demanded = language_of(_given(arguments) or environ.get(VARIABLE, ""))
    language = demanded or language_of_locale(environ) or Language.ENGLISH
    _Speech.preference = Preference(language, is_demanded=demanded is not None)
    # click's own words go through the process's global domain, whose language is looked up in the environment.
    gettext.bindtextdomain(DOMAIN, FOLDER)
    gettext.textdomain(DOMAIN)
    _Speech.environ = dict(os.environ)
    if (gettext.find(DOMAIN, FOLDER) is None) is not (language is Language.ENGLISH):
        os.environ["LANGUAGE"] = language.replace("-", "_")
    try:
        yield
    finally:
        _Speech.preference, _Speech.environ, domain, variable = before
        gettext.textdomain(domain)
        os.environ.pop("LANGUAGE", None)
        if variable is not None:
            os.environ["LANGUAGE"] = variable


def users_environ() -> Mapping[str, str]:
    """Return the environment as the user set it: a browser must not inherit the language of :func:`speaking`."""
    return _Speech.environ


def print_text(text: str, shown_start: str = "") -> None:
    """Print text for people on standard output, and a line break.

    Control characters are escaped, and so is what the encoding of standard output lacks. ``shown_start`` replaces the
    start of the text on a terminal: the same in colour.
    """
    start = len(click.unstyle(shown_start))
    click.echo(shown_start + escaped(text[start:], keep="\n"), file=sys.stdout)


def spoken() -> Preference:
    """Return what :func:`speaking` has chosen."""
    return _Speech.preference


def in_words(text: str) -> str:
    """Return a phrase as it is said to people now; what is no phrase as it is."""
    return text.said(catalog_of(spoken().language)) if isinstance(text, Phrase) else text


def in_language(english: str) -> str:
    """Return a text of the catalogs, such as a command's help, as it is said to people now."""
    return catalog_of(spoken().language).gettext(english)


def _given(arguments: Sequence[str]) -> str:
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == OPTION:
            return "".join(arguments[position + 1 : position + 2])
        if argument.startswith(f"{OPTION}="):
            return argument.removeprefix(f"{OPTION}=")
    return ""
