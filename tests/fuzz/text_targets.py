"""Targets: texts and requests that come from outside: provider texts, outcomes, the keyboard, and who knocks."""

from __future__ import annotations

import json
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from fuzz.target import Target, any_text, assert_one_line
from oauth_helper.authorization import Authorization
from oauth_helper.errors import NameTakenError, RedirectRejectedError, StoppedError, UnreachableError
from oauth_helper.events import Failed, Linked
from oauth_helper.listener.gate import Gate
from oauth_helper.outcome_document import OutcomeDocumentError, read_outcome, write_outcome, write_rejection
from oauth_helper.phrase import phrase
from oauth_helper.presentable import presentable
from oauth_helper.secret import Secret
from oauth_helper.terminal.keyboard import Input, Keyboard, Kind

_REFUSALS: Final = frozenset(
    {
        "no JSON",
        "no document of an outcome",
        "an authorization without a name",
        "an error with something missing",
    }
)
_AUTHORITY: Final = "127.0.0.1:8080"
_KEY: Final = "0123456789-key-of-43-characters-0123456789_"
_DONE_KEY: Final = "done-key-of-43-characters-0123456789_012345"
_GATE: Final = Gate(_AUTHORITY, (Secret(_KEY),), Secret(_DONE_KEY))
_LET_IN: Final = {
    *(("GET", f"/start?k={_KEY}"), ("POST", f"/redirect?k={_KEY}"), ("GET", f"/outcome?k={_KEY}")),
    ("GET", f"/done?k={_DONE_KEY}"),
}
"""Beside the redirect itself, whose query is judged later."""


def check_gate(data: bytes) -> None:
    """Nothing is let in but an exact target of ours with its KEY, in a tab, from nobody else's page."""
    first, *lines = any_text(data).replace("\x7f", _KEY).replace("\x1a", _DONE_KEY).split("\n")
    method, _, target = first.partition(" ")
    pairs = [line.partition(": ")[::2] for line in lines if ": " in line]
    headers = CIMultiDictProxy(CIMultiDict(pairs))
    refused = _GATE.refusal(method, target, headers)
    if refused is not None:
        assert refused.status in {404, 405}
        return
    path = target.partition("?")[0]
    assert (method, target) in _LET_IN or (method, path) == ("GET", "/servicestage/oauth")
    assert headers.getall("Host") == [_AUTHORITY]
    assert set(headers.getall("Origin", [])) <= {f"http://{_AUTHORITY}", "null" if path == "/redirect" else ""}
    assert set(headers.getall("Sec-Fetch-Dest", [])) <= {"document"}
    assert set(headers.getall("Sec-Fetch-Mode", [])) <= {"navigate"}
    assert "Sec-Purpose" not in headers
    if path in {"/redirect", "/outcome"}:
        assert set(headers.getall("Sec-Fetch-Site", [])) <= {"same-origin", "none"}


def check_presentable(data: bytes) -> None:
    """A provider's text becomes one printable line within its limit, and stays the same when it is shown again."""
    limit = 1 + (data[0] if data else 0)
    text = (
        data[1:].decode("utf-8", "surrogatepass" if limit % 2 else "replace") if _decodes(data[1:]) else any_text(data)
    )
    shown = presentable(text, limit=limit)
    assert_one_line(shown, limit)
    assert presentable(shown, limit=limit) == shown


def _decodes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def check_outcome(data: bytes) -> None:
    """A document tells an outcome that can be told again, or is refused without a word of it."""
    try:
        outcome = read_outcome(data)
    except OutcomeDocumentError as error:
        if str(error) not in _REFUSALS:
            raise
        return
    except RedirectRejectedError as rejected:
        for text in (rejected.reason, rejected.message, rejected.hint):
            assert_one_line(text, 4000)
        return
    if isinstance(outcome, Failed):
        _check_failure(outcome)
    elif isinstance(outcome, Linked):
        assert outcome.authorization.name
        again = read_outcome(write_outcome(outcome))
        assert isinstance(again, Linked)
        assert repr(again) == repr(outcome)


def _check_failure(outcome: Failed) -> None:
    error = outcome.error
    assert_one_line(str(error), 4000)
    for text in (error.message, error.hint):
        assert_one_line(text, 4000)
    assert type(error.exit_status) is int
    assert 1 <= error.exit_status <= 255
    assert all(value.isprintable() for value in vars(error).values() if isinstance(value, str))
    again = read_outcome(write_outcome(outcome))
    assert isinstance(again, Failed)
    assert type(again.error) is type(error)
    assert json.dumps(again.error.to_json()) == json.dumps(error.to_json())
    assert again.error.exit_status == error.exit_status


