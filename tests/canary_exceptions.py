"""Where a secret may stand: what interface.md lists, and no more. Each takes away what may stand in its place.

What is taken away has exactly the form that was promised; whatever differs from it stays, and is searched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

START: Final = re.compile(r"http://127\.0\.0\.1:\d+/start\?k=[\w-]+")
_CONTROL_SEQUENCE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ON_PAGES: Final = re.compile(
    r'(?<=<form method="post" action=")/redirect\?k=[\w-]+(?=")'
    r'|(?<=<a href=")/start\?k=[\w-]+(?=">)'
    r'|(?<=<meta http-equiv="refresh" content="1; url=)/done\?k=[\w-]+(?=">)'
    r'|(?<= data-live=")/done\?k=[\w-]+(?=")'
)
_LINK: Final = re.compile(r'(<a id="authorize"[^>]* href=")[^"]*(?=")')
_EXPORTS: Final = re.compile(
    r"^(?:# )?export (?:HUAWEICLOUD_SDK_SK|OAUTH_HELPER_TOKEN)=[\w-]+$"
    r"|^# (?:token for `link --with-token`|password for `--with-password --user octocat`): [\w-]+$"
    r'|"(?:HUAWEICLOUD_SDK_SK|OAUTH_HELPER_TOKEN)": "[\w-]+"',
    re.MULTILINE,
)


def without_waiting(out: str) -> str:
    """Return the events without the addresses of ``waiting``."""
    return "".join(_event_without_addresses(line) for line in out.splitlines(keepends=True))


def _event_without_addresses(line: str) -> str:
    if not line.startswith('{"event": "waiting"'):
        return line
    event = json.loads(line)
    event["authorization_url"] = ""
    if START.fullmatch(event["listener"]):
        event["listener"] = ""
    return json.dumps(event) + "\n"


def without_addresses(said: str, authorization_urls: Collection[str] = ()) -> str:
    """Return what was said to people without the lines that are nothing but an address to be opened by hand."""
    lines = [_CONTROL_SEQUENCE.sub("", line).strip() for line in re.split(r"[\r\n]+", said)]
    return "\n".join(line for line in lines if not START.fullmatch(line) and line not in authorization_urls)


def without_start(argv: Sequence[str]) -> list[str]:
    """Return an opener's words without the page's address, where that is one of them."""
    return [word for word in argv if not START.fullmatch(word)]


def without_exports(out: str) -> str:
    """Return what ``sandbox`` prints without the secrets that it prints on purpose."""
    return _EXPORTS.sub("", out)


def page_without_addresses(html: str) -> str:
    """Return a page without the link to the Git host, and without its own addresses."""
    return _ON_PAGES.sub("", _LINK.sub(r"\1", html))


def entry_without_redirect(entry: Path) -> str:
    """Return a journal's entry without code and state, if nobody else can read it."""
    text = entry.read_text(encoding="utf-8")
    if entry.stat().st_mode & 0o777 != 0o600:
        return text
    record = json.loads(text)
    return json.dumps({name: value for name, value in record.items() if name not in {"code", "state"}})
