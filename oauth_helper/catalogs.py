"""The catalogs that lie in locale/: our words in other languages than English."""

from __future__ import annotations

import os
from functools import cache
from gettext import NullTranslations, translation
from typing import Final

from oauth_helper.language import Language

DOMAIN: Final = "oauth_helper"
FOLDER: Final = os.path.join(os.path.dirname(__file__), "locale")  # noqa: PTH118, PTH120 - a help imports no pathlib


@cache
def catalog_of(language: Language) -> NullTranslations:
    """Return the catalog of ``language``: an empty one for English, which is what the words themselves are."""
    if language is Language.ENGLISH:
        return NullTranslations()
    # Where it was never compiled (a checkout that was not installed), English will do: a link must not end for it.
    return translation(DOMAIN, FOLDER, languages=[language.replace("-", "_")], fallback=True)
