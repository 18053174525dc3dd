"""Texts that can be translated later, and the language of a user."""

import copy
import json
import pickle
from datetime import UTC, datetime
from gettext import NullTranslations

import pytest

from oauth_helper.i18n import (
    NO_TEXT,
    Language,
    Preference,
    Text,
    _,
    catalog_of,
    joined,
    language_of,
    language_of_browser,
    language_of_locale,
    listed,
    ngettext,
    translated,
)

EN, ZH = Language.ENGLISH, Language.CHINESE


class Marking(NullTranslations):
    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid2 if n != 1 else msgid1}⟧"


MARKING = Marking()


def test_a_text_is_english() -> None:
    words = _("Port {port} on {host} is taken", port=80, host="127.0.0.1")
    assert words == "Port 80 on 127.0.0.1 is taken"
    assert json.dumps({"message": words}) == '{"message": "Port 80 on 127.0.0.1 is taken"}'
    assert words.translated(MARKING) == "⟦Port 80 on 127.0.0.1 is taken⟧"
    assert _("No browser ({why})", why=_("no display")).translated(MARKING) == "⟦No browser (⟦no display⟧)⟧"
    assert _("").translated(catalog_of(ZH)) == "", "gettext returns the header of a catalog for the empty message"
    assert _("{a}: {b}", a="{x}", b=Text("{y}")) == "{x}: {y}"
    assert translated("text", MARKING) == "text"
    assert _("until {time:%H:%M} ({name!r})", time=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), name="n") == (
        "until 03:04 ('n')"
    )


def test_the_sum_of_two_texts_stays_translatable() -> None:
    words = _("Interrupted") + _(". Nothing was created")
    assert isinstance(words, Text)
    assert words == "Interrupted. Nothing was created"
    assert words.translated(MARKING) == "⟦Interrupted⟧⟦. Nothing was created⟧"
    assert (words + ": x").translated(MARKING) == "⟦Interrupted⟧⟦. Nothing was created⟧⟦: x⟧"
    assert not NO_TEXT
    assert (NO_TEXT + _("x")).translated(MARKING) == "⟦x⟧"


def test_the_count_chooses_singular_or_plural() -> None:
    assert ngettext("{count} namespace", "{count} namespaces", 1) == "1 namespace"
    assert ngettext("{count} namespace", "{count} namespaces", 3).translated(MARKING) == "⟦3 namespaces⟧"
    assert ngettext("{names} is", "{names} are", 2, names="A and B") == "A and B are"
    assert listed(["A"]) == "A"
    assert listed(["A", "B", "C"]) == "A, B and C"
    assert joined([_("one"), _("two")]) == "one; two"


def test_a_text_can_be_copied_and_pickled() -> None:
    words = _("Linked {name}", name=_("x")) + _(".")
    for again in (copy.deepcopy(words), pickle.loads(pickle.dumps(words)), copy.copy(words)):  # noqa: S301 - our own
        assert again == words
        assert again.translated(MARKING) == "⟦Linked ⟦x⟧⟧⟦.⟧"


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh_CN", ZH),
        ("ZH-Hans", ZH),
        ("zh-Hans-CN", ZH),
        ("zh_SG", ZH),
        ("zh-TW", None),
        ("zh-Hant", None),
        ("en-GB", EN),
        ("", None),
        ("english", None),
    ],
)
def test_a_language_tag(tag: str, language: Language | None) -> None:
    assert language_of(tag) is language


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, None),
        ({"LANG": "POSIX"}, None),
        ({"LANG": "zh_CN.UTF-8"}, ZH),
        ({"LANG": "de_DE@euro"}, None),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, EN),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, ZH),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, None),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, ZH),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, ZH),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:zh"}, ZH),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, None),
    ],
)
def test_the_language_of_a_locale(environ: dict[str, str], language: Language | None) -> None:
    assert language_of_locale(environ) is language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", None),
        ("zh-CN,zh;q=0.9,en;q=0.8", ZH),
        ("en;q=0.3, zh-CN;q=0.7", ZH),
        ("zh;q=0, en", EN),
        ("zh-TW,zh;q=0.9,en-US;q=0.8", ZH),
        ("zh-TW,en-US;q=0.8", EN),
        ("zh;q=nonsense,en;q=0.1", EN),
        ("en;level=1,zh;q=0.2", ZH),
        ("," * 5000 + "zh", None),
    ],
)
def test_the_language_of_a_browser(header: str, language: Language | None) -> None:
    assert language_of_browser(header) is language
    assert Preference(ZH).in_browser(header) is (language or ZH)
    assert Preference(ZH, is_demanded=True).in_browser(header) is ZH
