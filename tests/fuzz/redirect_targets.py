"""Targets: the judge of redirects, and the authorization URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes

from redirect_cases import AUTHORIZATION_URL, REQUEST, recorded_cases

from fuzz.target import Target, any_text, assert_one_line
from oauth_helper.endpoint import is_loopback
from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError, UnusableAnswerError
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse

ENCODED_STATE_HERE: Final = b"\x7f"
STATE_HERE: Final = b"\x1a"
REASONS: Final = frozenset(
    {"no-redirect", "foreign-state", "missing-code", "repeated-parameter", "wrong-repo-type", "wrong-issuer"}
)
_MOST_DECODINGS: Final = 5
BETWEEN: Final = re.compile(r"[\s>|\\\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]|\x1b\[[0-?]*[ -/]*[@-~]")
"""What may stand between the halves of a wrapped address."""
_BROWSERS_HOST: Final = re.compile(r"https?:[/\\]*([^/\\?#]*)", re.IGNORECASE)
"""WHATWG URL: a backslash ends the host as a slash does."""


def _requests() -> list[AuthorizationRequest]:
    by_type = {case["repo_type"]: case["authorization_url"] for case in recorded_cases()}
    others = [AuthorizationRequest.parse(url, repo_type) for repo_type, url in by_type.items()]
    return [REQUEST, *others]


REQUESTS: Final = _requests()
"""The first byte of an input says which one judges it."""


def _offered(data: bytes) -> tuple[AuthorizationRequest, str]:
    request = REQUESTS[data[0] % len(REQUESTS)] if data else REQUEST
    state = request.state.reveal()
    text = data[1:].replace(ENCODED_STATE_HERE, quote(state, safe="").encode()).replace(STATE_HERE, state.encode())
    return request, any_text(text)


def check_pasted(data: bytes) -> None:
    """A pasted text gives what stands in it, or one of the two errors; without the state it brings about nothing."""
    request, text = _offered(data)
    try:
        response = request.judge(text)
    except RedirectRejectedError as rejected:
        _check_rejection(rejected, request)
        return
    except AuthorizationDeniedError as denied:
        _check_denial(denied)
        code = ""
    else:
        _check_response(response, request)
        code = response.code.reveal()
    levels = list(_decodings(text))
    assert any(_is_spread_in(request.state.reveal(), level) for level in levels)
    assert any(_is_spread_in(code, level) for level in levels)


def check_query(data: bytes) -> None:
    """A raw query is taken as the standard library reads it, each parameter once, and never searched."""
    request, query = _offered(data)
    told = [pair for pair in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True) if pair[1]]
    try:
        response = request.judge_query(query)
    except RedirectRejectedError as rejected:
        _check_rejection(rejected, request)
        return
    except AuthorizationDeniedError as denied:
        _check_denial(denied)
        assert [value for name, value in told if name == "state"] == [request.state.reveal()]
        assert len([value for name, value in told if name == "error"]) == 1
        return
    _check_response(response, request)
    for name, expected in (("state", [request.state.reveal()]), ("code", [response.code.reveal()]), ("error", [])):
        assert [value for other, value in told if other == name] == expected


def check_authorization_url(data: bytes) -> None:
    """A URL that is taken leads a browser to the host that is named, and its state is the one that is waited for."""
    url = any_text(data)
    try:
        request = AuthorizationRequest.parse(url, "github")
    except UnusableAnswerError as error:
        assert_one_line(error.message, 200)
        return
    opened = request.url.reveal()
    assert opened.isascii()
    assert opened.isprintable()
    assert " " not in opened
    assert opened[:6].casefold() == "https:" or is_loopback(request.host)
    host = _BROWSERS_HOST.match(opened)
    assert host
    shown = _plain(re.sub(r"^:?@|:[^:\]]*$", "", host[1]).strip("[]"))
    assert shown == _plain(request.host) or "xn--" in shown
    assert request.judge_query(f"code=a&state={quote(request.state.reveal(), safe='')}").code.reveal() == "a"


def _plain(host: str) -> str:
    """Browsers decode escapes in a host (WHATWG URL), yarl some of them."""
    while (decoded := unquote(host)) != host:
        host = decoded
    return host.casefold()


def _check_response(response: AuthorizationResponse, request: AuthorizationRequest) -> None:
    code = response.code.reveal()
    assert response.state == request.state
    assert code.isprintable()
    assert code.strip()


def _check_rejection(rejected: RedirectRejectedError, request: AuthorizationRequest) -> None:
    assert rejected.reason in REASONS
    assert_one_line(rejected.message, 200)
    assert_one_line(rejected.hint, 200)
    assert request.state.reveal() not in rejected.message + rejected.hint


def _check_denial(denied: AuthorizationDeniedError) -> None:
    assert_one_line(denied.error, 64)
    assert_one_line(denied.description, 200)
    assert_one_line(denied.message, 320)


def _decodings(text: str) -> Iterator[str]:
    for level in (text, BETWEEN.sub("", text)):
        decoded = level
        for _ in range(_MOST_DECODINGS):
            yield decoded
            decoded = unquote_to_bytes(decoded.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def _is_spread_in(part: str, text: str) -> bool:
    """Whether the characters stand in the text in this order; what stood between them was taken for wrapping."""
    rest = iter(text)
    return all(character in rest for character in part)


def _seeds() -> Iterator[bytes]:
    for case in recorded_cases():
        request = AuthorizationRequest.parse(case["authorization_url"], case["repo_type"])
        number = next(n for n, each in enumerate(REQUESTS) if n and each.repo_type is request.repo_type)
        state = request.state.reveal()
        offered = case["offered"].encode()
        for form in (quote(state, safe=""), quote(state, safe="").lower()):
            offered = offered.replace(form.encode(), ENCODED_STATE_HERE)
        yield bytes([number]) + offered.replace(state.encode(), STATE_HERE)


def _query_seeds() -> Iterator[bytes]:
    for seed in _seeds():
        if b"?" in seed:
            yield seed[:1] + seed.partition(b"?")[2]


WORDS: Final = (
    *(b"code=", b"state=", b"error=", b"error_description=", b"iss=", b"repo_type=", b"&", b"?", b"#", b"="),
    *(b"&code=abc123", b"&state=\x7f", b"&state=\x1a", b"&error=access_denied", b"repo_type=github"),
    *(b"iss=https%3A%2F%2Fgithub.com%2Flogin%2Foauth", b"https://", b"http://", b"https://id.example/?to="),
    *(b"\x7f", b"\x1a", b"%7f", b"%", b"%25", b"%3D", b"%253d", b"%26", b"%3f", b"%FF", b"%0a", b"+", b" ", b"\n"),
    *(b"\r\n", b"\n\n", b"\n> ", b"\\\n", b"\n$ ", b"\\u0026", b"&amp;", b"\\", b'"', b"'", b"`", b"<", b">", b"("),
    *(b")", b"](", b"**", b".", b",", b"\x1b[200~", b"\x1b[201~", b"\xe2\x80\x8b", b"\xc2\xad", b"\xef\xbb\xbf"),
    *(b"\xed\xa0\x80", b"\xe3\x80\x82", b"\xe2\x80\x9c", b"\xe2\x80\x9d", b"\xe2\x80\xa8", b"\xc2\xa0"),
)
_URL_WORDS: Final = (
    *(b"https://", b"http://", b"127.0.0.1", b"localhost", b"[::1]", b"@", b":443", b":", b"\\", b"//", b"/\\", b"%2f"),
    *(
        b"?state=",
        b"&state=1",
        b"&redirect_uri=",
        b"#",
        b"%",
        b"\t",
        b"\n",
        b" ",
        b"\xe3\x80\x82",
        b"\xc3\xa4",
        b"xn--",
    ),
)

TARGETS: Final = {
    "pasted": Target(check_pasted, tuple(_seeds()), WORDS),
    "query": Target(check_query, tuple(_query_seeds()), WORDS),
    "authorization-url": Target(
        check_authorization_url,
        (
            AUTHORIZATION_URL.encode(),
            b"http://127.0.0.1:8080/a?state=1&scope=a b",
            *(case["authorization_url"].encode() for case in recorded_cases()[:4]),
        ),
        _URL_WORDS,
        longest=512,
    ),
}
