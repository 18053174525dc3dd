"""Authorization URLs are parsed, and redirects are found in pasted text and validated."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.redirect_cases import AUTHORIZATION_URL, CONSOLE, ENCODED_STATE, REQUEST, STATE, recorded_cases, redirect

from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError, UnusableAnswerError
from oauth_helper.models import RepoType
from oauth_helper.pasted_text import MAXIMUM_LENGTH, decode
from oauth_helper.redirect import AuthorizationRequest

WHOLE = redirect(code="abc123", state=STATE)
CODE_LAST = redirect(state=STATE, code="abc123")
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1).filter(
    lambda text: not text.isspace()
)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def result_of(request: AuthorizationRequest, text: str) -> dict[str, str]:
    try:
        response = request.judge(text)
    except AuthorizationDeniedError as denied:
        return {"denied": denied.error, "description": denied.description}
    except RedirectRejectedError as rejected:
        return {"rejected": rejected.reason}
    return {"code": response.code.reveal(), "state": response.state.reveal()}


@pytest.mark.parametrize("case", recorded_cases(), ids=lambda case: case["title"])
def test_recorded_redirects(case: dict[str, Any]) -> None:
    request = AuthorizationRequest.parse(case["authorization_url"], case["repo_type"])
    expected = case["expect"]
    if "code_is" in expected:
        assert request.state
        expected = {"code": expected["code_is"], "state": request.state.reveal()}
    assert result_of(request, case["offered"]) == expected


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
    assert result_of(REQUEST, text) == {"code": "abc123", "state": STATE}


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
def test_an_invalid_redirect_is_rejected_with_a_reason(text: str, reason: str) -> None:
    assert result_of(REQUEST, text) == {"rejected": reason}


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
        ("http://1[::1]@", False),
        ("https://[::1", False),
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


def test_the_query_of_a_request_is_not_searched() -> None:
    with pytest.raises(RedirectRejectedError) as rejected:
        REQUEST.judge_query(f"service={quote(WHOLE, safe='')}")
    assert rejected.value.reason == "no-redirect"


def test_a_redirect_of_another_provider_is_complete_and_has_no_repeated_parameter() -> None:
    url = f"https://id.example/authorize?response_type=code&state=s1&redirect_uri={quote('https://Tool.example:443/cb?a=b')}"
    request = AuthorizationRequest.parse(url)
    response = request.judge_query("a=b&code=x%2By&state=s1&repo_type=any&scope=read+write")
    assert (
        response.redirect.reveal() == "https://tool.example/cb?a=b&code=x%2By&state=s1&repo_type=any&scope=read+write"
    )
    read = {name: value.reveal() for name, value in response.parameters.items()}
    assert read == {"a": "b", "code": "x+y", "state": "s1", "repo_type": "any", "scope": "read write"}
    assert result_of(request, "code=1&state=s1&scope=a&scope=b") == {"rejected": "repeated-parameter"}
    assert (
        AuthorizationRequest.parse(url.replace("state=s1", ""), needs_state=False).judge_query("code=1").code.reveal()
        == "1"
    )


def test_a_denial_is_shown_without_control_characters() -> None:
    denied = redirect(state=STATE, error="access_denied", error_description="no\x1b[2J\nway" + "!" * 500)
    result = result_of(REQUEST, denied)
    assert result["denied"] == "access_denied"
    assert result["description"].startswith("no[2J way!")
    assert len(result["description"]) == 200


def test_neither_request_nor_response_shows_secrets() -> None:
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
        ("http://1[::1]@?state=1", "cannot be read|no host"),
        (f"https://github.com/a?state=1&b={'a' * 8192}", "longer than 8 KB"),
        ("https:///a?state=1", "no host"),
        ("", "no host"),
    ],
)
def test_an_invalid_authorization_url_is_refused(url: str, words: str) -> None:
    with pytest.raises(UnusableAnswerError, match=words):
        AuthorizationRequest.parse(url, "github")


def test_an_authorization_url_is_not_changed() -> None:
    assert REQUEST.url.reveal() == AUTHORIZATION_URL
    assert REQUEST.redirect_uri == CONSOLE
    assert REQUEST.repo_type is RepoType.GITHUB
    loopback = AuthorizationRequest.parse("http://127.0.0.1:8080/a?state=1&scope=a b", "github")
    assert loopback.url.reveal() == "http://127.0.0.1:8080/a?state=1&scope=a%20b"
    assert loopback.redirect_uri is None


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("https://git.example/a?state=x$y$", "https://git.example/a?state=x$y%24"),
        ("https://git.example/a?state=1&scope=a(b)&", "https://git.example/a?state=1&scope=a%28b%29"),
        ("https://git.example/a?state=1&scope=", "https://git.example/a?scope=&state=1"),
        ("https://git.example/a?state=1+", "https://git.example/a?state=1%20"),
        ("https://git.example/a?state=1==", "https://git.example/a?state=1=%3D"),
    ],
)
def test_the_printed_url_is_one_link_in_terminals_and_chats(url: str, printed: str) -> None:
    assert AuthorizationRequest.parse(url, "gitlab").printed_url.reveal() == printed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CODE_LAST[: CODE_LAST.index("state=") + 20], "cut off: its state is incomplete"),
        (CODE_LAST[: CODE_LAST.index("state=") + 20] + "...", "cut off: its state is incomplete"),
        (redirect(code="abc123"), "cut off: its state is incomplete"),
        (AUTHORIZATION_URL.replace("state=", "other="), "Sign in and authorize first"),
        ("https://github.com/settings", "Sign in and authorize first"),
        (redirect(code="abc123", state="another"), "do not pass it through a shell"),
    ],
)
def test_a_rejection_says_what_the_mistake_was(text: str, words: str) -> None:
    with pytest.raises(RedirectRejectedError) as rejected:
        REQUEST.judge(text)
    assert words in rejected.value.message + rejected.value.hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("access_denied", "choose Authorize"),
        ("Server_Error", "a problem of its own"),
        ("login_required", "Sign in at github.com"),
        ("invalid_scope", "Report that to Huawei Cloud. Until then, try --with-token."),
    ],
)
def test_a_denial_has_a_hint_for_its_error(error: str, words: str) -> None:
    with pytest.raises(AuthorizationDeniedError) as denied:
        REQUEST.judge(redirect(state=STATE, error=error))
    assert denied.value.hint.startswith("Nothing was created")
    assert words in denied.value.hint
    assert denied.value.nothing_created


def test_a_wrapped_code_with_a_prompt_behind_it_is_not_cut() -> None:
    address = redirect(state=STATE, code="0123456789abcdef")
    inside_the_state, inside_the_code = address.index("state=") + 20, len(address) - 6
    lines = (address[:inside_the_state], address[inside_the_state:inside_the_code], address[inside_the_code:])
    try:
        code = REQUEST.judge("\n".join((*lines, "\ue0b0 ~"))).code.reveal()
    except RedirectRejectedError as rejected:
        code = rejected.reason
    assert code in {"0123456789abcdef", "missing-code"}


@given(PRINTABLE)
def test_every_printable_code_is_read_as_it_was_sent(code: str) -> None:
    assert decode(quote(code, safe="")) == code
    assert REQUEST.judge(redirect(code=code, state=STATE)).code.reveal() == code
    assert REQUEST.judge(redirect(state=STATE, code=code)).code.reveal() == code
    assert REQUEST.judge_query(f"state={ENCODED_STATE}&code={quote(code, safe='')}").code.reveal() == code


@given(PRINTABLE, PRINTABLE | ANY_TEXT)
def test_a_foreign_state_is_never_accepted(code: str, state: str) -> None:
    assume(state != STATE)
    encoded = quote(state.encode("utf-8", "surrogatepass"), safe="")
    for parameters in (f"code={quote(code, safe='')}", "error=access_denied"):
        query = f"repo_type=github&{parameters}&state={encoded}"
        for judge in (REQUEST.judge_query, REQUEST.judge):
            try:
                judge(query)
            except RedirectRejectedError as rejected:
                assert rejected.reason == "foreign-state"  # noqa: PT017 - the denied error would pass pytest.raises' tuple
            else:
                raise AssertionError("accepted a foreign state")
