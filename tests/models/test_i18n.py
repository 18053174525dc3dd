"""Texts that can be translated later, and the language of a user."""

import copy
import json
import pickle
from datetime import UTC, datetime
from gettext import NullTranslations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    """Marks what was translated."""

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
    assert _("until {time:%H:%M} ({name!r})", time=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), name="n") == (
        "until 03:04 ('n')"
    )


def test_a_text_within_a_text_is_translated_as_well() -> None:
    words = _("No browser ({why})", why=_("no display"))
    assert words == "No browser (no display)"
    assert words.translated(MARKING) == "⟦No browser (⟦no display⟧)⟧"


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


def test_lists_are_joined() -> None:
    assert listed(["A"]) == "A"
    assert listed(["A", "B", "C"]) == "A, B and C"
    assert joined([_("one"), _("two")]) == "one; two"


@given(st.text(), st.text())
def test_text_of_others_is_not_changed(text: str, more: str) -> None:
    assert Text(text) == text
    assert _("{a}: {b}", a=text, b=Text(more)) == f"{text}: {more}"
    assert translated(text, MARKING) == text


def test_a_text_can_be_copied_and_pickled() -> None:
    words = _("Linked {name}", name=_("x")) + _(".")
    for again in (copy.deepcopy(words), pickle.loads(pickle.dumps(words)), copy.copy(words)):  # noqa: S301 - our own
        assert again == words
        assert again.translated(MARKING) == "⟦Linked ⟦x⟧⟧⟦.⟧"


def test_an_empty_message_is_empty_in_every_language() -> None:
    """gettext returns the header of a catalog for the empty message."""
    for language in Language:
        assert _("").translated(catalog_of(language)) == ""


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh", ZH),
        ("zh-CN", ZH),
        ("zh_CN", ZH),
        ("ZH-Hans", ZH),
        ("zh-Hans-CN", ZH),
        ("zh_SG", ZH),
        ("zh-TW", None),
        ("zh-Hant", None),
        ("zh-HK", None),
        ("en", EN),
        ("en-GB", EN),
        ("de", None),
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
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "POSIX"}, None),
        ({"LANG": "zh_CN.UTF-8"}, ZH),
        ({"LANG": "zh_CN.GB18030"}, ZH),
        ({"LANG": "en_US.UTF-8"}, EN),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LANG": "zh_TW.UTF-8"}, None),
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
        ("*", None),
        ("zh-CN,zh;q=0.9,en;q=0.8", ZH),
        ("en-US,en;q=0.5", EN),
        ("en;q=0.3, zh-CN;q=0.7", ZH),
        ("zh;q=0, en", EN),
        ("zh-TW,zh;q=0.9,en-US;q=0.8", ZH),
        ("zh-TW,en-US;q=0.8", EN),
        ("de-DE,de;q=0.9,fr", None),
        ("zh;q=nonsense,en;q=0.1", EN),
        ("en;level=1,zh;q=0.2", ZH),
        ("," * 5000 + "zh", None),
    ],
)
def test_the_language_of_a_browser(header: str, language: Language | None) -> None:
    assert language_of_browser(header) is language


@given(st.text())
def test_any_accept_language_header_is_read(header: str) -> None:
    assert language_of_browser(header) in {EN, ZH, None}


def test_accept_language_counts_unless_the_user_chose_a_language() -> None:
    assert Preference(EN).in_browser("zh-CN,zh") is ZH
    assert Preference(EN, is_demanded=True).in_browser("zh-CN,zh") is EN
    assert Preference(ZH).in_browser("fr") is ZH
