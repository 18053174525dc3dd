"""The listener's pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from markupsafe import Markup
from yarl import URL

from oauth_helper.errors import AuthorizationDeniedError, OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import AnyOutcome, Captured, Linked
from oauth_helper.i18n import Language, Text, _
from oauth_helper.listener.request_policy import Route
from oauth_helper.models import RepoType
from oauth_helper.secret import safe_text
from oauth_helper.templates import render, source
from oauth_helper.values import is_loopback, parse_address

_PACKAGE: Final = "oauth_helper.listener"
_DEFAULT_CONSOLE: Final = URL("https://console.huaweicloud.com")
_WORD: Final = re.compile(r"[^\W_]+")


class Page(NamedTuple):
    """A page, and the Content-Security-Policy that allows its own style and scripts and nothing else."""

    html: str
    policy: str
    language: Language

    def __repr__(self) -> str:
        return "Page()"  # The HTML contains KEY and the state.


class Pages:
    """The pages of one link, or of the capture at a host, in one language.

    jinja2 is imported when the first page is rendered.

    A page with ``live``, an address of ``/done``, asks there how the link goes on and shows it without being loaded
    again, if scripts run.
    """

    def __init__(self, subject: RepoType | str, redirect_uri: str | None, language: Language) -> None:
        self._is_link = isinstance(subject, RepoType)
        self._host = subject.display_name if isinstance(subject, RepoType) else subject
        self._language = language
        self._rejected: dict[str, Page] = {}
        try:
            self._console = parse_address(redirect_uri or "").origin()
        except ValueError:
            self._console = _DEFAULT_CONSOLE

    def start(
        self,
        key: str,
        *,
        authorization_url: str,
        private_start: str,
        live: str,
        rejection: RedirectRejectedError | None = None,
    ) -> Page:
        """Return the page that sends the user to the Git host and takes the address where the browser ends.

        Args:
            key: The KEY of the page.
            authorization_url: Where the user consents.
            private_start: An address with another KEY, for a private window.
            live: See the class.
            rejection: Why the last address was rejected.
        """
        return self._render(
            "start.html",
            ("start.js", "live.js"),
            live=live,
            authorization_url=authorization_url,
            form_action=f"{Route.REDIRECT}?k={key}",
            private_start=private_start,
            rejection=rejection,
        )

    def message(self, message: str, /, *, live: str = "", **values: object) -> Page:
        """Return a page of ``messages.html``."""
        values = {"more_to_come": False, "was_pasted": False, **values}
        return self._render("messages.html", ("live.js",) if live else (), message=message, live=live, **values)

    def rejected(self, rejection: RedirectRejectedError) -> Page:
        """Return the page for a direct request that is not the expected redirect."""
        if rejection.message not in self._rejected:  # An attacker who guesses causes thousands of them.
            self._rejected[rejection.message] = self.message("rejected", rejection=rejection)
        return self._rejected[rejection.message]

    def outcome(
        self, outcome: AnyOutcome | None, *, live: str = "", was_pasted: bool = False, more_to_come: bool = False
    ) -> Page:
        """Return the final page, or a page that waits for the outcome if it is None.

        ``was_pasted``: a tab at the console is open too. With ``more_to_come``, the page goes on to the next link by
        itself.
        """
        if outcome is None:
            return self.message("waiting", live=live)
        live = live if more_to_come else ""
        if isinstance(outcome, Captured):
            return self.message("captured")
        if isinstance(outcome, Linked):
            record = outcome.authorization
            name, user = safe_text(record.name), safe_text(record.repo_user)
            return self.message(
                "linked",
                live=live,
                more_to_come=more_to_come,
                was_pasted=was_pasted,
                kept=outcome.kept,
                name=name,
                initials=_initials(user or self._host),
                facts=_facts({_("Account"): user, _("Git host"): self._host, _("Authorization"): name}),
            )
        error = outcome.error
        is_denial = isinstance(error, AuthorizationDeniedError)
        description = safe_text(error.description) if isinstance(error, AuthorizationDeniedError) else ""
        answer = _("{host} says", host=self._host)
        return self.message(
            "failed",
            live=live,
            more_to_come=more_to_come,
            was_pasted=was_pasted,
            outcome="unknown" if isinstance(error, OutcomeUnknownError) else "denied" if is_denial else "failed",
            is_users_choice=isinstance(error, AuthorizationDeniedError) and error.error == "access_denied",
            error=error,
            facts=_facts({answer: description, _("Error code"): error.code, _("Request ID"): error.request_id}),
        )

    def _render(self, template: str, scripts: tuple[str, ...], /, **values: object) -> Page:
        style, code = source(_PACKAGE, "style.css"), tuple(source(_PACKAGE, name) for name in scripts)
        html = render(
            _PACKAGE,
            template,
            self._language,
            host=self._host,
            is_link=self._is_link,
            console=self._console,
            is_sandbox=is_loopback(self._console.host),
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


def _initials(name: str) -> str:
    """Return one or two letters for an account, as avatars show them."""
    words = _WORD.findall(name)
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()[:2] or "?"
