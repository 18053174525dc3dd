"""Inputs that fuzzing found, in their shortest form."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from multidict import CIMultiDict
from yarl import URL

from oauth_helper.errors import SettingsError
from oauth_helper.i18n import _
from oauth_helper.secret import Secret
from oauth_helper.servicestage.api_errors import Answer, redirected, refusal
from oauth_helper.servicestage.proxies import proxy_for
from oauth_helper.session import _callback
from oauth_helper.settings import Sources, read_config_file, resolve_settings
from oauth_helper.values import check_endpoint

NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
BREAKS_YARL = "http://1[::1]@"
"""yarl 1.25.1 raises IndexError for it, instead of ValueError."""
SECRET = Secret("planted-S3cret+/=canary")
NOW = datetime(2025, 3, 1, tzinfo=UTC)


def test_a_redirect_to_an_address_that_breaks_yarl_is_reported() -> None:
    answer = Answer("example.com", 302, CIMultiDict(Location=BREAKS_YARL), b"", NOW)
    assert "an unreadable address" in redirected(answer).message


def test_an_endpoint_that_breaks_yarl_is_refused() -> None:
    with pytest.raises(SettingsError, match="not a usable address"):
        check_endpoint(BREAKS_YARL)


def test_a_proxy_that_breaks_yarl_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", BREAKS_YARL)
    with pytest.raises(SettingsError, match="https_proxy is not the address"):
        proxy_for(URL("https://example.com"))


def test_a_redirect_uri_that_breaks_yarl_is_not_awaited_in_a_window() -> None:
    assert not _callback(BREAKS_YARL)


@pytest.mark.parametrize("endpoint", ["http://1\x007.0.0.1:1", "https://a\x00b.example"])
def test_an_endpoint_with_control_characters_is_refused_on_one_line(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"U\+0000") as refused_endpoint:
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
def test_an_enormous_value_in_a_settings_file_is_an_error_of_ours(tmp_path: Path, line: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(line)
    with pytest.raises(SettingsError) as told:
        resolve_settings(Sources({}, {}, read_config_file({"OAUTH_HELPER_CONFIG": str(path)}), read_config_file({})))
    assert told.value.message.startswith(f'"{path}"')
    assert told.value.message.isprintable()


def test_a_secret_in_a_request_id_is_masked() -> None:
    for before in ("", "x" * 50):
        headers = CIMultiDict({"X-Request-Id": before + SECRET.reveal()})
        answer = Answer("example.com", 302, headers, b"", NOW, (SECRET,))
        error = redirected(answer)
        assert "planted" not in (error.request_id or "")
        assert "planted" not in (answer.unusable(_("is short")).request_id or "")
        answer = Answer("example.com", 400, headers, b"", NOW, (SECRET,))
        assert "planted" not in (refusal(answer, credentials=None).request_id or "")
