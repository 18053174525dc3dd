"""Which forms of a pasted address are taken, and what people are told about those that are not."""

import itertools
from urllib.parse import quote

import pytest

from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError, UnusableAnswerError
from oauth_helper.redirect import AuthorizationRequest

CONSOLE = "https://console.huaweicloud.com/servicestage/oauth"
CODE = "4fae923d5a4fd12aabfe"


def request_for(state: str, host: str = "github.com/login/oauth", repo_type: str = "github") -> AuthorizationRequest:
    return AuthorizationRequest.parse(
        f"https://{host}/authorize?client_id=7&redirect_uri={quote(CONSOLE, safe='')}&state={quote(state, safe='')}",
        repo_type,
    )


def rejection_of(text: str, state: str = "$2a$10$Kq8dJm3vPzYwT.xS/bNhLu", **more: str) -> RedirectRejectedError:
    with pytest.raises(RedirectRejectedError) as rejected:
        request_for(state, **more).judge(text)
    return rejected.value


FORMS = (
    *("{}", "{}.", "{},", "{}!", "{}?", "{};", "({})", "(see {}).", "{} .", "‘{}’", "’{}’", "{}…", "{}...", "“{}.”"),
    *("[here]({})", "[here]({}).", "**{}**", "*{}*", "_{}_", "__{}__.", "~~{}~~", "||{}||", "`{}`", "![{}]", "[1]: {}"),
    *("<{}|the console>", "<{}|{}>", "[the console|{}]", "[the console|{}|smart-link]", "[[{}][the console]]"),
    *("[[{}]]", "[url={}]the console[/url]", "[url]{}[/url]", "{}[the console]", r"\href{{{}}}{{console}}"),
    *('<a href="{}">', "<a href={}>here</a>", "{}</a>", "[14:31] Ada: {}", "Ada: {}, thanks", "{}\tServiceStage\t7"),
    *("[200~{}[201~", "^[[200~{}^[[201~"),
    *("200~{}201~", "00~{}01~", "0~{}1~", "\x1b[200~{}\x1b[201~", "\x1b[1m{}\x1b[0m"),
    *("地址是{}。谢谢", "地址（{}）", "{}）】", "{}，谢谢", "│ {} │", "{}\x00ServiceStage"),
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_stands_around_an_address_is_no_part_of_it(form: str) -> None:
    # The state is written as hosts write it, or decoded by hand.
    for last, safe in itertools.product("C._-~)=*", ("", "/$=", "/$=)*")):
        state = f"$2a$10$Kq8dJm3vPzYwT.xS/bNhLu{last}"
        address = f"{CONSOLE}?repo_type=github&code={CODE}&state={quote(state, safe=safe)}"
        text = form.replace("{{", "{").replace("}}", "}").replace("{}", address)
        assert request_for(state).judge(text).code.reveal() == CODE


@pytest.mark.parametrize("form", FORMS)
def test_a_code_that_comes_last_ends_where_the_address_ends(form: str) -> None:
    state = "$2a$10$Kq8dJm3vPzYwT.xS/bNhLu."
    address = f"{CONSOLE}?repo_type=github&state={quote(state, safe='')}&code={CODE}"
    text = form.replace("{{", "{").replace("}}", "}").replace("{}", address)
    try:
        code = request_for(state).judge(text).code.reveal()
    except RedirectRejectedError as rejected:
        assert rejected.reason == "missing-code"  # noqa: PT017 - it may say that it cannot tell, but never take a wrong one
    else:
        assert code == CODE


@pytest.mark.parametrize(
    ("text", "reason", "message", "hint"),
    [
        (f"{CONSOLE}?code={CODE}", "foreign-state", "ends before the state", "last character"),
        (f"{CONSOLE}?code={CODE}...", "foreign-state", "ends before the state", "last character"),
        (f"{CONSOLE}?code={CODE}&sta", "foreign-state", "ends before the state", "last character"),
        (f"{CONSOLE}?code={CODE}&state=", "foreign-state", "ends in the state", "last character"),
        (f"{CONSOLE}?code={CODE}&state=%242a%2410%24Kq8d…", "foreign-state", "ends in the state", "last character"),
        (f"{CONSOLE}?code={CODE}&state=%242a%2410%2", "foreign-state", "ends in the state", "last character"),
        (f"{CONSOLE}?code={CODE}&state=%242a%2410%24Zq8d", "foreign-state", "another attempt", "for this attempt"),
        ("https://github.com/login", "no-redirect", "final address", "Sign in and authorize first"),
        ("https://github.com/login/device", "no-redirect", "final address", "Sign in and authorize first"),
        ("https://idp.example/sso?SAMLRequest=f&RelayState=a", "no-redirect", "final address", "Sign in and authorize"),
        ("https://idp.example/auth?client_id=1&state=xyz", "foreign-state", "another attempt", "Sign in and authorize"),
        ("https://github.com/cb?code=1&state=abc", "foreign-state", "another attempt", "Sign in and authorize first"),
        ("https://github.com/login?return_to=%2Fauthorize%3Fstate%3D%25242a%252410%2524Kq8dJm3vPzYwT.xS%252FbNhLu",
         "missing-code", "no usable code", "Sign in and authorize first"),
        ("hello", "no-redirect", "final address", "Copy the whole address"),
    ],
)  # fmt: skip
def test_a_cut_address_and_a_page_on_the_way_are_told_apart(text: str, reason: str, message: str, hint: str) -> None:
    rejected = rejection_of(text)
    assert rejected.reason == reason
    assert message in rejected.message
    assert hint in rejected.hint


@pytest.mark.parametrize(
    ("error", "repo_type", "guidance"),
    [
        ("access_denied", "github", "choose Authorize"),
        ("redirect_uri_mismatch", "github", "does not accept ServiceStage's application"),
        ("unauthorized_client", "gitlab", "--with-token"),
        ("INVALID_SCOPE", "bitbucket", "--with-password"),
        ("temporarily_unavailable", "gitee", "in a few minutes"),
        ("login_required", "gitlab", "Sign in at git.example"),
        ("unverified_user_email", "github", "Confirm your email address"),
        ("weather", "github", "documentation of git.example"),
    ],
)
def test_an_error_of_the_git_host_comes_with_advice_that_fits(error: str, repo_type: str, guidance: str) -> None:
    request = request_for("s1", "git.example/oauth", repo_type)
    with pytest.raises(AuthorizationDeniedError) as denied:
        request.judge(f"{CONSOLE}?error={error}&state=s1")
    assert denied.value.exit_status == 4
    assert denied.value.hint.startswith("Nothing was created")
    assert guidance in denied.value.hint
    assert ("choose Authorize" in denied.value.hint) == (error == "access_denied")


def test_an_authorization_url_beyond_8_kb_is_refused() -> None:
    short, long = (f"https://git.example/a?state=1&x={'é' * times}" for times in (1000, 1400))
    assert len(AuthorizationRequest.parse(short, "gitlab").url.reveal()) < 8192
    with pytest.raises(UnusableAnswerError, match="8 KB"):
        AuthorizationRequest.parse(long, "gitlab")
