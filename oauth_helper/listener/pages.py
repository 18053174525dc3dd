"""The listener's pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from gettext import NullTranslations
from html import escape
from pkgutil import get_data
from string import Template
from typing import Final

from oauth_helper.errors import AuthorizationDeniedError, OAuthHelperError, OutcomeUnknownError, RefusedError
from oauth_helper.events import Linked, Outcome
from oauth_helper.i18n import N_, NO_TEXT, Language, Text, _, catalog_of, translated
from oauth_helper.listener.request_policy import Path
from oauth_helper.models import RepoType
from oauth_helper.secret import safe_text

_WORDS: Final = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
"""Words for people in a template. Inline tags and ``$names`` in them are the translator's to keep."""
_HEADING: Final = re.compile("<h1>(.*?)</h1>", re.DOTALL)
_COMMAND: Final = re.compile("`([^`]+)`")
_AS_CODE: Final = r"<code>\1</code>"
_PARAGRAPH: Final = 800
"""Characters of a message or hint. They may quote a server."""
_ENDS: Final = tuple(".!?…。！？")


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the Content-Security-Policy that lets its own style and scripts be used, and nothing else."""

    html: str
    policy: str
    language: Language


class Html(str):
    """Text that is HTML already; any other is escaped when it is filled in."""

    __slots__ = ()


NO_HTML: Final = Html()


class Templates:
    """The templates, in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._catalog = catalog_of(language)

    def say(self, words: str) -> str:
        """Return a phrase in this language, and any other text as it is."""
        return str(translated(words, self._catalog))

    def fill(self, name: str, /, **values: str) -> Html:
        """Return a template with ``values`` at its ``$names``, all of them escaped that are not HTML."""
        safe = {key: value if isinstance(value, Html) else escape(self.say(value)) for key, value in values.items()}
        return Html(Template(_in_language(name, self._catalog)).substitute(safe))

    def paragraph(self, words: str) -> Html:
        """Return a sentence; what stands between backticks, as our hints mark a command, becomes code."""
        text = safe_text(self.say(words), limit=_PARAGRAPH)
        if text and not text.endswith(_ENDS):
            text += "。" if self._language is Language.CHINESE else "."
        return Html(f"<p>{_COMMAND.sub(_AS_CODE, escape(text))}</p>" if text else "")

    def facts(self, facts: Mapping[Text, str]) -> Html:
        """Return what is known, by its name; what is not known is left out."""
        rows = "".join(
            f"<div><dt>{escape(self.say(term))}</dt><dd>{escape(safe_text(value))}</dd></div>"
            for term, value in facts.items()
            if value
        )
        return Html(f"<dl>{rows}</dl>" if rows else "")

    def page(
        self,
        body: Html,
        *,
        attributes: Mapping[str, str] | None = None,
        head: Html = NO_HTML,
        foot: Html = NO_HTML,
        scripts: tuple[str, ...] = (),
    ) -> Page:
        """Return a whole page; its title is its heading, and ``attributes`` are those of its ``body``."""
        style, code = _text("style.css"), tuple(_text(name) for name in scripts)
        heading = _HEADING.search(body)
        html = self.fill(
            "layout.html",
            language=self._language,
            title=Html(heading[1] if heading else ""),
            head=head,
            style=Html(style),
            attributes=Html("".join(f' {name}="{escape(value)}"' for name, value in (attributes or {}).items())),
            body=body,
            foot=Html(foot + "".join(f"<script>{text}</script>" for text in code)),
        )
        return Page(html, _policy(style, code), self._language)


@cache
def _policy(style: str, scripts: tuple[str, ...]) -> str:
    """CSP level 3 section 2.3.1: the hash of an inline text admits this text alone."""
    allowed = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": " ".join(map(_hash, scripts)) or "'none'",
        "connect-src": "'self'" if scripts else "'none'",
        "img-src": "data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{directive} {source}" for directive, source in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _in_language(name: str, catalog: NullTranslations) -> str:
    return _WORDS.sub(lambda words: catalog.gettext(" ".join(words[1].split())), _text(name))


@cache
def _text(name: str) -> str:
    template = get_data("oauth_helper.listener", f"templates/{name}")  # from a zip archive too, as pathlib cannot
    if template is None:  # pragma: no cover - Python's own loaders have files to give
        raise FileNotFoundError(name)
    return template.decode().strip()


