"""The command doctor: its checks, its lines, and its report."""

import json
import os
import re
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace
from support.command_runner import Ended, commands
from support.fake_servicestage import PROJECT, TOKEN, FakeServiceStage, Received, answering
from support.journal_entries import pending
from support.promised_json import read_error
from support.screen import COLUMNS, terminal
from support.secret_search import Search, Secret

from oauth_helper.cli.doctor import check_listener, redacted
from oauth_helper.i18n import Text, _, ngettext
from oauth_helper.journal import Journal
from oauth_helper.sandbox import Sandbox

NO_KEY = {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


def findings(end: Ended) -> dict[str, dict[str, str]]:
    return {one["subject"]: one for one in json.loads(end.out)}


async def test_all_is_well(sandbox: Sandbox, tmp_path: Path) -> None:
    sight = tmp_path / "sight"
    environ = commands.environ(sandbox, SCRIPTED_SIGHT=str(sight), OAUTH_HELPER_TAG="intl")
    end = await commands.run("doctor", "--name", "my-auth", environ=environ)
    assert end.status == 0, end.out
    *lines, conclusion = end.out.splitlines()
    assert conclusion == "Ready: run `oauth-helper link github`."
    subjects = [line[6:18].strip() for line in lines]
    assert subjects == [
        *("place", "region", "endpoint", "project_id", "iam_endpoint", "tag", "defaults", "credentials"),
        *("service", "clock", "name", "browser", "listener"),
    ]
    assert all(line.startswith("ok ") for line in lines)
    assert "tag          intl (OAUTH_HELPER_TAG)" in end.out
    assert f"endpoint     {sandbox.endpoint} (OAUTH_HELPER_ENDPOINT)" in end.out
    assert "credentials  an access key (HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK)" in end.out
    assert "name         my-auth is free" in end.out
    assert sandbox.access_key.secret_key.reveal() not in end.out
    assert not sight.exists()


@pytest.mark.parametrize(
    ("changes", "options", "status", "subject", "verdict", "words"),
    [
        ({"HUAWEICLOUD_SDK_SK": "wrong"}, [], 3, "service", "fail", ""),
        (NO_KEY, [], 3, "credentials", "fail", "No credentials were found"),
        (NO_KEY, [], 3, "service", "note", "skipped"),
        ({"OAUTH_HELPER_ENDPOINT": ""}, [], 3, "region", "fail", ""),
        ({"OAUTH_HELPER_ENDPOINT": "http://127.0.0.1:9"}, [], 7, "service", "fail", ""),
        ({"OAUTH_HELPER_TIMEOUT": "soon"}, [], 3, "settings", "fail", ""),
        ({"OAUTH_HELPER_TIMEOUT": "soon"}, [], 3, "listener", "ok", ""),
        ({"OAUTH_HELPER_PROJECT_ID": "cn-north-4"}, [], 3, "project_id", "fail", "is not a project ID"),
        ({}, ["--name", "a b"], 2, "name", "fail", ""),
        ({"BROWSER": ""}, ["--port", "TAKEN"], 9, "listener", "fail", ""),
        ({"BROWSER": ""}, [], 0, "browser", "note", ""),
        ({"BROWSER": ""}, ["--browser", "default"], 9, "browser", "fail", ""),
        ({"BROWSER": ""}, ["--browser", "none"], 0, "browser", "ok", "addresses are printed"),
        ({"BROWSER": ""}, ["--browser", "chromium"], 9, "browser", "fail", "No window can be opened"),
        ({"BROWSER": "", "CI": "true"}, [], 9, "place", "fail", "CI is set"),
        ({"SSH_TTY": "/dev/pts/1"}, [], 0, "place", "ok", "over SSH: a link opens no browser"),
        ({"CODESPACES": "true"}, [], 0, "place", "ok", "a codespace"),
    ],
)
async def test_each_check_has_the_status_that_a_link_would_have(
    sandbox: Sandbox, changes: dict[str, str], options: list[str], status: int, subject: str, verdict: str, words: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = [str(taken.getsockname()[1]) if word == "TAKEN" else word for word in options]
        end = await commands.run("doctor", "--json", *options, environ=commands.environ(sandbox) | changes)
    found = findings(end)[subject]
    assert (end.status, found["verdict"]) == (status, verdict)
    assert words in found["message"]


@pytest.mark.parametrize(
    ("program", "options", "message", "hint"),
    [
        ("chromium", ["--browser", "{}/chromium"], "a dedicated window in Chromium", "ther users of this machine"),
        ("xdg-open", [], "xdg-open opens the page; no dedicated window", "Chromium or Firefox would save the copy"),
    ],
)
async def test_a_browser_with_a_drawback_is_noted(
    sandbox: Sandbox, tmp_path: Path, program: str, options: list[str], message: str, hint: str
) -> None:
    (tmp_path / "snap").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "snap").chmod(0o755)
    (tmp_path / program).symlink_to("snap")
    environ = commands.environ(sandbox, BROWSER="", DISPLAY=":of-nobody", PATH=str(tmp_path))
    options = [word.format(tmp_path) for word in options]
    found = findings(await commands.run("doctor", "--json", *options, environ=environ))["browser"]
    assert found["verdict"] == "note"
    assert message in found["message"]
    assert hint in found["hint"]


@contextmanager
def files_left(most: int) -> Iterator[None]:
    """Let this process open no file of a number above that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_listener_that_cannot_be_had_or_not_be_reached_is_told() -> None:
    assert (await check_listener(None)).verdict == "ok", "all is imported"
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    told = []
    for most in range(free, free + 10):
        with files_left(most):
            found = await check_listener(None)
        told.append(f"{found.verdict}: {found.message}")
    assert told[0].startswith("fail: ")
    assert "cannot be reached" not in told[0]
    assert any(one.startswith("fail: cannot be reached: ") for one in told)
    assert told[-1].startswith("ok: ")


@pytest.mark.parametrize(("ahead", "verdict"), [(300, "note"), (0, "ok"), (None, None)])
async def test_the_clock_is_compared_with_the_server_that_tells_the_time(
    ahead: float | None, verdict: str | None
) -> None:
    def respond(request: Received) -> web.Response:
        answer = answering({"authorizations": [], "count": 0})(request)
        answer.headers["Date"] = "soon" if ahead is None else formatdate(time.time() + ahead, usegmt=True)
        return answer

    async with FakeServiceStage(respond) as server:
        environ = commands.environ(OAUTH_HELPER_ENDPOINT=server.endpoint, OAUTH_HELPER_PROJECT_ID=PROJECT)
        environ["OAUTH_HELPER_TOKEN"] = TOKEN.token.reveal()
        end = await commands.run("doctor", "--json", environ=environ)
    clock = findings(end).get("clock", {})
    assert (end.status, clock.get("verdict")) == (0, verdict)
    assert ("behind the server's" in clock.get("message", "")) is (verdict == "note")


async def test_a_taken_name_and_a_list_that_is_not_permitted_are_notes(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    assert (await commands.run("link", "gitee", "--name", "mine", environ=environ)).status == 0
    end = await commands.run("doctor", "gitee", "--json", "--name", "mine", environ=environ)
    assert (end.status, findings(end)["name"]["message"]) == (0, "mine is already linked; a link keeps it")
    other_type = await commands.run("doctor", "github", "--json", "--name", "mine", environ=environ)
    assert (other_type.status, findings(other_type)["name"]["verdict"]) == (6, "fail"), "as a link would end"
    assert read_error(other_type.err.splitlines()[-1])["kind"] == "name-taken"
    key = sandbox.access_key_without_list
    environ |= {"HUAWEICLOUD_SDK_AK": key.access_key, "HUAWEICLOUD_SDK_SK": key.secret_key.reveal()}
    end = await commands.run("doctor", "--json", environ=environ)
    assert (end.status, findings(end)["service"]["verdict"]) == (0, "note")


async def test_the_kind_of_credentials_is_named(sandbox: Sandbox, clean_environment: Path) -> None:
    environ = commands.environ(sandbox) | NO_KEY
    end = await commands.run("doctor", environ=environ | {"OAUTH_HELPER_TOKEN": sandbox.token.token.reveal()})
    assert "credentials  an IAM token" in end.out
    file = clean_environment / ".huaweicloud" / "credentials"
    file.parent.mkdir()
    file.write_text("[basic]\nak = a\nsk = s\nsecurity_token = t\n")
    file.chmod(0o644)
    end = await commands.run("doctor", environ=environ)
    assert "credentials  a temporary access key" in end.out
    assert "other users can read" in end.out


async def test_what_is_pending_is_noted_and_what_cannot_be_read_too(sandbox: Sandbox) -> None:
    journal = Journal.of_the_user()
    journal.write(replace(pending("cut-off"), captured_at=datetime.now(UTC)))
    spoilt = replace(pending("spoilt"), captured_at=datetime.now(UTC))
    journal.write(spoilt)
    [path] = Path.home().rglob(f"pending-{spoilt.target.digest}-github.json")
    path.write_text("{")
    end = await commands.run("doctor", environ=commands.environ(sandbox))
    assert end.status == 0
    assert "unfinished: cut-off" in end.out
    assert "`oauth-helper resume` finishes it." in end.out
    assert str(path) in end.out
    assert "planted-code" not in end.out + end.err


async def test_the_source_and_what_is_not_used_are_named_and_the_report_leaves_out_names(sandbox: Sandbox) -> None:
    user = {"HW_USER_NAME": sandbox.user.name, "HW_USER_PASSWORD": sandbox.user.password.reveal()}
    user |= {
        "HW_DOMAIN_NAME": sandbox.user.domain_name,
        "HW_USER_ID": "planted",
        "OAUTH_HELPER_CREDENTIALS": "terraform",
    }
    environ = commands.environ(sandbox) | user
    end = await commands.run("doctor", environ=environ)
    assert f"IAM user {sandbox.user.name} of {sandbox.user.domain_name}" in end.out
    assert "an access key (HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK); HW_USER_ID (not supported)" in end.out
    assert "valid until" in end.out
    report = await commands.run("doctor", "--report", environ=environ)
    assert "IAM user *** of *** (HW_USER_NAME" in report.out
    assert not any(name in report.out for name in (sandbox.user.name, sandbox.user.domain_name, "planted"))
    verbose = await commands.run("list", "-v", environ=environ)
    assert f"Credentials: IAM user {sandbox.user.name}" in verbose.err


HEAD = re.compile(r"(ok|note|fail) +[a-z_]+ +\S")


async def lines_of(environ: dict[str, str], *options: str) -> tuple[int, list[str]]:
    async with terminal("doctor", *options, environ=environ, columns=COLUMNS) as screen:
        status = await screen.ended()
    return status, re.sub(r"\x1b\[[0-9;]*m", "", screen.shown).replace("\r", "").splitlines()


async def test_it_fits_one_screen_and_every_line_its_width(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, OAUTH_HELPER_REGION="cn-north-4", BROWSER="")
    status, lines = await lines_of(environ | {"SSH_CONNECTION": "203.0.113.5 40000 203.0.113.9 22"})
    assert (status, lines[-1]) == (0, "Ready: run `oauth-helper link github`.")
    assert len(lines) < 24
    assert all(len(line) < COLUMNS for line in lines)
    for line in lines[:-1]:
        assert HEAD.match(line) or line.startswith(" " * 19)
        assert (line[18], line[19] != " ") == (" ", True)


async def test_what_fails_is_followed_by_a_hint(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, OAUTH_HELPER_ENDPOINT="", HUAWEICLOUD_SDK_AK="", BROWSER="")
    status, lines = await lines_of(environ, "--browser", "default")
    failed = [number for number, line in enumerate(lines) if line.startswith("fail")]
    assert [lines[number].split()[1] for number in failed] == ["region", "credentials", "browser"]
    assert all(lines[number + 1].startswith(" " * 19) for number in failed)
    assert (status, lines[-1]) == (3, "Fix the first line marked fail first.")


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


async def report(environ: dict[str, str], *options: str) -> tuple[int, str]:
    end = await commands.run("doctor", "--report", *options, environ=environ)
    assert end.err == ""
    return end.status, end.out


def assert_redacted(shown: str, *more: str) -> None:
    values = [*PLANTED.values(), *more, "canary", "203.0.113.55", "198.51.100.77"]
    assert Search(Secret(value, value) for value in values).hits(shown) == []


async def test_the_report_names_versions_environment_and_findings(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, OAUTH_HELPER_REGION="cn-north-4", TERM="xterm-256color", LC_ALL="zh_CN.UTF-8")
    status, shown = await report(environ | {"OAUTH_HELPER_IAM_ENDPOINT": "", "BROWSER": "", "CODESPACES": "true"})
    assert status == 0
    for told in (
        *("oauth-helper 0", "Python 3.", "aiohttp 3.", "yarl 1.", "click 8.", "platformdirs 4.", "TERM=xterm-256color"),
        *("LC_ALL=zh_CN.UTF-8", "speaks zh-CN", "place: codespaces", "browsers: ", "cn-north-4 (OAUTH_HELPER_REGION)"),
        *("https://iam.cn-north-4.myhuaweicloud.com (default of region cn-north-4)", "*** is free"),
        "an access key (HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK)",
    ):
        assert told in shown


async def test_nothing_private_is_in_it(sandbox: Sandbox, tmp_path: Path, clean_environment: Path) -> None:
    Journal.of_the_user().write(replace(pending("canary-pending"), captured_at=datetime.now(UTC)))
    config = tmp_path / "canary-folder" / "config.toml"
    config.parent.mkdir()
    config.write_text('browser = "/canary-path/canary-program"\n')
    private = {"OAUTH_HELPER_CONFIG": str(config), "SSL_CERT_FILE": "", "NO_PROXY": "127.0.0.1"}
    environ = commands.environ(sandbox, **PLANTED, **private)
    keys = (sandbox.access_key.access_key, sandbox.access_key.secret_key.reveal(), sandbox.project_id)
    status, shown = await report(environ, "--name", "canary-name")
    assert status == 9, "the browser that is named is not there"
    assert_redacted(shown, *keys, str(clean_environment), str(tmp_path))
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
    status, shown = await report(commands.environ(sandbox, NO_PROXY="*") | more)
    assert_redacted(shown)
    assert status in {0, 3, 7, 9}
    assert ("fail" in shown) is (status != 0)
    if status:
        assert f"status {status}" in shown


async def test_a_report_is_for_people_not_for_scripts() -> None:
    end = await commands.run("doctor", "--report", "--json", environ=commands.environ())
    assert (end.status, json.loads(end.err.splitlines()[-1])["error"]["kind"]) == (2, "usage")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (_("{name} is free", name="canary"), "*** is free"),
        (_("{count} of {what}", count=3, what=_("{name}s", name="canary")), "3 of ***s"),
        (ngettext("{count} one", "{count} of {name}", 2, name="canary"), "2 of ***"),
        (_("no {value!r}", value="canary"), "no '***'"),
        (_("{peer}: {error}", peer="canary.example.org:443", error=OSError(2, "canary")), "***: ***"),
        (
            _("{url}", url="https://iam.cn-north-4.myhuaweicloud.com/canary"),
            "https://iam.cn-north-4.myhuaweicloud.com/***",
        ),
        (_("{url}", url="https://canary.iam.cn-north-4.myhuaweicloud.com"), "***"),
        (_("{url}", url="http://[::1]:8080"), "http://[::1]:8080"),
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
