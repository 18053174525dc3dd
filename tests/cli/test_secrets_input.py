"""What ``link --with-token`` and ``--with-password`` take from whom: options, standard input, a terminal."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import BinaryIO

import pytest
from support.command_runner import commands, error_of, records
from support.screen import Screen, terminal

from oauth_helper.sandbox import Sandbox

TOKEN = ("link", "github", "--with-token", "--name", "my-auth")
PASSWORD = ("link", "bitbucket", "--with-password", "--name", "my-auth")


@asynccontextmanager
async def fed(
    *arguments: str, environ: Mapping[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, BinaryIO]]:
    """Start the command, and write many times what a pipe holds that nobody reads; give the pipe, still open."""
    ours, writers = os.pipe()
    if sys.platform == "linux":
        fcntl.fcntl(writers, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(writers, "wb", buffering=0) as pipe:
        async with commands.running(*arguments, environ=environ, stdin=ours) as process:
            os.close(ours)
            assert await asyncio.to_thread(pipe.write, b"t" * 40_000) == 40_000
            yield process, pipe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("github", "--with-token", "--with-password"), "exclude each other"),
        (("github", "--with-token", "--browser", "none"), "Leave out --browser"),
        (("github", "--with-token", "--no-browser", "--port", "8080"), "Leave out --no-browser, --port"),
        (("github", "--with-token", "--sandbox"), "Leave out --sandbox"),
        (("github", "--host", "https://git.example"), "--host needs --with-token"),
        (("bitbucket", "--with-password", "--host", "https://git.example"), "--host needs --with-token"),
        (("github", "--with-token", "--user", "octocat"), "--user needs --with-password"),
        (("bitbucket", "--with-token"), "Use --with-password"),
        (("gitee", "--with-password"), "Use --with-token"),
        (("github", "--with-token", "--host", "http://git.example"), "plain http"),
        (("github", "--with-token", "--host", "https://a:planted@git.example"), "more than a host"),
        (("github", "--with-token", "--host", "ftp://git.example"), "not a usable address"),
        (("bitbucket", "--with-password"), "Pass --user NAME"),
        (("bitbucket", "--with-password", "--user", "a:b"), "colon"),
        (("github", "--with-token", "--name", "a"), "--name"),
        (("devcloud", "--with-password", "--user", "lisi"), "ACCOUNT/USER"),
    ],
)
async def test_options_that_make_no_sense_are_wrong_usage(
    sandbox: Sandbox, arguments: tuple[str, ...], words: str
) -> None:
    end = await commands.run("link", *arguments, "--json", environ=commands.environ(sandbox), given="planted-token\n")
    assert (end.status, end.out) == (2, "")
    assert words in " ".join((error_of(end.err)["message"], error_of(end.err)["hint"]))
    assert "planted" not in end.err
    assert sandbox.calls.total() == 0


async def test_a_line_is_taken_however_it_ends(sandbox: Sandbox) -> None:
    token = sandbox.personal_token.reveal()
    for number, form in enumerate(("{}", "{}\n", "{}\r\n", "{}\n\n\n", "\ufeff{}\n")):
        command = ("link", "github", "--with-token", "--name", f"form-{number}", "--json")
        end = await commands.run(*command, environ=commands.environ(sandbox), given=form.format(token))
        assert end.status == 0, end.err
        assert json.loads(end.out)["token_type"] == "personal"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"planted\nplanted\n", "more than one line"),
        (b"\nplanted\n", "more than one line"),
        (b"planted\xff\n", "is not UTF-8"),
        (b"planted" * 10_000, "too long"),
        (b"plan ted\n", "contains U+0020 SPACE"),
        (b"plan\x1bted\n", "contains U+001B"),
        (b'"planted"\n', "quotes around it"),
        (b"\xe2\x80\x9cplanted\xe2\x80\x9d", "quotes around it"),
        (b"GITHUB_TOKEN=planted\n", "a line NAME=VALUE"),
        ("planted\u200b\n".encode(), "contains U+200B ZERO WIDTH SPACE"),
    ],
)
async def test_what_is_no_line_with_a_token_is_not_sent(sandbox: Sandbox, given: bytes, words: str) -> None:
    end = await commands.run(*TOKEN, "--json", environ=commands.environ(sandbox), given=given)
    assert (end.status, end.out) == (2, "")
    assert words in error_of(end.err)["message"]
    assert "planted" not in end.err
    assert sandbox.calls.total() == 0


async def test_a_password_may_have_blanks_and_whatever_else(sandbox: Sandbox) -> None:
    end = await commands.run(
        *PASSWORD, "--user", "octocat", "--json", environ=commands.environ(sandbox), given=" pl n: /\n"
    )
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0451")
    assert "API token only" in error_of(end.err)["hint"]


async def test_the_writer_is_read_even_where_what_stands_is_kept(sandbox: Sandbox) -> None:
    """Else a script with ``pipefail`` would see a writer that was broken off."""
    environ = commands.environ(sandbox)
    assert (await commands.run(*TOKEN, environ=environ, given=sandbox.personal_token.reveal())).status == 0
    async with fed(*TOKEN, "--json", environ=environ) as (process, pipe):
        pipe.close()
        end = await commands.ended(process)
    assert (end.status, json.loads(end.out)["name"]) == (0, "my-auth")
    assert sandbox.calls["exchange"] == 1


async def test_control_c_while_standard_input_is_read_creates_nothing(sandbox: Sandbox) -> None:
    async with fed(*TOKEN, "--json", environ=commands.environ(sandbox)) as (process, pipe):
        process.send_signal(signal.SIGINT)
        end = await commands.ended(process)
        pipe.close()
    assert (end.status, error_of(end.err)["message"]) == (130, "Cancelled. Nothing was created")
    assert sandbox.calls.total() == 0


async def test_a_standard_input_that_cannot_be_read_is_told(sandbox: Sandbox) -> None:
    to_write = os.open(os.devnull, os.O_WRONLY)
    try:
        async with commands.running(*TOKEN, "--json", environ=commands.environ(sandbox), stdin=to_write) as process:
            end = await commands.ended(process)
    finally:
        os.close(to_write)
    assert (end.status, error_of(end.err)["message"]) == (2, "Standard input cannot be read: Bad file descriptor")
    assert sandbox.calls.total() == 0


@pytest.mark.parametrize("command", [TOKEN, (*PASSWORD, "--user", "octocat"), ("delete", "my-auth")])
async def test_who_has_no_standard_input_is_told_so(sandbox: Sandbox, command: tuple[str, ...]) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "oauth_helper", *command, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=commands.environ(sandbox),
    )
    end = await commands.ended(process)
    assert (end.status, error_of(end.err)["kind"]) == (2, "usage")
    assert sandbox.calls.total() == 0


async def typed(screen: Screen, question: str, answer: str) -> None:
    await screen.until(question)
    screen.type(f"{answer}\n")


async def test_a_terminal_asks_and_does_not_show_the_answer(sandbox: Sandbox) -> None:
    token, password = sandbox.personal_token.reveal(), sandbox.git_password.reveal()
    async with terminal(*TOKEN, "--events", environ=commands.environ(sandbox)) as screen:
        await typed(screen, "Personal access token of GitHub: ", "\x03")
        assert await screen.ended() == 130
    assert "Cancelled. Nothing was created" in screen.shown
    assert '"failed"' in screen.shown
    async with terminal(*TOKEN, environ=commands.environ(sandbox)) as screen:
        await typed(screen, "Personal access token of GitHub: ", token)
        assert await screen.ended() == 0, screen.shown
    assert 'Linked "my-auth" (octocat on GitHub).' in screen.shown
    assert token not in screen.shown
    async with terminal(*PASSWORD[:3], environ=commands.environ(sandbox)) as screen:
        await typed(screen, "Email address of the Bitbucket account: ", sandbox.git_user)
        await typed(screen, "API token of Bitbucket: ", password)
        assert await screen.ended() == 0, screen.shown
    assert "(octocat on Bitbucket)." in screen.shown
    assert password not in screen.shown
    assert len(await records(sandbox)) == 2


async def test_the_token_is_asked_for_only_if_it_is_needed(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    token = sandbox.personal_token.reveal()
    assert (await commands.run(*TOKEN, environ=environ, given=token)).status == 0
    async with terminal(*TOKEN, "--events", environ=environ) as screen:
        assert await screen.ended() == 0
    assert "Personal access token" not in screen.shown
    assert screen.shown.index('"checked"') < screen.shown.index('"linked"')
    assert '"my-auth" is already linked' in screen.shown
    async with terminal(*TOKEN, "--if-exists", "fail", environ=environ) as screen:
        assert await screen.ended() == 6
    assert "Personal access token" not in screen.shown
    async with terminal(*TOKEN, "--if-exists", "replace", environ=environ) as screen:
        await typed(screen, "Personal access token of GitHub: ", token)
        assert await screen.ended() == 0, screen.shown
    assert "already linked" not in screen.shown
    assert sandbox.calls["delete"] == 1
