"""The pages: what a user sees of us in the browser. Rendering only; who may see a page is decided elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from string import Template
from typing import Final

from oauth_helper.authorization import RepoType
from oauth_helper.errors import AuthorizationDeniedError, OAuthHelperError, OutcomeUnknownError
from oauth_helper.events import Linked, Outcome
from oauth_helper.listener.gate import Path
from oauth_helper.presentable import presentable
from oauth_helper.secret import Secret

_PARAGRAPH: Final = 800
"""Characters of a message or hint. They may quote a server."""

PROBLEMS: Final[Mapping[str, tuple[str, str]]] = {
    "no-redirect": (
        "That does not hold the address where $host sent the browser.",
        "Copy the whole address from the address bar of the tab where it ended, and paste it here.",
    ),
    "foreign-state": (
        "That address belongs to another attempt to link an account.",
        "Choose “Continue to $host” once more, and paste the address where the browser ends this time.",
    ),
    "missing-code": (
        "That address is not whole: the code is missing from it.",
        "Copy the address again, from its first to its last character, and paste it here.",
    ),
    "repeated-parameter": (
        "That address says the same thing twice, so it cannot be told which is meant.",
        "Paste one address alone, just as it stands in the address bar.",
    ),
    "wrong-repo-type": (
        "That address is for another kind of Git host than $host.",
        "Choose “Continue to $host”, and paste the address where the browser ends then.",
    ),
    "wrong-issuer": (
        "That address was given out by another server than the one that was asked.",
        "Choose “Continue to $host”, and paste the address where the browser ends then.",
    ),
    "too-long": (
        "That is longer than any address.",
        "Copy only the address from the address bar of the tab where the browser ended, and paste it here.",
    ),
    "unreadable": (
        "What the browser sent could not be read.",
        "Paste the address again, as plain text.",
    ),
}
"""By a rejection's reason: what was wrong, and what to do. Our own words alone, nothing of what was offered."""

