"""Every message is in the catalogs and translated, and each translation keeps its placeholders."""

import ast
import re
import subprocess
import sys
from collections import Counter
from gettext import GNUTranslations
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from support.message_sources import PACKAGE, english_of, translations_of

from oauth_helper.i18n import DOMAIN, Language, catalog_of

FILES = sorted(PACKAGE.glob(f"locale/*/LC_MESSAGES/{DOMAIN}.po"))
LANGUAGES = {language.replace("-", "_"): language for language in Language}
MESSAGES_OF = {"_": 1, "N_": 1, "ngettext": 2}
"""The functions that mark messages, and how many of their arguments are messages."""
COMMAND = re.compile(r"`[^`]+`")
FIXED = re.compile(r"--[a-z][a-z-]+|\b[A-Z]+(?:_[A-Z]+)+\b|\b[A-Z]+\.\d{4}\b|</?[a-z]+>")
"""Options, environment variables, error codes, and markup."""


def messages(path: Path) -> list[Message]:
    with path.open("rb") as file:
        return [message for message in read_po(file) if message.id]


def test_the_catalogs_are_up_to_date(tmp_path: Path) -> None:
    prefix = Path(sys.prefix)
    values = [f"VENV={prefix}", "CHECK=--check", f"POT={tmp_path / 'messages.pot'}"]
    command = ["make", f"--assume-old={prefix}/installed-for-development", "catalogs", *values]
    ended = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == 0, f"run `make catalogs`: {ended.stderr}"


def test_every_language_but_english_has_a_catalog() -> None:
    assert {path.parts[-3] for path in FILES} == set(LANGUAGES) - {"en"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parts[-3])
def test_every_message_is_translated_and_keeps_its_placeholders(path: Path) -> None:
    compiled = catalog_of(LANGUAGES[path.parts[-3]])
    assert isinstance(compiled, GNUTranslations), "install the package again: that compiles the catalogs"
    for message in messages(path):
        *singular, english = english_of(message)
        assert not message.fuzzy, english
        for translation in translations_of(message):
            assert translation, english
            allowed = fields(english) | (fields(singular[0]) if singular else set())
            assert fields(translation) == fields(english) or (singular and fields(translation) <= allowed), english
            assert Counter(COMMAND.findall(translation)) == Counter(COMMAND.findall(english)), english
            assert set(FIXED.findall(translation)) == set(FIXED.findall(english)), english
        forms = english_of(message)
        found = compiled.ngettext(*forms, 2) if len(forms) == 2 else compiled.gettext(english)
        assert found == translations_of(message)[-1], "install the package again: the compiled catalog is old"


def fields(text: str) -> set[str]:
    parsed = list(Formatter().parse(text))
    return {f"{name}!{conversion}:{form}" for _, name, form, conversion in parsed if name is not None}


def test_no_message_is_an_f_string_or_inside_one() -> None:
    """Babel cannot extract the first, and the second only on Python 3.12 and newer."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                words = node.args[: MESSAGES_OF.get(node.func.id, 0)]
                assert not any(isinstance(each, ast.JoinedStr | ast.BinOp) for each in words), ast.unparse(node)
            if isinstance(node, ast.JoinedStr):
                names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
                assert not names & MESSAGES_OF.keys(), ast.unparse(node)
