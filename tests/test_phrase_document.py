"""Words that one run tells another: said there in its own language, and harmless whatever they are made of."""

import ast
import json
from datetime import UTC, datetime
from gettext import NullTranslations
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_helper.errors import DeadlineError, OAuthHelperError, RedirectRejectedError
from oauth_helper.events import Failed
from oauth_helper.i18n import NO_TEXT, Text, _, ngettext
from oauth_helper.secret import Secret
from oauth_helper.single_instance import read_outcome, read_phrase, write_outcome, write_phrase, write_rejection

PACKAGE = Path(__file__).parent.parent / "oauth_helper"


UNFIT_VALUES: list[Any] = ["\x1b", "x" * 4001, 10**20, float("nan"), {}, [], [1]]


class Shouting(NullTranslations):
    """A language in which every template is known: its words in capitals, its fields as they are."""

    def gettext(self, message: str) -> str:
        assert message, "under the empty name a catalog tells of itself"
        return "".join(
            text.upper()
            + ("" if name is None else f"{{{name}{f'!{kind}' if kind else ''}{f':{form}' if form else ''}}}")
            for text, name, form, kind in Formatter().parse(message)
        )

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def there_and_back(words: Text) -> Text:
    return read_phrase(json.loads(json.dumps(write_phrase(words))), words)


@pytest.mark.parametrize(
    ("words", "shouted"),
    [
        (_("plain"), "PLAIN"),
        (_("{name} is {what}", name="my-auth", what=_("taken")), "my-auth IS TAKEN"),
        (_("within {seconds:g} s", seconds=2.5) + _(". Stop"), "WITHIN 2.5 S. STOP"),
        (_("{took:.0f} ms", took=12.6), "13 MS"),
        (_("it says {text!r}", text="no"), "IT SAYS 'no'"),
        (ngettext("{count} thing of {owner}", "{count} things of {owner}", 2, owner="ada"), "2 THINGS OF ada"),
        (Text("as it is"), "as it is"),
        (_("{path} is there", path=Path("/x")), "/x IS THERE"),
        (_("at {when:%H:%M}", when=datetime(2026, 1, 31, 9, 41, tzinfo=UTC)), "at 09:41"),
    ],
)
def test_words_come_back_so_that_they_can_be_said_in_another_language(words: Text, shouted: str) -> None:
    back = there_and_back(words)
    assert back == words
    assert back.translated(Shouting()) == shouted


def test_an_error_is_said_in_the_language_of_who_reads_of_it() -> None:
    error = DeadlineError(_("No redirect came within {seconds:g} seconds", seconds=600))
    told = read_outcome(write_outcome(Failed(error)))
    assert isinstance(told, Failed)
    assert told.error.message.translated(Shouting()) == "NO REDIRECT CAME WITHIN 600 SECONDS"
    assert told.error.hint.translated(Shouting()).startswith("NOTHING WAS CREATED. RUN")
    with pytest.raises(RedirectRejectedError) as caught:
        read_outcome(write_rejection(RedirectRejectedError("no-redirect", _("There is none"))))
    assert caught.value.message.translated(Shouting()) == "THERE IS NONE"


def test_what_is_secret_stays_behind_its_stars_and_what_is_not_said_is_not_told() -> None:
    words = _("{secret} and {again!r}", secret=Secret("canary"), again=Secret("canary"), unsaid="canary")
    assert "canary" not in json.dumps(write_phrase(words))


def test_no_words_are_no_words() -> None:
    assert write_phrase(NO_TEXT) == write_phrase("text") == []
    assert there_and_back(NO_TEXT) == ""


def sentence(template: object, **more: Any) -> list[dict[str, Any]]:
    return [{"template": template, "values": {"a": "x", "n": 1}} | more]


def nested(times: int) -> list[dict[str, Any]]:
    told = sentence("x")
    for _unused in range(times):
        told = sentence("{a}", values={"a": told})
    return told


@pytest.mark.parametrize(
    "told",
    [
        *(None, "x", 7, {}, [], ["x"], [{}], [{"template": "x"}], sentence("x") * 65),
        *map(sentence, ("", None, ["x"], "{", "}", "{}", "{0}", "{missing}", "{a.upper}", "{a[0]}", "{a!a}", "{A}")),
        *map(sentence, ("{__class__}", "{a:>999999999}", "{n:999999999d}", "{n:{n}}", "{n!r:02}", "{a:g}", "{a:%s}")),
        *map(sentence, ("\x1b[2J", "a\nb", "\u202ex", "x" * 4001, "\ud800")),
        *(sentence("x", plural=7, count=1), sentence("x", plural="{b}", count=2), sentence("x", plural="")),
        *(sentence("x", plural="y", count=each) for each in (None, True, -1, 10**20, 1.5, "1")),
        *(sentence("{a}", values={"a": each}) for each in UNFIT_VALUES),
        sentence("{a}" * 1300, values={"a": "x" * 4000}),
        sentence("x", values={f"a{number}": 1 for number in range(65)}),
        nested(9),
    ],
    ids=lambda told: str(told)[:60],
)
def test_what_we_would_not_write_is_not_taken(told: object) -> None:
    told = json.loads(json.dumps(told))
    words = read_phrase(told, "as it stands")
    assert words == "as it stands"
    assert words.translated(Shouting()) == "as it stands"


def test_nobody_reads_another_sentence_than_the_english_one() -> None:
    told = write_phrase(_("All is well"))
    assert read_phrase(told, "The link failed").translated(Shouting()) == "The link failed"


KEYS = st.sampled_from(["template", "values", "plural", "count", "a"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(KEYS, each),
)
FIELDS = st.sampled_from(
    ["{a}", "{n:g}", "{n:.0f}", "{n:02}", "{a!r}", "{b}", "{", "}", "{{", "{a:{n}}", "{a.b}", "words "]
)
SENTENCES = st.fixed_dictionaries(
    {"template": st.lists(FIELDS).map("".join) | JSON, "values": st.dictionaries(st.sampled_from("abn"), JSON)},
    optional={"plural": st.lists(FIELDS).map("".join) | JSON, "count": st.integers() | JSON},
)


@given(JSON | st.lists(SENTENCES | JSON), st.text())
def test_whatever_comes_is_said_or_left(told: object, english: str) -> None:
    words = read_phrase(told, english)
    assert words == english
    assert isinstance(words.translated(Shouting()), str)


@given(st.lists(SENTENCES, min_size=1, max_size=3))
def test_what_is_made_of_parts_says_what_they_say(told: list[dict[str, Any]]) -> None:
    try:
        english = "".join(each["template"].format(**each["values"]) for each in told)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError):
        english = "cannot be said"
    assert read_phrase(told, english).translated(NullTranslations()) == english


def literals() -> list[str]:
    """All that our words are made of."""
    nodes = [node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    ours = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in {"_", "ngettext"}]
    return [each.value for call in ours for each in call.args if isinstance(each, ast.Constant)]  # type: ignore[misc]


def test_every_form_of_a_value_in_our_words_is_one_that_is_carried_or_a_time() -> None:
    forms = {form for text in literals() for _, _, form, _ in Formatter().parse(text) if form}
    assert {form for form in forms if "%" not in form} <= {"02", "g", ".0f", ".1f"}


def test_an_old_documents_words_are_taken_as_they_stand() -> None:
    told = json.loads(write_outcome(Failed(OAuthHelperError(_("No")))))
    del told["error"]["phrases"]
    outcome = read_outcome(json.dumps(told))
    assert isinstance(outcome, Failed)
    assert outcome.error.message.translated(Shouting()) == "No"
