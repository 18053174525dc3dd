"""Reading the authorization URL, and judging what is offered as the redirect."""

from typing import Any
from urllib.parse import quote

import pytest
from redirect_cases import AUTHORIZATION_URL, CONSOLE, ENCODED_STATE, REQUEST, STATE, recorded_cases, redirect

from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError, UnusableAnswerError
from oauth_helper.models import RepoType
from oauth_helper.pasted_text import MAXIMUM_LENGTH
from oauth_helper.redirect import AuthorizationRequest

WHOLE = redirect(code="abc123", state=STATE)
CODE_LAST = redirect(state=STATE, code="abc123")


def reading_of(request: AuthorizationRequest, text: str) -> dict[str, str]:
    try:
        response = request.judge(text)
    except AuthorizationDeniedError as denied:
        return {"denied": denied.error, "description": denied.description}
    except RedirectRejectedError as rejected:
        return {"rejected": rejected.reason}
    return {"code": response.code.reveal(), "state": response.state.reveal()}


@pytest.mark.parametrize("case", recorded_cases(), ids=lambda case: case["title"])
def test_recorded_redirects_are_read_as_recorded(case: dict[str, Any]) -> None:
    request = AuthorizationRequest.parse(case["authorization_url"], case["repo_type"])
    expected = case["expect"]
    if "code_is" in expected:
        expected = {"code": expected["code_is"], "state": request.state.reveal()}
    assert reading_of(request, case["offered"]) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"  {WHOLE}\n", id="white space around"),
        pytest.param(f"({WHOLE})", id="in parentheses"),
        pytest.param(f"'{CODE_LAST}'", id="in single quotes, code last"),
        pytest.param(f"“{CODE_LAST}”", id="in curly quotes, code last"),
        pytest.param(f"‘{CODE_LAST}’", id="in curly single quotes, code last"),
        pytest.param(f"[console]({CODE_LAST})", id="a Markdown link, code last"),
        pytest.param(f"[{WHOLE}]({WHOLE})", id="a Markdown link that names itself"),
        pytest.param(f"{CODE_LAST}\nroot@host:~# ", id="a shell's prompt behind it, code last"),
        pytest.param(f"{CODE_LAST}\n$ ", id="a bare prompt behind it, code last"),
        pytest.param(f"{CODE_LAST}, and so on", id="a comma behind it, code last"),
        pytest.param(f"**{CODE_LAST}**", id="in bold, code last"),
        pytest.param(f"{WHOLE[:70]}\n{WHOLE[70:]}\nthanks", id="wrapped, a word on the next line"),
        pytest.param(f"Here:\n{WHOLE[:70]}\n{WHOLE[70:]}\nthanks a lot", id="wrapped, words on both sides"),
        pytest.param(f"repo_type=github\ncode=abc123\nstate={STATE}", id="picked out by hand, a line each"),
        pytest.param(WHOLE + " " * 70_000, id="blanks without end"),
        pytest.param(f"`{CODE_LAST}`", id="in backticks, code last"),
        pytest.param(f"It ended at {WHOLE}.", id="a full stop behind it"),
        pytest.param(f"{WHOLE} is what I got", id="words behind it"),
        pytest.param(f"I got this:\n{CODE_LAST}", id="a line of words before it"),
        pytest.param(f"{CODE_LAST}\n\nThanks!", id="a paragraph behind it"),
        pytest.param(f"{WHOLE}\nThanks!", id="a line behind it"),
        pytest.param(CODE_LAST[:-3] + "\r\n  " + CODE_LAST[-3:], id="wrapped inside a code that comes last"),
        pytest.param(CODE_LAST[:60] + "  \n" + CODE_LAST[60:], id="wrapped, with trailing blanks"),
        pytest.param(WHOLE.replace("abc", "a bc"), id="a blank inside"),
        pytest.param(f"> {WHOLE[:70]}\n> {WHOLE[70:140]}\n> {WHOLE[140:]}", id="quoted in a reply, wrapped"),
        pytest.param(f"{WHOLE[:70]}\\\n{WHOLE[70:]}", id="continued as in a shell"),
        pytest.param(f"地址是{WHOLE}。谢谢", id="in Chinese text"),
        pytest.param(f"「{CODE_LAST}」", id="in Chinese quotation marks, code last"),
        pytest.param(WHOLE.replace("&code", "?code"), id="appended with a second question mark"),
        pytest.param(WHOLE.replace("console.", "console.\u200b"), id="a zero-width space inside"),
        pytest.param("\ufeff" + WHOLE, id="a byte order mark before it"),
        pytest.param(f"\x1b[200~{WHOLE}\x1b[201~", id="bracketed paste marks left in"),
        pytest.param(WHOLE + WHOLE, id="pasted twice"),
        pytest.param(f"{WHOLE}\n{WHOLE}\n", id="pasted twice, a line each"),
        pytest.param(WHOLE.replace("&", "&amp;"), id="escaped as in HTML"),
        pytest.param(WHOLE.replace("&", "\\u0026"), id="escaped as in JSON"),
        pytest.param(WHOLE.replace("?", "\\?").replace("&", "\\&").replace("=", "\\="), id="escaped as in zsh"),
        pytest.param(quote(WHOLE, safe=""), id="encoded as a whole"),
        pytest.param(quote(quote(WHOLE, safe=""), safe=""), id="encoded as a whole, twice"),
        pytest.param("?" + WHOLE.partition("?")[2], id="the query with its question mark"),
        pytest.param(f"#code=abc123&state={ENCODED_STATE}", id="a fragment alone"),
        pytest.param(f"https://id.example/#/back?to={quote(WHOLE, safe='')}", id="nested behind a fragment"),
        pytest.param(f"https://id.example/?to={CONSOLE}&code=abc123&state={STATE}", id="nested, decoded by hand"),
        pytest.param(redirect(code="abc123", state="stale") + "\n" + WHOLE, id="behind another attempt's address"),
        pytest.param(WHOLE.replace("repo_type=github", "repo_type=GitHub"), id="the type in another case"),
        pytest.param(WHOLE.replace("repo_type=github", "repo_type="), id="the type left empty"),
        pytest.param(WHOLE + "&error=", id="an empty error counts as none"),
        pytest.param(WHOLE + "&iss=", id="an empty issuer counts as none"),
        pytest.param(WHOLE.replace("code=", "%63ode="), id="a parameter name with escapes"),
        pytest.param(
            WHOLE.upper().replace(WHOLE.partition("?")[2].upper(), WHOLE.partition("?")[2]), id="host in caps"
        ),
    ],
)
def test_a_pasted_address_is_found(text: str) -> None:
    assert reading_of(REQUEST, text) == {"code": "abc123", "state": STATE}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (AUTHORIZATION_URL, "missing-code"),
        (redirect(code="abc", state="x") + "&code=2", "foreign-state"),
        (redirect(state=STATE, error="access_denied") + "&error=x", "repeated-parameter"),
        (redirect(code="a", state=STATE) + f"&state={ENCODED_STATE}", "repeated-parameter"),
        (redirect(code="a", state=STATE, iss="http://[::1"), "wrong-issuer"),
        (redirect(code="a", state=STATE, iss="https://github.com/login/oauth/"), "wrong-issuer"),
        (redirect(code="a", state=STATE) + "&iss=%FF", "wrong-issuer"),
        (redirect(code="a\u2028b", state=STATE), "missing-code"),
        (CONSOLE + f"&code&state={ENCODED_STATE}", "missing-code"),
        (CONSOLE + "&state=%FF", "foreign-state"),
        (redirect(code=" ", state=STATE), "missing-code"),
        (f"{CODE_LAST[:-3]} {CODE_LAST[-3:]}", "missing-code"),
        (f"{CODE_LAST} is what I got", "missing-code"),
        (f"{CODE_LAST}\nthanks a lot", "missing-code"),
        (f"> {CODE_LAST}\n> regards", "missing-code"),
        ("a=b " * 30_000, "no-redirect"),
        ("x" * MAXIMUM_LENGTH + " " + WHOLE, "no-redirect"),
        ("\ud800" + CONSOLE, "no-redirect"),
        ("https://[console/?code=a", "foreign-state"),
    ],
)
def test_what_is_not_ours_or_not_whole_is_rejected_with_its_reason(text: str, reason: str) -> None:
    assert reading_of(REQUEST, text) == {"rejected": reason}


