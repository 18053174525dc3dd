"""The command in a real terminal: a paste that nobody sees, a clock that counts down, an answer to a question."""

import asyncio
import os
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import records, surroundings
from forked_commands import run_command
from screen import COLUMNS, terminal

from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


def wrapped(text: str) -> str:
    return "\n".join(text[at : at + COLUMNS] for at in range(0, len(text), COLUMNS))


@pytest.mark.parametrize("bracketed", [False, True])
async def test_a_wrapped_paste_is_taken_unseen(sandbox: Sandbox, tmp_path: Path, bracketed: bool) -> None:
    fifo = tmp_path / "redirect"
    os.mkfifo(fifo)
    environ = surroundings(sandbox, SCRIPTED_REDIRECT=str(fifo))
    async with terminal("link", "github", environ=environ) as screen:
        redirect = await asyncio.to_thread(fifo.read_text)
        await screen.until("Paste the redirect's address here")
        screen.type("nonsense\n")
        await screen.until("holds no address")
        paste = wrapped(redirect)
        screen.type(f"\x1b[200~{paste}\x1b[201~" if bracketed else f"{paste}\n")
        assert await screen.ended() == 0, screen.shown
    assert f"received {len(paste)} characters" in screen.shown
    assert "Received the redirect from the terminal." in screen.shown
    assert "Account   octocat" in screen.shown
    for unseen in (redirect[-20:], "code=", "state=", "nonsense"):
        assert unseen not in screen.shown


async def test_the_clock_counts_down_and_control_c_leaves_the_terminal_as_it_was(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, SCRIPTED_USER="nothing")
    async with terminal("link", "github", "--timeout", "100", environ=environ) as screen:
        await screen.until("1:40 left")
        await screen.until("1:38 left")
        screen.type("\x03")
        assert await screen.ended() == 130
        modes = termios.tcgetattr(screen.keyboard)[3]
        assert modes & termios.ECHO
        assert modes & termios.ICANON
    assert "\x1b[2K\x1b[31m\x1b[1merror:\x1b[0m Interrupted. Nothing was created" in screen.shown
    assert screen.shown.count("\x1b[?2004h") == screen.shown.count("\x1b[?2004l") == 1


async def test_colours_are_left_out_where_the_user_wants_none(sandbox: Sandbox) -> None:
    async with terminal("show", "none", environ=surroundings(sandbox)) as screen:
        assert await screen.ended() == 6
    assert "\x1b[31m" in screen.shown
    async with terminal("show", "none", environ=surroundings(sandbox, NO_COLOR="1")) as screen:
        assert await screen.ended() == 6
    assert "\x1b" not in screen.shown


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
async def test_delete_asks_on_a_terminal(sandbox: Sandbox, answer: str, left: int) -> None:
    environ = surroundings(sandbox)
    async with terminal("link", "github", "--name", "mine", environ=environ) as screen:
        assert await screen.ended() == 0, screen.shown
    async with terminal("delete", "mine", environ=environ) as screen:
        await screen.until("Delete mine? [y/N]: ")
        screen.type(f"{answer}\n")
        assert await screen.ended() == 0
    async with terminal("list", "--json", environ=environ) as screen:
        assert await screen.ended() == 0
    assert screen.shown.count('"name"') == left


async def test_a_deletion_that_is_declined_is_an_empty_list_to_scripts(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox)
    assert (await run_command("link", "github", "--name", "mine", environ=environ)).status == 0
    async with terminal("delete", "mine", "--json", environ=environ) as screen:
        await screen.until("Delete mine? [y/N]: ")
        screen.type("n\n")
        assert await screen.ended() == 0
    assert screen.shown.splitlines()[-2:] == ["Nothing was deleted.", "[]"]
    assert [one["name"] for one in await records(sandbox)] == ["mine"]


async def test_who_has_no_credentials_is_asked_for_an_iam_user(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    async with terminal("list", environ=environ) as screen:
        for question, answer in (
            ("Account name", sandbox.user.domain_name),
            ("IAM user name", sandbox.user.name),
            # The blank comes last: what is typed before it is thrown away, lest it was shown.
            ("Password: ", sandbox.user.password.reveal()),
        ):
            await screen.until(question)
            screen.type(f"{answer}\n")
        assert await screen.ended() == 0, screen.shown
    assert sandbox.user.password.reveal() not in screen.shown
    assert "There are none." in screen.shown
