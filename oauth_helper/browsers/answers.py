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

_LAYOUT: Final = '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">{}</html>'
"""The icon keeps the browser from asking the real host for one, with the code in its Referer (tried)."""

_STYLE: Final = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem}"


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


def first_page(address: str) -> str:
    """Return the page that a window is started on, which goes on to ``address`` at once, script or no script."""
    refresh = f'<meta http-equiv="refresh" content="0;url={html.escape(address)}">'
    script = f"<script>{_onward(address)}</script>"  # it need not wait until the page is there
    return _LAYOUT.format(f'<meta name="referrer" content="no-referrer">{script}{refresh}<title>…</title>')


def stray() -> Answer:
    """Return the page for a redirect that is not the one waited for; it goes nowhere."""
    body = (
        '<meta name="color-scheme" content="light dark"><title>Not the address that is waited for</title>'
        f"<style>{_STYLE}</style><h1>Not the address that is waited for</h1>"
        "<p>The Git host sent this window to an address that belongs to another attempt, or is not whole. "
        "Nothing was done with it, and the wait goes on.</p>"
        "<p>Go back, and authorize once more.</p>"
    )
    return _answer(400, body, style=_STYLE)


def _answer(status: int, body: str, *, script: str = "", style: str = "") -> Answer:
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:"
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(status, _LAYOUT.format(body), headers)


def _onward(address: str) -> str:
    # No "<" can stand in it, so the address cannot end the script.
    return f"location.replace({json.dumps(address)})".replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return the source expression that admits this inline text alone (CSP level 3 section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" if text else "'none'"
