"""A phrase as JSON, for another run of ours to say in the language of its own user; and back. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Final

from oauth_helper.phrase import Phrase, Sentence, verbatim

_LONGEST: Final = 4000
"""Characters of a template, of a value, and of what becomes of them."""
_DEEPEST: Final = 8
"""How often a phrase may stand within another."""
_MOST: Final = 64
"""Sentences in one phrase, and values in one sentence."""
_LARGEST: Final = 10**15
"""Numbers beyond it would fill a line."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_CONVERSIONS: Final = frozenset({None, "r", "s"})
_SPECIFICATIONS: Final[Mapping[str, tuple[type, ...]]] = {
    "": (str, int, float, type(None)),
    "02": (int,),
    "g": (int, float),
    ".0f": (int, float),
    ".1f": (int, float),
}
"""What may stand behind the colon, and of which types a value then is, so that none can fail to be formatted."""


class _UnfitError(ValueError):
    """It is no phrase that we would write."""


def write_phrase(phrase: str) -> list[dict[str, object]]:
    """Return what a phrase is made of, for JSON; nothing for a text that is no phrase."""
    return [_written(sentence) for sentence in phrase.sentences] if isinstance(phrase, Phrase) else []


def read_phrase(told: object, english: str) -> Phrase:
    """Return the phrase that :func:`write_phrase` was given, if it says ``english``; else ``english`` as it stands.

    Whoever wrote it may be of another version, or no run of ours at all: nothing in it raises, takes long, or has a
    user read another sentence than the English one.
    """
    try:
        phrase = _phrase(told, depth=0)
    except _UnfitError:
        return verbatim(english)
    return phrase if phrase == english else verbatim(english)


def _written(sentence: Sentence) -> dict[str, object]:
    fields = [*_fields(sentence.template), *_fields(sentence.plural)]
    if any(not isinstance(sentence.values[name], str | int | float) for name, is_plain in fields if not is_plain):
        return _written(
            verbatim(str(Phrase(sentence))).sentences[0]
        )  # such as a time, which would be a plain text there
    written: dict[str, object] = {"template": sentence.template}
    written["values"] = {name: _plain(sentence.values[name]) for name, _ in fields}
    if sentence.plural:
        written |= {"plural": sentence.plural, "count": sentence.count}
    return written


def _plain(value: object) -> object:
    if isinstance(value, Phrase):
        return write_phrase(value)
    return value if value is None or type(value) in {bool, int, float, str} else str(value)


def _fields(template: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in a template, and whether the value's text is put there as it is."""
    for _, name, specification, conversion in Formatter().parse(template):
        if name is not None:
            yield name, not (specification or conversion)


def _phrase(told: object, *, depth: int) -> Phrase:
    if not isinstance(told, list) or not 0 < len(told) <= _MOST or depth > _DEEPEST:
        raise _UnfitError
    sentences = [_sentence(each, depth=depth) for each in told]
    if sum(len(Phrase(sentence)) for sentence in sentences) > _LONGEST:
        raise _UnfitError
    return Phrase(*sentences)


def _sentence(told: object, *, depth: int) -> Sentence:
    match told:
        case {"template": str(template), "values": dict(values), "plural": str(plural), "count": int(count)}:
            if not plural or isinstance(count, bool) or not 0 <= count <= _LARGEST:
                raise _UnfitError
        case {"template": str(template), "values": dict(values)}:
            plural, count = "", 1
        case _:
            raise _UnfitError
    if len(values) > _MOST:
        raise _UnfitError
    read = {name: _value(value, depth=depth) for name, value in values.items()}
    for each in (template, plural) if plural else (template,):
        _check(each, read)
    return Sentence(template, read, plural, count)


def _value(told: object, *, depth: int) -> object:
    match told:
        case list():
            return _phrase(told, depth=depth + 1)
        case str() if len(told) > _LONGEST or not told.isprintable():
            raise _UnfitError
        case int() | float() if not -_LARGEST <= told <= _LARGEST:  # no number is between them if it is not one
            raise _UnfitError
        case str() | int() | float() | None:
            return told
        case _:
            raise _UnfitError


def _check(template: str, values: Mapping[str, object]) -> None:
    # An empty one is the name under which a catalog keeps what it says of itself.
    if not template or len(template) > _LONGEST or not template.isprintable():
        raise _UnfitError
    for name, specification, conversion in _strictly(template):
        types = _SPECIFICATIONS.get(specification)
        if types is None or conversion not in _CONVERSIONS or not _NAME.fullmatch(name):
            raise _UnfitError
        if name not in values or not isinstance(values[name], types) or (specification and conversion):
            raise _UnfitError


def _strictly(template: str) -> Sequence[tuple[str, str, str | None]]:
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:
        raise _UnfitError from None
    return [
        (name, specification or "", conversion) for _, name, specification, conversion in parsed if name is not None
    ]
