#!/usr/bin/env python3
"""A browser and its user in one script, for ``BROWSER``: opens the address, authorizes, brings the redirect back.

``SCRIPTED_USER`` says what the user does: ``page`` (the default: paste into the page's form), ``direct`` (swap the
host in the address bar), ``deny``, ``stranger`` (offer somebody else's redirect first), ``nothing``. What the user sees
at the end is written to ``SCRIPTED_SIGHT``, and the browser's cookies to ``SCRIPTED_COOKIES``. With
``SCRIPTED_REDIRECT`` the redirect is written there, not brought back.
It reads pages with the standard library alone, and shares no code with the product.
"""

import os
import sys
import time
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, OpenerDirector, ProxyHandler, build_opener


class Page(HTMLParser):
    """The link with the id ``authorize``, the form and its fields, where it goes on to, and the body's outcome."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.authorize = self.action = self.outcome = self.onward = ""
        self.hidden: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if found.get("id") == "authorize":
            self.authorize = found["href"]
        if tag == "meta" and found.get("http-equiv") == "refresh":
            self.onward = found["content"].partition("url=")[2]
        if tag == "form":
            self.action = found["action"]
        if tag == "input" and found.get("type") == "hidden":
            self.hidden[found["name"]] = found["value"]
        if tag == "body":
            self.outcome = found.get("data-outcome", "")


class StopAtTheConsole(HTTPRedirectHandler):
    """Does not follow the redirect that bears code and state, or the denial: its address is what is wanted."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if "state=" in newurl and ("code=" in newurl or "error=" in newurl):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(browser: OpenerDirector, address: str, fields: dict[str, str] | None = None) -> tuple[str, str]:
    """Return the page's text and the address where the browser is, which may be one it was only sent to."""
    try:
        with browser.open(address, urlencode(fields).encode() if fields else None, timeout=20) as answer:
            return _recorded(answer.read().decode(), answer.url)
    except HTTPError as error:
        with error:
            return error.read().decode(), urljoin(address, error.headers.get("Location") or address)


def _recorded(html: str, address: str) -> tuple[str, str]:
    """Keep a page of the listener for the search for secrets."""
    folder = Path(os.environ.get("RECORDED_IN", "/nonexistent"))
    if folder.is_dir() and address.startswith(sys.argv[1].partition("/start")[0]):
        (folder / f"{os.getpid()}-{time.monotonic_ns()}.html").write_text(html, encoding="utf-8")
    return html, address


def main(start: str) -> None:
    """Play the user."""
    does = os.environ.get("SCRIPTED_USER", "page")
    if does == "nothing":
        return
    cookies = CookieJar()
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(cookies), StopAtTheConsole())
    html, address = fetch(browser, start)
    if start.startswith("file:"):  # what a window of ours is started on
        start = Page(html).onward
        html, address = fetch(browser, start)
    page = Page(html)
    html, address = fetch(browser, urljoin(address, page.authorize))
    consent = Page(html)
    decision = "deny" if does == "deny" else "authorize"
    _, redirect = fetch(browser, urljoin(address, consent.action or address), consent.hidden | {"decision": decision})
    if elsewhere := os.environ.get("SCRIPTED_REDIRECT"):
        Path(elsewhere).write_text(redirect, encoding="utf-8")
        return
    form = urljoin(start, page.action)
    if does == "stranger":
        html, _ = fetch(browser, form, {"redirect": "https://console.example/?code=evil&state=" + quote("$2a$10$x")})
        form = urljoin(start, Page(html).action)
    if does == "direct":
        html, address = fetch(browser, f"http://{urlsplit(start).netloc}/servicestage/oauth?{urlsplit(redirect).query}")
    else:
        html, address = fetch(browser, form, {"redirect": redirect})
    if path := os.environ.get("SCRIPTED_COOKIES"):
        Path(path).write_text("; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies), encoding="utf-8")
    if sight := os.environ.get("SCRIPTED_SIGHT"):
        Path(sight).write_text(f"{Page(html).outcome}\n{address}\n{html}", encoding="utf-8")
    sys.stdout.write("chatter that must not reach anybody's standard output")


if __name__ == "__main__":
    main(sys.argv[1])