PROBLEMS: Final[Mapping[str, tuple[str, str]]] = {
    "no-redirect": (
        N_("This does not hold the address where {host} sent the browser."),
        N_("Sign in and authorize first. Then copy the whole address of the tab where it ended, and paste it here."),
    ),
    "foreign-state": (
        N_("This address belongs to another attempt, most likely an earlier one, or its end is missing."),
        N_("Choose “Continue to {host}” once more, and paste the whole address where the browser ends this time."),
    ),
    "missing-code": (
        N_("This address is not whole: the code is missing from it."),
        N_("Copy the address again, from its first to its last character, and paste it here."),
    ),
    "repeated-parameter": (
        N_("This address says the same thing twice, so it cannot be told which is meant."),
        N_("Paste one address alone, just as it stands in the address bar."),
    ),
    "wrong-repo-type": (
        N_("This address is for another kind of Git host than {host}."),
        N_("Choose “Continue to {host}”, and paste the address where the browser ends then."),
    ),
    "wrong-issuer": (
        N_("This address was given out by another server than the one that was asked."),
        N_("Choose “Continue to {host}”, and paste the address where the browser ends then."),
    ),
    "too-long": (
        N_("This is longer than any address."),
        N_("Copy only the address from the address bar of the tab where the browser ended, and paste it here."),
    ),
    "unreadable": (
        N_("What the browser sent could not be read."),
        N_("Paste the address again, as plain text."),
    ),
}
"""By a rejection's reason: what is wrong, and what to do. Our own words alone, nothing of what was offered."""


def problem(reason: str, host: str) -> tuple[Text, Text]:
    """Return what is wrong, and what to do, about an address for ``host``."""
    what, remedy = PROBLEMS.get(reason, PROBLEMS["no-redirect"])
    return _(what, host=host), _(remedy, host=host)


_WORD: Final = re.compile(r"[^\W_]+")
_MARKS: Final[Mapping[str, str]] = {"denied": "✕", "failed": "✕", "unknown": "?", "waiting": "…"}
_ANOTHER_ATTEMPT: Final = _("This tab belongs to another attempt")
_NOT_WAITED_FOR: Final = _("Not the address that is waited for")


