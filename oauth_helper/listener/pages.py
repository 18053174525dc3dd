"""Render the pages of the listener and the sandbox: jinja2 templates in the language of the reader."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pkgutil import get_data
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from markupsafe import Markup, escape
from yarl import URL

from oauth_helper.errors import AuthorizationDeniedError, OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import AnyOutcome, Captured, Linked
from oauth_helper.i18n import Language, Text, _, catalog_of, translated
from oauth_helper.listener.request_policy import Route
from oauth_helper.models import RepoType
from oauth_helper.secret import safe_text
from oauth_helper.values import is_loopback, parse_address

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE: Final = "oauth_helper.listener"
_DEFAULT_CONSOLE: Final = URL("https://console.huaweicloud.com")
_WORD: Final = re.compile(r"[^\W_]+")
_SENTENCE_ENDS: Final = tuple(".!?…。！？")
_MAX_PARAGRAPH: Final = 800
"""Characters of a message or hint, which may quote a server."""
_COMMAND: Final = re.compile("`([^`]+)`")


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
        try:
            self._console = parse_address(redirect_uri or "").origin()
        except ValueError:
            self._console = _DEFAULT_CONSOLE

    def start(self, key: str, *, rejection: RedirectRejectedError | None = None, **values: str) -> Page:
        """Return the page that sends the user to the Git host and takes the address where the browser ends.

        Besides KEY and why the last address was rejected, it needs ``authorization_url``, ``live`` (see the class) and
        ``private_start``, an address with another KEY for a private window.
        """
        scripts, form_action = ("start.js", "live.js"), f"{Route.REDIRECT}?k={key}"
        return self._render("start.html", scripts, form_action=form_action, rejection=rejection, **values)

    def message(self, message: str, /, *, live: str = "", **values: object) -> Page:
        """Return a page of ``messages.html``."""
        values = {"more_to_come": False, "was_pasted": False, **values}
        return self._render("messages.html", ("live.js",) if live else (), message=message, live=live, **values)

    def outcome(
        self, outcome: AnyOutcome | None, *, live: str = "", was_pasted: bool = False, more_to_come: bool = False
    ) -> Page:
        """Return the final page, or one that waits for the outcome; with ``more_to_come``, it goes on to the next link.

        ``was_pasted``: a tab at the console is open too.
        """
        if outcome is None:
            return self.message("waiting", live=live)
        if isinstance(outcome, Captured):
            return self.message("captured")
        values: dict[str, Any] = {
            "live": live if more_to_come else "",
            "more_to_come": more_to_come,
            "was_pasted": was_pasted,
        }
        if isinstance(outcome, Linked):
            record = outcome.authorization
            name, user = safe_text(record.name), safe_text(record.repo_user)
            facts = _facts({_("Account"): user, _("Git host"): self._host, _("Authorization"): name})
            initials = _initials(user or self._host)
            return self.message("linked", kept=outcome.kept, name=name, initials=initials, facts=facts, **values)
        error = outcome.error
        word, description = "unknown" if isinstance(error, OutcomeUnknownError) else "failed", ""
        if isinstance(error, AuthorizationDeniedError):
            word, description = "denied", error.description
        answer = _("{host} says", host=self._host)
        facts = _facts({answer: description, _("Error code"): error.code, _("Request ID"): error.request_id})
        return self.message("failed", outcome=word, error=error, facts=facts, **values)

    def _render(self, template: str, scripts: tuple[str, ...], /, **values: object) -> Page:
        style, code = _source(_PACKAGE, "style.css"), tuple(_source(_PACKAGE, name) for name in scripts)
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
    hashes, origins = (" ".join(map(_hash, scripts)), "'self'") if scripts else ("'none'", "'none'")
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {hashes}; connect-src {origins}; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _facts(facts: Mapping[Text, str | None]) -> list[tuple[Text, str]]:
    return [(term, safe_text(value)) for term, value in facts.items() if value]


def _initials(name: str) -> str:
    """Return one or two letters for an account, as avatars show them."""
    words = _WORD.findall(name)
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()[:2] or "?"


def render(package: str, template: str, language: Language, /, **values: object) -> str:
    """Render a template of ``package``. Texts are translated, and escaped unless they are HTML."""
    return _environment(package, language).get_template(template).render(language=language, **values).strip()


@cache
def _source(package: str, name: str) -> str:
    data = get_data(package, f"templates/{name}")  # Works in a zip archive too.
    if data is None:  # pragma: no cover - the loaders of Python return the data of files
        raise FileNotFoundError(name)
    return data.decode().strip()


@cache
def _environment(package: str, language: Language) -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 - 25 ms that few links need

    catalog = catalog_of(language)

    def translate(template: str, /, **values: object) -> Markup:
        """Translate HTML of ours; the values are escaped."""
        return Markup(catalog.gettext(template)).format(**values)  # noqa: S704 - the catalogs are ours

    def paragraph(text: str) -> Markup:
        """Return a sentence in which commands between backticks are marked as code."""
        line = safe_text(str(translated(text, catalog)), limit=_MAX_PARAGRAPH)
        if not line:
            return Markup()
        stop = "" if line.endswith(_SENTENCE_ENDS) else "。" if language is Language.CHINESE else "."
        html = _COMMAND.sub(r"<code>\1</code>", str(escape(line)))
        return Markup("<p>{}{}</p>").format(Markup(html), stop)  # noqa: S704 - it is escaped

    environment = Environment(
        autoescape=True,
        finalize=lambda value: translated(value, catalog),
        loader=FunctionLoader(lambda name: _source(package, name)),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["_"] = translate
    environment.filters["paragraph"] = paragraph
    return environment
