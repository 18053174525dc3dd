"""Words for people: English as they stand, with all it takes to say them in another language. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from gettext import NullTranslations
from typing import Final, Self

_ENGLISH: Final = NullTranslations()


@dataclass(frozen=True, slots=True)
class Sentence:
    """A template and what is put into it."""

    template: str
    values: Mapping[str, object]
    plural: str = ""
    """The template for a ``count`` that is not 1; empty where nothing is counted."""
    count: int = 1

    def said(self, catalog: NullTranslations) -> str:
        """Return it in the language of ``catalog``."""
        if self.plural:
            template = catalog.ngettext(self.template, self.plural, self.count)
        else:
            # Under the empty message gettext keeps the catalog's head, which is nobody's to read.
            template = self.template and catalog.gettext(self.template)
        return template.format_map({name: said(value, catalog) for name, value in self.values.items()})


class Phrase(str):
    """A text that is its own English, and can be said in the language of a catalog. :func:`phrase` makes one.

    As a string it is English, always: in JSON, in events, for scripts. What is added to a phrase makes it a longer one;
    anything else that is done to it makes a plain string, which can no longer be said in another language.
    """

    _sentences: tuple[Sentence, ...]

    def __new__(cls, *sentences: Sentence) -> Self:
        """Hold the sentences, and their English as the string."""
        self = super().__new__(cls, "".join(sentence.said(_ENGLISH) for sentence in sentences))
        self._sentences = sentences
        return self

    def __add__(self, other: str) -> Phrase:
        more = other if isinstance(other, Phrase) else verbatim(other)
        return Phrase(*self._sentences, *more._sentences)

    def __reduce__(self) -> tuple[type[Phrase], tuple[Sentence, ...]]:
        return Phrase, self._sentences

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """What it is made of, one after the other."""
        return self._sentences

    def said(self, catalog: NullTranslations) -> str:
        """Return it in the language of ``catalog``; what is not in there stays English."""
        return "".join(sentence.said(catalog) for sentence in self._sentences)


def phrase(template: str, /, **values: object) -> Phrase:
    """Return the words of ``template``, a literal in English, with ``values`` at its ``{names}``.

    A value that is a phrase itself is said in the same language. Literals given to this function are what the catalogs
    are made of.
    """
    return Phrase(Sentence(template, values))


def counted(singular: str, plural: str, /, count: int, **values: object) -> Phrase:
    """Return the one of two literals that fits ``count``, with ``{count}`` and ``values`` in their places."""
    return Phrase(Sentence(singular, {"count": count, **values}, plural, count))


def listed(names: Sequence[str]) -> Phrase:
    """Return ``names`` as the last part of a list has it in a sentence: ``A``, ``A and B``, ``A, B and C``."""
    *first, last = names
    if not first:
        return verbatim(last)
    return phrase("{first} and {last}", first=enumerated(first), last=last)


def enumerated(names: Sequence[str]) -> Phrase:
    """Return ``names`` one after the other, as in parentheses: ``A, B, C``."""
    first, *others = names
    return reduce(lambda text, name: phrase("{names}, {name}", names=text, name=name), others, verbatim(first))


def joined(reasons: Iterable[Phrase]) -> Phrase:
    """Return ``reasons`` as one text, with semicolons between them."""
    return reduce(lambda text, reason: phrase("{text}; {reason}", text=text, reason=reason), reasons)


def verbatim(text: str) -> Phrase:
    """Return text that is nobody's to translate, such as a server's, as a phrase."""
    return Phrase(Sentence("{text}", {"text": text}))


def template(words: str, /) -> str:
    """Return a literal that is given to :func:`phrase` later, as it is: this marks it for the catalogs."""
    return words


def said(value: object, catalog: NullTranslations) -> object:
    """Return a phrase in the language of ``catalog``, and anything else as it is."""
    return value.said(catalog) if isinstance(value, Phrase) else value


NOTHING: Final = Phrase()
"""No words."""
