"""The listener's pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from markupsafe import Markup

from oauth_helper.errors import AuthorizationDeniedError, OAuthHelperError, OutcomeUnknownError, RefusedError
from oauth_helper.events import Linked, Outcome
from oauth_helper.i18n import N_, NO_TEXT, Language, Text, _
from oauth_helper.listener.request_policy import Route
from oauth_helper.models import RepoType
from oauth_helper.secret import safe_text
from oauth_helper.templates import render, source

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
"""By the reason of a rejection: what is wrong, and what to do. The texts quote nothing of the rejected address."""

_PACKAGE: Final = "oauth_helper.listener"
_WORD: Final = re.compile(r"[^\W_]+")


class Page(NamedTuple):
    """A page, and the Content-Security-Policy that allows its own style and scripts and nothing else."""

    html: str
    policy: str
    language: Language

    def __repr__(self) -> str:
        return "Page()"  # The HTML contains KEY and the state.


class Pages:
    """The pages of one link in one language. jinja2 is imported when the first page is rendered.

    A page with ``live``, an address of ``/done``, asks there how the link goes on and shows it without being loaded
    again, if scripts run.
    """

    def __init__(self, repo_type: RepoType, language: Language) -> None:
        self._host = repo_type.display_name
        self._language = language
        self._rejected: dict[str, Page] = {}

    def start(
        self, key: str, *, authorization_url: str, private_start: str, live: str, reason: str | None = None
    ) -> Page:
        """Return the page that sends the user to the Git host and takes the address where the browser ends.

        Args:
            key: The KEY of the page.
            authorization_url: Where the user consents.
            private_start: An address with another KEY, for a private window.
            live: See the class.
            reason: Why the last address was rejected: a key of :data:`PROBLEMS`.
        """
        problem, remedy = self._problem(reason) if reason else (NO_TEXT, NO_TEXT)
        return self._render(
            "start.html",
            ("start.js", "live.js"),
            live=live,
            authorization_url=authorization_url,
            form_action=f"{Route.REDIRECT}?k={key}",
            private_start=private_start,
            problem=problem,
            remedy=remedy,
        )

    def message(self, message: str, /, *, live: str = "", more_to_come: bool = False, **values: object) -> Page:
        """Return a page of ``messages.html``."""
        scripts = ("live.js",) if live else ()
        return self._render("messages.html", scripts, message=message, live=live, more_to_come=more_to_come, **values)

    def rejected(self, reason: str) -> Page:
        """Return the page for a direct request that is not the expected redirect."""
        if reason not in self._rejected:  # An attacker who guesses causes thousands of them.
            is_foreign = reason == "foreign-state"
            self._rejected[reason] = self.message("rejected", is_foreign=is_foreign, problem=self._problem(reason)[0])
        return self._rejected[reason]

    def outcome(
        self, outcome: Outcome | None, *, live: str = "", has_redirect: bool = False, more_to_come: bool = False
    ) -> Page:
        """Return the final page, or a page that waits for the outcome if it is None.

        ``has_redirect`` tells whether a redirect was received. With ``more_to_come``, the page goes on to the next
        link by itself.
        """
        if outcome is None:
            return self.message("waiting", live=live)
        live = live if more_to_come else ""
        if isinstance(outcome, Linked):
            record = outcome.authorization
            return self.message(
                "linked",
                live=live,
                more_to_come=more_to_come,
                kept=outcome.kept,
                name=safe_text(record.name),
                initials=_initials(safe_text(record.repo_user) or self._host),
                facts=_facts(
                    {_("Account"): record.repo_user, _("Git host"): self._host, _("Authorization"): record.name}
                ),
            )
        error = outcome.error
        kind = "denied" if isinstance(error, AuthorizationDeniedError) else "failed"
        return self.message(
            "failed",
            live=live,
            more_to_come=more_to_come,
            outcome="unknown" if isinstance(error, OutcomeUnknownError) else kind,
            error=error,
            meaning=_meaning_for_state(error, has_redirect=has_redirect),
            facts=_facts({_("Error code"): error.code, _("Request ID"): error.request_id}),
        )

    def _problem(self, reason: str) -> tuple[Text, Text]:
        problem, remedy = PROBLEMS.get(reason, PROBLEMS["no-redirect"])
        return _(problem, host=self._host), _(remedy, host=self._host)

    def _render(self, template: str, scripts: tuple[str, ...], /, **values: object) -> Page:
        style, code = source(_PACKAGE, "style.css"), tuple(source(_PACKAGE, name) for name in scripts)
        html = render(
            _PACKAGE,
            template,
            self._language,
            host=self._host,
            style=Markup(style),  # noqa: S704 - a file of ours
            scripts=[Markup(text) for text in code],  # noqa: S704 - files of ours
            **values,
        )
        return Page(html, _content_security_policy(style, code), self._language)


@cache
def _content_security_policy(style: str, scripts: tuple[str, ...]) -> str:
    """Return a policy that allows these inline texts by their hashes (CSP level 3 section 2.3.1)."""
    directives = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": " ".join(map(_hash, scripts)) or "'none'",
        "connect-src": "'self'" if scripts else "'none'",
        "img-src": "data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{directive} {source}" for directive, source in directives.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _facts(facts: Mapping[Text, str | None]) -> list[tuple[Text, str]]:
    return [(term, safe_text(value)) for term, value in facts.items() if value]


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
