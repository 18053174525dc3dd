"""The pages of a window that no server gives out. Rendering only.

A held request is answered in the name of a host that never hears of it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from oauth_helper.catalogs import catalog_of
from oauth_helper.language import Language
from oauth_helper.phrase import phrase

_LAYOUT: Final = '<!doctype html><html lang="{}"><meta charset="utf-8"><link rel="icon" href="data:,">{}</html>'
"""The icon keeps the browser from asking the real host for one, with the code in its Referer (tried)."""

_STYLE: Final = (
    "body{font:1rem/1.6 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1.25rem}"
    "h1{font-size:1.6rem;line-height:1.25}"
)
_STRAY: Final = (
    phrase("Not the address that is waited for"),
    phrase(
        "The Git host sent this window to an address that belongs to another attempt, or is not whole. Nothing was "
        "done with it, and the wait goes on."
    ),
    phrase("Go back, and authorize once more."),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A page for a held request."""

    status: int
    html: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def hop(address: str) -> Answer:
    """Return a page that goes on to ``address`` at once and leaves no entry in the tab's history.

    A redirect would not do: where the Git host's consent page restricts ``form-action``, Chromium applies that to
    the redirects behind the form as well, and stays where it is without a word (tried; CSP level 3 section 6.4.1).
    """
    script = _onward(address)
    return _answer(200, f"<title>…</title><script>{script}</script>", script=script)


def redirect(address: str) -> Answer:
    """Return a redirect to ``address``, for where no form is behind: it spares the browser a page (see :func:`hop`)."""
    return Answer(302, "", {"Location": address, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})


def first_page(address: str, *, seconds: float) -> str:
    """Return the page that a window is started on, which goes on to ``address`` after so many seconds."""
    refresh = f'<meta http-equiv="refresh" content="{seconds:g};url={html.escape(address)}">'
    head = f'<meta name="referrer" content="no-referrer">{refresh}<title>…</title>'
    return _LAYOUT.format(Language.ENGLISH, head)


def stray(language: Language = Language.ENGLISH) -> Answer:
    """Return the page for a redirect that is not the one waited for; it goes nowhere."""
    catalog = catalog_of(language)
    heading, *paragraphs = (html.escape(words.said(catalog)) for words in _STRAY)
    body = (
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{heading}</title><style>{_STYLE}</style>'
        f"<main><h1>{heading}</h1>{''.join(f'<p>{paragraph}</p>' for paragraph in paragraphs)}</main>"
    )
    return _answer(400, body, style=_STYLE, language=language)


def _answer(
    status: int, body: str, *, script: str = "", style: str = "", language: Language = Language.ENGLISH
) -> Answer:
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:"
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(status, _LAYOUT.format(language, body), headers)


def _onward(address: str) -> str:
    # No "<" can stand in it, so the address cannot end the script.
    return f"location.replace({json.dumps(address)})".replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return the source expression that admits this inline text alone (CSP level 3 section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" if text else "'none'"
