"""Error answers of any shape: what they mean, which hint helps, and no secret in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.fake_servicestage import CODE, KEY, PROJECT, STATE, TOKEN, FakeServiceStage, Received

from oauth_helper.credentials import Credentials
from oauth_helper.errors import (
    ClockSkewError,
    CodeOrStateInvalidError,
    CredentialsError,
    NameTakenError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    RefusedError,
    RepositoryNotImplementedError,
    UnusableAnswerError,
)
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret
from oauth_helper.servicestage.api_errors import Answer, refusal
from oauth_helper.servicestage.client import ServiceStageClient

NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def refused(
    status: int,
    body: object = b"",
    *,
    headers: Mapping[str, str] | None = None,
    credentials: Credentials | None = KEY,
    secrets: tuple[Secret, ...] = (),
) -> OAuthHelperError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = Answer("example.com", status, CIMultiDict(headers or {}), content, NOW, secrets)
    return refusal(answer, credentials=credentials)


def gateway(message: str, code: str = "APIGW.0301") -> dict[str, str]:
    return {"error_code": code, "error_msg": message, "request_id": "r-1"}


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "418", "example.com refused the request (HTTP 418)"),
        (b"no such thing\r\nhere", "418", "example.com refused the request (HTTP 418): no such thing here"),
        (b"\xff\xfe", "418", "example.com refused the request (HTTP 418): \ufffd\ufffd"),
        (
            b"<!DOCTYPE html><title>Not &amp; here</title>x",
            "418",
            "example.com refused the request (HTTP 418): Not & here",
        ),
        (b" <html><body>x", "418", "example.com refused the request (HTTP 418): a web page"),
        ({"error_code": "X.1"}, "X.1", "example.com refused the request (HTTP 418, X.1)"),
        ({"error_msg": "no"}, "418", "example.com refused the request (HTTP 418): no"),
        ({"error": {"code": 418, "message": "no"}}, "418", "example.com refused the request (HTTP 418): no"),
        ({"error": "no"}, "418", 'example.com refused the request (HTTP 418): {"error": "no"}'),
        ({"error_code": True, "error_msg": None}, "418", None),
        ("no", "418", 'example.com refused the request (HTTP 418): "no"'),
        (b"[" * 100_000, "418", None),
    ],
)
def test_what_has_no_shape_is_still_told(body: object, code: str, message: str | None) -> None:
    error = refused(418, body)
    assert error.code == code
    assert message is None or str(error) == message


@pytest.mark.parametrize("name", ["X-Request-Id", "x-request-id", "X-REQUEST-ID"])
def test_the_request_id_may_stand_in_the_header(name: str) -> None:
    assert refused(400, headers={name: "r-2"}).request_id == "r-2"
    assert refused(400, {"request_id": "r-1"}, headers={name: "r-2"}).request_id == "r-1"
    assert refused(400).request_id is None


@pytest.mark.parametrize(
    ("status", "code", "error_class", "in_hint"),
    [
        (400, "SVCSTG.REPO.0400", RefusedError, "--tag"),
        (400, "SVCSTG.REPO.0401", RepositoryNotImplementedError, "another"),
        (400, "SVCSTG.REPO.0402", CodeOrStateInvalidError, "again"),
        (400, "SVCSTG.REPO.0403", NameTakenError, "--name"),
        (400, "SVCSTG.REPO.0450", NoSuchAuthorizationError, "oauth-helper list"),
        (400, "SVCSTG.REPO.0451", RefusedError, "--if-exists replace"),
        (400, "SVCSTG.REPO.0452", RefusedError, "https://USER@HOST"),
        (400, "SVCSTG.REPO.0499", RefusedError, "manual"),
        (404, "APIGW.0101", RefusedError, "--endpoint"),
        (404, "APIG.0101", RefusedError, "--endpoint"),
        (404, "APIGW.0103", RefusedError, "--region"),
        (404, "SVCSTG.REPO.0404", RefusedError, "manual"),
        (413, "APIGW.0201", RefusedError, "not from ServiceStage"),
        (401, "APIGW.0301", CredentialsError, "security token"),
        (401, "APIGW.0307", CredentialsError, "--region"),
        (403, "APIGW.0301", CredentialsError, "security token"),
        (400, "APIG.0305", CredentialsError, "security token"),
        (401, "IAM.0011", CredentialsError, "security token"),
        (400, "IAM.0011", CredentialsError, "security token"),
        (403, "IAM.0002", NotPermittedError, "repositoryAuth"),
        (404, "IAM.0004", RefusedError, "--project-id"),
        (401, "SVCSTG.00100401", CredentialsError, "servicestage:app:list"),
        (403, "APIGW.0302", NotPermittedError, "allow or deny list"),
        (401, "APIG.0306", NotPermittedError, "allow or deny list"),
        (403, "APIGW.0402", NotPermittedError, "network"),
        (403, "SVCSTG.00100401", NotPermittedError, "repositoryAuth"),
        (429, "APIGW.0308", UnusableAnswerError, "moment"),
        (500, "SVCSTG.REPO.0500", UnusableAnswerError, "moment"),
        (500, "SVCSTG.REPO.0402", UnusableAnswerError, "moment"),
        (502, "APIGW.0301", UnusableAnswerError, "moment"),
        (504, "APIGW.0201", UnusableAnswerError, "moment"),
    ],
)
def test_the_code_decides_what_an_error_is(
    status: int, code: str, error_class: type[OAuthHelperError], in_hint: str
) -> None:
    error = refused(status, gateway("oauth code or state invalid; resource already exist", code))
    assert type(error) is error_class
    assert in_hint in error.hint
    assert (error.code, error.request_id) == (code, "r-1")
    assert f"(HTTP {status}, {code}): oauth code or state invalid" in error.message
    assert "Nothing was created" not in error.hint


@pytest.mark.parametrize(
    ("message", "in_hint"),
    [
        ("Incorrect IAM authentication information: verify aksk signature fail", "does not belong"),
        ("Incorrect IAM authentication information: Verify AKSK signature fail, canonicalRequest:GET|", "5 minutes"),
        ("Incorrect IAM authentication information: x-auth-token not found", "OAUTH_HELPER_TOKEN"),
        ("Incorrect IAM authentication information: decrypt token fail", "copied whole"),
        ("Incorrect IAM authentication information: token expires, expires_at:2024", "Get a new one"),
        ("The token must be updated", "Get a new one"),
        ("AK access failed to reach the limit, forbidden", "Wait"),
        ("The account is locked.", "15 minutes"),
        ("MFA verification is required", "access key instead"),
        ("The account is in arrears", "Top it up"),
        ("." * 500 + "decrypt token fail", "copied whole"),
    ],
)
def test_the_gateways_own_words_tell_the_remedy(message: str, in_hint: str) -> None:
    error = refused(401, gateway(message))
    assert type(error) is CredentialsError
    assert in_hint in error.hint


def test_an_expired_signature_shows_both_clocks() -> None:
    theirs = format_datetime(NOW + timedelta(minutes=20), usegmt=True)
    error = refused(401, gateway("signature expired, ..."), headers={"Date": theirs}, credentials=KEY)
    assert type(error) is ClockSkewError
    ours, server = (f"{time.astimezone():%Y-%m-%d %H:%M:%S}" for time in (NOW, NOW + timedelta(minutes=20)))
    assert f"this machine's clock says {ours}, the server's {server}" in error.message
    assert "clock" in error.hint


@pytest.mark.parametrize("date", [None, "gibberish", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"])
def test_an_expired_signature_is_told_without_the_servers_clock_too(date: str | None) -> None:
    error = refused(401, gateway("signature expired"), headers={"Date": date} if date else {})
    assert type(error) is ClockSkewError
    assert "the server's unknown" in error.message


@pytest.mark.parametrize(
    ("minutes", "credentials", "status", "error_class"),
    [
        (16, KEY, 401, ClockSkewError),
        (-16, KEY, 401, ClockSkewError),
        (14, KEY, 401, CredentialsError),
        (16, TOKEN, 401, CredentialsError),
        (16, KEY, 403, NotPermittedError),
    ],
)
def test_clocks_that_differ_explain_a_refused_signature_only(
    minutes: int, credentials: Credentials, status: int, error_class: type[OAuthHelperError]
) -> None:
    date = format_datetime(NOW + timedelta(minutes=minutes), usegmt=True)
    assert type(refused(status, headers={"Date": date}, credentials=credentials)) is error_class


def test_a_long_or_hostile_message_is_tamed() -> None:
    error = refused(400, gateway("\x1b[31mred\u202e\n" + "x" * 5000, "E\x1b[2J" + "y" * 500))
    assert "\x1b" not in error.message
    assert "\u202e" not in error.message
    assert "\n" not in error.message
    assert len(error.message) < 400
    assert len(error.code or "") <= 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error_code", "error_msg", "error", "code", "message", "x"]), inner)
    ),
    max_leaves=10,
)


@given(status=st.integers(400, 599), body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_makes_an_error_fit_to_be_shown(status: int, body: bytes) -> None:
    error = refused(status, body, headers={"Date": body.decode("latin-1")})
    assert error.code
    assert error.message.isprintable()
    assert len(error.message) < 400


ECHOES = {
    "as it is": "{}",
    "in a request": "GET|/v1/|tag=x|x-security-token:{}||host",
    "after a long text": "." * 150 + "{}",
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_no_secret_comes_back_in_an_error(status: int, echo: str) -> None:
    """The server knows every secret that was sent, and repeats it in message, code, request id and header."""

    def answer(request: Received) -> web.Response:
        body = json.loads(request.body)
        signature = request.headers.get("Authorization", "").rpartition("=")[2]
        sent = [request.headers.get("X-Security-Token", ""), request.headers.get("X-Auth-Token", ""), signature]
        spoken = " ".join([body["state"], body["code"], *sent, body["state"].replace("$", "%24").replace("/", "%2f")])
        return web.json_response(
            {"error_code": body["code"], "error_msg": echo.format(spoken), "request_id": body["state"]},
            status=status,
            headers={"X-Request-Id": body["code"]},
        )

    for credentials in (KEY, TOKEN):
        async with (
            FakeServiceStage(answer) as fake,
            ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=credentials) as service,
        ):
            with pytest.raises(OAuthHelperError) as caught:
                await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)
        told = json.dumps(caught.value.to_json()) + repr(caught.value)
        signature = fake.received[0].headers.get("Authorization", "Signature").rpartition("=")[2]
        for secret in (CODE.reveal(), "uQYThj5yKFs51w9s9ajeuQ0", "security-token", "MIIE", "SecretKey", signature):
            assert secret[:12] not in told.replace("x-security-token:", "")
