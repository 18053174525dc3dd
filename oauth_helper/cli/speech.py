"""The language in which this process speaks to people."""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping, Sequence
from typing import Final

from oauth_helper.catalogs import DOMAIN, FOLDER, catalog_of
from oauth_helper.language import Language, Preference, language_of, language_of_locale
from oauth_helper.phrase import Phrase

VARIABLE: Final = "OAUTH_HELPER_LANG"
OPTION: Final = "--lang"


class _Speech:
    """What was chosen; a process speaks one language."""

    preference = Preference(Language.ENGLISH)


def speak(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Speak from now on what the user wants: ``--lang`` over the variable over the locale.

    Before anything is parsed: help and the errors of parsing are to be in that language too. What is no language of
    ours is left for the parser to refuse.
    """
    demanded = language_of(_given(arguments) or environ.get(VARIABLE, ""))
    language = demanded or language_of_locale(environ) or Language.ENGLISH
    _Speech.preference = Preference(language, is_demanded=demanded is not None)
    # click's own words go through the process's global domain, whose language is looked up in the environment.
    gettext.bindtextdomain(DOMAIN, FOLDER)
    gettext.textdomain(DOMAIN)
    if (gettext.find(DOMAIN, FOLDER) is None) is not (language is Language.ENGLISH):
        os.environ["LANGUAGE"] = language.replace("-", "_")


def spoken() -> Preference:
    """Return what :func:`speak` has chosen."""
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
