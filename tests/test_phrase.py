"""A phrase is its own English, and remembers what it takes to be said otherwise."""

import copy
import json
import pickle
from datetime import UTC, datetime
from gettext import NullTranslations

from hypothesis import given
from hypothesis import strategies as st

from oauth_helper.catalogs import catalog_of
from oauth_helper.language import Language
from oauth_helper.phrase import NOTHING, Phrase, counted, joined, listed, phrase, said, verbatim


class Marking(NullTranslations):
    """Marks what went through the catalog."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid2 if n != 1 else msgid1}⟧"


MARKING = Marking()


def test_it_is_its_english() -> None:
    words = phrase("Port {port} on {host} is taken", port=80, host="127.0.0.1")
    assert words == "Port 80 on 127.0.0.1 is taken"
    assert json.dumps({"message": words}) == '{"message": "Port 80 on 127.0.0.1 is taken"}'
    assert words.said(MARKING) == "⟦Port 80 on 127.0.0.1 is taken⟧"
    assert phrase("until {time:%H:%M} ({name!r})", time=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), name="n") == (
        "until 03:04 ('n')"
    )


def test_a_phrase_within_is_said_in_the_same_language() -> None:
    words = phrase("No browser ({why})", why=phrase("no display"))
    assert words == "No browser (no display)"
    assert words.said(MARKING) == "⟦No browser (⟦no display⟧)⟧"


def test_phrases_add_up_to_a_phrase() -> None:
    words = phrase("Interrupted") + phrase(". Nothing was created")
    assert isinstance(words, Phrase)
    assert words == "Interrupted. Nothing was created"
    assert words.said(MARKING) == "⟦Interrupted⟧⟦. Nothing was created⟧"
    assert (words + ": x").said(MARKING) == "⟦Interrupted⟧⟦. Nothing was created⟧⟦: x⟧"
    assert not NOTHING
    assert (NOTHING + phrase("x")).said(MARKING) == "⟦x⟧"


def test_numbers_choose_the_form() -> None:
    assert counted("{count} namespace", "{count} namespaces", 1) == "1 namespace"
    assert counted("{count} namespace", "{count} namespaces", 3).said(MARKING) == "⟦3 namespaces⟧"
    assert counted("{names} is", "{names} are", 2, names="A and B") == "A and B are"


def test_lists() -> None:
    assert listed(["A"]) == "A"
    assert listed(["A", "B", "C"]) == "A, B and C"
    assert joined([phrase("one"), phrase("two")]) == "one; two"


@given(st.text(), st.text())
def test_foreign_text_comes_through_as_it_is(text: str, more: str) -> None:
    assert verbatim(text) == text
    assert phrase("{a}: {b}", a=text, b=verbatim(more)) == f"{text}: {more}"
    assert said(text, MARKING) == text


def test_it_can_be_copied_and_pickled() -> None:
    words = phrase("Linked {name}", name=phrase("x")) + phrase(".")
    for again in (copy.deepcopy(words), pickle.loads(pickle.dumps(words)), copy.copy(words)):  # noqa: S301 - our own
        assert again == words
        assert again.said(MARKING) == "⟦Linked ⟦x⟧⟧⟦.⟧"


def test_an_empty_sentence_says_nothing_in_any_language() -> None:
    """gettext keeps a catalog's head under the empty message."""
    for language in Language:
        assert phrase("").said(catalog_of(language)) == ""
