"""What ``doctor`` looks like: one screen, aligned, the first failure first."""

import re
from collections.abc import AsyncIterator

import pytest
from command import run_command, surroundings
from screen import COLUMNS, terminal

from oauth_helper.sandbox import Sandbox

PLAIN = re.compile(r"\x1b\[[0-9;]*m")
HEAD = re.compile(r"(ok|note|fail) +[a-z_]+ +\S")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


async def lines_of(environ: dict[str, str], *options: str, columns: int = COLUMNS) -> tuple[int, list[str]]:
    async with terminal("doctor", *options, environ=environ, columns=columns) as screen:
        status = await screen.ended()
    return status, PLAIN.sub("", screen.shown).replace("\r", "").splitlines()


async def test_it_fits_one_screen_and_every_line_its_width(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, OAUTH_HELPER_REGION="cn-north-4")
    for more in ({}, {"BROWSER": ""}, {"BROWSER": "", "SSH_CONNECTION": "203.0.113.5 40000 203.0.113.9 22"}):
        status, lines = await lines_of(environ | more)
        assert status == 0
        assert len(lines) < 24
        assert all(len(line) < COLUMNS for line in lines)
        assert lines[-1] == "All is well: `oauth-helper link github` can start."
        for line in lines[:-1]:
            assert HEAD.match(line) or line.startswith(" " * 19)
            assert line[18] == " "
            assert line[19] != " "


async def test_what_fails_says_how_to_mend_it_and_the_first_stands_first(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, OAUTH_HELPER_ENDPOINT="", HUAWEICLOUD_SDK_AK="", BROWSER="")
    status, lines = await lines_of(environ, "--browser", "default")
    assert status == 3
    failed = [number for number, line in enumerate(lines) if line.startswith("fail")]
    assert [lines[number].split()[1] for number in failed] == ["endpoint", "credentials", "browser"]
    for number in failed:
        assert lines[number + 1].startswith(" " * 19), "with more behind it"
    assert any("not asked" in line for line in lines)
    assert lines[-1] == "Start with the first line marked fail."


async def test_the_place_is_told_with_what_follows(sandbox: Sandbox) -> None:
    for more, words in (
        ({"SSH_TTY": "/dev/pts/1"}, "place        over SSH: a link opens no browser"),
        ({"CODESPACES": "true"}, "place        a codespace"),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, "place        WSL"),
    ):
        end = await run_command("doctor", environ=surroundings(sandbox, **more))
        assert end.status == 0
        assert words in end.out
    end = await run_command("doctor", environ=surroundings(sandbox, CI="true", BROWSER=""))
    assert end.status == 9
    assert end.out.startswith("fail  place        Nobody could authorize in a browser here: CI is set")