class Pages:
    """The pages of one attempt, in one language.

    ``done`` is the path of the final page, key included. ``attempt`` names the attempt: a page that shows the end by
    itself asks for the end of this one (see ``Finale.attempt``).
    """

    def __init__(
        self,
        repo_type: RepoType,
        authorization_url: str,
        *,
        done: str,
        attempt: str,
        language: Language,
    ) -> None:
        self._host = repo_type.display_name
        self._authorization_url = authorization_url
        self._done = done
        self._attempt = attempt
        self._templates = Templates(language)
        self._strays: dict[str, Page] = {}

    def start(self, key: str, *, elsewhere: str, reason: str | None = None) -> Page:
        """Return the page that sends the user to the Git host and takes the address where the browser ends.

        ``key`` is the KEY it was opened with, ``elsewhere`` one for another browser; ``reason`` is why the last address
        was not taken: a key of :data:`~oauth_helper.listener.problems.PROBLEMS`.
        """
        body = self._templates.fill(
            "start.html",
            host=self._host,
            authorization_url=self._authorization_url,
            elsewhere=f"{Path.START}?k={elsewhere}",
            redirect=f"{Path.REDIRECT}?k={key}",
            problem=self._problem(reason) if reason else "",
            described="problem" if reason else "where",
            invalid="true" if reason else "false",
        )
        return self._living(body, scripts=("start.js", "live.js"))

    def onward(self, address: str) -> Page:
        """Return a page that goes on to ``address`` by itself, script or no script."""
        body = self._templates.fill("onward.html", host=self._host)
        return self._templates.page(body, head=self._templates.fill("onward_head.html", onward=address))

    def already_opened(self) -> Page:
        """Return the answer to who opens an address that was good once."""
        return self._templates.page(self._templates.fill("already_opened.html"))

    def other_user(self) -> Page:
        """Return the answer to another user of this machine."""
        return self._templates.page(self._templates.fill("other_user.html"))

    def rejected(self, reason: str) -> Page:
        """Return the answer to a direct request that is not the redirect waited for."""
        # They come by the thousand where somebody tries to guess.
        if reason not in self._strays:
            what, _ = problem(reason, self._host)
            heading = _ANOTHER_ATTEMPT if reason == "foreign-state" else _NOT_WAITED_FOR
            body = self._templates.fill("stray.html", heading=heading, what=what, host=self._host)
            self._strays[reason] = self._templates.page(body)
        return self._strays[reason]

    def final(self, outcome: Outcome | None, *, has_redirect: bool = False, more_to_come: bool = False) -> Page:
        """Return the page that tells the outcome as it is, or, while there is none, asks for it again.

        ``has_redirect`` is whether a redirect was in hand; with ``more_to_come`` the page goes on by itself to what
        comes next.
        """
        if outcome is None:
            waiting = self._templates.fill("waiting.html", mark=_MARKS["waiting"], host=self._host)
            return self._living(waiting, outcome="waiting", head=self._again())
        closing = self._templates.fill("more_to_come.html" if more_to_come else "closing.html")
        if isinstance(outcome, Linked):
            kind, body = "linked", self._linked(outcome, closing)
        else:
            kind, body = self._failed(outcome.error, closing, has_redirect=has_redirect)
        if more_to_come:
            return self._living(body, outcome=kind, head=self._again())
        return self._templates.page(body, attributes={"data-outcome": kind})

    def _linked(self, outcome: Linked, closing: Html) -> Html:
        made = outcome.authorization
        facts = {_("Account"): made.repo_user, _("Git host"): self._host, _("Authorization"): made.name}
        return self._templates.fill(
            "linked.html",
            initials=_initials(safe_text(made.repo_user) or self._host),
            host=self._host,
            kept=self._templates.fill("kept.html") if outcome.kept else NO_HTML,
            facts=self._templates.facts(facts),
            name=safe_text(made.name),
            closing=closing,
        )

    def _failed(self, error: OAuthHelperError, closing: Html, *, has_redirect: bool) -> tuple[str, Html]:
        kind, heading = "failed", _("Your {host} account was not linked", host=self._host)
        if isinstance(error, AuthorizationDeniedError):
            kind, heading = "denied", _("Access to your {host} account was not allowed", host=self._host)
        elif isinstance(error, OutcomeUnknownError):
            kind, heading = "unknown", _("It is not known whether {host} was linked", host=self._host)
        meaning = self._templates.paragraph(_meaning_for_state(error, has_redirect=has_redirect))
        body = self._templates.fill(
            "failed.html",
            mark=_MARKS[kind],
            heading=heading,
            message=self._templates.paragraph(error.message),
            meaning=self._templates.fill("meaning.html", meaning=meaning) if meaning else NO_HTML,
            hint=self._templates.paragraph(error.hint),
            facts=self._templates.facts({_("Error code"): error.code or "", _("Request ID"): error.request_id or ""}),
            closing=closing,
        )
        return kind, body

    def _living(
        self, body: Html, *, outcome: str = "", head: Html = NO_HTML, scripts: tuple[str, ...] = ("live.js",)
    ) -> Page:
        """Return a page that shows by itself what comes after it, where scripts run."""
        attributes = {"data-live": self._done, "data-attempt": self._attempt}
        return self._templates.page(
            body,
            attributes={"data-outcome": outcome, **attributes} if outcome else attributes,
            head=head,
            foot=self._templates.fill("lost.html"),
            scripts=scripts,
        )

    def _again(self) -> Html:
        return self._templates.fill("again.html", done=self._done)

    def _problem(self, reason: str) -> Html:
        what, remedy = problem(reason, self._host)
        return self._templates.fill("problem.html", what=what, remedy=remedy)


class PagesByLanguage:
    """The pages of one attempt."""

    def __init__(self, repo_type: RepoType, authorization_url: str, *, done: str, attempt: str) -> None:
        self._make = partial(Pages, repo_type, authorization_url, done=done, attempt=attempt)
        self._made: dict[Language, Pages] = {}

    def in_language(self, language: Language) -> Pages:
        """Return those in ``language``."""
        return self._made.get(language) or self._made.setdefault(language, self._make(language=language))


def _meaning_for_state(error: OAuthHelperError, *, has_redirect: bool) -> Text:
    """Return what became of the state, where that is known: it is good once, and the next attempt needs another."""
    if isinstance(error, OutcomeUnknownError):
        return _("ServiceStage may have used up the code and the one-time state of this attempt, or may not.")
    if isinstance(error, AuthorizationDeniedError) or not has_redirect:
        return _(
            "ServiceStage was given neither a code nor the one-time state of this attempt, so nothing has changed "
            "there. The next attempt gets a fresh state."
        )
    if isinstance(error, RefusedError):
        return _("The one-time state of this attempt is spent. The next attempt gets a fresh one.")
    return NO_TEXT


def _initials(name: str) -> str:
    """Return one or two letters for an account, as avatars show them."""
    words = _WORD.findall(name)
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()[:2] or "?"
