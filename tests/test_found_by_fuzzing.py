"""What fuzzing found once, in its shortest form, so that it stays mended."""

from pathlib import Path

import pytest
from multidict import CIMultiDict
from redirect_cases import ENCODED_STATE, REQUEST, redirect
from redirect_cases import STATE as RIGHT_STATE
from test_servicestage_refusals import NOW, refused
from yarl import URL

from oauth_helper.errors import RedirectRejectedError, SettingsError, UnusableAnswerError
from oauth_helper.i18n import _
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.secret import Secret
from oauth_helper.servicestage.api_errors import Answer, redirected
from oauth_helper.servicestage.transport import proxy_for
from oauth_helper.session import _can_be_intercepted
from oauth_helper.settings import Sources, read_config_file, resolve_settings
from oauth_helper.values import check_endpoint

BREAKS_YARL = "http://1[::1]@"
"""yarl 1.25.1 raises IndexError for it, instead of ValueError."""
SECRET = Secret("planted-S3cret+/=canary")


def test_an_authorization_url_that_yarl_stumbles_over_is_refused() -> None:
    with pytest.raises(UnusableAnswerError, match=r"cannot be read|has no host"):
        AuthorizationRequest.parse(f"{BREAKS_YARL}?state=1", "github")


def test_an_issuer_that_yarl_stumbles_over_is_another_issuer() -> None:
    request = AuthorizationRequest.parse(f"https://git.example/oauth/authorize?state={ENCODED_STATE}", "gitlab")
    with pytest.raises(RedirectRejectedError) as rejected:
        request.judge_query(f"code=a&state={ENCODED_STATE}&iss={BREAKS_YARL}")
    assert rejected.value.reason == "wrong-issuer"


def test_a_redirect_to_what_yarl_stumbles_over_is_told_as_any_other() -> None:
    answer = Answer("example.com", 302, CIMultiDict(Location=BREAKS_YARL), b"", NOW)
    assert "an unreadable address" in redirected(answer).message


def test_an_endpoint_that_yarl_stumbles_over_is_refused() -> None:
    with pytest.raises(SettingsError, match="not a usable address"):
        check_endpoint(BREAKS_YARL)


def test_a_proxy_that_yarl_stumbles_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", BREAKS_YARL)
    with pytest.raises(SettingsError, match="https_proxy is not the address"):
        proxy_for(URL("https://example.com"))


def test_a_callback_that_yarl_stumbles_over_is_not_waited_for_in_a_window() -> None:
    assert not _can_be_intercepted(BREAKS_YARL)


@pytest.mark.parametrize("endpoint", ["http://1\x007.0.0.1:1", "https://a\x00b.example"])
def test_an_endpoint_with_control_characters_is_refused_on_one_line(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"U\+0000 NULL") as refused_endpoint:
        check_endpoint(endpoint)
    assert refused_endpoint.value.message.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("timeout = " + "9" * 5000, id="more digits than Python reads"),
        pytest.param("timeout = 0x" + "f" * 5000, id="more digits than Python writes"),
        pytest.param("timeout = " + "[" * 5000, id="nested deeper than Python reads"),
    ],
)
def test_a_settings_file_with_a_value_out_of_all_proportion_is_an_error_of_ours(tmp_path: Path, line: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(line)
    with pytest.raises(SettingsError) as told:
        resolve_settings(Sources({}, {}, read_config_file({"OAUTH_HELPER_CONFIG": str(path)}), read_config_file({})))
    assert told.value.message.startswith(f'"{path}"')
    assert told.value.message.isprintable()


def test_a_request_id_that_repeats_a_secret_has_stars_wherever_it_stands() -> None:
    for before in ("", "x" * 50):
        headers = CIMultiDict({"X-Request-Id": before + SECRET.reveal()})
        answer = Answer("example.com", 302, headers, b"", NOW, (SECRET,))
        error = redirected(answer)
        assert "planted" not in (error.request_id or "")
        assert "planted" not in (answer.unusable(_("is short")).request_id or "")
        assert "planted" not in (refused(400, headers=dict(headers), secrets=(SECRET,)).request_id or "")


def test_a_code_that_is_wrapped_and_followed_by_a_prompt_is_not_cut_off() -> None:
    address = redirect(state=RIGHT_STATE, code="0123456789abcdef")
    inside_the_state, inside_the_code = address.index("state=") + 20, len(address) - 6
    lines = (address[:inside_the_state], address[inside_the_state:inside_the_code], address[inside_the_code:])
    try:
        code = REQUEST.judge("\n".join((*lines, "\ue0b0 ~"))).code.reveal()
    except RedirectRejectedError as rejected:
        code = rejected.reason
    assert code in {"0123456789abcdef", "missing-code"}
