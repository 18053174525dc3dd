"""The languages we speak, and which of them somebody asks for. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Language(StrEnum):
    """A language, by its tag (BCP 47)."""

    ENGLISH = "en"
    CHINESE = "zh-CN"
    """Simplified."""


_SIMPLIFIED: Final = r"zh(-hans)?(-(cn|sg|my))?"
"""Whoever writes Chinese in Taiwan, Hong Kong or Macao writes it in other characters."""
_ENGLISH: Final = r"en(-.*)?"
_LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set counts (POSIX, Environment Variables, 8.2)."""
_LONGEST_HEADER: Final = 1000
"""Characters that are read of what a browser prefers."""
_WITHOUT_LANGUAGE: Final = frozenset({"", "C", "POSIX"})


def language_of(tag: str) -> Language | None:
    """Return the language that a tag names, such as ``zh_CN``, ``zh-Hans`` or ``en-GB``; None: none that we speak."""
    name = tag.strip().replace("_", "-").lower()
    if re.fullmatch(_SIMPLIFIED, name):
        return Language.CHINESE
    return Language.ENGLISH if re.fullmatch(_ENGLISH, name) else None


def language_of_locale(environ: Mapping[str, str]) -> Language | None:
    """Return the language of the user's locale; None where the locale names none that we speak.

    ``LANGUAGE``, a list by preference, is heard where there is a locale at all (GNU gettext manual, section 2.3.3).
    """
    locale = next((environ[name] for name in _LOCALE_VARIABLES if environ.get(name)), "")
    locale = locale.partition(".")[0].partition("@")[0]
    if locale in _WITHOUT_LANGUAGE:
        return None
    return _first(tag for tag in [*environ.get("LANGUAGE", "").split(":"), locale] if tag)


def language_of_browser(accept_language: str) -> Language | None:
    """Return the language that a browser prefers, of those we speak (RFC 9110 section 12.5.4); None: none of them."""
    weighted = [_weighted(each) for each in accept_language[:_LONGEST_HEADER].split(",")]
    return _first(tag for weight, tag in sorted(weighted, key=lambda pair: -pair[0]) if weight > 0)


@dataclass(frozen=True, slots=True)
class Preference:
    """What a user reads."""

    language: Language
    is_demanded: bool = False
    """Whether the user has named it; else a browser may prefer another."""

    def in_browser(self, accept_language: str) -> Language:
        """Return the language of a page for a browser that says that."""
        return self.language if self.is_demanded else language_of_browser(accept_language) or self.language


def _weighted(element: str) -> tuple[float, str]:
    tag, _, parameter = element.partition(";")
    quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameter)
    return (float(quality[1]) if quality else 0.0 if parameter else 1.0), tag


def _first(tags: Iterable[str]) -> Language | None:
    return next((language for tag in tags if (language := language_of(tag))), None)
