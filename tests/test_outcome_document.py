"""How a story ended, told by one run to another: every error there is, there and back, hostile texts included."""

import inspect
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import RECORD, error_classes

from oauth_helper.errors import (
    AuthorizationDeniedError,
    NameTakenError,
    OAuthHelperError,
    RedirectRejectedError,
    RefusedError,
    StoppedError,
    UnavailableError,
)
from oauth_helper.events import Failed, Linked
from oauth_helper.i18n import Text, _
from oauth_helper.models import Authorization
from oauth_helper.secret import safe_text
from oauth_helper.single_instance import OutcomeDocumentError, read_outcome, write_outcome, write_rejection

HOSTILE = "\x1b]0;owned\x07\r\nerror: \u202eforged\ud800 <script>"
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
PLAIN_TEXTS = TEXTS.map(safe_text)
BY_NAME = {
    "sent": st.booleans(),
    "status": st.none() | st.integers(100, 599),
    "signal_number": st.sampled_from([1, 2, 15]),
}
MAY_BE_NONE = frozenset({"code", "request_id"})


@st.composite
def errors_of(draw: st.DrawFn, error_class: type[OAuthHelperError], texts: st.SearchStrategy[str]) -> OAuthHelperError:
    """An error of this class as its constructor makes it, with every argument that it takes."""
    given_to: dict[str, object] = {}
    for name, parameter in inspect.signature(error_class).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            given_to |= {each: draw(st.none() | texts) for each in ("hint", *sorted(MAY_BE_NONE))}
        else:
            given_to[name] = draw(BY_NAME.get(name, st.none() | texts if name in {"hint", *MAY_BE_NONE} else texts))
    return error_class(**given_to)  # type: ignore[arg-type]  # what the signature itself names


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda each: each.__name__)
@given(data=st.data())
def test_an_error_comes_back_as_it_was(error_class: type[OAuthHelperError], data: st.DataObject) -> None:
    error = data.draw(errors_of(error_class, PLAIN_TEXTS))
    told = read_outcome(write_outcome(Failed(error)))
    assert isinstance(told, Failed)
    assert type(told.error) is error_class
    status = {"exit_status": error.exit_status}
    assert vars(told.error) | status == vars(error) | status
    assert told.error.exit_status == error.exit_status
    assert (str(told.error), told.error.args) == (error.message, (error.message,))
    assert told.error.to_json() == error.to_json()


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda each: each.__name__)
@given(data=st.data())
def test_hostile_text_is_one_line_without_controls_when_it_arrives(
    error_class: type[OAuthHelperError], data: st.DataObject
) -> None:
    error = data.draw(errors_of(error_class, TEXTS | st.just(HOSTILE)))
    told = read_outcome(write_outcome(Failed(error)).encode())
    assert isinstance(told, Failed)
    texts = [value for value in vars(told.error).values() if isinstance(value, str)]
    assert len(texts) >= 2
    assert all(text.isprintable() for text in (*texts, str(told.error)))


def test_the_status_of_a_run_that_a_signal_ended_is_told() -> None:
    told = read_outcome(write_outcome(Failed(StoppedError(_("Hung up"), signal_number=1))))
    assert isinstance(told, Failed)
    assert told.error.exit_status == 129


def test_a_message_that_grew_after_the_error_was_made_is_told_whole() -> None:
    error = AuthorizationDeniedError("access_denied", "no")
    error.message += ". The authorization that was named my-auth is deleted"
    told = read_outcome(write_outcome(Failed(error)))
    assert isinstance(told, Failed)
    assert str(told.error) == error.message
    assert vars(told.error) == vars(error)


def test_what_an_error_keeps_for_itself_is_not_told() -> None:
    error = NameTakenError(_("taken"))
    vars(error).update(_private="canary", cause=ValueError("canary"), several=["canary"])
    error.add_note("canary")
    assert "canary" not in write_outcome(Failed(error))


@pytest.mark.parametrize("kept", [True, False])
def test_an_authorization_comes_back_with_every_field_of_the_record(kept: bool) -> None:
    linked = Linked(Authorization.from_json(RECORD | {"repo_user": HOSTILE}), kept)
    told = read_outcome(write_outcome(linked))
    assert told == linked
    assert isinstance(told, Linked)
    assert told.authorization.to_json() == RECORD | {"repo_user": HOSTILE}


