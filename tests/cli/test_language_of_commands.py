"""What the whole command says to who reads Chinese; and that nothing of it is said to scripts."""

import json
import re

import click
import pytest
from support.chinese import CHINESE, ENGLISH_WORDS
from support.command_runner import commands
from support.screen import terminal

from oauth_helper.cli.app import program
from oauth_helper.sandbox import Sandbox

LINK = ("link", "github", "--name", "my-auth")
SERVERS_SAY = (
    "The user has denied your application access",
    "Incorrect IAM authentication information: verify aksk signature fail",
)
COMMANDS = ("", *program.list_commands(click.Context(program)))


def said(text: str) -> str:
    """A text, in which nothing is English but commands, addresses and what a server has said."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|`[^`]*`|https?://\S+|oauth-helper completion \w+", "", text)
    for words in SERVERS_SAY:
        plain = plain.replace(words, "")
    assert not (found := ENGLISH_WORDS.findall(plain)), (found, text)
    return plain


@pytest.mark.parametrize("command", COMMANDS)
async def test_help(command: str) -> None:
    end = await commands.run(*command.split(), "--help", environ=commands.environ(None, **CHINESE))
    assert end.status == 0
    assert said(end.out).startswith("用法：oauth-helper")
    assert "--help" in end.out


@pytest.mark.parametrize(
    ("arguments", "environ", "is_chinese"),
    [
        ((), {}, False),
        ((), CHINESE, True),
        (("--lang", "zh"), {}, True),
        (("--lang=zh-CN",), {"LANG": "en_US.UTF-8"}, True),
        (("--lang", "en"), CHINESE, False),
        ((), {"OAUTH_HELPER_LANG": "zh", "LANG": "en_US.UTF-8"}, True),
        (("--lang", "en"), {"OAUTH_HELPER_LANG": "zh"}, False),
        ((), {"LANG": "zh_TW.UTF-8"}, False),
        (("--json",), {"OAUTH_HELPER_LANG": "zh"}, True),
    ],
)
async def test_who_is_spoken_to_in_chinese(
    arguments: tuple[str, ...], environ: dict[str, str], is_chinese: bool
) -> None:
    end = await commands.run("show", *arguments, environ=commands.environ(None, **environ))
    assert end.status == 2
    assert end.err.startswith("错误：缺少参数 NAME" if is_chinese else "error: Missing argument NAME")


@pytest.mark.parametrize("arguments", [("link", "nowhere"), ("link",), ("--nope",), ("nope",), ("link", "github", "x")])
async def test_usage_errors(arguments: tuple[str, ...]) -> None:
    end = await commands.run(*arguments, environ=commands.environ(None, **CHINESE))
    assert end.status == 2
    assert said(end.err).startswith("错误：")
    assert "\n提示：" in end.err
    assert "请参见 `oauth-helper" in end.err


async def test_a_link_is_told_in_chinese(sandbox: Sandbox) -> None:
    end = await commands.run(*LINK, environ=commands.environ(sandbox, **CHINESE))
    assert end.status == 0
    assert "已关联“my-auth”（" in said(end.err)
    assert "名称      my-auth" in said(end.out)
    for command in (("list",), ("show", "my-auth"), ("repos", "my-auth"), ("doctor",)):
        end = await commands.run(*command, environ=commands.environ(sandbox, **CHINESE))
        said(end.out + end.err)
    end = await commands.run("delete", "--yes", "my-auth", environ=commands.environ(sandbox, **CHINESE))
    assert "已删除“my-auth”" in said(end.err)


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"SCRIPTED_USER": "deny"}, 4, "您拒绝了授权"),
        ({"SCRIPTED_USER": "nothing"}, 5, "等待授权超时"),
        ({"HUAWEICLOUD_SDK_SK": "wrong"}, 3, "认证信息"),
        ({"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}, 3, "未找到认证信息"),
        ({"HUAWEICLOUD_SDK_SK": ""}, 3, "HUAWEICLOUD_SDK_SK"),
        ({"OAUTH_HELPER_ENDPOINT": "https://127.0.0.1:9"}, 7, "127.0.0.1:9"),
        ({"OAUTH_HELPER_TIMEOUT": "soon"}, 3, "OAUTH_HELPER_TIMEOUT"),
        ({"BROWSER": "/nonexistent", "OAUTH_HELPER_BROWSER": "default"}, 9, "浏览器"),
    ],
    ids=["denied", "deadline", "wrong key", "no key", "half a key", "unreachable", "settings", "no browser"],
)
async def test_errors(sandbox: Sandbox, more: dict[str, str], status: int, words: str) -> None:
    timeout = ("--timeout", "1") if status == 5 else ()
    end = await commands.run(*LINK, *timeout, environ=commands.environ(sandbox, **CHINESE, **more))
    assert end.status == status, end.err
    assert words in said(end.err)
    lines = end.err.splitlines()
    error = next(number for number, line in enumerate(lines) if line.startswith("错误："))
    assert lines[error + 1].startswith("提示：")


async def test_scripts_read_english_whoever_sits_there(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, **CHINESE)
    end = await commands.run("show", "missing", "--json", environ=environ)
    assert end.err.startswith("错误：")
    told = json.loads(end.err.splitlines()[-1])["error"]
    assert told["message"] == 'There is no authorization named "missing"'
    assert told["hint"] == "`oauth-helper list` shows the authorizations there are."
    events = (await commands.run(*LINK, "--events", environ=environ)).out
    assert events.isascii()
    doctor = json.loads((await commands.run("doctor", "--json", environ=environ)).out)
    assert all(finding["message"].isascii() for finding in doctor)


async def test_a_terminal_of_60_columns(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, SCRIPTED_USER="nothing", TERM="xterm", **CHINESE)
    async with terminal(*LINK, environ=environ, columns=60) as screen:
        await screen.until("请将浏览器地址栏中的地址粘贴到此处")
        screen.type("?\r")
        await screen.until("Ctrl-C")
        await screen.until("a：")
        screen.type("\x03")
        assert await screen.ended() == 130
        said(screen.shown)
