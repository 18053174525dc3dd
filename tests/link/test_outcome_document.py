"""How one process tells another one the outcome of its link: every error, both ways, with hostile texts."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models.examples import TEXTS, error_classes, errors_of

from oauth_helper.errors import (
    AuthorizationDeniedError,
    OAuthHelperError,
    RedirectRejectedError,
    RefusedError,
    StoppedError,
)
from oauth_helper.events import Captured, Failed, Linked, Way
from oauth_helper.i18n import Language, Text, _, catalog_of
from oauth_helper.models import Authorization
from oauth_helper.secret import safe_text
from oauth_helper.single_instance import read_outcome, write_outcome

HOSTILE = "\x1b]0;owned\x07\r\nerror: \u202eforged\ud800 <script>"
RECORD = {"name": "my-auth", "repo_type": "github", "repo_user": HOSTILE, "status": 0, "something_new": {"kept": True}}


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda each: each.__name__)
@given(data=st.data())
def test_an_error_arrives_as_it_was(error_class: type[OAuthHelperError], data: st.DataObject) -> None:
    error = data.draw(errors_of(error_class, TEXTS.map(safe_text)))
    read = error_in(write_outcome(Failed(error)))
    assert type(read) is error_class
    assert vars(read) == vars(error) | {"exit_status": error.exit_status}
    assert (str(read), read.args) == (error.message, (error.message,))
    assert read.to_json() == error.to_json()


@given(TEXTS | st.just(HOSTILE))
def test_hostile_text_arrives_as_one_line_without_controls(text: str) -> None:
    error = error_in(write_outcome(Failed(RefusedError(Text(text), hint=Text(text), code=text, request_id=text))))
    texts = [value for value in vars(error).values() if isinstance(value, str)]
    assert len(texts) == 5
    assert all(shown.isprintable() for shown in (*texts, str(error)))


def test_a_message_in_parts_arrives_whole_and_in_the_asked_language() -> None:
    error = AuthorizationDeniedError("access_denied", "no")
    error.message += ". The authorization that was named my-auth is deleted"
    for language in Language:
        read = error_in(write_outcome(Failed(error), language))
        assert str(read) == error.message.translated(catalog_of(language))
        assert read.hint == error.hint.translated(catalog_of(language))


def test_private_attributes_and_objects_are_not_written() -> None:
    error = RefusedError(_("No."))
    vars(error).update(_private="canary", cause=ValueError("canary"), several=["canary"])
    error.add_note("canary")
    assert "canary" not in write_outcome(Failed(error))


@pytest.mark.parametrize("kept", [True, False])
def test_an_authorization_arrives_with_every_field_of_the_record(kept: bool) -> None:
    linked = Linked(Authorization.from_json(RECORD), kept)
    read = read_outcome(write_outcome(linked))
    assert read == linked
    assert isinstance(read, Linked)
    assert read.authorization.to_json() == RECORD
    assert read_outcome(write_outcome(None)) is None
    assert read_outcome(write_outcome(Captured(Way.DELIVER))) == Captured(Way.DELIVER)


@given(TEXTS, TEXTS)
def test_a_rejection_is_raised(message: str, hint: str) -> None:
    with pytest.raises(RedirectRejectedError) as caught:
        read_outcome(write_outcome(RedirectRejectedError("foreign-state", Text(message), hint=Text(hint))))
    assert caught.value.reason == "foreign-state"
    assert caught.value.message == safe_text(message)
    assert caught.value.hint == (safe_text(hint) or RedirectRejectedError.default_hint)


def failure(**facts: object) -> str:
    """The document of a refusal, changed."""
    written = {"kind": "refused", "message": "No.", "hint": "Try `list`.", "exit_status": 6, "facts": {}}
    return json.dumps({"outcome": "failed", "error": written | facts})


def error_in(document: str) -> OAuthHelperError:
    read = read_outcome(document)
    assert isinstance(read, Failed)
    return read.error


def test_an_unknown_kind_keeps_its_texts_and_status() -> None:
    error = error_in(failure(kind="brand-new", exit_status=42, facts={"code": "SVCSTG.REPO.0499"}))
    assert type(error) is OAuthHelperError
    assert (error.message, error.hint, error.exit_status, error.code) == ("No.", "Try `list`.", 42, "SVCSTG.REPO.0499")


def test_a_class_without_a_kind_of_its_own_arrives_as_its_parent() -> None:
    class PickyError(RefusedError):
        """It has its parent's kind."""

    assert type(error_in(write_outcome(Failed(PickyError(_("No.")))))) is RefusedError
    assert error_in(write_outcome(Failed(StoppedError(_("Hung up"), signal_number=1)))).exit_status == 129


def documents_of_other_kinds() -> Iterator[str | bytes]:
    yield from ("", b"\xff\xfe", "[" * 100_000, "null", "[]", "{}", '"linked"')
    yield from (json.dumps({"outcome": outcome}) for outcome in ("won", ["waiting"], "linked", "failed"))
    record = {"name": "n"}
    yield json.dumps({"outcome": "linked", "kept": 1, "authorization": record})
    yield from (f'{{"outcome": "linked", "kept": false, "authorization": {other}}}' for other in ("{}", "[]"))
    yield json.dumps({"outcome": "failed", "error": {}})
    yield from (failure(message=None), failure(message=["No."]), failure(hint=7))
    yield from (failure(exit_status=status) for status in (0, -1, 256, True, "6"))


@pytest.mark.parametrize("document", list(documents_of_other_kinds()))
def test_another_document_is_an_error_that_does_not_repeat_it(document: str | bytes) -> None:
    with pytest.raises(ValueError, match="an outcome") as caught:
        read_outcome(document)
    assert len(str(caught.value)) < 50