@pytest.mark.parametrize(
    ("issuer", "is_right"),
    [
        ("https://git.example:8443", True),
        ("https://git.example:8443/realms/a", True),
        ("HTTPS://GIT.example:8443", True),
        ("", True),
        ("https://git.example", False),
        ("http://git.example:8443", False),
        ("//git.example:8443", False),
        ("ftp://git.example:8443", False),
        ("https://user@git.example:8443", False),
        ("https://@git.example:8443", False),
        ("https://git.example:8443/?", False),
        ("https://git.example:8443/?a=b", False),
        ("https://git.example:8443/#", False),
        (" https://git.example:8443", False),
        ("https://git.example:8443\\x", False),
        ("https://evil.example", False),
    ],
)
def test_the_issuer_has_scheme_host_and_port_of_the_authorization_url(issuer: str, is_right: bool) -> None:
    query = f"code=1&state=s1&iss={quote(issuer, safe='')}"
    request = AuthorizationRequest.parse("https://git.example:8443/oauth/authorize?state=s1", "gitlab")
    if is_right:
        assert request.judge_query(query).code.reveal() == "1"
    else:
        with pytest.raises(RedirectRejectedError, match="issuer"):
            request.judge_query(query)


def test_a_direct_query_is_neither_searched_nor_unwrapped() -> None:
    with pytest.raises(RedirectRejectedError) as rejected:
        REQUEST.judge_query(f"service={quote(WHOLE, safe='')}")
    assert rejected.value.reason == "no-redirect"