def test_an_authorization_of_our_own_making_comes_back_too() -> None:
    linked = Linked(Authorization("my-auth", "github", status=0))
    assert read_outcome(write_outcome(linked)) == linked


def test_that_the_end_is_waited_for_is_told() -> None:
    assert json.loads(write_outcome(None)) == {"outcome": "waiting"}
    assert read_outcome(write_outcome(None)) is None


@given(TEXTS, TEXTS)
def test_a_rejection_is_raised_where_it_arrives(message: str, hint: str) -> None:
    with pytest.raises(RedirectRejectedError) as caught:
        read_outcome(write_rejection(RedirectRejectedError("foreign-state", Text(message), hint=Text(hint))))
    assert caught.value.reason == "foreign-state"
    assert caught.value.message == safe_text(message)
    assert caught.value.hint == (safe_text(hint) or RedirectRejectedError.default_hint)


def failure(**facts: object) -> str:
    """The document of a refusal, changed."""
    told = {"kind": "refused", "message": "No.", "hint": "Try `list`.", "exit_status": 6}
    return json.dumps({"outcome": "failed", "error": told | facts})


def error_in(document: str) -> OAuthHelperError:
    told = read_outcome(document)
    assert isinstance(told, Failed)
    return told.error


def test_an_error_of_a_kind_from_the_future_keeps_words_and_status() -> None:
    error = error_in(failure(kind="brand-new", exit_status=42, code="SVCSTG.REPO.0499"))
    assert type(error) is OAuthHelperError
    assert (error.message, error.hint, error.exit_status, error.code) == ("No.", "Try `list`.", 42, "SVCSTG.REPO.0499")


def test_a_class_that_gives_itself_no_kind_comes_back_as_the_one_it_is_of() -> None:
    class PickyError(RefusedError):
        """Its word is its parent's."""

    assert type(error_in(write_outcome(Failed(PickyError(_("No.")))))) is RefusedError


@pytest.mark.parametrize("status", [0, -1, 256, True, "6", None, 6.0])
def test_a_status_that_is_none_is_not_taken(status: object) -> None:
    assert error_in(failure(exit_status=status)).exit_status == 6


@pytest.mark.parametrize("name", ["args", "with_traceback", "to_json", "default_hint", "__class__", "_hidden"])
def test_nothing_of_the_class_is_overwritten(name: str) -> None:
    error = error_in(failure(**{name: "planted"}))
    assert name not in vars(error)
    assert error.args == ("No.",)


def incomplete() -> Iterator[str]:
    """Errors that lack what their class is never without."""
    for error in (
        RefusedError(_("No.")),
        RedirectRejectedError("no-redirect", _("No.")),
        AuthorizationDeniedError("access_denied"),
        UnavailableError(_("No."), sent=True),
    ):
        whole = json.loads(write_outcome(Failed(error)))
        for name in {"message", "hint", "reason", "error", "sent"} & whole["error"].keys():
            yield json.dumps(whole | {"error": {key: value for key, value in whole["error"].items() if key != name}})


@pytest.mark.parametrize(
    "document",
    [
        "",
        b"\xff\xfe",
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        '"linked"',
        '{"outcome": "won"}',
        '{"outcome": ["waiting"]}',
        '{"outcome": "linked"}',
        '{"outcome": "linked", "kept": 1, "authorization": {"name": "n"}}',
        '{"outcome": "linked", "kept": false, "authorization": {}}',
        '{"outcome": "linked", "kept": false, "authorization": []}',
        '{"outcome": "failed"}',
        '{"outcome": "failed", "error": {}}',
        '{"outcome": "rejected", "reason": "no-redirect"}',
        failure(message=None),
        failure(message=["No."]),
        failure(hint=7),
        *incomplete(),
    ],
)
def test_what_is_no_such_document_is_said_to_be_none_and_not_repeated(document: str | bytes) -> None:
    with pytest.raises(OutcomeDocumentError) as caught:
        read_outcome(document)
    assert len(str(caught.value)) < 50


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: (
            st.lists(each)
            | st.dictionaries(
                st.sampled_from(["outcome", "error", "kind", "message", "hint", "kept", "authorization", "name"]), each
            )
        ),
    )
)
def test_any_json_is_read_or_refused(told: object) -> None:
    try:
        outcome = read_outcome(json.dumps(told))
    except (OutcomeDocumentError, RedirectRejectedError):
        return
    assert outcome is None or isinstance(outcome, Linked | Failed)
