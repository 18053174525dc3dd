"""Find the queries in a text that a user pasted. No I/O.

People paste what they have: the address bar, a line that their terminal wrapped, a chat message with quotes around
the address, the console's sign-in page with the address nested in its own, or what they decoded by hand. Each
function here gives readings, likeliest first; which reading is right only the state can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from oauth_helper.redirect.query import Query, decode

MAXIMUM_LENGTH: Final = 65_536
"""Characters; what is longer is no address."""

_MAXIMUM_QUERIES: Final = 400
_MAXIMUM_NESTING: Final = 3

_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_LINE_BREAK: Final = re.compile(r"\r\n|\r")
_PARAGRAPHS: Final = re.compile(r"(?:[ \t]*\n){2,}|\n\s*(?=[<\"'(]?https?://)")
_WRAP: Final = re.compile(r"[ \t]*\\?\n[ \t>|]*")
"""A line break, with the marks that a shell, a reply to a letter, or a table puts beside it."""
_EQUALS: Final = re.compile(r"=|%(?:25)*3d", re.IGNORECASE)
_DELIMITERS: Final = re.compile(r"[\s<>\"`“”„«»，。；、！（）【】《》「」『』]+")
"""None of these stands raw in an address that a browser shows."""
_ADDRESS_START: Final = re.compile(r"(?=https?://)", re.IGNORECASE)
_SHELL_ESCAPE: Final = re.compile(r"\\(?=[?&=$%#/])")
_CLOSERS: Final = {"(": ")", "[": "]", "{": "}", "'": "'", "‘": "’"}
_TRAILING: Final = ".,;:!?)]}'’"


def queries_in(text: str) -> Iterator[str]:
    """Yield the raw queries that may be meant, likeliest first; a bounded number of them."""
    if len(text) > MAXIMUM_LENGTH:
        return
    cleaned = _LINE_BREAK.sub("\n", _INVISIBLE.sub("", _ESCAPE_SEQUENCE.sub("", text)))
    level = [token for reading in _readings(cleaned) for token in _tokens(reading)]
    yield from islice(_queries_by_nesting(dict.fromkeys(level)), _MAXIMUM_QUERIES)


def _readings(text: str) -> Iterator[list[str]]:
    # Wrapped lines come first: a wrap inside the code would otherwise leave a code that is cut off, and using a cut
    # code up costs the state.
    yield [_WRAP.sub("", paragraph) for paragraph in _PARAGRAPHS.split(text) if paragraph]
    yield [text]
    yield [re.sub(r"\s+", "", text)]
    unescaped = _SHELL_ESCAPE.sub("", text.replace("&amp;", "&").replace("\\u0026", "&"))
    if unescaped != text:
        yield [_WRAP.sub("", unescaped)]


def _tokens(reading: Iterable[str]) -> Iterator[str]:
    for part in reading:
        for token in _DELIMITERS.split(part):
            if _EQUALS.search(token):
                yield _unwrapped(_pasted_once(token))


def _pasted_once(token: str) -> str:
    # A prompt that echoes nothing invites pasting twice.
    addresses = [address for address in _ADDRESS_START.split(token) if address]
    return addresses[0] if len(addresses) > 1 and len(set(addresses)) == 1 else token


def _unwrapped(token: str) -> str:
    start = _ADDRESS_START.search(token)
    opener = token[start.start() - 1] if start and start.start() else ""
    if start and opener in _CLOSERS and token.endswith(_CLOSERS[opener]):
        return token[start.start() : -1]
    return token


def _queries_by_nesting(level: Iterable[str]) -> Iterator[str]:
    for _ in range(_MAXIMUM_NESTING + 1):
        following: list[str] = []
        for address in level:
            for query in _queries_of(address):
                yield query
                following += [value for value in Query(query).values() if _EQUALS.search(value)]
            if "=" not in address and (decoded := decode(address)):
                following.append(decoded)
        level = following[:_MAXIMUM_QUERIES]


def _queries_of(address: str) -> Iterator[str]:
    head, _, fragment = address.partition("#")
    found = [head.partition("?")[2] if "?" in head else head.lstrip("&"), fragment.partition("?")[2] or fragment]
    for query in found:
        if "=" in query:
            yield query
            if (bare := query.rstrip(_TRAILING)) != query:
                yield bare
            if "?" in query:  # a Git host that appended to a redirect_uri with a query as if it had none
                yield query.replace("?", "&")
