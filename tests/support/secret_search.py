"""The search for a test's secrets in everything that the command wrote.

Only the functions ``searched_…`` know what may contain a secret; each removes text of exactly the promised form.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

SHORTEST_PART: Final = 12
"""A part of a secret counts from this many characters on: a truncated code is a leak, too."""

_DEEPEST: Final = 3
"""How many escapes may be nested."""
_AROUND: Final = 30
"""Characters shown before and after a hit."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{24,}")
_BACKSLASHED: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([/\\\"']))")
_CONTROL_SEQUENCE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BLANK: Final = re.compile(r"\s+")

_START: Final = re.compile(r"http://127\.0\.0\.1:\d+/start\?k=[\w-]+")
_PAGE_ADDRESSES: Final = re.compile(
    r'(?<=<form method="post" action=")/redirect\?k=[\w-]+(?=")'
    r'|(?<=<a href=")/start\?k=[\w-]+(?=">)'
    r'|(?<=<meta http-equiv="refresh" content="1; url=)/done\?k=[\w-]+(?=">)'
    r'|(?<= data-live=")/done\?k=[\w-]+(?=")'
)
_PAGE_LINK: Final = re.compile(r'(<a id="authorize"[^>]* href=")[^"]*(?=")')
_EXPORTS: Final = re.compile(
    r"^(?:# )?export (?:HUAWEICLOUD_SDK_SK|OAUTH_HELPER_TOKEN)=[\w-]+\r?$"
    r"|^# (?:token for `link --with-token`|password for `--with-password --user octocat`): [\w-]+\r?$"
    r'|"(?:HUAWEICLOUD_SDK_SK|OAUTH_HELPER_TOKEN|git_token|git_password)": "[\w-]+"',
    re.MULTILINE,
)


class LeakError(AssertionError):
    """A secret is where none may be. Each line begins with the place and the name of the secret."""


class Secret(NamedTuple):
    name: str
    value: str


class Search:
    """Finds secrets and their parts. The secrets are never encoded; the text is decoded in every way."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._names = {
            value.lower()[at : at + SHORTEST_PART]: name
            for name, value in secrets
            if value
            for at in range(max(1, len(value) - SHORTEST_PART + 1))
        }
        self._short = {part for part in self._names if len(part) < SHORTEST_PART}

    def hits(self, text: bytes | str) -> list[str]:
        """Return each secret that was found, once, with the text around it."""
        found: dict[str, str] = {}
        for reading in _readings(text if isinstance(text, str) else text.decode("latin-1")):
            lowered = reading.lower()
            pieces = {lowered[at : at + SHORTEST_PART] for at in range(len(lowered))}
            for part in (self._names.keys() & pieces) | {part for part in self._short if part in lowered}:
                at = lowered.index(part)
                found.setdefault(self._names[part], lowered[max(0, at - _AROUND) : at + len(part) + _AROUND])
        return [f"{name} in …{excerpt}…" for name, excerpt in found.items()]


def _readings(text: str) -> set[str]:
    """Return ``text`` without escapes, joined from its lines, and what base64 and hexadecimal digits in it contain."""
    unescaped = _unescaped(text)
    encoded = {inner for reading in unescaped for inner in _encoded_within(reading)}
    return unescaped.union(encoded, *map(_unescaped, encoded))


def _unescaped(text: str) -> set[str]:
    found, latest = {text, _BLANK.sub("", _CONTROL_SEQUENCE.sub("", text))}, {text}
    for _ in range(_DEEPEST):
        latest = {decode(reading) for reading in latest for decode in _DECODERS} - found
        found |= latest
    return found


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


def searched_stdout(out: str) -> str:
    """Return standard output without the addresses of ``waiting``, and without what ``sandbox`` prints on purpose."""
    return _EXPORTS.sub("", "".join(_event_without_addresses(line) for line in out.splitlines(keepends=True)))


def _event_without_addresses(line: str) -> str:
    if not line.startswith('{"event": "waiting"'):
        return line
    try:
        event = json.loads(line)
    except ValueError:  # the command was killed
        return line
    event["authorization_url"] = ""
    if _START.fullmatch(event["listener"]):
        event["listener"] = ""
    return json.dumps(event) + "\n"


def searched_stderr(text: str, authorization_urls: Collection[str] = ()) -> str:
    """Return messages without the lines that are only an address to open by hand, percent-encoded or not."""
    lines = [_CONTROL_SEQUENCE.sub("", line).strip() for line in re.split(r"[\r\n]+", text)]
    plain_urls = {unquote(url) for url in authorization_urls}
    return "\n".join(line for line in lines if not _START.fullmatch(line) and unquote(line) not in plain_urls)


def searched_argv(argv: Sequence[str]) -> str:
    return "\n".join(word for word in argv if not _START.fullmatch(word))


def searched_page(page: str) -> str:
    """Return a page without the link to the Git host and the listener's addresses."""
    return _PAGE_ADDRESSES.sub("", _PAGE_LINK.sub(r"\1", page))


def searched_file(path: Path) -> bytes:
    """Return a file; if only its owner can read it, without what such files of ours contain.

    These are code and state in an entry of the journal, and KEY in the file by which other processes find a listener.
    """
    content = path.read_bytes()
    if path.stat().st_mode & 0o777 != 0o600:
        return content
    own = {".lock": {"key"}, ".json": {"code", "state"} if path.name.startswith("pending-") else set()}
    try:
        record = json.loads(content)
        return json.dumps({name: value for name, value in record.items() if name not in own[path.suffix]}).encode()
    except (ValueError, AttributeError, KeyError):  # not a file of ours
        return content
