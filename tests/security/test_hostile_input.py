"""Hostile input: every parser returns a valid value, or raises an error that is safe to show.

``make test`` tries a few inputs of each; ``make fuzz`` tries millions, guided by coverage.
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.redirect_cases import AUTHORIZATION_URL, CONSOLE, ENCODED_STATE, REQUEST, STATE

from oauth_helper.credential_sources import find_settings_and_credentials
from oauth_helper.credentials import AccessKey, IamSettings, IamUser
from oauth_helper.errors import (
    AuthorizationDeniedError,
    OAuthHelperError,
    RedirectRejectedError,
    SettingsError,
    UnusableAnswerError,
)
from oauth_helper.models import Authorization, RepoType
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.secret import Secret
from oauth_helper.servicestage import iam
from oauth_helper.servicestage.api_errors import Answer
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import Transport
from oauth_helper.settings import FILE_KEYS, Sources, read_config_file, read_credentials_file, resolve_settings
from oauth_helper.values import FileValues, is_loopback

PLANTED: Final = "planted-S3cret+/=canary"
ANY_TEXT: Final = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
KEY, DONE_KEY = "0123456789-key-of-43-characters-0123456789_", "done-key-of-43-characters-0123456789_012345"
AUTHORITY: Final = "127.0.0.1:8080"
REASONS: Final = {
    *("no-redirect", "foreign-state", "missing-code", "repeated-parameter", "wrong-repo-type", "wrong-issuer"),
}


def text_of(*words: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words) | ANY_TEXT, max_size=12).map("".join)


def assert_shown(error: OAuthHelperError, most: int = 400) -> None:
    """Message and hint are one line of limited length each, and contain no secret."""
    for text in (error.message, error.hint):
        assert text.isprintable(), ascii(text)
        assert len(text) <= most
    assert PLANTED not in json.dumps(error.to_json(), ensure_ascii=False)
    assert PLANTED not in "".join(traceback.format_exception(error))


def assert_rejected(rejected: RedirectRejectedError) -> None:
    """A rejection has a documented reason, and does not show the state."""
    assert rejected.reason in REASONS
    assert STATE not in rejected.message + rejected.hint
    assert_shown(rejected)


REDIRECTS: Final = text_of(
    *("code=", "state=", "error=", "error_description=", "iss=", "repo_type=github", "&code=abc123", f"&state={STATE}"),
    *(f"&state={ENCODED_STATE}", "&error=access_denied", CONSOLE, "https://", "&", "?", "#", "=", "%25", "%3D", "%FF"),
    *("+", " ", "\n", "\r\n", "\n> ", "\\\n", "\\u0026", "&amp;", '"', "(", ")", "](", "\x1b[200~", "\u200b", "。"),
)
WRAPPING: Final = re.compile(r"[\s>|\\\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]|\x1b\[[0-?]*[ -/]*[@-~]")


def decodings(text: str) -> Iterator[str]:
    """The text as it is and without wrapping, each decoded up to five times."""
    for level in (text, WRAPPING.sub("", text)):
        decoded = level
        for _ in range(5):
            yield decoded
            decoded = unquote_to_bytes(decoded.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def is_spread_in(part: str, text: str) -> bool:
    rest = iter(text)
    return all(character in rest for character in part)


@given(REDIRECTS)
def test_a_code_is_always_part_of_the_text(text: str) -> None:
    try:
        code = REQUEST.judge(text).code.reveal()
    except RedirectRejectedError as rejected:
        assert_rejected(rejected)
        return
    except AuthorizationDeniedError as denied:
        assert_shown(denied)
        code = ""
    found = list(decodings(text))
    assert any(is_spread_in(STATE, each) for each in found)
    assert any(is_spread_in(code, each) for each in found)
    assert code.isprintable()


@given(
    code=st.sampled_from(["abc123", "4/0Ab_5-q", "A.b~c_d-E" * 7, "0" * 64]),
    is_code_first=st.booleans(),
    nested=st.integers(0, 2),
    width=st.none() | st.integers(20, 150),
    line_break=st.sampled_from(["\n", "\r\n", "\n  ", "  \n", "\\\n", "\n> ", "\n| "]),
    quotes=st.sampled_from([("", ""), ('"', '"'), ("<", ">"), ("(", ")"), ("“", "”"), ("[x](", ")"), ("**", "**")]),
    around=st.tuples(ANY_TEXT, ANY_TEXT),
)
def test_a_wrapped_redirect_gives_its_code_or_is_rejected(
    code: str,
    *,
    is_code_first: bool,
    nested: int,
    width: int | None,
    line_break: str,
    quotes: tuple[str, str],
    around: tuple[str, str],
) -> None:
    """A wrong code would use up the state."""
    parameters = (f"code={quote(code, safe='')}", f"state={ENCODED_STATE}")
    address = "&".join((CONSOLE, *(parameters if is_code_first else parameters[::-1])))
    for _ in range(nested):
        address = f"https://id.example/auth?x=1&service={quote(address, safe='')}"
    if width:
        address = line_break.join(address[at : at + width] for at in range(0, len(address), width))
    before, after = (text.replace("=", "").replace("%", "") for text in around)
    # A word on the next line may be the rest of a wrapped code.
    after = re.sub(f"^(?:{WRAPPING.pattern})+", "", after)
    try:
        response = REQUEST.judge(f"{before}\n\n{quotes[0]}{address}{quotes[1]}\n\n{after}")
    except RedirectRejectedError:
        return
    assert response.code.reveal() == code


@given(
    text_of(
        *("https://", "http://", "127.0.0.1", "localhost", "[::1]", "@", ":443", "\\", "//", "/\\", "%2f", "?state=1"),
        *("&redirect_uri=", "#", "%", "\t", " ", "。", "ä", "xn--", "git.example", AUTHORIZATION_URL),
    )
)
def test_an_authorization_url_opens_the_host_that_is_shown(url: str) -> None:
    try:
        request = AuthorizationRequest.parse(url, "github")
    except UnusableAnswerError as error:
        assert_shown(error)
        return
    opened = request.url.reveal()
    assert opened.isascii()
    assert opened.isprintable()
    assert opened[:6].casefold() == "https:" or is_loopback(request.host)
    # In a browser a backslash ends the host as a slash does (WHATWG URL).
    host = re.match(r"https?:[/\\]*([^/\\?#]*)", opened, re.IGNORECASE)
    assert host
    shown = plain(re.sub(r"^:?@|:[^:\]]*$", "", host[1]).strip("[]"))
    assert shown == plain(request.host) or "xn--" in shown


def plain(host: str) -> str:
    while (decoded := unquote(host)) != host:
        host = decoded
    return host.casefold()


ANSWERS: Final = text_of(
    *('{"error_code": "SVCSTG.REPO.0402", "error_msg": "no"}', '{"error": {"code": 401, "message": "token"}}', PLANTED),
    *('{"authorizations": [', '{"name": "my-auth", "repo_type": "github"}', "]}", '{"authorization": ', "}", "null"),
    *('{"url": "https://git.example/a?state=1"}', '{"projects": [{"id": "p", "name": "cn-north-4"}]}', "NaN", "1e999"),
    *('{"token": {"project": {"id": "p"}, "expires_at": "2025-03-01T12Z"}}', "<title>502</title>", "&#x1b;", "\\ud800"),
    *("APIGW.0301", "verify aksk signature fail", "signature expired", "[" * 500, '{"a":' * 500, "9" * 5000, "\x1b[2J"),
)
HEADERS: Final = st.dictionaries(st.sampled_from(["Location", "Date", "X-Request-Id", "X-Subject-Token"]), ANSWERS)


def answer_of(status: int, headers: dict[str, str], text: str) -> Answer:
    body = text.encode("utf-8", "surrogatepass")
    return Answer(
        "example.com", status, CIMultiDict(headers), body, datetime(2025, 3, 1, tzinfo=UTC), (Secret(PLANTED),)
    )


class AnsweringConnection(Transport):
    """Answers every request with ``answer``, without a network."""

    answer: Answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def _send(self, *arguments: object) -> Answer:
        return self.answer


@functools.cache
def calls() -> Mapping[str, Callable[[], Coroutine[Any, Any, object]]]:
    key, secret = AccessKey("AK", PLANTED), Secret(PLANTED)
    client = ServiceStageClient("https://example.com", project_id="project", credentials=key)
    client._transport = AnsweringConnection("https://example.com", credentials=key, project_id="project")
    user = IamUser("user", secret, "domain")
    of_region = iam.Iam(IamSettings("http://127.0.0.1:1", project_name="cn-north-4"))
    return {
        "list": client.list_authorizations,
        "url": lambda: client.authorization_url(RepoType.GITHUB),
        "create": lambda: client.create_oauth(RepoType.GITHUB, name="my-auth", code=secret, state=secret),
        "token": lambda: client.create_personal(RepoType.GITHUB, name="my-auth", token=secret),
        "delete": lambda: client.delete_authorization("my-auth"),
        "namespaces": lambda: client.list_namespaces("my-auth"),
        "projects": lambda: client.list_projects("my-auth", "group/tools"),
        "project id": lambda: of_region.find_project_id(key),
        "iam token": lambda: of_region.token_of_user(user),
    }


@given(
    st.data(),
    st.sampled_from([200, 200, 200, 302, 400, 401, 403, 404]),
    HEADERS,
    ANSWERS,
)
def test_every_answer_gives_a_result_or_an_error_without_a_secret(
    data: st.DataObject, status: int, headers: dict[str, str], text: str
) -> None:
    AnsweringConnection.answer = answer_of(status, headers, text)
    was, iam.Transport = iam.Transport, AnsweringConnection  # type: ignore[attr-defined]
    try:
        calls()[data.draw(st.sampled_from(sorted(calls())))]().send(None)
    except StopIteration as end:
        for one in end.value if isinstance(end.value, list) else [end.value]:
            if isinstance(one, Authorization):
                assert one.name
                again = Authorization.from_json(json.loads(json.dumps(one.to_json())))
                assert repr(again) == repr(one)
            assert one is None or one
    except OAuthHelperError as error:
        assert_shown(error)
    finally:
        iam.Transport = was  # type: ignore[attr-defined]


@functools.cache
def scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="oauth-helper-hostile-")


def written(name: str, text: str) -> str:
    path = Path(scratch().name) / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    return str(path)


@given(
    text_of(
        *("[basic]\n", "ak = AK\n", f"sk = {PLANTED}\n", f"security_token: {PLANTED}\n", "[DEFAULT]\n", "\n  ", "\r"),
        *("[", "]", "ak", "sk", " = ", ": ", "#", ";", "%(sk)s", "\ufeff", "\x00", "\u2028", "\x85", PLANTED),
    )
)
def test_a_credentials_file_gives_credentials_or_an_error_without_secrets(text: str) -> None:
    try:
        values = read_credentials_file({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": written("credentials", text)})
        found = find_settings_and_credentials(Sources({}, {}, FileValues("none"), values))[1].required()
    except SettingsError as error:
        assert_shown(error)
        return
    if found.name == "profile":
        with pytest.raises(StopIteration) as end:
            found.fetch(None).__await__().send(None)
        assert end.value.value.secret_key.reveal() == values.values["sk"]


@given(
    text_of(
        *(f"{key} = " for key in sorted(FILE_KEYS)),
        *('"cn-north-4"', '"https://', "http://127.0.0.1:1", '"none"\n', "30\n", "\n", '"""', "0x", "1e400", "nan"),
        *("1979-05-27T07:32:00Z", "[[a]]", "{a = 1}", "\\ud800", "\\x1b", "@", "[::1]", "9" * 5000, "[" * 1500),
    )
)
@example("timeout = " + "9" * 5000)
def test_a_config_file_gives_settings_or_an_error_on_one_line(text: str) -> None:
    try:
        values = read_config_file({"OAUTH_HELPER_CONFIG": written("config.toml", text)})
        settings = resolve_settings(Sources({}, {}, values, FileValues("none")))
    except SettingsError as error:
        assert_shown(error, 20_000)
        return
    assert set(values.values) <= FILE_KEYS
    assert 1 <= settings.timeout.value <= 3600
    for endpoint in (settings.endpoint.value, settings.iam_endpoint.value):
        assert endpoint is None or endpoint.startswith(("https://", "http://"))
