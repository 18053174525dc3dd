"""The sandbox's own reading of signatures, against requests that the vendor's SDK signed."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from oauth_helper.sandbox.gateway import ReceivedRequest, Signature
from oauth_helper.secret import Secret

VECTORS = json.loads((Path(__file__).parent / "vectors" / "request-signing.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Signed:
    request: ReceivedRequest
    authorization: str
    secret_key: Secret

    def is_genuine(self) -> bool:
        return Signature.read(self.authorization).is_genuine(self.request, self.secret_key)

    def with_header(self, name: str, value: str) -> "Signed":
        headers = tuple((key, value if key == name else kept) for key, kept in self.request.headers)
        return replace(self, request=replace(self.request, headers=headers))


def signed(vector: dict[str, Any]) -> Signed:
    request = ReceivedRequest(
        vector["method"], vector["sent_target"], tuple(vector["headers"].items()), vector["body"].encode()
    )
    return Signed(request, vector["authorization"], Secret(vector["secret_key"]))


ALL = pytest.mark.parametrize("case", [pytest.param(signed(v), id=v["title"]) for v in VECTORS])
FIRST = signed(VECTORS[0])


def other(text: str, position: int) -> str:
    """Change one ASCII letter or digit to another."""
    return text[:position] + ("b" if text[position] == "a" else "a") + text[position + 1 :]


def test_there_are_as_many_vectors_as_the_contract_has() -> None:
    assert len(VECTORS) == 25


@ALL
def test_what_the_vendor_signed_is_genuine(case: Signed) -> None:
    assert case.is_genuine()


@ALL
def test_another_secret_key_did_not_sign_it(case: Signed) -> None:
    key = case.secret_key.reveal()
    assert not replace(case, secret_key=Secret(other(key, len(key) - 1))).is_genuine()


@ALL
def test_one_changed_character_of_the_signature_is_seen(case: Signed) -> None:
    assert not replace(case, authorization=other(case.authorization, len(case.authorization) - 1)).is_genuine()


@ALL
def test_one_changed_byte_of_the_target_is_seen(case: Signed) -> None:
    target = case.request.target
    for position in (1, 4, len(target) - 1):
        assert not replace(case, request=replace(case.request, target=other(target, position))).is_genuine()


@ALL
def test_one_changed_byte_of_the_body_is_seen(case: Signed) -> None:
    for body in (case.request.body + b" ", case.request.body[1:] or b"x"):
        assert not replace(case, request=replace(case.request, body=body)).is_genuine()


@ALL
def test_one_changed_byte_of_any_signed_header_is_seen(case: Signed) -> None:
    for name, value in case.request.headers:
        assert not case.with_header(name, other(value, len(value) - 1)).is_genuine(), name


@ALL
def test_another_method_is_seen(case: Signed) -> None:
    assert not replace(case, request=replace(case.request, method="PUT")).is_genuine()


def test_a_header_that_is_not_signed_may_say_anything() -> None:
    headers = (*FIRST.request.headers, ("User-Agent", "who knows"))
    assert replace(FIRST, request=replace(FIRST.request, headers=headers)).is_genuine()


@pytest.mark.parametrize("name", ["Host", "X-Sdk-Date"])
def test_a_signed_header_that_is_missing_or_repeated_makes_it_unreadable(name: str) -> None:
    without = tuple(header for header in FIRST.request.headers if header[0] != name)
    twice = (*FIRST.request.headers, next(header for header in FIRST.request.headers if header[0] == name))
    for headers in (without, twice):
        assert not replace(FIRST, request=replace(FIRST.request, headers=headers)).is_genuine()


def test_blanks_around_a_value_and_the_slash_at_the_end_do_not_count() -> None:
    padded = FIRST.with_header("Content-Type", " application/json\t")
    assert padded.is_genuine()
    assert replace(FIRST, request=replace(FIRST.request, target=FIRST.request.target + "/")).is_genuine()


def test_the_order_in_which_a_query_is_sent_does_not_count_but_its_values_do() -> None:
    case = signed(next(vector for vector in VECTORS if vector["title"].startswith("query order")))
    path, _, query = case.request.target.partition("?")
    pairs = query.split("&")
    for order in (reversed(pairs), sorted(pairs, key=str.lower)):
        assert replace(case, request=replace(case.request, target=f"{path}?{'&'.join(order)}")).is_genuine()
    for other_query in (query.replace("b=2", "b=1"), query.replace("&Z=", ""), query + "&b=2"):
        assert not replace(case, request=replace(case.request, target=f"{path}?{other_query}")).is_genuine()


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer abc",
        FIRST.authorization.replace("SDK-HMAC-SHA256 ", "SDK-HMAC-SM3 "),
        FIRST.authorization.replace("Access=AccessKey", "Access="),
        FIRST.authorization.replace("SHA256 Access", "SHA256, Access"),
        FIRST.authorization.replace("content-type;host", "host;content-type"),
        FIRST.authorization.replace("content-type;host", "content-type;host;host"),
        FIRST.authorization.replace("content-type;host", "Content-Type;host"),
        FIRST.authorization.replace(";x-sdk-date", ""),
        FIRST.authorization[:-1],
        FIRST.authorization + "0",
    ],
)
def test_a_header_not_written_as_the_guide_writes_it_is_refused(authorization: str) -> None:
    with pytest.raises(ValueError, match=r"signature of this|signed headers"):
        Signature.read(authorization)


def test_neither_digest_nor_body_nor_headers_show_themselves() -> None:
    signature = Signature.read(FIRST.authorization)
    assert signature.digest not in repr(signature)
    assert "application/json" not in repr(FIRST.request)
