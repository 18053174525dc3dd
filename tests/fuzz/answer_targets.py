"""Targets: what servers answer, from the error bodies to the records, as the client makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from multidict import CIMultiDict

from fuzz.target import PLANTED, SECRET_HERE, Target, any_text, assert_one_line, planted
from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.credentials import AccessKey, Credentials, IamToken, IamUser
from oauth_helper.errors import CredentialsError, OAuthHelperError, RefusedError, SettingsError, UnavailableError
from oauth_helper.repository import Namespace, Project
from oauth_helper.secret import Secret
from oauth_helper.servicestage import ServiceStageClient, iam
from oauth_helper.servicestage.answer import Answer
from oauth_helper.servicestage.connection import Connection
from oauth_helper.servicestage.refusals import redirected, refusal

NOW: Final = datetime(2025, 3, 1, 12, tzinfo=UTC)
_KEY: Final = AccessKey("AK", PLANTED)
_CREDENTIALS: Final[tuple[Credentials | None, ...]] = (_KEY, IamToken(PLANTED), None)
_STATUSES: Final = (400, 401, 403, 404, 408, 413, 418, 425, 429, 500, 502, 503, 599, 300, 302, 307, 399)
_SECRET_FORMS: Final = frozenset({PLANTED, quote(PLANTED, safe=""), quote(PLANTED)})
_TELLING: Final = 12
"""Characters of a secret that are too much to show."""
_LONGEST_MESSAGE: Final = 400
_LONGEST_HINT: Final = 300


def _check_error(error: OAuthHelperError) -> None:
    """What people are told is one line of bounded length, and repeats no secret."""
    assert_one_line(error.message, _LONGEST_MESSAGE)
    assert_one_line(error.hint, _LONGEST_HINT)
    assert_one_line(error.code, 64)
    assert_one_line(error.request_id, 64)
    told = json.dumps(error.to_json(), ensure_ascii=False).casefold()
    assert not any(form.casefold() in told for form in _SECRET_FORMS)


def _answer(data: bytes, status: int) -> Answer:
    """Three lines are headers, the rest is the body."""
    parts = [*planted(data).split(b"\n", 3), b"", b"", b""][:4]
    lines = [any_text(part) for part in parts[:3]]
    headers = {name: line for name, line in zip(("Location", "Date", "X-Request-Id"), lines, strict=True) if line}
    if status == 200 and lines[0]:
        headers["X-Subject-Token"] = lines[0]
    return Answer("example.com", status, CIMultiDict(headers), parts[3], NOW, (Secret(PLANTED),))


def check_error_answer(data: bytes) -> None:
    """Any error answer is one of three errors, fit to be shown."""
    if len(data) < 2:
        return
    status, credentials = _STATUSES[data[0] % len(_STATUSES)], _CREDENTIALS[data[1] % len(_CREDENTIALS)]
    answer = _answer(data[2:], status)
    if status < 400:
        _check_error(redirected(answer))
        return
    error = refusal(answer, credentials=credentials)
    assert isinstance(error, RefusedError | CredentialsError | UnavailableError)
    assert error.code
    _check_error(error)
    assert PLANTED[:_TELLING] not in f"{error.message} {error.code} {error.request_id}"


class AnsweringConnection(Connection):
    """A connection whose every request is answered with ``answer``, without a network or an event loop."""

    answer: Answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def _send(
        self, method: str, url: object, headers: Mapping[str, str], body: bytes, secrets: Collection[Secret]
    ) -> Answer:
        return self.answer


class AnsweredClient(ServiceStageClient):
    """The client, with such a connection."""

    def __init__(self) -> None:
        super().__init__("https://example.com", project_id="project", credentials=_KEY)
        self._connection = AnsweringConnection("https://example.com", credentials=_KEY, project_id="project")


_CLIENT: Final = AnsweredClient()
_IAM: Final = "http://127.0.0.1:1"
"""Nothing is sent there; for https, the system's certificates would be read for every input."""
_USER: Final = IamUser("user", Secret(PLANTED), "domain")
_CALLS: Final[tuple[Callable[[], Coroutine[Any, Any, object]], ...]] = (
    _CLIENT.list_authorizations,
    lambda: _CLIENT.authorization_url(RepoType.GITHUB),
    lambda: _CLIENT.create_oauth(RepoType.GITHUB, name="my-auth", code=Secret(PLANTED), state=Secret(PLANTED)),
    lambda: _CLIENT.create_personal(RepoType.GITHUB, name="my-auth", token=Secret(PLANTED)),
    lambda: _CLIENT.create_password(RepoType.BITBUCKET, name="my-auth", user="user", password=Secret(PLANTED)),
    lambda: _CLIENT.delete_authorization("my-auth"),
    lambda: _CLIENT.list_namespaces("my-auth"),
    lambda: _CLIENT.list_projects("my-auth", "group/tools"),
    lambda: _CLIENT.list_branches("my-auth", "group/tools", "build"),
    lambda: iam.find_project_id(_IAM, "cn-north-4", _KEY),
    lambda: iam.fetch_token(_IAM, _USER, region="cn-north-4"),
)


