#!/usr/bin/env python3
"""A browser and its user in one script, for ``BROWSER``: opens the address, authorizes, brings the redirect back.

The address is the argument, or is read from standard input. ``SCRIPTED_USER`` says what the user does: ``page`` (the
default: paste into the page's form), ``direct`` (swap the host in the address bar), ``deny``, ``stranger`` (first offer
somebody else's redirect), ``nothing``. The last page is written to ``SCRIPTED_SIGHT``. With ``SCRIPTED_REDIRECT`` the
redirect is written there instead of brought back.

In ``PATIENT_FOLDER`` each start adds a line to ``opened``, and the user waits for a file ``go`` before doing anything.
In ``LINGERING_FOLDER`` the user waits for ``go`` after authorizing; ``knows.json`` has what the browser knows by then,
and ``outcome`` the outcome. This script shares no code with the product.
"""

import json
import os
import sys
import time
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, OpenerDirector, ProxyHandler, build_opener

PATIENCE = 50.0


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
    if folder.is_dir() and sys.argv[1:] and address.startswith(sys.argv[1].partition("/start")[0]):
        (folder / f"{os.getpid()}-{time.monotonic_ns()}.html").write_text(html, encoding="utf-8")
    return html, address


def main(start: str) -> None:
    """Play the user."""
    does = os.environ.get("SCRIPTED_USER", "page")
    if does == "nothing":
        return
    if patient := os.environ.get("PATIENT_FOLDER"):
        with Path(patient, "opened").open("a", encoding="utf-8") as opened:
            opened.write("again\n")
        wait_for_go(patient)
    cookies = CookieJar()
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(cookies), StopAtTheConsole())
    html, address = fetch(browser, start)
    if start.startswith("file:"):  # the first page of our window
        start = Page(html).onward
        html, address = fetch(browser, start)
    page = Page(html)
    consent_html, address = fetch(browser, urljoin(address, page.authorize))
    consent = Page(consent_html)
    decision = consent.hidden | {"decision": "deny" if does == "deny" else "authorize"}
    _, redirect = fetch(browser, urljoin(address, consent.action or address), decision)
    if elsewhere := os.environ.get("SCRIPTED_REDIRECT"):
        Path(elsewhere).write_text(redirect, encoding="utf-8")
        return
    lingering = os.environ.get("LINGERING_FOLDER")
    if lingering:
        known = {cookie.name: cookie.value for cookie in cookies}
        write_private(lingering, {"start": start, "page": html, "redirect": redirect, "cookies": known})
        wait_for_go(lingering)
    form = urljoin(start, page.action)
    if does == "stranger":
        html, _ = fetch(browser, form, {"redirect": "https://console.example/?code=evil&state=" + quote("$2a$10$x")})
        form = urljoin(start, Page(html).action)
    if does == "direct":
        html, address = fetch(browser, f"http://{urlsplit(start).netloc}/servicestage/oauth?{urlsplit(redirect).query}")
    else:
        html, address = fetch(browser, form, {"redirect": redirect})
    if lingering:
        Path(lingering, "outcome").write_text(Page(html).outcome, encoding="utf-8")
    if sight := os.environ.get("SCRIPTED_SIGHT"):
        Path(sight).write_text(f"{Page(html).outcome}\n{address}\n{html}", encoding="utf-8")
    sys.stdout.write("chatter that must not reach anybody's standard output")


def write_private(folder: str, known: dict[str, object]) -> None:
    """Write ``knows.json``, for this user alone."""
    new = Path(folder, "being-written")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(known, file)
    new.rename(Path(folder, "knows.json"))


def wait_for_go(folder: str) -> None:
    """Wait until there is a file ``go``, but not for ever."""
    deadline = time.monotonic() + PATIENCE
    while not Path(folder, "go").exists():
        if time.monotonic() > deadline:
            sys.exit()
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else sys.stdin.readline().strip())
