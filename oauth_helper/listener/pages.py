"""The pages: what a user sees of us in the browser. Rendering only; who may see a page is decided elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

from oauth_helper.authorization import RepoType
from oauth_helper.errors import AuthorizationDeniedError, OAuthHelperError, OutcomeUnknownError, RefusedError
from oauth_helper.events import Linked, Outcome
from oauth_helper.language import Language
from oauth_helper.listener.gate import Path
from oauth_helper.listener.problems import problem
from oauth_helper.listener.templating import NO_HTML, Html, Page, Templates
from oauth_helper.phrase import NOTHING, Phrase, phrase
from oauth_helper.presentable import presentable

_WORD: Final = re.compile(r"[^\W_]+")
_MARKS: Final[Mapping[str, str]] = {"denied": "✕", "failed": "✕", "unknown": "?", "waiting": "…"}
_ANOTHER_ATTEMPT: Final = phrase("This tab belongs to another attempt")
_NOT_WAITED_FOR: Final = phrase("Not the address that is waited for")


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

    def stray(self, reason: str) -> Page:
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
        facts = {phrase("Account"): made.repo_user, phrase("Git host"): self._host, phrase("Authorization"): made.name}
        return self._templates.fill(
            "linked.html",
            initials=_initials(presentable(made.repo_user) or self._host),
            host=self._host,
            kept=self._templates.fill("kept.html") if outcome.kept else NO_HTML,
            facts=self._templates.facts(facts),
            name=presentable(made.name),
            closing=closing,
        )

    def _failed(self, error: OAuthHelperError, closing: Html, *, has_redirect: bool) -> tuple[str, Html]:
        kind, heading = "failed", phrase("Your {host} account was not linked", host=self._host)
        if isinstance(error, AuthorizationDeniedError):
            kind, heading = "denied", phrase("Access to your {host} account was not allowed", host=self._host)
        elif isinstance(error, OutcomeUnknownError):
            kind, heading = "unknown", phrase("It is not known whether {host} was linked", host=self._host)
        meaning = self._templates.paragraph(_meaning_for_state(error, has_redirect=has_redirect))
        body = self._templates.fill(
            "failed.html",
            mark=_MARKS[kind],
            heading=heading,
            message=self._templates.paragraph(error.message),
            meaning=self._templates.fill("meaning.html", meaning=meaning) if meaning else NO_HTML,
            hint=self._templates.paragraph(error.hint),
            facts=self._templates.facts(
                {phrase("Error code"): error.code or "", phrase("Request ID"): error.request_id or ""}
            ),
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


def _meaning_for_state(error: OAuthHelperError, *, has_redirect: bool) -> Phrase:
    """Return what became of the state, where that is known: it is good once, and the next attempt needs another."""
    if isinstance(error, OutcomeUnknownError):
        return phrase("ServiceStage may have used up the code and the one-time state of this attempt, or may not.")
    if isinstance(error, AuthorizationDeniedError) or not has_redirect:
        return phrase(
            "ServiceStage was given neither a code nor the one-time state of this attempt, so nothing has changed "
            "there. The next attempt gets a fresh state."
        )
    if isinstance(error, RefusedError):
        return phrase("The one-time state of this attempt is spent. The next attempt gets a fresh one.")
    return NOTHING


def _initials(name: str) -> str:
    """Return one or two letters for an account, as avatars show them."""
    words = _WORD.findall(name)
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()[:2] or "?"