def check_answer(data: bytes) -> None:
    """Any answer that says success gives what the call promises, or an error of ours."""
    if not data:
        return
    # IAM's functions open one of their own. Only here: who asks for the targets' names alone is not to meet it.
    iam.Connection = AnsweringConnection  # type: ignore[attr-defined]
    AnsweringConnection.answer = _answer(data[1:], 200)
    try:
        result = _result_of(_CALLS[data[0] % len(_CALLS)]())
    except (UnavailableError, SettingsError) as error:
        _check_error(error)
        return
    match result:
        case list():
            for one in result:
                _check_listed(one)
        case Authorization():
            _check_authorization(result)
        case str():
            assert result
        case iam.IssuedToken(token, _, expires_at):
            assert token.token
            assert expires_at is None or expires_at.tzinfo is UTC
        case _:
            assert result is None


def _result_of(call: Coroutine[Any, Any, object]) -> object:
    try:
        call.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("waited for something, where nothing is to be waited for")


def _check_listed(one: object) -> None:
    match one:
        case Authorization():
            _check_authorization(one)
        case Namespace():
            assert one.key
            assert isinstance(one.to_json(), dict)
        case Project(number, name, clone_url):
            assert name
            assert all(isinstance(text, str) for text in (number, name, clone_url))
        case _:
            assert isinstance(one, str)
            assert one


def _check_authorization(authorization: Authorization) -> None:
    assert authorization.name
    texts = (authorization.repo_type, authorization.repo_user, authorization.repo_home, authorization.token_type)
    assert all(isinstance(text, str) for text in texts)
    assert isinstance(authorization.create_time, int)
    again = Authorization.from_json(json.loads(json.dumps(authorization.to_json())))
    assert repr(again) == repr(authorization)


_RECORD: Final = (
    b'{"name": "my-auth", "repo_type": "github", "repo_host": "https://api.github.com", "repo_home": "https://h/o",'
    b' "repo_user": "octo", "avartar": "https://x/y.png", "token_type": "oauth", "create_time": 1530000000000,'
    b' "update_time": 1530000000000, "status": 0, "tag": "intl"}'
)
_ERRORS: Final = (
    b'{"error_code": "SVCSTG.REPO.0402", "error_msg": "no \x7f", "request_id": "r-1"}',
    b'{"errorCode": "APIGW.0301", "errorMessage": "Incorrect IAM authentication information: token expires \x7f"}',
    b'{"error": {"code": 401, "message": "The token must be updated", "title": "Unauthorized"}, "request_id": "\x7f"}',
    b'[{"a": [{"code": "IAM.0011", "message": "no"}]}]',
    b"<!DOCTYPE html><html><head><title>502 &amp; \x7f</title></head></html>",
    b"plain \x7f text",
)
_WORDS: Final = (
    *(b"error_code", b"errorCode", b"code", b"error_msg", b"errorMessage", b"message", b"request_id", b"error"),
    *(
        b"SVCSTG.REPO.0403",
        b"APIGW.0302",
        b"APIGW.0301",
        b"IAM.0002",
        b"verify aksk signature fail",
        b"decrypt token fail",
    ),
    *(b"signature expired", b"<title>", b"</title>", b"<html>", b"&#0;", b"&#x1b;", b"&amp;", b"\x1b[2J", b"\r", b"\n"),
    *(b"\xe2\x80\xae", b"\\ud800", b"\xff", b"\xf0\x9f\x98\x80", b"%7f", b"Tue, 15 Nov 1994 08:12:31 GMT", b"-0000"),
    *(b"+9999", b"https://other.example/", b"//[::1", b"http://\x7f/", b"[" * 500, b'{"a":' * 500, b"9" * 5000),
    *(b"authorizations", b"authorization", b"count", b"url", b"projects", b"id", b"token", b"project", b"expires_at"),
    *(b"name", b"repo_type", b"status", b"create_time", b"tag", b"NaN", b"1e999", b"2025-03-01T12:00:00.000000Z"),
    *(b"0001-01-01T00:00:00+14:00", _RECORD, SECRET_HERE, b"\xef\xbb\xbf", b"\xff\xfe{\x00}\x00", b"x" * 300),
)
_HEADERS: Final = b"https://other.example/?a=b\nTue, 15 Nov 1994 08:12:31 GMT\nr-1\n"

TARGETS: Final = {
    "error-answer": Target(
        check_error_answer,
        (
            *(bytes([number, number]) + _HEADERS + body for number, body in enumerate(_ERRORS)),
            *(bytes([number, 0]) + _HEADERS + _ERRORS[0] for number in range(len(_STATUSES))),
            b"\x01\x00\n\n" + SECRET_HERE + b"\n",
        ),
        _WORDS,
    ),
    "answer": Target(
        check_answer,
        tuple(
            bytes([number]) + _HEADERS + body
            for number, body in (
                *((0, b'{"authorizations": [%s], "count": 1}' % _RECORD), (0, b'{"authorizations": null, "count": 0}')),
                *((1, b'{"url": "https://github.com/login/oauth/authorize?state=1"}'), (3, b"")),
                *((2, b'{"authorization": %s}' % _RECORD), (4, b'{"projects": [{"id": "p", "name": "cn-north-4"}]}')),
                *(
                    (4, b'{"projects": []}'),
                    (5, b'{"token": {"project": {"id": "p"}, "expires_at": "2025-03-01T12Z"}}'),
                ),
            )
        ),
        _WORDS,
    ),
}
