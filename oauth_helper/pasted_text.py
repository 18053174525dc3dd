"""Find the redirect's address in pasted text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from multidict import MultiDict

MAXIMUM_LENGTH: Final = 65_536  # characters of a pasted text; a longer one holds no address
COMPARABLE: Final = 3
"""How many of the first interpretations cover the whole text, so that their results can be compared."""

_MAXIMUM_QUERIES: Final = 400
_MAXIMUM_LINES: Final = 12
_MAXIMUM_NESTING: Final = 3
_MAXIMUM_CUTS: Final = 100

_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_PASTE_MARK: Final = re.compile(r"(?:\^\[)?\[20[01]~|201~(?=\s|$)")
"""The marks of a bracketed paste (xterm) that have lost their Escape."""
_REST_OF_PASTE_MARKS: Final = re.compile(r"(?:\[?2)?0?0~(.*?)(?:\[?2)?0?1~", re.DOTALL)
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_LINE_BREAK: Final = re.compile(r"\r\n|\r")
_ADDRESS_AT_LINE_START: Final = re.compile(r"[<\"'(\[]?https?://", re.IGNORECASE)
_PROMPTS: Final = frozenset("$#%")  # a shell's prompt, or its end, that was selected along with the address
_EQUALS: Final = re.compile(r"=|%(?:25)*3d", re.IGNORECASE)
_SPACES: Final = re.compile(r"[\s\x00-\x1f\x7f]+")
_DELIMITERS: Final = re.compile(r"(?:[\s\x00-\x1f\x7f<>\"`“”„«»，。；、！（）【】《》「」『』]|\]\()+")
"""A browser escapes all of these in an address."""
_MARKUP: Final = re.compile(r"[\[\]{}|]+")
"""Slack, Jira, Org mode, BBCode, AsciiDoc and LaTeX put these around an address. Git hosts escape them in a code."""
_ADDRESS_START: Final = re.compile(r"(?=https?://)", re.IGNORECASE)
_HOST: Final = re.compile(r"https?://(?:[^\s/?#@]*@)?([^\s/?#:]+)", re.IGNORECASE)
_SHELL_ESCAPE: Final = re.compile(r"[\\^`](?=[?&=$%#/])")
_CLOSERS: Final = {"(": ")", "[": "]", "{": "}", "'": "'", "‘": "’", "_": "_", "*": "*", "~": "~"}
_PUNCTUATION: Final = ",;:!?)]}*|'’…"
"""Characters that people put behind an address. Git hosts escape them at the end of a query; not so a full stop."""
_NOT_IN_CODE: Final = re.compile(r"[^\x21-\x7e]")
_USUAL_CODE_BEFORE_FULL_STOP: Final = re.compile(r"[A-Za-z0-9]{16,}\.+")
_NOT_IN_NAME: Final = re.compile(r"\A[^A-Za-z0-9%]+")
_NO_LETTER_OR_DIGIT: Final = re.compile(r"[^A-Za-z0-9]")


def parse_query(raw: str) -> MultiDict[str]:
    """Return the parameters of a raw query, in order and with repeats; bytes that are not UTF-8 become surrogates.

    A parameter without a value counts as omitted (RFC 6749 section 3.1). ``+`` stays a plus: code and state never
    contain a space, and an address that was decoded by hand has bare pluses.
    """
    pairs = (pair.partition("=") for pair in raw.split("&"))
    return MultiDict((decode(name), decode(value)) for name, separator, value in pairs if separator)


def decode(raw: str) -> str:
    """Percent-decode once; bytes that are not UTF-8 become surrogates, which no printable text contains."""
    # A terminal can pass half a character as a lone surrogate.
    return unquote_to_bytes(raw.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")


def interpretations(text: str) -> Iterator[Iterator[str]]:
    """Yield interpretations of ``text``; each yields the raw queries that may be meant, the likeliest first.

    The first three treat white space differently: line breaks are wraps; they are separators; spaces are wraps too.
    They agree unless there is white space next to a code at the end. The others are for texts in which the first three
    find nothing.
    """
    stripped = text.strip()
    if len(stripped) > MAXIMUM_LENGTH:
        return
    for parts in _interpretations(_LINE_BREAK.sub("\n", stripped)):
        tokens = dict.fromkeys(token for part in parts for token in _tokens(part))
        yield islice(_queries_by_nesting(tokens), _MAXIMUM_QUERIES)


def hosts_in(text: str) -> list[str]:
    """Return the hosts of the addresses in ``text``, in lower case."""
    return [host.casefold() for host in _HOST.findall(_INVISIBLE.sub("", text[:MAXIMUM_LENGTH]))]


def _interpretations(pasted: str) -> Iterator[Iterable[str]]:
    separated = _ESCAPE_SEQUENCE.sub(" ", pasted).strip()
    text = _PASTE_MARK.sub(" ", separated).strip()
    if marked := _REST_OF_PASTE_MARKS.fullmatch(separated):
        text = marked[1]
    text = _INVISIBLE.sub("", text)
    lines = text.split("\n")
    paragraphs = list(_paragraphs(lines))
    yield [_unwrapped_lines(paragraph) for paragraph in paragraphs]
    yield [_INVISIBLE.sub(" ", separated)]
    # The marks at the ends of lines stay: if a line is only a wrap without them, the first interpretation is uncertain.
    yield [_SPACES.sub("", "".join(paragraph)) for paragraph in paragraphs]
    unescaped = _SHELL_ESCAPE.sub("", text.replace("&amp;", "&").replace("\\u0026", "&"))
    if unescaped != text:
        yield [_unwrapped_lines(unescaped.split("\n"))]
    lines = lines[:_MAXIMUM_LINES]
    yield [_unwrapped_lines(lines[first:last]) for first in range(len(lines)) for last in range(first + 2, len(lines))]
    yield ["&".join(text.split())]  # only code and state, a line each


def _without_marks(line: str) -> str:
    """Return a line without the marks that a shell, an email reply or a table puts at its ends."""
    bare = line.rstrip(" \t|│┃").removesuffix("\\").rstrip(" \t").lstrip(" \t>|│┃")
    return "" if bare in _PROMPTS else bare


def _unwrapped_lines(lines: list[str]) -> str:
    return "".join(_without_marks(line) for line in lines)


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Group lines that may be one wrapped line. A group ends before an empty line or the start of an address."""
    paragraph: list[str] = []
    for line in lines:
        bare = _without_marks(line)
        if paragraph and (not bare or _ADDRESS_AT_LINE_START.match(bare)):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    yield paragraph


