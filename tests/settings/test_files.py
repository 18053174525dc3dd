"""Settings and credentials in files and variables: what is refused before a request, with its place."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support.command_runner import commands, error_of
from support.fake_servicestage import FakeServiceStage

from oauth_helper.sandbox import Sandbox
from oauth_helper.settings import others_can_read, read_config_file, read_credentials_file


def test_missing_files_are_empty_and_tell_where_they_would_lie(clean_environment: Path) -> None:
    config = read_config_file({})
    assert config.values == {}
    assert config.path.endswith("config.toml")
    credentials = read_credentials_file({})
    assert credentials.values == {}
    assert credentials.path == str(clean_environment / ".huaweicloud" / "credentials")
    assert not others_can_read(credentials.path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mode")
def test_a_file_that_others_can_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.touch(mode=0o600)
    assert not others_can_read(str(path))
    for mode in (0o640, 0o604):
        path.chmod(mode)
        assert others_can_read(str(path))


AK, SK, PROJECT = "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "OAUTH_HELPER_PROJECT_ID"
FILE = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
CONFIG = "OAUTH_HELPER_CONFIG"
NO_KEY = {AK: "", SK: ""}
USER = NO_KEY | {"HW_USER_NAME": "ada", "HW_USER_PASSWORD": "planted pass", "HW_DOMAIN_NAME": "acme"}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({AK: '"planted"'}, f"{AK} has quotes around it"),
        ({AK: "planted\r"}, f"{AK} contains U+000D CARRIAGE RETURN"),
        ({AK: "plan\u00a0ted"}, f"{AK} contains U+00A0 NO-BREAK SPACE"),
        ({AK: "\ufeffplanted"}, f"{AK} contains U+FEFF BYTE ORDER MARK"),
        ({AK: "植planted"}, f"{AK} contains U+690D CJK UNIFIED IDEOGRAPH-690D"),
        ({SK: "'planted'\n"}, f"{SK} has quotes around it"),
        ({SK: "plan ted"}, f"{SK} contains U+0020 SPACE"),
        ({AK: "planted" + "x" * 33, SK: "A1B2" * 5}, f"{AK} and {SK} look swapped"),
        ({"OAUTH_HELPER_TOKEN": "`planted`"}, "OAUTH_HELPER_TOKEN has quotes around it"),
        ({"OAUTH_HELPER_TOKEN": '{"token": {"id": "planted"}}'}, "OAUTH_HELPER_TOKEN is JSON, not a token"),
        (USER | {"HW_USER_PASSWORD": "planted\r\n"}, "HW_USER_PASSWORD contains U+000D"),
        (USER | {"HW_DOMAIN_NAME": "\udcff"}, "HW_DOMAIN_NAME is not UTF-8"),
        ({PROJECT: "ap-southeast-3_team"}, f"{PROJECT} is not a project ID"),
        ({PROJECT: "<your project>"}, f"{PROJECT} is a placeholder"),
        ({PROJECT: "Planted" * 5}, f"{PROJECT} is not a project ID"),
        ({PROJECT: "", "HUAWEICLOUD_SDK_PROJECT_ID": f"'{'0' * 32}'"}, "HUAWEICLOUD_SDK_PROJECT_ID has quotes around"),
        ({"HW_REGION_NAME": "cn-north-4\u200b"}, "HW_REGION_NAME contains U+200B"),
        ({"OAUTH_HELPER_TAG": '"intl"'}, "OAUTH_HELPER_TAG has quotes around it"),
        ({"OAUTH_HELPER_ENDPOINT": "'https://h.example'"}, "OAUTH_HELPER_ENDPOINT has quotes around it"),
    ],
)
async def test_a_value_that_cannot_be_right_is_not_sent(sandbox: Sandbox, environ: dict[str, str], words: str) -> None:
    ended = await commands.run("list", "--json", environ=commands.environ(sandbox) | environ)
    assert (ended.status, ended.out) == (3, "")
    assert words in error_of(ended.err)["message"]
    assert "planted" not in ended.err.lower()
    assert sandbox.calls.total() == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[basic]\nak = A\nsk = 'planted'\n", '"sk" in line 3 of "{}" has quotes around it'),
        (b"[global]\nak = x\n\n[basic]\n  AK: A # planted\n  SK: S\n", '"ak" in line 5 of "{}" has a comment after it'),
        (b"[basic]\nak = A\n  planted\nsk = S\n", '"ak" in line 2 of "{}" contains U+000A LINE FEED'),
        (
            b"[basic]\nak=A\nsk=S\nsecurity_token=plan\xe2\x80\x8bted\n",
            '"security_token" in line 4 of "{}" contains U+200B',
        ),
        (
            b"[basic]\nak = A\n[global]\nx = y\n[basic]\nsk = planted\n",
            '"{}" cannot be read: line 5 is no [section] or key = value, or repeats one',
        ),
        (
            b"[basic]\nak = A\nsk = S\nAK = planted\n",
            '"{}" cannot be read: line 4 is no [section] or key = value, or repeats one',
        ),
        (
            b"[basic]\nplanted = A\nplanted = S\n",
            '"{}" cannot be read: line 3 is no [section] or key = value, or repeats one',
        ),
        (b"ak = planted\n[basic]\n", '"{}" cannot be read: line 1 is no [section] or key = value, or repeats one'),
        (b"[basic]\nak = A\n\nplanted\n", '"{}" cannot be read: line 4 is no [section] or key = value, or repeats one'),
        (f"[basic]\nak = {'planted' * 5}ABCDE\nsk = {'0A' * 10}\n".encode(), '"sk" in line 3 of "{}" look swapped'),
        (
            b"[basic]\nak = A\nsk = S\niam_endpoint = https://h # planted\n",
            '"iam_endpoint" in line 4 of "{}" has a comment after it',
        ),
    ],
)
async def test_the_line_of_the_credentials_file_is_named(
    sandbox: Sandbox, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "credentials"
    path.write_bytes(content)
    environ = commands.environ(sandbox, OAUTH_HELPER_IAM_ENDPOINT="") | NO_KEY | {FILE: str(path), PROJECT: ""}
    ended = await commands.run("list", "--json", environ=environ)
    assert ended.status == 3
    assert words.format(path) in error_of(ended.err)["message"]
    assert "planted" not in ended.err
    assert sandbox.calls.total() == 0


@pytest.mark.parametrize(("mark", "line_break"), [(b"", "\r"), (b"\xef\xbb\xbf", "\r\n")])
async def test_files_are_utf_8_with_or_without_a_mark(
    sandbox: Sandbox, tmp_path: Path, mark: bytes, line_break: str
) -> None:
    def written(name: str, *lines: str) -> str:
        path = tmp_path / name
        path.write_bytes(mark + line_break.join([*lines, ""]).encode())
        path.chmod(0o600)
        return str(path)

    environ = commands.environ(sandbox)
    key = f"ak = {environ[AK]}", f"sk = {environ[SK]}"
    environ |= NO_KEY | {
        CONFIG: written("config.toml", "# 配置", 'browser = "none"'),
        FILE: written("credentials", "[basic]", "# 密钥", *key),
        "GIT": sandbox.personal_token.reveal(),
    }
    entry = ("[[authorization]]", 'name = "team"', 'repo_type = "github"', 'method = "token"', 'secret = "GIT"')
    ended = await commands.run("apply", written("team.toml", *entry), "--json", environ=environ)
    assert (ended.status, json.loads(ended.out)[0]["result"]) == (0, "created"), ended.err
    assert ended.err.splitlines()[0].startswith("0 of 1"), "no warning"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("browser = 1".encode("utf-16"), "is UTF-16, not UTF-8"),
        ("\n# 配置".encode("gbk"), "is not UTF-8: line 2 has a character of another encoding"),
        (b"\n" * (1024 * 1024 + 1), "is larger than 1 MB"),
        ("folder", "is a folder"),
        ("FIFO", "is a pipe or a device, not a plain file"),
        ("/dev/zero", "is a pipe or a device, not a plain file"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named_with_the_reason_at_once(
    sandbox: Sandbox, tmp_path: Path, content: bytes | str, words: str
) -> None:
    path = tmp_path / "file"
    match content:
        case bytes():
            path.write_bytes(content)
        case "folder":
            path.mkdir()
        case "FIFO":
            os.mkfifo(path)
        case _:
            path.symlink_to(content)
    arguments = ("sandbox", "--git-host", "https://h.example", "--client-id", "x", "--client-secret-file", str(path))
    calls = [
        (3, ("list",), {CONFIG: str(path)}),
        (3, ("list",), {FILE: str(path)}),
        (2, ("apply", str(path)), {}),
    ]
    if "UTF" not in words:
        calls.append((2, arguments, {}))
    if words.startswith(("is a pipe", "is larger")):
        calls.append((3, ("list", "--ca-bundle", str(path)), {}))
    for status, command, environ in calls:
        ended = await commands.run(*command, "--json", environ=commands.environ(sandbox) | environ)
        assert (ended.status, ended.out) == (status, ""), ended.err
        assert words in error_of(ended.err)["message"]
        assert str(path) in error_of(ended.err)["message"]
    assert sandbox.calls.total() == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("tag = 'x'\nregoin = 'x'\n", '"{}", line 2: unknown key'),
        ("\ntimeout = true\n", '"{}", line 2: timeout must be a text or a number'),
        ("tag = “x”\n", "(at line 1, column 7): U+201C LEFT DOUBLE QUOTATION MARK"),
        ("tag =\u00a0'x'\n", "U+00A0 NO-BREAK SPACE"),
        ("tag = 'x'\nregion = '\"cn-north-4\"'\n", "{}, line 2 has quotes around it"),
        ("tag = \"'intl'\"\n", "{}, line 1 has quotes around it"),
        ("\n'project_id' = 'cn-north-1'\n", '{}, line 2 is not a project ID: "cn-north-1"'),
    ],
)
async def test_the_line_of_the_settings_file_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(content)
    environ = commands.environ(OAUTH_HELPER_ENDPOINT="http://127.0.0.1:9") | {CONFIG: str(path), AK: "A", SK: "S"}
    ended = await commands.run("list", "--json", environ=environ)
    assert ended.status == 3
    assert words.format(path) in error_of(ended.err)["message"]


async def test_the_null_device_is_an_empty_file(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox) | {CONFIG: os.devnull, FILE: os.devnull}
    assert (await commands.run("list", environ=environ)).status == 0
    ended = await commands.run("apply", os.devnull, environ=environ)
    assert (ended.status, "no [[authorization]]" in ended.err) == (2, True)


async def test_a_secret_key_in_the_place_of_the_access_key_is_masked_if_the_gateway_repeats_it() -> None:
    def refuse(_: object) -> web.Response:
        told = f"Incorrect IAM authentication information: ak {planted} not exist"
        return web.json_response({"error_code": "APIGW.0301", "error_msg": told}, status=401)

    planted = "planted" + "P" * 33
    async with FakeServiceStage(refuse) as fake:
        environ = commands.environ(OAUTH_HELPER_ENDPOINT=fake.endpoint)
        environ |= {AK: planted, SK: "SecretKey", PROJECT: "0" * 32}
        ended = await commands.run("list", "-vv", environ=environ)
    assert (ended.status, "planted" in ended.err, "not exist" in ended.err) == (3, False, True)


async def test_a_settings_file_called_default_can_name_the_browser(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What matters is whether a browser is set, not what the file that sets it is called."""
    (tmp_path / "default").write_text('browser = "none"\n')
    monkeypatch.chdir(tmp_path)
    environ = commands.environ(sandbox, CI="true", BROWSER="") | {CONFIG: "default"}
    ended = await commands.run("doctor", "--json", environ=environ)
    assert {one["subject"]: one["verdict"] for one in json.loads(ended.out)}["place"] == "ok"
