"""The catalogs say everything, and nothing that is not said any more; what they say fits where it is put."""

import ast
import re
from collections import Counter
from gettext import GNUTranslations
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from catalogs.__main__ import up_to_date
from catalogs.messages import KEYWORDS, PACKAGE, english_of, translations_of

from oauth_helper.catalogs import DOMAIN, catalog_of
from oauth_helper.language import Language

FILES = sorted(PACKAGE.glob(f"locale/*/LC_MESSAGES/{DOMAIN}.po"))
LANGUAGES = {language.replace("-", "_"): language for language in Language}
COMMAND = re.compile(r"`[^`]+`")
FIXED = re.compile(r"--[a-z][a-z-]+|\b[A-Z]+(?:_[A-Z]+)+\b|\b[A-Z]+\.\d{4}\b|</?[a-z]+>|\$[a-z_]+")
"""Options, environment variables, error codes, markup, and the places of a template."""


def messages(path: Path) -> list[Message]:
    with path.open("rb") as file:
        return [message for message in read_po(file) if message.id]


def test_every_language_but_english_has_a_catalog() -> None:
    assert {path.parts[-3] for path in FILES} == set(LANGUAGES) - {"en"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parts[-3])
def test_no_catalog_is_stale(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert up_to_date(text) == text, "make catalogs brings it up to date"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parts[-3])
def test_everything_is_translated(path: Path) -> None:
    missing = [message.id for message in messages(path) if message.fuzzy or not all(translations_of(message))]
    assert not missing


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parts[-3])
def test_every_place_and_every_fixed_word_is_kept(path: Path) -> None:
    for message in messages(path):
        *singular, english = english_of(message)
        for translation in translations_of(message):
            if singular:
                assert fields(translation) <= fields(singular[0]) | fields(english), english
            else:
                assert fields(translation) == fields(english), english
            assert Counter(COMMAND.findall(translation)) == Counter(COMMAND.findall(english)), english
            assert set(FIXED.findall(translation)) == set(FIXED.findall(english)), english


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parts[-3])
def test_what_is_compiled_is_what_stands_there(path: Path) -> None:
    """What gettext reads is made at installation: a stale one would show English, or what was said before."""
    compiled = catalog_of(LANGUAGES[path.parts[-3]])
    assert isinstance(compiled, GNUTranslations), "install the package again: it is compiled then"
    for message in messages(path):
        english, *plural = english_of(message)
        found = compiled.ngettext(english, plural[0], 2) if plural else compiled.gettext(english)
        assert found == translations_of(message)[-1]


def test_only_literals_are_said() -> None:
    """Else they would be in no catalog; what is marked by template() may be said anywhere."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS:
                words = node.args[: len(KEYWORDS[node.func.id] or (1,))]
                assert all(isinstance(each, ast.Constant) or is_marked(each, path) for each in words), ast.unparse(node)


def is_marked(node: ast.expr, path: Path) -> bool:
    # The usual hints of errors are collected from their classes.
    is_hint = ast.unparse(node) == "self.default_hint"
    return is_hint or ("template(" in path.read_text(encoding="utf-8") and not isinstance(node, ast.JoinedStr))


def fields(text: str) -> set[str]:
    try:
        parsed = list(Formatter().parse(text))
    except ValueError:  # a template of a page, which has other places
        return set()
    return {f"{name}!{conversion}:{form}" for _, name, form, conversion in parsed if name is not None}
