"""What the pages of the sandbox's Git host and console look like: plain HTML, light and dark, without scripts."""

from __future__ import annotations

from html import escape
from typing import Final

from aiohttp import web

_HEADERS: Final = {
    # No `form-action`: Chromium would hold it against the redirect that answers the form, too.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --ink: #1c2024; --soft: #5d6570; --line: #d9dde2;
  --main: #1f7a43; --main-ink: #fff; }
@media (prefers-color-scheme: dark) { :root { --ground: #101316; --card: #1a1e23; --ink: #e8eaed; --soft: #a2abb5;
  --line: #343b43; --main: #3fb56d; --main-ink: #06210f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { width: 100%; max-width: 32rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.4rem; line-height: 1.25; }
ul { margin: 1rem 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: 8px; }
li { padding: .6rem .9rem; display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; }
li + li { border-top: 1px solid var(--line); }
form { display: flex; gap: .75rem; margin: 1.5rem 0 0; }
button { flex: 1; padding: .65rem 1rem; font: inherit; font-weight: 600; color: inherit; background: transparent;
  border: 1px solid var(--line); border-radius: 8px; cursor: pointer; }
button.main { color: var(--main-ink); background: var(--main); border-color: var(--main); }
button:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
.host { margin: 0 0 .5rem; font-weight: 600; }
.note, li span, small { color: var(--soft); font-size: .875rem; font-weight: 400; }
.note { margin: 1.5rem 0 0; }
"""


def page(title: str, body: str, *, status: int = 200) -> web.Response:
    """Return a page. ``body`` is HTML, whose foreign parts the caller has escaped; ``title`` is text."""
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head>
<body><main>
{body}
</main></body></html>
"""
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def avatar(login: str) -> str:
    """Return a picture (SVG) for an account: its first letter on a disc."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><circle cx="32" cy="32" r="32" fill="#1f7a43"/>'
        '<text x="32" y="43" font-family="sans-serif" font-size="32" text-anchor="middle" fill="#fff">'
        f"{escape(login[:1].upper())}</text></svg>"
    )
