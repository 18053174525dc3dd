"""Error answers read by us and by the vendor's SDK: the same code, message and request id, or it is said why."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from error_answers import CODES, DIFFERENCES, OF_THE_CONTRACT, SANDBOX_FAULTS, SANDBOX_REFUSALS, WITHOUT_SHAPE, Refused
from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException
from multidict import CIMultiDict
from requests import Response
from requests.utils import get_encoding_from_headers

import oauth_helper.sandbox
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Call, Fault, Kind
from oauth_helper.secret import safe_text
from oauth_helper.servicestage.api_errors import Answer, read_error_body

PATHS: Final = {
    Call.REDIRECT_URL: ("/v1/{project_id}/git/auths/github/redirect", "servicestage"),
    Call.IAM_PROJECT: ("/v3/projects", "iam"),
}
JSON: Final = {"Content-Type": "application/json", "X-Request-Id": "0f" * 16}


@dataclass(frozen=True)
class Reading:
    """What one of the two makes of an error answer."""

    code: str
    message: str
    request_id: str | None


def ours(status: int, headers: Mapping[str, str], body: bytes) -> Reading:
    answer = Answer("example.com", status, CIMultiDict(headers), body, datetime.now(UTC))
    read = read_error_body(answer)
    return Reading(read.code, read.message, read.request_id)


def theirs(status: int, headers: Mapping[str, str], body: bytes) -> Reading:
    """Read as the SDK does, which has the answer from the library requests; its message as we would show it."""
    response = Response()
    response.status_code, response._content = status, body
    response.headers.update(headers)
    response.encoding = get_encoding_from_headers(response.headers)
    with pytest.raises(ServiceResponseException) as caught:
        DefaultExceptionHandler().handle_exception(None, response)
    error = caught.value
    assert error.status_code == status
    message = str(error.error_msg)
    return Reading(str(error.error_code), safe_text(message, limit=max(len(message), 1)), error.request_id)


@pytest.mark.parametrize("name", OF_THE_CONTRACT)
def test_what_the_contract_shows_is_read_alike(name: str) -> None:
    status, document = OF_THE_CONTRACT[name]
    body = json.dumps(document).encode()
    assert ours(status, JSON, body) == theirs(status, JSON, body)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("as_gateway", [True, False])
def test_every_code_of_the_contract_is_read_alike(code: str, as_gateway: bool) -> None:
    status, message = CODES[code]
    document = {"error_code": code, "error_msg": message} | ({"request_id": "0f" * 16} if as_gateway else {})
    body = json.dumps(document, ensure_ascii=False).encode()
    assert ours(status, JSON, body) == theirs(status, JSON, body) == Reading(code, message, "0f" * 16)


@pytest.mark.parametrize("body", WITHOUT_SHAPE, ids=lambda body: repr(body[:20]))
def test_what_has_no_shape_is_read_alike(body: bytes) -> None:
    for headers in (JSON, {}, {"content-type": "application/json", "x-request-id": "r-2"}):
        assert ours(503, headers, body) == theirs(503, headers, body)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_where_the_two_differ_it_is_for_the_reason_given(name: str) -> None:
    case = DIFFERENCES[name]
    headers = JSON | dict(case.headers)
    assert ours(418, headers, case.body) == Reading(*case.ours)
    read = theirs(418, headers, case.body)
    assert (read.code, read.message[:200], read.request_id) == case.theirs
    assert case.reason


async def refused(sandbox: Sandbox, asked: Refused) -> tuple[int, Mapping[str, str], bytes]:
    address = {"servicestage": sandbox.endpoint, "iam": sandbox.iam_endpoint}[asked.server]
    headers = {"X-Auth-Token": sandbox.token.token.reveal()} if asked.headers is None else asked.headers
    path = asked.path.replace("{project_id}", sandbox.project_id)
    async with ClientSession(address, headers=headers) as session:
        token = sandbox.personal_token.reveal()
        auths = f"/v1/{sandbox.project_id}/git/auths/github/personal"
        # There is one authorization: its name is taken.
        await session.post(auths, json={"name": "taken", "token": token})
        body = asked.body.replace(b"{token}", token.encode())
        async with session.request(asked.method, path, data=BytesIO(body)) as response:
            return response.status, response.headers, await response.read()


def said_by(status: int, body: bytes) -> tuple[int, str | None]:
    try:
        document = json.loads(body)
    except ValueError:
        return status, None
    return status, document.get("error_code")


@pytest.mark.parametrize("name", SANDBOX_REFUSALS)
async def test_what_the_sandbox_refuses_with_is_read_alike(name: str) -> None:
    async with Sandbox() as sandbox:
        status, headers, body = await refused(sandbox, SANDBOX_REFUSALS[name])
    assert said_by(status, body) == SANDBOX_REFUSALS[name].answer
    assert ours(status, headers, body) == theirs(status, headers, body)


@pytest.mark.parametrize("kind", SANDBOX_FAULTS)
@pytest.mark.parametrize("call", PATHS)
async def test_what_goes_wrong_in_the_sandbox_is_read_alike(call: Call, kind: Kind) -> None:
    path, server = PATHS[call]
    async with Sandbox(faults=[Fault(call, kind)], fault_duration=0.0) as sandbox:
        status, headers, body = await refused(sandbox, Refused("GET", path, server=server))
    assert said_by(status, body) == SANDBOX_FAULTS[kind]
    expected = theirs(status, headers, body)
    if SANDBOX_FAULTS[kind][1] is None:
        # A web page: the SDK's message is all of it, ours its title, which is what a person can read.
        assert expected.message.startswith("<html>")
        expected = Reading(
            expected.code, expected.message.partition("<title>")[2].partition("</title>")[0], expected.request_id
        )
    assert ours(status, headers, body) == expected


def constructed() -> set[tuple[int, str]]:
    """Return status and code of every refusal that the sandbox's source makes."""
    found = set()
    for path in Path(oauth_helper.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and is_refusal(node):
                status, code = node.args[:2]
                found.add((ast.literal_eval(status), ast.literal_eval(code)))
    return found


def is_refusal(call: ast.Call) -> bool:
    """Whether it makes one, or is the constructor of one that is always the same."""
    called = ast.unparse(call.func)
    is_of_one_status = any(isinstance(argument, ast.Constant) for argument in call.args[:1])
    return called in {"GatewayError", "ServiceError"} or (called == "super().__init__" and is_of_one_status)


def test_no_refusal_of_the_sandbox_is_left_out() -> None:
    answers = {case.answer for case in SANDBOX_REFUSALS.values()} | set(SANDBOX_FAULTS.values())
    assert {answer for answer in answers if answer[1]} == constructed()
    never_answered = {
        *(Kind.DROP_BEFORE, Kind.DROP_AFTER, Kind.TRUNCATE, Kind.HANG, Kind.HANG_AFTER, Kind.STALE, Kind.REFUSE)
    }
    assert set(Kind) == set(SANDBOX_FAULTS) | never_answered


def vendor_pairs() -> list[Any]:
    return [
        {"error_code": "X.1", "error_msg": "no"},
        {"errorCode": "X.1", "errorMsg": "no"},
        {"code": "X.1", "message": "no"},
    ]


@pytest.mark.parametrize("inner", vendor_pairs(), ids=str)
@pytest.mark.parametrize("depth", range(4))
def test_every_pair_of_the_sdks_is_found_as_deep_as_it_is_nested(inner: dict[str, str], depth: int) -> None:
    document: dict[str, Any] = inner
    for _ in range(depth):
        document = {"title": "t", "error": document}
    body = json.dumps(document).encode()
    assert ours(418, JSON, body) == theirs(418, JSON, body) == Reading("X.1", "no", "0f" * 16)
