"""``doctor --report``: what may be shown in public, and nothing else, whatever is planted."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from canaries import Canary, Search
from command import run_command, surroundings
from msgspec.structs import replace
from support.journal_entries import pending

from oauth_helper.cli.doctor import redacted, short_host
from oauth_helper.i18n import Text, _, ngettext
from oauth_helper.journal import Journal
from oauth_helper.sandbox import Sandbox

PLANTED = {
    "LOGNAME": "canary-login",
    "OAUTH_HELPER_TAG": "canary-tag",
    "LANG": "canary_locale",
    "TERM": "canary-terminal",
    "BROWSER": "canary-browser",
    "HTTPS_PROXY": "http://canary-proxy-user:canary-proxy-word@canaryproxy.example",
    "SSH_CONNECTION": "203.0.113.55 51000 198.51.100.77 2222",
    "DISPLAY": "canary-display",
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


async def report(environ: dict[str, str], *options: str) -> tuple[int, str]:
    end = await run_command("doctor", "--report", *options, environ=environ)
    assert end.err == ""
    return end.status, end.out


def assert_discreet(shown: str, *more: str) -> None:
    values = [*PLANTED.values(), *more, "canary", "203.0.113.55", "198.51.100.77"]
    assert Search(Canary(value, value) for value in values).hits(shown) == []


async def test_it_tells_what_it_takes_to_help(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, OAUTH_HELPER_REGION="cn-north-4", TERM="xterm-256color", LC_ALL="zh_CN.UTF-8")
    status, shown = await report(environ | {"OAUTH_HELPER_IAM_ENDPOINT": "", "BROWSER": "", "CODESPACES": "true"})
    assert status == 0
    for told in (
        *("oauth-helper 0", "Python 3.", "aiohttp 3.", "yarl 1.", "click 8.", "platformdirs 4.", "TERM=xterm-256color"),
        *("LC_ALL=zh_CN.UTF-8", "speaks zh-CN", "place: codespaces", "browsers: ", "cn-north-4 (OAUTH_HELPER_REGION)"),
        *("https://iam.cn-north-4.myhuaweicloud.com (default of region cn-north-4)", "*** is free"),
        "an access key (HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK)",
    ):
        assert told in shown
    assert all(len(line.split()) >= 2 for line in shown.splitlines() if line)


async def test_nothing_private_is_in_it(sandbox: Sandbox, tmp_path: Path, clean_surroundings: Path) -> None:
    Journal.of_the_user().write(replace(pending("canary-pending"), captured_at=datetime.now(UTC)))
    config = tmp_path / "canary-folder" / "config.toml"
    config.parent.mkdir()
    config.write_text('browser = "/canary-path/canary-program"\n')
    private = {"OAUTH_HELPER_CONFIG": str(config), "SSL_CERT_FILE": "", "NO_PROXY": "127.0.0.1"}
    environ = surroundings(sandbox, **PLANTED, **private)
    keys = (sandbox.access_key.access_key, sandbox.access_key.secret_key.reveal(), sandbox.project_id)
    status, shown = await report(environ, "--name", "canary-name")
    assert status == 9, "the browser that is named is not there"
    assert_discreet(shown, *keys, str(clean_surroundings), str(tmp_path))
    assert "pending" in shown


@pytest.mark.parametrize(
    "more",
    [
        {"HUAWEICLOUD_SDK_SK": "canary-secret-key"},
        {"HUAWEICLOUD_SDK_AK": "CANARY0ACCESS0KEY0ID", "HUAWEICLOUD_SDK_SK": ""},
        {"OAUTH_HELPER_TOKEN": "canary-token"},
        {"OAUTH_HELPER_ENDPOINT": "https://canary-service.canarycorp.example/canary-path"},
        {"OAUTH_HELPER_ENDPOINT": "http://canary-service.canarycorp.example"},
        {"OAUTH_HELPER_ENDPOINT": "https://canary-user@canarycorp.example"},
        {"OAUTH_HELPER_REGION": "CANARY REGION"},
        {"OAUTH_HELPER_REGION": "canary-region-1"},
        {"OAUTH_HELPER_TIMEOUT": "canary-time"},
        {"OAUTH_HELPER_BROWSER": "/canary/browser"},
        {"OAUTH_HELPER_CONFIG": "/canary-folder/config.toml"},
        {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "/canary-folder/credentials"},
        {"XDG_STATE_HOME": "/proc/canary-folder"},
        {"OAUTH_HELPER_CA_BUNDLE": "/canary-folder/ca.pem"},
    ],
    ids=lambda more: next(iter(more.values())),
)
async def test_an_error_is_told_without_what_it_is_about(sandbox: Sandbox, more: dict[str, str]) -> None:
    status, shown = await report(surroundings(sandbox, NO_PROXY="*") | more)
    assert_discreet(shown)
    assert status in {0, 3, 7, 9}
    assert ("fail" in shown) is (status != 0)
    if status:
        assert f"status {status}" in shown


async def test_it_goes_with_people_not_with_scripts() -> None:
    end = await run_command("doctor", "--report", "--json", environ=surroundings())
    assert end.status == 2
    assert json.loads(end.err.splitlines()[-1])["error"]["kind"] == "usage"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("servicestage.cn-north-4.myhuaweicloud.com", "servicestage.cn-north-4.myhuaweicloud.com"),
        ("iam.ap-southeast-1.myhuaweicloud.com:443", "iam.ap-southeast-1.myhuaweicloud.com:443"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("servicestage.internal.example.com", "s…e.i…l.e…e.com"),
        ("evil.servicestage.cn-north-4.myhuaweicloud.com", "e…l.s…e.c…4.m…d.com"),
        ("git.corp.cn:8443", "….c…p.cn:8443"),
        ("198.51.100.7", "….….….…"),
        ("[2001:db8::7]", "…"),
        ("buildhost", "…"),
    ],
)
def test_a_host_that_is_not_public_knowledge_is_cut_down(host: str, shown: str) -> None:
    assert short_host(host) == shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (_("{name} is free", name="canary"), "*** is free"),
        (_("{count} of {what}", count=3, what=_("{name}s", name="canary")), "3 of ***s"),
        (ngettext("{count} one", "{count} of {name}", 2, name="canary"), "2 of ***"),
        (_("no {value!r}", value="canary"), "no '***'"),
        (_("{peer}: {error}", peer="canary.example.org:443", error=OSError(2, "canary")), "c…y.e…e.org:443: ***"),
        (_("{detail}", detail=": Connection refused"), ": Connection refused"),
        (_("{error}", error=ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (_("on {day:%d.%m.}", day=date(2026, 1, 31)), "***"),
        (_("{address}", address="https://[canary/"), "***"),
        (_("{path}", path=Path("/canary")), "***"),
        (_("{code} {error}", code="SVCSTG.REPO.0403", error="TimeoutError"), "SVCSTG.REPO.0403 TimeoutError"),
        (_("{when:%H:%M}", when=datetime(2026, 1, 31, 9, 41, tzinfo=UTC)), "09:41"),
        (Text("canary"), "***"),
        (_("all") + " canary", "all***"),
        ("canary", "***"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_our_own_words_stay_and_what_is_put_into_them_does_not(words: str, shown: str) -> None:
    assert redacted(words) == shown
