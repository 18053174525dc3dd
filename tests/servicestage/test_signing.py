"""Signatures: the vendor's vectors, the vectors of its SDKs, and its SDK itself for any other request."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given
from hypothesis import strategies as st
from support.fake_servicestage import KEY, PROJECT, FakeServiceStage, answering

from oauth_helper.credentials import AccessKey
from oauth_helper.servicestage.signing import canonical_query, encode, request_target, sign
from oauth_helper.servicestage.transport import Transport

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "request-signing.json").read_text(encoding="utf-8"))

ADDED_BY_US = {"X-Sdk-Date", "X-Security-Token"}


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _signature(headers: dict[str, str]) -> str:
    return headers["Authorization"].rpartition("Signature=")[2]


def _signed_names(headers: dict[str, str]) -> str:
    return headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["title"])
def test_a_request_is_signed_and_sent_as_the_vendors_sdk_does(vector: dict[str, Any]) -> None:
    given_headers = vector["headers"]
    query = [(name, value) for name, value in vector["query"]]
    headers = sign(
        AccessKey(vector["access_key"], vector["secret_key"], given_headers.get("X-Security-Token")),
        method=vector["method"],
        path=vector["path"],
        query=query,
        headers={name: value for name, value in given_headers.items() if name not in ADDED_BY_US},
        body=vector["body"].encode(),
        now=_moment(given_headers["X-Sdk-Date"]),
    )
    assert headers == {**given_headers, "Authorization": vector["authorization"]}
    assert request_target(vector["path"], query) == vector["sent_target"]


PYTHON_SDK = {"Host": "service.endpoint.myhuaweicloud.com", "TEST_UNDERSCORE": "ignored"}


@pytest.mark.parametrize(
    ("method", "body", "signature"),
    [
        ("GET", b"", "cfb4171acec81de07d50e53d57eb77edd537414d66ddb1d7d780f128e12cd842"),
        (
            "POST",
            b'{"name":"test","id":1}',
            "436b1ac0a1ae03705934bb70ef2f2e09f7bfed2117d731a38235053199323a1f",
        ),
    ],
)
def test_a_header_with_an_underscore_is_sent_but_not_signed(method: str, body: bytes, signature: str) -> None:
    headers = sign(
        AccessKey("AccessKey", "SecretKey"),
        method=method,
        path="/resources",
        query=[("size", "1")],
        headers=PYTHON_SDK,
        body=body,
        now=_moment("20200608T023900Z"),
    )
    assert _signature(headers) == signature
    assert _signed_names(headers) == "host;x-sdk-date"
    assert headers["TEST_UNDERSCORE"] == "ignored"


@pytest.mark.parametrize(
    ("method", "query", "body", "signature"),
    [
        ("get", ("limit", "1"), b"", "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624"),
        (
            "POST",
            ("key", "value"),
            b'{"Name":"test","Id":1}\n',
            "cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59",
        ),
    ],
)
def test_the_date_alone_can_be_signed(method: str, query: tuple[str, str], body: bytes, signature: str) -> None:
    now = _moment("20060102T150405Z").astimezone(timezone(timedelta(hours=8)))
    key = AccessKey("AccessKey", "SecretKey")
    headers = sign(key, method=method, path="/path", query=[query], headers={}, body=body, now=now)
    assert headers["X-Sdk-Date"] == "20060102T150405Z"
    assert _signature(headers) == signature


def test_the_signing_guides_own_example_comes_out() -> None:
    headers = sign(
        AccessKey("QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"),
        method="GET",
        path="/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
        query=[("limit", "2"), ("marker", "13551d6b-755d-4757-b956-536f674975c0")],
        headers={"content-type": "application/json", "host": "service.region.example.com"},
        body=b"",
        now=_moment("20191115T033655Z"),
    )
    assert _signature(headers) == "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"


def test_a_parameter_with_several_values_is_repeated_in_order() -> None:
    query = [
        ("limit", "1"),
        ("enable", "true"),
        ("test", "一 (&=?!#%.*)"),
        ("multi", "3"),
        ("multi", "1"),
        ("multi", "2"),
    ]
    assert canonical_query(query) == (
        "enable=true&limit=1&multi=1&multi=2&multi=3&test=%E4%B8%80%20%28%26%3D%3F%21%23%25.%2A%29"
    )


def test_the_keys_do_not_show_in_what_is_signed() -> None:
    key = AccessKey("AccessKey", "SecretKey")
    headers = sign(key, method="GET", path="/", query=[], headers={}, body=b"", now=_moment("20240102T030405Z"))
    assert "SecretKey" not in str(headers)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)

SEGMENTS = st.lists(TEXT.map(encode), max_size=4).map(lambda segments: "/" + "/".join(segments))


@given(
    path=SEGMENTS,
    query=st.lists(st.tuples(TEXT, TEXT), max_size=4),
    value=TEXT,
    body=st.binary(max_size=30),
    secret=TEXT.filter(bool),
)
def test_any_request_is_signed_as_the_vendors_sdk_signs_it(
    path: str, query: list[tuple[str, str]], value: str, body: bytes, secret: str
) -> None:
    shared = {"Host": "example.com:8443", "Content-Type": "application/json", "X-Repo-Auth": value}
    now = _moment("20240102T030405Z")
    ours = sign(
        AccessKey("AccessKey", secret), method="PUT", path=path, query=query, headers=shared, body=body, now=now
    )
    request = SdkRequest(
        method="PUT",
        resource_path=path,
        query_params=list(query),
        header_params={**shared, "X-Sdk-Date": "20240102T030405Z"},
        body=body,
    )
    theirs = Signer(BasicCredentials("AccessKey", secret)).sign(request)
    assert ours["Authorization"] == theirs.header_params["Authorization"]
    assert request_target(path, query) == theirs.uri


def test_requests_arrive_as_the_vendors_sdk_signs_them() -> None:
    """The HTTP library must not change path, query, headers or body after they are signed."""
    with asyncio.Runner() as runner:
        server = FakeServiceStage(answering({}))
        runner.run(server.__aenter__())

        @given(
            method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
            path=SEGMENTS,
            query=st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=5),
            value=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
            body=st.binary(max_size=300),
        )
        def check(method: str, path: str, query: list[tuple[str, str]], value: str, body: bytes) -> None:
            async def send() -> None:
                async with Transport(server.endpoint, credentials=KEY, project_id=PROJECT) as connection:
                    await connection.request(method, path, query=query, body=body, headers={"X-More": value})

            runner.run(send())
            received = server.received.pop()
            assert received.headers["Authorization"] == received.vendor_authorization("AccessKey", "SecretKey")
            assert (received.method, received.target) == (method, request_target(path, query))
            assert received.body == body
            assert received.headers["X-More"] == value

        check()
        runner.run(server.__aexit__(None, None, None))
