"""What holds for every redirect, not only for those somebody thought of."""

from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st
from redirect_cases import CONSOLE, ENCODED_STATE, REQUEST, STATE, redirect

from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError, UnusableAnswerError
from oauth_helper.pasted_text import decode
from oauth_helper.redirect import AuthorizationRequest

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1).filter(
    lambda text: not text.isspace()
)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
PIECES = (
    *(
        "code=",
        "state=",
        "error=",
        "iss=",
        "repo_type=",
        ENCODED_STATE,
        STATE,
        CONSOLE,
        "https://",
        "abc",
        "&",
        "?",
        "#",
    ),
    *("%", "%25", "%FF", "=", "+", "\n", " ", '"', "(", ")", "&amp;", "\\", "\x1b[200~"),
)
FRAGMENTS = st.lists(st.sampled_from(PIECES) | ANY_TEXT).map("".join)


@given(PRINTABLE)
def test_every_printable_code_survives_being_encoded_and_decoded(code: str) -> None:
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


@given(FRAGMENTS)
def test_no_text_raises_anything_but_the_two_named_errors(text: str) -> None:
    for judge in (REQUEST.judge, REQUEST.judge_query):
        try:
            response = judge(text)
        except (AuthorizationDeniedError, RedirectRejectedError):
            continue
        assert response.state.reveal() == STATE


@given(FRAGMENTS)
def test_no_authorization_url_raises_anything_but_its_error(url: str) -> None:
    try:
        request = AuthorizationRequest.parse(url, "github")
    except UnusableAnswerError:
        return
    assert request.state.reveal()
    assert request.url.reveal().isascii()
