"""Changes to an input that keep more of its structure than flipped bits do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

_MOST_CHANGES: Final = 4
_BRACKETS: Final = ((b"{", b"}"), (b"[", b"]"))


def mutated(data: bytes, words: Sequence[bytes], chance: random.Random) -> bytes:
    """Return ``data`` with a few changes; the same for the same state of ``chance``."""
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        data = chance.choice(_CHANGES)(data, words, chance)
    return data


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    first = chance.randint(0, len(data))
    return first, min(len(data), first + chance.choice((1, 2, 8, 32, len(data))))


def _with_word(data: bytes, words: Sequence[bytes], chance: random.Random) -> bytes:
    first, last = _span(data, chance)
    return data[:first] + (chance.choice(words) if words else b"") + data[chance.choice((first, last)) :]


def _without_span(data: bytes, _words: Sequence[bytes], chance: random.Random) -> bytes:
    first, last = _span(data, chance)
    return data[:first] + data[last:]


def _with_span_again(data: bytes, _words: Sequence[bytes], chance: random.Random) -> bytes:
    (first, last), where = _span(data, chance), chance.randint(0, len(data))
    return data[:where] + data[first:last] + data[where:]


def _escaped(data: bytes, _words: Sequence[bytes], chance: random.Random) -> bytes:
    first, last = _span(data, chance)
    change = chance.choice((quote_from_bytes, unquote_to_bytes))
    changed = change(data[first:last])
    return data[:first] + (changed.encode() if isinstance(changed, str) else changed) + data[last:]


def _other_json(data: bytes, words: Sequence[bytes], chance: random.Random) -> bytes:
    """Change one value, or one key, of the JSON that stands in the input; without any, change nothing."""
    for opening, closing in _BRACKETS:
        first, last = data.find(opening), data.rfind(closing) + 1
        if 0 <= first < last:
            try:
                document = json.loads(data[first:last].decode("utf-8", "surrogatepass"), strict=False)
            except (ValueError, RecursionError):
                continue
            changed = json.dumps(_other(document, words, chance), ensure_ascii=False)
            return data[:first] + changed.encode("utf-8", "surrogatepass") + data[last:]
    return data


def _other(value: Any, words: Sequence[bytes], chance: random.Random) -> Any:
    if not value or not isinstance(value, dict | list) or chance.random() < 0.1:
        return _any_value(words, chance)
    key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    copy = value.copy()
    match chance.randrange(8):
        case 0:
            del copy[key]
        case 1 if isinstance(copy, dict):
            copy[_a_word(words, chance)] = copy.pop(key)
        case 2 if isinstance(copy, list):
            copy.append(copy[key])
        case _:
            copy[key] = _other(copy[key], words, chance)
    return copy


def _any_value(words: Sequence[bytes], chance: random.Random) -> Any:
    simple: tuple[Any, ...] = (
        None,
        True,
        False,
        0,
        1,
        -1,
        0.5,
        1e308,
        float("nan"),
        2**63,
        10**30,
        "",
        "\ud800",
        "\x1b[2J\r\n",
        [],
        {},
    )
    match chance.randrange(4):
        case 0:
            return chance.choice(simple)
        case 1:
            return {_a_word(words, chance): _a_word(words, chance)}
        case 2:
            return [_a_word(words, chance), chance.choice(simple)]
        case _:
            return _a_word(words, chance)


def _a_word(words: Sequence[bytes], chance: random.Random) -> str:
    return chance.choice(words).decode("utf-8", "replace") if words else "word"


_CHANGES: Final[tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...]] = (
    _with_word,
    _with_word,
    _without_span,
    _with_span_again,
    _escaped,
    _other_json,
    _other_json,
)
