"""Secrets that do not show themselves, and text from others made safe to show."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from oauth_helper.secret import Secret, escaped, is_plain_path, is_plain_word, redact, safe_text

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


class Holder(Struct):
    secret: Secret


def test_a_secret_is_masked_wherever_it_is_shown() -> None:
    secret = Secret("planted")
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", f"{secret:20}", repr(Holder(secret))):
        assert "planted" not in shown
    assert secret.reveal() == "planted"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"
    assert Secret("a").matches("a")
    assert not Secret("a").matches("\ud800")
    assert Secret("a")
    assert not Secret("")


@given(ANY_TEXT, st.integers(10, 50))
def test_safe_text_is_one_short_line_without_control_characters(text: str, limit: int) -> None:
    shown = safe_text(text, limit=limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert safe_text("a\x1b[31m\r\nb\u202ec") == "a[31m bc"


@pytest.mark.parametrize(
    "form",
    ["a/b+c <d>", "a%2Fb%2Bc%20%3Cd%3E", "a/b%2Bc%20%3Cd%3E", "a%2fb%2bc+%3cd%3e", "a/b+c &lt;d&gt;", "A/B+C <D>"],
)
def test_a_secret_is_masked_in_every_form_that_a_server_may_echo(form: str) -> None:
    assert redact(f"bad: {form}.", [Secret("a/b+c <d>"), Secret("")], limit=100) == "bad: ********."
    assert redact("x" * 5 + form, [Secret("a/b+c <d>")], limit=10) == "xxxxx****…"
    assert redact("ab\u200bc\x00d \\u00e9t\\u00e9", [Secret("abcd"), Secret("été")], limit=100) == "******** ********"


def test_invisible_characters_of_a_path_are_escaped() -> None:
    assert escaped("/näme") == "/näme"
    assert escaped("a\x1b[2J\n\u202e\U000e0001", keep="\n") == "a\\x1b[2J\n\\u202e\\U000e0001"


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [("github", True), ("my-auth.2", True), ("ghp_abcd", False), ("Abcd", False), ("a" * 17, False), ("a1b2c3", False)],
)
def test_only_plain_words_are_repeated(text: str, is_plain: bool) -> None:
    assert is_plain_word(text) is is_plain
    assert is_plain_path(f"~/.config/{text}/x.toml") is (is_plain or text == "Abcd")
