"""The command doctor: its checks, its lines, and its report."""

import json
import os
import re
import resource
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace
from support.command_runner import Ended, commands
from support.fake_servicestage import PROJECT, TOKEN, FakeServiceStage, Received, answering
from support.journal_entries import pending
from support.promised_json import read_error
from support.screen import COLUMNS, terminal
from support.secret_search import Search, Secret

import oauth_helper
from oauth_helper.cli.doctor import check_listener, redacted
from oauth_helper.i18n import Text, _, ngettext
from oauth_helper.journal import Journal
from oauth_helper.sandbox import Sandbox

FROM_A_CHECKOUT = """
import sys
folder, site = sys.argv[1:3]
del sys.argv[1:3]
sys.path[sys.path.index(site)] = folder
from oauth_helper.cli import main
sys.exit(main())
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (folder := tmp_path / "bin").mkdir()
    return folder


def install(program: Path) -> None:
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)


async def finding(subject: str, *options: str, environ: Mapping[str, str]) -> dict[str, str]:
    end = await commands.run_forked("doctor", "--json", *options, environ=environ)
    [found] = [one for one in json.loads(end.out) if one["subject"] == subject]
    return dict(found)


async def test_a_window_that_others_could_drive_is_had_where_it_is_demanded_and_noted(
    sandbox: Sandbox, programs: Path
) -> None:
    install(programs / "snap")
    (programs / "chromium").symlink_to("snap")
    environ = commands.environ(sandbox, BROWSER="", DISPLAY=":of-nobody", PATH=str(programs))
    found = await finding("browser", "--browser", str(programs / "chromium"), environ=environ)
    assert found["verdict"] == "note"
    assert "a dedicated window in Chromium" in found["message"]
    assert "other users of this machine" in found["hint"].lower()


async def test_where_only_an_opener_is_installed_the_default_browser_shows_the_page(
    sandbox: Sandbox, programs: Path
) -> None:
    install(programs / "xdg-open")
    found = await finding(
        "browser", environ=commands.environ(sandbox, BROWSER="", DISPLAY=":of-nobody", PATH=str(programs))
    )
    assert found["verdict"] == "note"
    assert "xdg-open opens the page; no dedicated window" in found["message"]
    assert "Chromium or Firefox would save the copy" in found["hint"]


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


@pytest.mark.parametrize("has_clock", [True, False])
async def test_a_server_that_does_not_tell_the_time_is_no_judge_of_the_clock(has_clock: bool) -> None:
    listed = answering({"authorizations": [], "count": 0})

    def respond(request: Received) -> web.Response:
        answer = listed(request)
        answer.headers["Date"] = formatdate(usegmt=True) if has_clock else "soon"
        return answer

    async with FakeServiceStage(respond) as server:
        environ = commands.environ(
            OAUTH_HELPER_ENDPOINT=server.endpoint,
            OAUTH_HELPER_PROJECT_ID=PROJECT,
            OAUTH_HELPER_TOKEN=TOKEN.token.reveal(),
        )
        end = await commands.run_forked("doctor", "--json", environ=environ)
    assert ("clock" in {one["subject"] for one in json.loads(end.out)}) is has_clock
    assert end.status == 0


async def from_a_checkout(*arguments: str, folder: Path, environ: Mapping[str, str]) -> Ended:
    """Run the command with the package as it is, and its dependencies, but with nothing of it installed."""
    site = Path(aiohttp.__file__).parents[1]
    for installed in site.iterdir():
        if "oauth_helper" not in installed.name and installed.suffix != ".pth":
            (folder / installed.name).symlink_to(installed)
    (folder / "oauth_helper").symlink_to(Path(oauth_helper.__file__).parent)
    process = await create_subprocess_exec(
        *(sys.executable, "-I", "-c", FROM_A_CHECKOUT, str(folder), str(site), *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=dict(environ),
    )
    return await commands.ended(process)


async def test_a_report_from_a_checkout_says_so(sandbox: Sandbox, tmp_path: Path) -> None:
    (folder := tmp_path / "site").mkdir()
    end = await from_a_checkout("doctor", "--report", folder=folder, environ=commands.environ(sandbox))
    assert end.status == 0, end.err
    first, _, packages, *_ = end.out.splitlines()
    assert first == "oauth-helper of a checkout"
    assert "aiohttp 3." in packages


PLAIN = re.compile(r"\x1b\[[0-9;]*m")


HEAD = re.compile(r"(ok|note|fail) +[a-z_]+ +\S")


async def lines_of(environ: dict[str, str], *options: str, columns: int = COLUMNS) -> tuple[int, list[str]]:
    async with terminal("doctor", *options, environ=environ, columns=columns) as screen:
        status = await screen.ended()
    return status, PLAIN.sub("", screen.shown).replace("\r", "").splitlines()


async def test_it_fits_one_screen_and_every_line_its_width(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, OAUTH_HELPER_REGION="cn-north-4")
    for more in ({}, {"BROWSER": ""}, {"BROWSER": "", "SSH_CONNECTION": "203.0.113.5 40000 203.0.113.9 22"}):
        status, lines = await lines_of(environ | more)
        assert status == 0
        assert len(lines) < 24
        assert all(len(line) < COLUMNS for line in lines)
        assert lines[-1] == "Ready: run `oauth-helper link github`."
        for line in lines[:-1]:
            assert HEAD.match(line) or line.startswith(" " * 19)
            assert line[18] == " "
            assert line[19] != " "


async def test_what_fails_says_how_to_mend_it_and_the_first_stands_first(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, OAUTH_HELPER_ENDPOINT="", HUAWEICLOUD_SDK_AK="", BROWSER="")
    status, lines = await lines_of(environ, "--browser", "default")
    assert status == 3
    failed = [number for number, line in enumerate(lines) if line.startswith("fail")]
    assert [lines[number].split()[1] for number in failed] == ["region", "credentials", "browser"]
    for number in failed:
        assert lines[number + 1].startswith(" " * 19), "with more behind it"
    assert any("skipped" in line for line in lines)
    assert lines[-1] == "Fix the first line marked fail first."


async def test_the_place_is_told_with_what_follows(sandbox: Sandbox) -> None:
    for more, words in (
        ({"SSH_TTY": "/dev/pts/1"}, "place        over SSH: a link opens no browser"),
        ({"CODESPACES": "true"}, "place        a codespace"),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, "place        WSL"),
    ):
        end = await commands.run_forked("doctor", environ=commands.environ(sandbox, **more))
        assert end.status == 0
        assert words in end.out
    end = await commands.run_forked("doctor", environ=commands.environ(sandbox, CI="true", BROWSER=""))
    assert end.status == 9
    assert end.out.startswith("fail  place        CI is set, so no one can authorize in a browser")


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
    end = await commands.run_forked("doctor", "--report", *options, environ=environ)
    assert end.err == ""
    return end.status, end.out


def assert_discreet(shown: str, *more: str) -> None:
    values = [*PLANTED.values(), *more, "canary", "203.0.113.55", "198.51.100.77"]
    assert Search(Secret(value, value) for value in values).hits(shown) == []


async def test_it_tells_what_it_takes_to_help(sandbox: Sandbox) -> None:
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
    assert all(len(line.split()) >= 2 for line in shown.splitlines() if line)


async def test_nothing_private_is_in_it(sandbox: Sandbox, tmp_path: Path, clean_surroundings: Path) -> None:
    Journal.of_the_user().write(replace(pending("canary-pending"), captured_at=datetime.now(UTC)))
    config = tmp_path / "canary-folder" / "config.toml"
    config.parent.mkdir()
    config.write_text('browser = "/canary-path/canary-program"\n')
    private = {"OAUTH_HELPER_CONFIG": str(config), "SSL_CERT_FILE": "", "NO_PROXY": "127.0.0.1"}
    environ = commands.environ(sandbox, **PLANTED, **private)
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
    status, shown = await report(commands.environ(sandbox, NO_PROXY="*") | more)
    assert_discreet(shown)
    assert status in {0, 3, 7, 9}
    assert ("fail" in shown) is (status != 0)
    if status:
        assert f"status {status}" in shown


async def test_it_goes_with_people_not_with_scripts() -> None:
    end = await commands.run_forked("doctor", "--report", "--json", environ=commands.environ())
    assert end.status == 2
    assert json.loads(end.err.splitlines()[-1])["error"]["kind"] == "usage"


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


def findings(end: Ended) -> dict[str, dict[str, str]]:
    return {one["subject"]: one for one in json.loads(end.out)}


async def test_all_is_well(sandbox: Sandbox, tmp_path: Path) -> None:
    sight = tmp_path / "sight"
    environ = commands.environ(sandbox, SCRIPTED_SIGHT=str(sight), OAUTH_HELPER_TAG="intl")
    end = await commands.run_forked("doctor", "--name", "my-auth", environ=environ)
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


async def test_what_is_wrong_is_told_with_the_status_a_link_would_end_with(sandbox: Sandbox) -> None:
    wrong = await commands.run_forked("doctor", "--json", environ=commands.environ(sandbox, HUAWEICLOUD_SDK_SK="wrong"))
    assert wrong.status == 3
    assert findings(wrong)["service"]["verdict"] == "fail"
    none = await commands.run_forked(
        "doctor", "--json", environ=commands.environ(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    )
    assert none.status == 3
    assert findings(none)["credentials"]["verdict"] == "fail"
    assert "skipped" in findings(none)["service"]["message"]
    away = await commands.run_forked(
        "doctor", "--json", environ=commands.environ(sandbox, OAUTH_HELPER_ENDPOINT="http://127.0.0.1:9")
    )
    assert away.status == 7
    illegal = await commands.run_forked("doctor", "--json", "--name", "a b", environ=commands.environ(sandbox))
    assert (illegal.status, findings(illegal)["name"]["verdict"]) == (2, "fail")


async def test_a_setting_that_cannot_be_used_is_one_finding_among_others(sandbox: Sandbox) -> None:
    unusable = await commands.run_forked(
        "doctor", "--json", environ=commands.environ(sandbox, OAUTH_HELPER_TIMEOUT="soon")
    )
    assert unusable.status == 3
    assert findings(unusable)["settings"]["verdict"] == "fail"
    assert findings(unusable)["listener"]["verdict"] == "ok"
    nowhere = await commands.run_forked("doctor", "--json", environ=commands.environ(sandbox, OAUTH_HELPER_ENDPOINT=""))
    assert nowhere.status == 3
    assert findings(nowhere)["region"]["verdict"] == "fail"
    assert findings(nowhere)["service"]["verdict"] == "note"


async def test_a_clock_that_is_off_is_noted_before_signatures_are_refused() -> None:
    async with Sandbox(now=lambda: time.time() + 300) as ahead:
        end = await commands.run_forked("doctor", "--json", environ=commands.environ(ahead))
    assert end.status == 0
    assert findings(end)["clock"]["verdict"] == "note"
    assert "behind the server's" in findings(end)["clock"]["message"]


async def test_this_machine_is_looked_at(sandbox: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        end = await commands.run_forked(
            "doctor", "--json", "--port", port, environ=commands.environ(sandbox, BROWSER="")
        )
    assert end.status == 9
    assert findings(end)["listener"]["verdict"] == "fail"
    assert findings(end)["browser"]["verdict"] == "note"
    demanded = await commands.run_forked(
        "doctor", "--json", "--browser", "default", environ=commands.environ(sandbox, BROWSER="")
    )
    assert demanded.status == 9
    assert findings(demanded)["browser"]["verdict"] == "fail"
    unwanted = await commands.run_forked(
        "doctor", "--json", "--browser", "none", environ=commands.environ(sandbox, BROWSER="")
    )
    assert unwanted.status == 0
    assert "addresses are printed" in findings(unwanted)["browser"]["message"]
    built = await commands.run_forked("doctor", "--json", environ=commands.environ(sandbox, BROWSER="", CI="true"))
    assert built.status == 9, "as a link would end"
    window = await commands.run_forked(
        "doctor", "--json", "--browser", "chromium", environ=commands.environ(sandbox, BROWSER="")
    )
    assert window.status == 9
    assert "No window can be opened" in findings(window)["browser"]["message"]


async def test_a_taken_name_and_a_list_that_is_not_permitted_are_notes(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    assert (await commands.run_forked("link", "gitee", "--name", "mine", environ=environ)).status == 0
    end = await commands.run_forked("doctor", "gitee", "--json", "--name", "mine", environ=environ)
    assert end.status == 0
    assert findings(end)["name"]["message"] == "mine is already linked; a link keeps it"
    other_type = await commands.run_forked("doctor", "github", "--json", "--name", "mine", environ=environ)
    assert other_type.status == 6, "as a link would end"
    assert findings(other_type)["name"]["verdict"] == "fail"
    assert read_error(other_type.err.splitlines()[-1])["kind"] == "name-taken"
    key = sandbox.access_key_without_list
    unlisted = {"HUAWEICLOUD_SDK_AK": key.access_key, "HUAWEICLOUD_SDK_SK": key.secret_key.reveal()}
    end = await commands.run_forked("doctor", "--json", environ=environ | unlisted)
    assert end.status == 0
    assert findings(end)["service"]["verdict"] == "note"


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ("token", "an IAM token"),
        ("user", "IAM user sandbox-user of sandbox-account"),
        ("file", "a temporary access key"),
    ],
)
async def test_the_kind_of_credentials_is_named(
    sandbox: Sandbox, environment: str, kind: str, clean_surroundings: Path
) -> None:
    environ = commands.environ(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    if environment == "token":
        environ["OAUTH_HELPER_TOKEN"] = sandbox.token.token.reveal()
    elif environment == "user":
        user = sandbox.user
        environ |= {"HW_USER_NAME": user.name, "HW_USER_PASSWORD": user.password.reveal()}
        environ |= {"HW_DOMAIN_NAME": user.domain_name}
    else:
        file = clean_surroundings / ".huaweicloud" / "credentials"
        file.parent.mkdir()
        file.write_text("[basic]\nak = a\nsk = s\nsecurity_token = t\n")
        file.chmod(0o644)
    end = await commands.run_forked("doctor", environ=environ)
    assert f"credentials  {kind}" in end.out
    assert ("other users can read" in end.out) is (environment == "file")


async def test_what_is_pending_is_noted_and_what_cannot_be_read_too(sandbox: Sandbox) -> None:
    journal = Journal.of_the_user()
    journal.write(replace(pending("cut-off"), captured_at=datetime.now(UTC)))
    spoilt = replace(pending("spoilt"), captured_at=datetime.now(UTC))
    journal.write(spoilt)
    [path] = Path.home().rglob(f"pending-{spoilt.target.digest}-github.json")
    path.write_text("{")
    end = await commands.run_forked("doctor", environ=commands.environ(sandbox))
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
    end = await commands.run_forked("doctor", environ=environ)
    assert f"IAM user {sandbox.user.name} of {sandbox.user.domain_name}" in end.out
    assert "an access key (HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK); HW_USER_ID (not supported)" in end.out
    assert "valid until" in end.out
    report = await commands.run_forked("doctor", "--report", environ=environ)
    assert "IAM user *** of *** (HW_USER_NAME" in report.out
    assert not any(name in report.out for name in (sandbox.user.name, sandbox.user.domain_name, "planted"))
    verbose = await commands.run_forked("list", "-v", environ=environ)
    assert f"Credentials: IAM user {sandbox.user.name}" in verbose.err
