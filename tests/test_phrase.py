"""A phrase is its own English, and remembers what it takes to be said otherwise."""

import copy
import json
import pickle
from datetime import UTC, datetime
from gettext import NullTranslations

from hypothesis import given
from hypothesis import strategies as st

from oauth_helper.i18n import NO_TEXT, Language, Text, _, catalog_of, joined, listed, ngettext, translated


class Marking(NullTranslations):
    """Marks what went through the catalog."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid2 if n != 1 else msgid1}⟧"


MARKING = Marking()


def test_it_is_its_english() -> None:
    words = _("Port {port} on {host} is taken", port=80, host="127.0.0.1")
    assert words == "Port 80 on 127.0.0.1 is taken"
    assert json.dumps({"message": words}) == '{"message": "Port 80 on 127.0.0.1 is taken"}'
    assert words.translated(MARKING) == "⟦Port 80 on 127.0.0.1 is taken⟧"
    assert _("until {time:%H:%M} ({name!r})", time=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), name="n") == (
        "until 03:04 ('n')"
    )


def test_a_phrase_within_is_said_in_the_same_language() -> None:
    words = _("No browser ({why})", why=_("no display"))
    assert words == "No browser (no display)"
    assert words.translated(MARKING) == "⟦No browser (⟦no display⟧)⟧"


def test_phrases_add_up_to_a_phrase() -> None:
    words = _("Interrupted") + _(". Nothing was created")
    assert isinstance(words, Text)
    assert words == "Interrupted. Nothing was created"
    assert words.translated(MARKING) == "⟦Interrupted⟧⟦. Nothing was created⟧"
    assert (words + ": x").translated(MARKING) == "⟦Interrupted⟧⟦. Nothing was created⟧⟦: x⟧"
    assert not NO_TEXT
    assert (NO_TEXT + _("x")).translated(MARKING) == "⟦x⟧"


def test_numbers_choose_the_form() -> None:
    assert ngettext("{count} namespace", "{count} namespaces", 1) == "1 namespace"
    assert ngettext("{count} namespace", "{count} namespaces", 3).translated(MARKING) == "⟦3 namespaces⟧"
    assert ngettext("{names} is", "{names} are", 2, names="A and B") == "A and B are"


def test_lists() -> None:
    assert listed(["A"]) == "A"
    assert listed(["A", "B", "C"]) == "A, B and C"
    assert joined([_("one"), _("two")]) == "one; two"


@given(st.text(), st.text())
def test_foreign_text_comes_through_as_it_is(text: str, more: str) -> None:
    assert Text(text) == text
    assert _("{a}: {b}", a=text, b=Text(more)) == f"{text}: {more}"
    assert translated(text, MARKING) == text


def test_it_can_be_copied_and_pickled() -> None:
    words = _("Linked {name}", name=_("x")) + _(".")
    for again in (copy.deepcopy(words), pickle.loads(pickle.dumps(words)), copy.copy(words)):  # noqa: S301 - our own
        assert again == words
        assert again.translated(MARKING) == "⟦Linked ⟦x⟧⟧⟦.⟧"


def test_an_empty_sentence_says_nothing_in_any_language() -> None:
    """gettext keeps a catalog's head under the empty message."""
    for language in Language:
        assert _("").translated(catalog_of(language)) == ""