def _tokens(text: str) -> Iterator[str]:
    for token in _DELIMITERS.split(text):
        for piece in dict.fromkeys([*_MARKUP.split(token), token]):
            if _EQUALS.search(piece):
                yield _unwrapped(_pasted_once(piece))


def _pasted_once(token: str) -> str:
    # People paste twice if the prompt echoes nothing.
    addresses = [address for address in _ADDRESS_START.split(token) if address]
    return addresses[0] if len(addresses) > 1 and len(set(addresses)) == 1 else token


def _unwrapped(token: str) -> str:
    """Return the address in ``token`` without the brackets, quotation marks or emphasis around it."""
    start = _ADDRESS_START.search(token)
    if not start:
        return token
    address = token[start.start() :]
    for opener in reversed(token[: start.start()]):
        closer = _CLOSERS.get(opener, "")
        closed = address.rstrip("".join(set(_PUNCTUATION + ".") - {closer}))
        if not closer or not closed.endswith(closer):
            break
        address = closed.removesuffix(closer)
    return address if address != token[start.start() :] else token


def _queries_by_nesting(level: Iterable[str]) -> Iterator[str]:
    for _ in range(_MAXIMUM_NESTING + 1):
        following: list[str] = []
        for address in level:
            for query in _queries_of(address):
                yield query
                following += [value for value in parse_query(query).values() if _EQUALS.search(value)]
            if "=" not in address:
                following.append(decode(address))
        level = following[:_MAXIMUM_QUERIES]


def _queries_of(address: str) -> Iterator[str]:
    head, _, fragment = address.partition("#")
    queries = [
        head.partition("?")[2] if "?" in head else _NOT_IN_NAME.sub("", head),
        fragment.partition("?")[2] or fragment,
    ]
    for query in queries:
        if "=" in query:
            yield from _cuts(query)
            if "?" in query:  # a Git host that appends "?code=…" to any redirect_uri
                yield query.replace("?", "&")


def _cuts(query: str) -> Iterator[str]:
    """Yield the query, and shorter ones in case its end belongs to the text around the address.

    If the state is last, cut before each character that is no letter or digit: only the right cut matches the state.
    Nothing shows where a code ends, so punctuation behind a code is always cut off.
    """
    others, ampersand, last = query.rpartition("&")
    name, _, value = last.partition("=")
    if name == "code":
        value = _NOT_IN_CODE.split(value)[0]
        query = f"{others}{ampersand}{name}={value}"
    bare = query.rstrip(_PUNCTUATION + ".")
    is_sentence = name == "code" and _USUAL_CODE_BEFORE_FULL_STOP.fullmatch(value)
    if name == "state" or not (query.removeprefix(bare).strip(".") or is_sentence):
        yield query
    yield bare
    if name == "state":
        positions = [match.start() for match in _NO_LETTER_OR_DIGIT.finditer(value)]
        for position in positions[: -_MAXIMUM_CUTS - 1 : -1]:
            yield f"{others}{ampersand}{name}={value[:position]}"
