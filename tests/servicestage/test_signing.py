"""Signatures: the vendor's vectors, the vectors of its SDKs, and its SDK itself for any other request."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
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
from oauth_helper.servicestage.signing import encode, request_target, sign
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
