"""A scripted browser whose user has authorized, and lingers before bringing the redirect back; for ``BROWSER``.

The address is the argument, or is read from standard input where there is none. What the browser knows by then, cookies
included, is in ``knows.json`` in ``LINGERING_FOLDER``, for its user alone; it waits there for a file ``go``.
"""

import json
import os
import sys
import time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

from scripted_browser import Page, StopAtTheConsole, fetch

PATIENCE = 50.0


def main(start: str) -> None:
    """Open ``start``, authorize, wait, but not for ever, and paste."""
    folder = Path(os.environ["LINGERING_FOLDER"])
    cookies = CookieJar()
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(cookies), StopAtTheConsole())
    html, address = fetch(browser, start)
    page = Page(html)
    consent_html, consent_address = fetch(browser, urljoin(address, page.authorize))
    consent = Page(consent_html)
    decision = consent.hidden | {"decision": "authorize"}
    _, redirect = fetch(browser, urljoin(consent_address, consent.action or consent_address), decision)
    known = {"start": start, "page": html, "redirect": redirect, "cookies": {each.name: each.value for each in cookies}}
    with os.fdopen(os.open(folder / "being-written", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(known, file)
    (folder / "being-written").rename(folder / "knows.json")
    deadline = time.monotonic() + PATIENCE
    while not (folder / "go").exists():
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)
    html, _ = fetch(browser, urljoin(start, page.action), {"redirect": redirect})
    (folder / "outcome").write_text(Page(html).outcome, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else sys.stdin.readline().strip())
