"""The Chromium family (Chrome, Edge, Brave, Vivaldi, Opera), driven over its DevTools protocol.

Nothing but ``Fetch`` for one origin and the list of pages is switched on, and one tab is opened, so no password,
no page text and no other address ever comes to us.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from yarl import URL

from oauth_helper.browsers.answers import Answer
from oauth_helper.browsers.dialect import FIRST_PAGE, AllClosed, Held, Pages
from oauth_helper.browsers.remote import JsonObject, Remote
from oauth_helper.browsers.trouble import reading
from oauth_helper.secret import Secret

_SWITCHES: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-sync",
    "--disable-search-engine-choice-screen",
    "--password-store=basic",
    "--window-size=1000,800",
)
_PREFERENCES: Final = {
    # Speculative loading alone goes round the hold, and would bring the code to the console (tried).
    "net": {"network_prediction_options": 2},
    # A profile that is thrown away should not offer to keep passwords.
    "credentials_enable_service": False,
}


class Chromium:
    """DevTools protocol, browser session: one ``Fetch.enable`` there holds for all pages, workers and popups."""

    endpoint_path = ""
    undriven_for: float = 1.0

    def __init__(self, *, over_pipe: bool, headless: bool, accepted: str | None = None) -> None:
        self.speaks_over_pipe = over_pipe
        self._accepted = accepted
        self._headless = headless
        self._pages = Pages()

    def furnish(self, profile: Path) -> None:
        """Write the preferences where the profile's first start looks for them."""
        preferences = profile / "Default" / "Preferences"
        preferences.parent.mkdir()
        languages = {"intl": {"accept_languages": self._accepted}} if self._accepted else {}
        preferences.write_text(json.dumps({**_PREFERENCES, **languages}), encoding="utf-8")

    def switches(self, profile: Path) -> Iterable[str]:
        """Return the command line between program and address."""
        yield f"--user-data-dir={profile}"
        yield from _SWITCHES
        yield "--remote-debugging-pipe" if self.speaks_over_pipe else "--remote-debugging-port=0"
        if self._headless:
            yield "--headless=new"
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            yield "--no-sandbox"  # It refuses to run as root with its sandbox on (crbug.com/638180).

    async def arm(self, remote: Remote, origin: URL) -> None:
        """Have every request to ``origin`` held from now on, in all pages and popups there are or will be."""
        # "*" is any run of characters there, so the pattern is the origin and whatever follows.
        await asyncio.gather(
            remote.call("Fetch.enable", patterns=[{"urlPattern": f"{origin}/*", "requestStage": "Request"}]),
            remote.call("Target.setDiscoverTargets", discover=True, filter=[{"type": "page"}]),
        )

    async def go(self, remote: Remote, address: Secret) -> None:
        """Open a tab at ``address`` in the place of the first one, if that is there by now."""
        found = await remote.call("Target.getTargets", filter=[{"type": "page"}])
        with reading():
            # By its address: a browser may greet its user with another tab.
            first = [page["targetId"] for page in found["targetInfos"] if page["url"].endswith(f"/{FIRST_PAGE}")]
        if first:
            # A tab of its own has no way back to the first page.
            await remote.call("Target.createTarget", url=address.reveal())
            await remote.call("Target.closeTarget", targetId=first[0])

    def understand(self, event: JsonObject) -> Held | AllClosed | None:
        """Return what an event means, if anything."""
        parameters = event["params"]
        match event["method"]:
            case "Fetch.requestPaused":
                return Held(parameters["requestId"], Secret(parameters["request"]["url"]))
            case "Target.targetCreated":
                self._pages.opened(parameters["targetInfo"]["targetId"])
            case "Target.targetDestroyed":
                return self._pages.closed(parameters["targetId"])
            case _:
                pass
        return None

    async def answer(self, remote: Remote, held: Held, answer: Answer) -> None:
        """Have the page shown as if it came from the real host."""
        await remote.call(
            "Fetch.fulfillRequest",
            requestId=held.request,
            responseCode=answer.status,
            responseHeaders=[{"name": name, "value": value} for name, value in answer.headers.items()],
            body=base64.b64encode(answer.html.encode()).decode(),
        )

    async def refuse(self, remote: Remote, held: Held) -> None:
        """Let the request fail."""
        await remote.call("Fetch.failRequest", requestId=held.request, errorReason="BlockedByClient")

    async def close(self, remote: Remote) -> None:
        """Ask the browser to end."""
        await remote.call("Browser.close")