def check_keyboard(data: bytes) -> None:
    """The same bytes mean the same wherever they are cut, and none of them confuse the keyboard for ever."""
    size, data = 1 + (data[0] % 16 if data else 0), data[1:]
    whole, cut = Keyboard(), Keyboard()
    at_once = whole.feed(data)
    in_pieces = [each for start in range(0, len(data), size) for each in cut.feed(data[start : start + size])]
    assert _merged(in_pieces) == _merged(at_once)
    assert cut.paste_is_open == whole.paste_is_open
    whole.feed(b"\x1b[201~" * 2)
    assert whole.feed(b"\x1b[200~whole\x1b[201~")[-1] == Input(Kind.PASTE, "whole")


def _merged(inputs: list[Input]) -> list[Input]:
    """Typed text may come in any number of pieces."""
    merged: list[Input] = []
    for each in inputs:
        if merged and each.kind is merged[-1].kind is Kind.TEXT:
            merged[-1] = Input(Kind.TEXT, merged[-1].text + each.text)
        elif each.text or each.kind is not Kind.TEXT:
            merged.append(each)
    return merged


_OUTCOMES: Final = (
    write_outcome(None),
    write_outcome(Linked(Authorization("my-auth", "github", status=0), kept=True)),
    write_outcome(Failed(NameTakenError(phrase("taken"), code="SVCSTG.REPO.0403", request_id="r-1"))),
    write_outcome(Failed(UnreachableError(phrase("gone"), sent=True, status=None))),
    write_outcome(Failed(StoppedError(phrase("stopped"), signal_number=15))),
    write_rejection(RedirectRejectedError("foreign-state", phrase("no"))),
)
_REQUESTS: Final = (
    b"GET /start?k=\x7f\nHost: 127.0.0.1:8080\nSec-Fetch-Dest: document\nSec-Fetch-Mode: navigate",
    b"POST /redirect?k=\x7f\nHost: 127.0.0.1:8080\nOrigin: null\nSec-Fetch-Site: same-origin",
    b"GET /done?k=\x1a\nHost: 127.0.0.1:8080",
    b"GET /outcome?k=\x7f\nHost: 127.0.0.1:8080\nSec-Fetch-Site: none",
    b"GET /servicestage/oauth?code=a&state=b\nHost: 127.0.0.1:8080\nReferer: https://github.com/",
)

TARGETS: Final = {
    "outcome": Target(
        check_outcome,
        tuple(text.encode() for text in _OUTCOMES),
        (
            *(b"outcome", b"waiting", b"linked", b"failed", b"rejected", b"error", b"kind", b"exit_status", b"message"),
            *(b"hint", b"code", b"request_id", b"sent", b"status", b"reason", b"description", b"fault", b"denied"),
            *(
                b"stopped",
                b"redirect-rejected",
                b"unreachable",
                b"args",
                b"__class__",
                b"to_json",
                b"\\ud800",
                b"1e999",
            ),
        ),
    ),
    "keyboard": Target(
        check_keyboard,
        (
            b"\x03" + b"\x1b[200~pasted\r\n\x15\x04 text\x1b[201~" + b"typed\r",
            b"\x00\xc3\xa4\xe2\x82\xac\x7f\x15\x04\x1b[1;5C\x1bOA",
        ),
        (
            b"\x1b[200~",
            b"\x1b[201~",
            b"\x1b",
            b"\x1b[",
            b"\x1bO",
            b"\x1b[?1;2c",
            b"0" * 40,
            b"\xe2\x82\xac",
            b"\xf0\x9f",
        ),
    ),
    "gate": Target(
        check_gate,
        _REQUESTS,
        (
            *(
                b"GET ",
                b"POST ",
                b"HEAD ",
                b"/start",
                b"/redirect",
                b"/outcome",
                b"/done",
                b"/servicestage/oauth",
                b"?k=",
            ),
            *(
                b"\x7f",
                b"\x1a",
                b"&",
                b"%2f",
                b"//",
                b"\nHost: 127.0.0.1:8080",
                b"\nHost: localhost:8080",
                b"\nOrigin: null",
            ),
            *(
                b"\nOrigin: http://127.0.0.1:8080",
                b"\nSec-Fetch-Site: cross-site",
                b"\nSec-Purpose: prefetch",
                b"\xed\xa0\x80",
            ),
        ),
    ),
    "presentable": Target(
        check_presentable,
        (
            b"\x40plain text",
            b"\x0a" + "x\x1b[2J\r\n\u202e\u3000\U0001f600".encode(),
            b"\x01\xed\xa0\x80 \xc2\xa0\xe2\x80\xa8",
        ),
        (
            b"\t",
            b"\r\n",
            b"\x1b[",
            b"\xe2\x80\xae",
            b"\xed\xa0\x80",
            b"\xee\x80\x80",
            b"\xf3\xa0\x81\x81",
            b"\xc2\xa0",
            b"\xe2\x80\xa6",
        ),
    ),
}
