"""Planted secrets, and the search for them and for parts of them in whatever form they may have come out."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

SHORTEST_PART: Final = 12
"""Characters of a secret from which on a part of it counts: a truncated code is a leak too."""

_PIECE: Final = 6
_STRIDE: Final = SHORTEST_PART - _PIECE + 1
"""Wherever a part of a secret stands in a text, one of the text's every seventh pieces of six characters is in it."""
_DEEPEST: Final = 3
"""How often one escape may stand around another."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{24,}")
_BACKSLASHED: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([/\\\"']))")
_CONTROL_SEQUENCE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BLANK: Final = re.compile(r"\s+")
_AROUND: Final = 30
"""Characters shown before and behind what was found."""


class Canary(NamedTuple):
    """A secret, and what it is."""

    name: str
    value: str


class Search:
    """Finds these secrets. What is to be found is never encoded; what is searched is decoded in every way."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._parts = {part: name for name, value in canaries for part in _parts(value.lower())}
        self._short = {part for part in self._parts if len(part) < SHORTEST_PART}
        self._pieces = {part[at : at + _PIECE] for part in self._parts.keys() - self._short for at in range(_STRIDE)}

    def hits(self, place: bytes | str) -> list[str]:
        """Return what was found, each secret once, with what stands around it in the reading that showed it."""
        found: dict[str, str] = {}
        for reading in readings(place if isinstance(place, str) else place.decode("latin-1")):
            lowered = reading.lower()
            for name, at in self._places(lowered):
                found.setdefault(name, lowered[max(0, at - _AROUND) : at + SHORTEST_PART + _AROUND])
        return [f"{name} in …{excerpt}…" for name, excerpt in found.items()]

    def _places(self, text: str) -> Iterator[tuple[str, int]]:
        for part in self._short:
            if (at := text.find(part)) >= 0:
                yield self._parts[part], at
        for near in range(0, len(text) - _PIECE + 1, _STRIDE):
            if text[near : near + _PIECE] in self._pieces:
                for at in range(max(0, near - _STRIDE + 1), near + 1):
                    if name := self._parts.get(text[at : at + SHORTEST_PART]):
                        yield name, at


def _parts(value: str) -> set[str]:
    if len(value) <= SHORTEST_PART:
        return {value} - {""}
    return {value[at : at + SHORTEST_PART] for at in range(len(value) - SHORTEST_PART + 1)}


def readings(text: str) -> set[str]:
    """Return ``text`` and whatever it may stand for: without escapes, joined from its lines, and the text within
    base64 (of either alphabet, begun at any character) and hexadecimal digits.
    """
    unescaped = _unescaped(text)
    encoded = {inner for reading in unescaped for inner in _encoded_within(reading)}
    return unescaped.union(encoded, *map(_unescaped, encoded))


def _unescaped(text: str) -> set[str]:
    found, latest = {text, _joined(text)}, {text}
    for _ in range(_DEEPEST):
        latest = {decode(reading) for reading in latest for decode in _DECODERS} - found
        found |= latest
    return found


def _joined(text: str) -> str:
    return _BLANK.sub("", _CONTROL_SEQUENCE.sub("", text))


def _percent(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1", "replace")).decode("latin-1") if "%" in text else text


def _backslashed(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        digits = found[1] or found[2]
        return chr(int(digits, 16)) if digits else found[3]

    return _BACKSLASHED.sub(plain, text) if "\\" in text else text


def _entities(text: str) -> str:
    return html.unescape(text) if "&" in text else text


_DECODERS: Final[tuple[Callable[[str], str], ...]] = (_percent, _backslashed, _entities)


def _encoded_within(text: str) -> Iterator[str]:
    for run in _BASE64.findall(text):
        standard = run.replace("-", "+").replace("_", "/")
        yield from (_decoded(base64.b64decode, standard[start:], 4) for start in range(4))
    for run in _HEX.findall(text):
        yield from (_decoded(bytes.fromhex, run[start:], 2) for start in range(2))


def _decoded(decode: Callable[[str], bytes], run: str, group: int) -> str:
    return decode(run[: len(run) // group * group]).decode("latin-1")
