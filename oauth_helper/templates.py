"""Render the HTML of the listener and the sandbox: jinja2 templates in the language of the reader."""

from __future__ import annotations

import re
from functools import cache
from pkgutil import get_data
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from oauth_helper.i18n import Language, catalog_of, translated
from oauth_helper.secret import safe_text

if TYPE_CHECKING:
    from jinja2 import Environment

_SENTENCE_ENDS: Final = tuple(".!?…。！？")
_MAX_PARAGRAPH: Final = 800
"""Characters of a message or hint, which may quote a server."""
_COMMAND: Final = re.compile("`([^`]+)`")


def render(package: str, template: str, language: Language, /, **values: object) -> str:
    """Render a template of ``package``. Texts are translated, and escaped unless they are HTML."""
    return _environment(package, language).get_template(template).render(language=language, **values).strip()


@cache
def source(package: str, name: str) -> str:
    """Return the text of a file in the package's folder ``templates``."""
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
        loader=FunctionLoader(lambda name: source(package, name)),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["_"] = translate
    environment.filters["paragraph"] = paragraph
    return environment