def test_a_denial_is_shown_without_control_characters() -> None:
    denied = redirect(state=STATE, error="access_denied", error_description="no\x1b[2J\nway" + "!" * 500)
    reading = reading_of(REQUEST, denied)
    assert reading["denied"] == "access_denied"
    assert reading["description"].startswith("no[2J way!")
    assert len(reading["description"]) == 200


def test_neither_request_nor_response_shows_its_secrets() -> None:
    shown = repr(REQUEST) + repr(REQUEST.judge(WHOLE))
    assert "abc123" not in shown
    assert "2a$10" not in shown
    assert ENCODED_STATE not in shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://github.com/a?state={ENCODED_STATE}", "not https"),
        (f"javascript:alert(1)?state={ENCODED_STATE}", "no host"),
        (f"ftp://github.com/a?state={ENCODED_STATE}", "not https"),
        ("https://github.com/a", "exactly one state"),
        ("https://github.com/a?state=", "exactly one state"),
        ("https://github.com/a?state=1&state=2", "exactly one state"),
        ("https://user:word@github.com/a?state=1", "user name"),
        ("https://github.com/a?state=1\r\nX: y", "control characters"),
        ("https://[github/a?state=1", "cannot be read"),
        ("https:///a?state=1", "no host"),
        ("", "no host"),
    ],
)
def test_an_authorization_url_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    with pytest.raises(UnusableAnswerError, match=words):
        AuthorizationRequest.parse(url, "github")


def test_an_authorization_url_is_opened_as_it_came() -> None:
    assert REQUEST.url.reveal() == AUTHORIZATION_URL
    assert REQUEST.redirect_uri == CONSOLE
    assert REQUEST.repo_type is RepoType.GITHUB
    loopback = AuthorizationRequest.parse("http://127.0.0.1:8080/a?state=1&scope=a b", "github")
    assert loopback.url.reveal() == "http://127.0.0.1:8080/a?state=1&scope=a%20b"
    assert loopback.redirect_uri is None
