"""Signatures in the sandbox: those of the vendor's SDK are accepted, and every change is noticed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from oauth_helper.sandbox.gateway import parse_authorization, verify_signature
from oauth_helper.secret import Secret

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "request-signing.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Signed:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    authorization: str
    secret_key: str

    @property
    def is_genuine(self) -> bool:
        authorization = parse_authorization(self.authorization)
        assert authorization
        request = make_mocked_request(self.method, self.target, CIMultiDict(self.headers))
        return verify_signature(request, self.body, authorization, Secret(self.secret_key))

    def with_header(self, name: str, value: str) -> Signed:
        return replace(self, headers=tuple((key, value if key == name else old) for key, old in self.headers))


def signed(vector: dict[str, Any]) -> Signed:
    return Signed(
        vector["method"],
        vector["sent_target"],
        tuple(vector["headers"].items()),
        vector["body"].encode(),
        vector["authorization"],
        vector["secret_key"],
    )


FIRST = signed(VECTORS[0])


def other(text: str, position: int) -> str:
    """Change one ASCII letter or digit to another."""
    return text[:position] + ("b" if text[position] == "a" else "a") + text[position + 1 :]


@pytest.mark.parametrize("case", [pytest.param(signed(vector), id=vector["title"]) for vector in VECTORS])
def test_a_vendors_signature_is_genuine_and_every_change_is_noticed(case: Signed) -> None:
    assert case.is_genuine
    last = len(case.secret_key) - 1, len(case.authorization) - 1, len(case.target) - 1
    changed = [
        replace(case, secret_key=other(case.secret_key, last[0])),
        replace(case, authorization=other(case.authorization, last[1])),
        *(replace(case, target=other(case.target, position)) for position in (1, 4, last[2])),
        replace(case, body=case.body + b" "),
        replace(case, body=case.body[1:] or b"x"),
        replace(case, method="PUT"),
        *(case.with_header(name, other(value, len(value) - 1)) for name, value in case.headers),
    ]
    assert not [each for each in changed if each.is_genuine]


@pytest.mark.parametrize("name", ["Host", "X-Sdk-Date"])
def test_a_signed_header_must_be_there_once(name: str) -> None:
    (header,) = (header for header in FIRST.headers if header[0] == name)
    assert not replace(FIRST, headers=tuple(each for each in FIRST.headers if each != header)).is_genuine
    assert not replace(FIRST, headers=(*FIRST.headers, header)).is_genuine


def test_spaces_a_final_slash_and_unsigned_headers_do_not_matter() -> None:
    assert FIRST.with_header("Content-Type", " application/json\t").is_genuine
    assert replace(FIRST, target=FIRST.target + "/").is_genuine
    assert replace(FIRST, headers=(*FIRST.headers, ("User-Agent", "anything"))).is_genuine


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (FIRST.authorization, ""),
        (FIRST.authorization, "Bearer abc"),
        ("SDK-HMAC-SHA256 ", "SDK-HMAC-SM3 "),
        ("Access=AccessKey", "Access="),
        ("SHA256 Access", "SHA256, Access"),
        ("content-type;host", "host;content-type"),
        ("content-type;host", "content-type;host;host"),
        ("content-type;host", "Content-Type;host"),
        (";x-sdk-date", ""),
        ("Signature=", "Signature=0"),
    ],
)
def test_a_header_in_another_form_is_refused(old: str, new: str) -> None:
    changed = FIRST.authorization.replace(old, new)
    assert changed != FIRST.authorization
    assert parse_authorization(changed) is None
