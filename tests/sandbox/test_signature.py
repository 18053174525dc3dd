"""Signatures in the sandbox: those of the vendor's SDK are accepted, and every change is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from oauth_helper.sandbox.gateway import parse_authorization, verify_signature
from oauth_helper.secret import Secret

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "request-signing.json").read_text(encoding="utf-8"))
FIRST = VECTORS[0]


def is_genuine(case: dict[str, Any], **changes: Any) -> bool:
    case = case | changes
    authorization = parse_authorization(case["authorization"])
    assert authorization
    request = make_mocked_request(case["method"], case["sent_target"], CIMultiDict(case["headers"]))
    return verify_signature(request, case["body"].encode(), authorization, Secret(case["secret_key"]))


def other(text: str, position: int = -1) -> str:
    """Change one ASCII letter or digit to another."""
    position %= len(text)
    return text[:position] + ("b" if text[position] == "a" else "a") + text[position + 1 :]


@pytest.mark.parametrize("case", VECTORS, ids=lambda vector: vector["title"])
def test_a_vendors_signature_is_genuine_and_every_change_is_noticed(case: dict[str, Any]) -> None:
    assert is_genuine(case)
    headers = case["headers"]
    changes = [
        *({name: other(case[name])} for name in ("secret_key", "authorization")),
        *({"sent_target": other(case["sent_target"], position)} for position in (1, 4, -1)),
        *({"body": body} for body in (case["body"] + " ", case["body"][1:] or "x")),
        {"method": "PUT"},
        *({"headers": headers | {name: other(value)}} for name, value in headers.items()),
    ]
    assert not [change for change in changes if is_genuine(case, **change)]


@pytest.mark.parametrize("name", ["Host", "X-Sdk-Date"])
def test_a_signed_header_must_be_there_once(name: str) -> None:
    pairs = list(FIRST["headers"].items())
    header = (name, FIRST["headers"][name])
    assert not is_genuine(FIRST, headers=[pair for pair in pairs if pair != header])
    assert not is_genuine(FIRST, headers=[*pairs, header])


def test_spaces_a_final_slash_and_unsigned_headers_do_not_matter() -> None:
    headers = FIRST["headers"] | {"Content-Type": " application/json\t", "User-Agent": "anything"}
    assert is_genuine(FIRST, headers=headers, sent_target=FIRST["sent_target"] + "/")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (FIRST["authorization"], "Bearer abc"),
        ("SDK-HMAC-SHA256 ", "SDK-HMAC-SM3 "),
        ("Access=AccessKey", "Access="),
        ("content-type;host", "host;content-type"),
        ("content-type;host", "content-type;host;host"),
        ("content-type;host", "Content-Type;host"),
        (";x-sdk-date", ""),
        ("Signature=", "Signature=0"),
    ],
)
def test_a_header_in_another_form_is_refused(old: str, new: str) -> None:
    changed = FIRST["authorization"].replace(old, new)
    assert changed != FIRST["authorization"]
    assert parse_authorization(changed) is None