_COMMAND: Final = re.compile("`([^`]+)`")
_AS_CODE: Final = r"<code>\1</code>"
_MARKS: Final[Mapping[str, str]] = {"linked": "✓", "denied": "✕", "failed": "✕", "unknown": "?", "waiting": "…"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the Content-Security-Policy that lets its own style and script be used, and nothing else."""

    html: str
    policy: str


class _Html(str):
    """Text that is HTML already; any other is escaped when it is filled in."""

    __slots__ = ()


_NOTHING: Final = _Html()


class Pages:
    """The pages of one story."""

    def __init__(self, repo_type: RepoType, authorization_url: str, *, done_key: Secret) -> None:
        self._host = repo_type.display_name
        self._authorization_url = authorization_url
        self._done_key = done_key
        self._strays: dict[str, Page] = {}

    def start(self, key: str, *, elsewhere: str, reason: str | None = None) -> Page:
        """Return the page that sends the user to the Git host and takes the address where the browser ends.

        ``key`` is the KEY it was opened with, ``elsewhere`` one for another browser; ``reason`` is why the last address
        was not taken: a key of :data:`PROBLEMS`.
        """
        body = _fill(
            "start.html",
            host=self._host,
            authorization_url=self._authorization_url,
            elsewhere=f"{Path.START}?k={elsewhere}",
            redirect=f"{Path.REDIRECT}?k={key}",
            problem=self._problem(reason) if reason else "",
            described="problem" if reason else "where",
            invalid="true" if reason else "false",
        )
        return _page(f"Link your {self._host} account to ServiceStage", body, script=_text("start.js"))

    def onward(self, address: str) -> Page:
        """Return a page that goes on to ``address`` by itself, script or no script."""
        title = f"On to {self._host}…"
        body = _fill("final.html", mark=_MARKS["waiting"], heading=title, text="", closing="")
        return _page(title, body, head=_fill("onward.html", onward=address))

    def already_opened(self) -> Page:
        """Return the answer to who opens an address that was good once."""
        return _page("This page was already opened", _fill("already_opened.html"))

    def other_user(self) -> Page:
        """Return the answer to another user of this machine."""
        return _page("This page is another user's", _fill("other_user.html"))

    def stray(self, reason: str) -> Page:
        """Return the answer to a direct request that is not the redirect waited for."""
        # They come by the thousand where somebody tries to guess.
        if reason not in self._strays:
            self._strays[reason] = self._stray(reason)
        return self._strays[reason]

    def _stray(self, reason: str) -> Page:
        what, _ = self._words(reason)
        body = _fill("stray.html", what=what.replace("That address", "This address"), host=self._host)
        return _page("Not the address that is waited for", body)

    def final(self, outcome: Outcome | None, *, more_to_come: bool = False) -> Page:
        """Return the page that tells the outcome as it is, or, while there is none, asks for it again.

        With ``more_to_come`` it goes on by itself to what comes next.
        """
        again = _fill("again.html", done=f"{Path.DONE}?k={self._done_key.reveal()}")
        if outcome is None:
            text = _Html("<p>ServiceStage is asked to make the authorization. This page goes on by itself.</p>")
            return self._told("waiting", f"Linking your {self._host} account…", text, head=again)
        head = again if more_to_come else _NOTHING
        if isinstance(outcome, Linked):
            return self._linked(outcome, head)
        error = outcome.error
        kind, heading = "failed", f"Your {self._host} account was not linked"
        if isinstance(error, AuthorizationDeniedError):
            kind = "denied"
        elif isinstance(error, OutcomeUnknownError):
            kind, heading = "unknown", f"It is not known whether {self._host} was linked"
        return self._told(kind, heading, _reasons(error), head=head)

    def _linked(self, outcome: Linked, head: _Html) -> Page:
        made = outcome.authorization
        kept = _Html("<p>This authorization stood already, and was left as it is.</p>") if outcome.kept else _NOTHING
        facts = {"Authorization": made.name, "Git host": self._host, "Account": made.repo_user}
        return self._told("linked", f"Your {self._host} account is linked", _Html(kept + _facts(facts)), head=head)

    def _told(self, outcome: str, heading: str, text: _Html, *, head: _Html = _NOTHING) -> Page:
        closing = "" if outcome == "waiting" else "You can close this tab."
        if head and closing:
            closing = "Keep this tab open: it goes on to the next account by itself."
        body = _fill("final.html", mark=_MARKS[outcome], heading=heading, text=text, closing=closing)
        return _page(heading, body, outcome=outcome, head=head)

    def _problem(self, reason: str) -> _Html:
        what, remedy = self._words(reason)
        return _fill("problem.html", what=what, remedy=remedy)

    def _words(self, reason: str) -> tuple[str, str]:
        what, remedy = PROBLEMS.get(reason, PROBLEMS["no-redirect"])
        return Template(what).substitute(host=self._host), Template(remedy).substitute(host=self._host)


def _reasons(error: OAuthHelperError) -> _Html:
    facts = _facts({"Error code": error.code or "", "Request ID": error.request_id or ""})
    return _Html(_paragraph(error.message) + _paragraph(error.hint) + facts)


def _paragraph(text: str) -> _Html:
    """Return a paragraph; what stands between backticks, as our hints mark a command, becomes code."""
    safe = escape(presentable(text, limit=_PARAGRAPH))
    return _Html(f"<p>{_COMMAND.sub(_AS_CODE, safe)}</p>")


def _facts(facts: Mapping[str, str]) -> _Html:
    rows = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(presentable(value))}</dd></div>"
        for term, value in facts.items()
        if value
    )
    return _Html(f"<dl>{rows}</dl>" if rows else "")


def _page(title: str, body: _Html, *, outcome: str | None = None, head: _Html = _NOTHING, script: str = "") -> Page:
    style = _text("style.css")
    html = _fill(
        "layout.html",
        title=title,
        head=head,
        style=_Html(style),
        outcome=_Html(f' data-outcome="{outcome}"') if outcome else "",
        body=body,
        script=_Html(f"<script>{script}</script>") if script else "",
    )
    return Page(html, _policy(style, script))


@cache
def _policy(style: str, script: str) -> str:
    """CSP level 3 section 2.3.1: the hash of an inline text admits this text alone."""
    allowed = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script) if script else "'none'",
        "img-src": "data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{directive} {source}" for directive, source in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _fill(name: str, **values: str) -> _Html:
    safe = {key: value if isinstance(value, _Html) else escape(value) for key, value in values.items()}
    return _Html(Template(_text(name)).substitute(safe))


@cache
def _text(name: str) -> str:
    return resources.files("oauth_helper.listener").joinpath("templates", name).read_text(encoding="utf-8").strip()
