"""How a page is made of its templates: in a language, with what it is about filled in, and with its policy."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from gettext import NullTranslations
from html import escape
from pkgutil import get_data
from string import Template
from typing import Final

from oauth_helper.catalogs import catalog_of
from oauth_helper.language import Language
from oauth_helper.phrase import Phrase, said
from oauth_helper.presentable import presentable

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
        return str(said(words, self._catalog))

    def fill(self, name: str, /, **values: str) -> Html:
        """Return a template with ``values`` at its ``$names``, all of them escaped that are not HTML."""
        safe = {key: value if isinstance(value, Html) else escape(self.say(value)) for key, value in values.items()}
        return Html(Template(_in_language(name, self._catalog)).substitute(safe))

    def paragraph(self, words: str) -> Html:
        """Return a sentence; what stands between backticks, as our hints mark a command, becomes code."""
        text = presentable(self.say(words), limit=_PARAGRAPH)
        if text and not text.endswith(_ENDS):
            text += "。" if self._language is Language.CHINESE else "."
        return Html(f"<p>{_COMMAND.sub(_AS_CODE, escape(text))}</p>" if text else "")

    def facts(self, facts: Mapping[Phrase, str]) -> Html:
        """Return what is known, by its name; what is not known is left out."""
        rows = "".join(
            f"<div><dt>{escape(self.say(term))}</dt><dd>{escape(presentable(value))}</dd></div>"
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
