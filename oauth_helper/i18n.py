"""Translatable text, the message catalogs, and which language a user reads.

Messages are English strings that remember how to be translated later: JSON, events and logs carry the English, and
the terminal or a page translates it where it is shown. Catalogs are gettext's, in ``locale/``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache, reduce
from gettext import NullTranslations, translation
from typing import Final, Self

from msgspec import Struct

DOMAIN: Final = "oauth_helper"
FOLDER: Final = os.path.join(os.path.dirname(__file__), "locale")  # noqa: PTH118, PTH120 - pathlib slows --help down
_ENGLISH: Final = NullTranslations()


class Sentence(Struct, frozen=True):
    """A message id and the values for its ``{names}``."""

    template: str
    values: Mapping[str, object]
    plural: str = ""  # the message id for a ``count`` other than 1; empty if nothing is counted
    count: int = 1

    def translated(self, catalog: NullTranslations) -> str:
        """Return the sentence in the language of ``catalog``."""
        if self.plural:
            template = catalog.ngettext(self.template, self.plural, self.count)
        else:
            # gettext returns the catalog's header for the empty message id.
            template = self.template and catalog.gettext(self.template)
        return template.format_map({name: translated(value, catalog) for name, value in self.values.items()})


class Text(str):
    """An English string that can be translated later.

    ``Text(text)`` holds text that is never translated, such as a server's message; :func:`_` and :func:`ngettext` make
    translatable ones. ``+`` keeps both parts translatable; every other string operation returns a plain ``str``.
    """

    sentences: tuple[Sentence, ...]

    def __new__(cls, text: str = "", sentences: Sequence[Sentence] | None = None) -> Self:
        """Hold ``text`` as it is, or the English of ``sentences``."""
        if sentences is None:
            sentences = (Sentence("{text}", {"text": text}),) if text else ()
        self = super().__new__(cls, "".join(sentence.translated(_ENGLISH) for sentence in sentences))
        self.sentences = tuple(sentences)
        return self

    def __add__(self, other: str) -> Text:
        more = other if isinstance(other, Text) else Text(other)
        return Text(sentences=self.sentences + more.sentences)

    def translated(self, catalog: NullTranslations) -> str:
        """Return the text in the language of ``catalog``; untranslated messages stay English."""
        return "".join(sentence.translated(catalog) for sentence in self.sentences)


NO_TEXT: Final = Text()


def _(template: str, /, **values: object) -> Text:
    """Mark an English literal for translation; ``values`` fill its ``{names}`` and are translated as well."""
    return Text(sentences=(Sentence(template, values),))


def ngettext(singular: str, plural: str, /, count: int, **values: object) -> Text:
    """Mark two English literals for translation, of which one fits ``count``; ``{count}`` is among the values."""
    return Text(sentences=(Sentence(singular, {"count": count, **values}, plural, count),))


def N_(template: str, /) -> str:  # noqa: N802 - gettext's name for a marker without effect
    """Mark a literal that is passed to :func:`_` later."""
    return template


def listed(names: Sequence[str]) -> Text:
    """Return ``A``, ``A and B`` or ``A, B and C``."""
    *first, last = names
    return _("{first} and {last}", first=enumerated(first), last=last) if first else Text(last)


def enumerated(names: Sequence[str]) -> Text:
    """Return ``A, B, C``."""
    first, *others = names
    return reduce(lambda text, name: _("{names}, {name}", names=text, name=name), others, Text(first))


def joined(reasons: Iterable[Text]) -> Text:
    """Return the reasons as one text, separated by semicolons."""
    return reduce(lambda text, reason: _("{text}; {reason}", text=text, reason=reason), reasons)


def translated(value: object, catalog: NullTranslations) -> object:
    """Return a text in the language of ``catalog``, and any other value as it is."""
    return value.translated(catalog) if isinstance(value, Text) else value


class Language(StrEnum):
    """A language, by its tag (BCP 47)."""

    ENGLISH = "en"
    CHINESE = "zh-CN"


_SIMPLIFIED_CHINESE: Final = r"zh(-hans)?(-(cn|sg|my))?"
_ANY_ENGLISH: Final = r"en(-.*)?"
_LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set counts (POSIX, Environment Variables, 8.2)."""
_LONGEST_HEADER: Final = 1000


@cache
def catalog_of(language: Language) -> NullTranslations:
    """Return the catalog of ``language``; an empty one for English, and if it was never compiled."""
    if language is Language.ENGLISH:
        return NullTranslations()
    return translation(DOMAIN, FOLDER, languages=[language.replace("-", "_")], fallback=True)


def language_of(tag: str) -> Language | None:
    """Return the language that a tag such as ``zh_CN`` or ``en-GB`` names, or None if there is no catalog for it."""
    name = tag.strip().replace("_", "-").lower()
    if re.fullmatch(_SIMPLIFIED_CHINESE, name):
        return Language.CHINESE
    return Language.ENGLISH if re.fullmatch(_ANY_ENGLISH, name) else None


def language_of_locale(environ: Mapping[str, str]) -> Language | None:
    """Return the language of the user's locale, or None if there is no catalog for it.

    ``LANGUAGE``, a list by preference, counts only if a locale is set (GNU gettext manual, section 2.3.3).
    """
    locale = next((environ[name] for name in _LOCALE_VARIABLES if environ.get(name)), "")
    locale = locale.partition(".")[0].partition("@")[0]
    if locale in {"", "C", "POSIX"}:
        return None
    return _first(tag for tag in [*environ.get("LANGUAGE", "").split(":"), locale] if tag)


def language_of_browser(accept_language: str) -> Language | None:
    """Return the language that a browser prefers (RFC 9110 section 12.5.4), or None if there is no catalog for any."""
    weighted = [_weighted(element) for element in accept_language[:_LONGEST_HEADER].split(",")]
    return _first(tag for weight, tag in sorted(weighted, key=lambda pair: -pair[0]) if weight > 0)


class Preference(Struct, frozen=True):
    """The language that a user reads."""

    language: Language
    is_demanded: bool = False  # Whether the user chose it explicitly; otherwise a browser's Accept-Language comes first

    def in_browser(self, accept_language: str) -> Language:
        """Return the language of a page for a browser that sends ``accept_language``."""
        return self.language if self.is_demanded else language_of_browser(accept_language) or self.language


def _weighted(element: str) -> tuple[float, str]:
    tag, _semicolon, parameter = element.partition(";")
    quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameter)
    return (float(quality[1]) if quality else 0.0 if parameter else 1.0), tag


def _first(tags: Iterable[str]) -> Language | None:
    return next((language for tag in tags if (language := language_of(tag))), None)
