"""Firefox, driven over WebDriver BiDi (w3c.github.io/webdriver-bidi).

A held request is told of by an event, and events cannot be had for one host alone: those of all other requests, which
bear addresses and headers but no contents, are dropped unread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from yarl import URL

from oauth_helper.browsers.answers import Answer
from oauth_helper.browsers.dialect import AllClosed, Held, Pages
from oauth_helper.browsers.remote import JsonObject, Remote
from oauth_helper.browsers.trouble import CommandRefusedError, DrivenByAnotherError, reading
from oauth_helper.phrase import phrase
from oauth_helper.secret import Secret

_PREFERENCES: Final = {
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "termsofuse.bypassNotification": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "signon.rememberSignons": False,
    "network.http.speculative-parallel-limit": 0,
    # Spare processes for pages to come hold up the only one that is wanted (measured with Firefox 153 on two cores).
    "dom.ipc.processPrelaunch.enabled": False,
    # Else it looks the console's name up beside the held request (tried with Firefox 153).
    "network.dns.disablePrefetch": True,
    # Else Firefox sets itself up for test automation, in a window where people log in.
    "remote.prefs.recommended": False,
}
_EVENTS: Final = ("network.beforeRequestSent", "browsingContext.contextCreated", "browsingContext.contextDestroyed")


class Firefox:
    """WebDriver BiDi; ``platform`` is as :data:`sys.platform` has it."""

    speaks_over_pipe = False
    endpoint_path = "/session"
    undriven_for: float = 3.0

    def __init__(self, *, headless: bool, platform: str, session_patience: float, accepted: str | None = None) -> None:
        self._accepted = accepted
        self._headless = headless
        self._platform = platform
        self._session_patience = session_patience
        self._pages = Pages()
        self._first_tab: list[str] = []
        """One, or none."""

    def furnish(self, profile: Path) -> None:
        """Write the preferences, which Firefox reads at each start."""
        languages = {"intl.accept_languages": self._accepted} if self._accepted else {}
        preferences = {**_PREFERENCES, **languages}
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")

    def switches(self, profile: Path) -> Iterable[str]:
        """Return the command line between program and address."""
        yield from ("--no-remote", "--profile", str(profile), "--remote-debugging-port=0")
        if self._headless:
            yield "--headless"
        if self._platform == "win32":
            yield "--wait-for-browser"  # The first process is only a launcher there.
        if self._platform == "darwin":
            yield "-foreground"

    async def arm(self, remote: Remote, origin: URL) -> None:
        """Have every request to ``origin`` held from now on, in all pages and popups there are or will be."""
        # What a page asks with alert or confirm is for the user to answer, not for the session.
        capabilities = {"alwaysMatch": {"unhandledPromptBehavior": {"default": "ignore"}}}
        try:
            await remote.call("session.new", patience=self._session_patience, capabilities=capabilities)
        except CommandRefusedError:
            # Its port is open to every user of the machine, but there is one session at most.
            raise DrivenByAnotherError(
                phrase("does not let itself be driven; another program may be driving it")
            ) from None
        pattern = {"type": "pattern", "protocol": origin.scheme, "hostname": origin.raw_host, "port": str(origin.port)}
        _, _, tree = await asyncio.gather(
            remote.call("session.subscribe", events=_EVENTS),
            remote.call("network.addIntercept", phases=["beforeRequestSent"], urlPatterns=[pattern]),
            remote.call("browsingContext.getTree", maxDepth=0),
        )
        with reading():
            self._first_tab = [tab["context"] for tab in tree["contexts"][:1]]

    async def go(self, remote: Remote, address: Secret) -> None:
        """Send the first tab to ``address``, if its user has not closed it."""
        for tab in self._first_tab:
            # It is answered when the Git host has answered.
            await remote.tell("browsingContext.navigate", context=tab, url=address.reveal(), wait="none")

    def understand(self, event: JsonObject) -> Held | AllClosed | None:
        """Return what an event means, if anything."""
        parameters = event["params"]
        match event["method"]:
            case "network.beforeRequestSent" if parameters["isBlocked"]:
                return Held(parameters["request"]["request"], Secret(parameters["request"]["url"]))
            case "browsingContext.contextCreated" if parameters["parent"] is None:
                self._pages.opened(parameters["context"])
            case "browsingContext.contextDestroyed" if parameters["parent"] is None:
                return self._pages.closed(parameters["context"])
        return None

    async def answer(self, remote: Remote, held: Held, answer: Answer) -> None:
        """Have the page shown as if it came from the real host. Firefox does this since 129."""
        await remote.call(
            "network.provideResponse",
            request=held.request,
            statusCode=answer.status,
            reasonPhrase="",
            headers=[{"name": name, "value": _text(value)} for name, value in answer.headers.items()],
            body=_text(answer.html),
        )

    async def refuse(self, remote: Remote, held: Held) -> None:
        """Let the request fail."""
        await remote.call("network.failRequest", request=held.request)

    async def close(self, remote: Remote) -> None:
        """Ask the browser to end."""
        await remote.call("browser.close")


def _text(value: str) -> dict[str, str]:
    return {"type": "string", "value": value}
