"""Error bodies: we read the same code, message and request ID as the vendor's SDK, or a comment says why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException
from multidict import CIMultiDict
from requests import Response
from requests.utils import get_encoding_from_headers

from oauth_helper.secret import safe_text
from oauth_helper.servicestage.api_errors import Answer, read_error_body

ID: Final = "0f" * 16
JSON: Final = {"Content-Type": "application/json", "X-Request-Id": ID}
GATEWAY: Final = "Incorrect IAM authentication information: "
DOCUMENTED: Final[tuple[dict[str, Any], ...]] = (
    # ServiceStage (servicestage_06_0162), API Gateway (api-sign-errorcode), IAM; Keystone nests.
    {"error_code": "SVCSTG.REPO.0402", "error_msg": "oauth code or state invalid"},
    {"error_code": "SVCSTG.00100400", "error_msg": "参数无效。"},
    {"error_code": "APIGW.0203", "error_msg": "Backend timeout", "request_id": ID},
    {
        "error_code": "APIGW.0301",
        "error_msg": f"{GATEWAY}verify aksk signature fail, canonicalRequest:GET||host:x|",
    },
    {"error_code": "IAM.0003", "error_msg": "no", "encoded_authorization_message": "eyJh"},
    {"error": {"code": 401, "message": "no", "title": "Unauthorized"}},
    {"title": "t", "error": {"title": "t", "error": {"title": "t", "error": {"errorCode": "X.1", "errorMsg": "no"}}}},
    {"error": {"code": "X.1", "message": "no"}},
)
WITHOUT_SHAPE: Final = (
    *(b"", b" ", b"null", b"true", b"7", b'"no"', b"[]", b"[1]", b"{}", b'{"error": "no"}', b'{"error": null}'),
    *(b"no such thing\r\nhere", b'{"error_code": "X.1", ', b"\x00\x1b[31mred", "出错了。".encode(), b"upstream error"),
    *(b'{"a": {"b": {"c": 1}}}', b'{"error_code": null, "error_msg": null}'),
)
DIFFERENCES: Final[tuple[tuple[object, tuple[str, str, str | None]], ...]] = (
    # The SDK reads objects only; the image registry answers with an array.
    ([{"errorCode": "X.1", "errorMessage": "no", "detail": "d"}], ("X.1", "no", ID)),
    # The SDK knows one spelling of each pair; the engines and the configuration API have others.
    ({"errorCode": "X.1", "errorMessage": "no", "detail": "d"}, ("X.1", "no", ID)),
    ({"error_code": "X.1", "error_message": "no"}, ("X.1", "no", ID)),
    # The SDK requires both; our error follows from the code alone, and a person needs the message.
    ({"error_code": "X.1"}, ("X.1", "", ID)),
    ({"error_msg": "no"}, ("418", "no", ID)),
    # The SDK takes the last pair; the one that refused wrote the first.
    ({"a": {"code": "X.1", "message": "first"}, "b": {"code": "X.2", "message": "last"}}, ("X.1", "first", ID)),
    # The SDK takes an empty pair.
    ({"error_code": "", "error_msg": "", "code": "X.1", "message": "no"}, ("X.1", "no", ID)),
    # The SDK passes on any type.
    ({"error_code": "X.1", "error_msg": {"en": "no"}}, ("X.1", "", ID)),
    # The SDK reads the header only; the gateway writes its ID into the body, and a proxy may set the header.
    ({"error_code": "X.1", "error_msg": "no", "request_id": "r-1"}, ("X.1", "no", "r-1")),
)


def ours(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, str | None]:
    return read_error_body(Answer("example.com", status, CIMultiDict(headers), body, datetime.now(UTC)))


def theirs(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, str | None]:
    """Read as the SDK does, which gets the answer from the library requests."""
    response = Response()
    response.status_code, response._content = status, body
    response.headers.update(headers)
    response.encoding = get_encoding_from_headers(response.headers)
    with pytest.raises(ServiceResponseException) as caught:
        DefaultExceptionHandler().handle_exception(None, response)
    message = str(caught.value.error_msg)
    return str(caught.value.error_code), safe_text(message, limit=max(len(message), 1)), caught.value.request_id


@pytest.mark.parametrize("document", DOCUMENTED, ids=str)
def test_documented_errors_are_read_alike(document: dict[str, Any]) -> None:
    body = json.dumps(document, ensure_ascii=False).encode()
    assert ours(401, JSON, body) == theirs(401, JSON, body)


@pytest.mark.parametrize("body", WITHOUT_SHAPE, ids=lambda body: repr(body[:20]))
def test_bodies_without_code_and_message_are_read_alike(body: bytes) -> None:
    for headers in (JSON, {}, {"content-type": "application/json", "x-request-id": "r-2"}):
        assert ours(503, headers, body) == theirs(503, headers, body)


@pytest.mark.parametrize(("document", "expected"), DIFFERENCES, ids=lambda value: str(value)[:40])
def test_intended_differences(document: object, expected: tuple[str, str, str | None]) -> None:
    body = json.dumps(document).encode()
    assert ours(418, JSON, body) == expected != theirs(418, JSON, body)
