"""Signals and terminals."""

import asyncio
import os
import signal
import socket
import termios
from pathlib import Path

import pytest
from aiohttp import ClientSession
from support.command_runner import commands, error_of, line_with, records
from support.link_script import faulty_sandbox, scripted
from support.promised_json import read_authorization
from support.screen import COLUMNS, terminal
from yarl import URL

from oauth_helper.sandbox import Sandbox


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "Cancelled"), (signal.SIGTERM, "Terminated"), (signal.SIGHUP, "Hung up")]
)
async def test_a_signal_ends_the_wait_in_order_and_frees_the_port(
    sandbox: Sandbox, number: signal.Signals, word: str
) -> None:
    environ = commands.environ(sandbox)
    async with commands.running("link", "github", "--no-browser", "--json", environ=environ) as process:
        start = await line_with(process.stderr, "/start?k=")
        process.send_signal(number)
        end = await commands.ended(process)
    assert end.status == 128 + number
    assert f"error: {word}. Nothing was created" in end.err
    assert error_of(end.err)["kind"] == "stopped"
    with socket.socket() as again:
        again.bind(("127.0.0.1", int(start.split(":")[2].split("/")[0])))


async def test_an_ignored_hang_up_stays_ignored(sandbox: Sandbox) -> None:
    command = ("link", "github", "--no-browser", "--json")
    async with commands.running(*command, environ=commands.environ(sandbox), prefix=["nohup"]) as process:
        await line_with(process.stderr, "/start?k=")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert (await commands.ended(process)).status == 143


async def follow(browser: ClientSession, listener: str, authorization_url: str) -> None:
    """Bring the redirect to the listener, and do not yet fetch the page that tells how the link ended."""
    async with browser.get(authorization_url, allow_redirects=False) as answer:
        query = answer.headers["Location"].partition("?")[2]
    address = URL(f"{listener.partition('/start')[0]}/servicestage/oauth?{query}", encoded=True)
    async with browser.get(address, allow_redirects=False) as answer:
        assert answer.status == 303


@pytest.mark.parametrize("fault", [[], ["exchange=0402"]], ids=["linked", "failed"])
async def test_a_signal_after_the_end_changes_nothing(fault: list[str]) -> None:
    async with faulty_sandbox(*fault, decision="authorize") as sandbox, ClientSession() as browser:
        async with scripted(environ=commands.environ(sandbox)) as script:
            waiting = await script.event("waiting")
            await follow(browser, waiting["listener"], waiting["authorization_url"])
            await script.event("failed" if fault else "linked")
            script.process.send_signal(signal.SIGTERM)
            end = await script.ended()
        assert len(await records(sandbox)) == (not fault)
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0402") if fault else end.status == 0


async def test_a_reader_of_the_messages_who_goes_takes_nothing_of_the_link_back() -> None:
    async with Sandbox(decision="authorize") as sandbox, ClientSession() as browser:
        command = ("link", "github", "--no-browser", "--json")
        async with commands.running(*command, environ=commands.environ(sandbox)) as process:
            listener = await line_with(process.stderr, "/start?k=")
            authorization_url = await line_with(process.stderr, "/login/oauth/authorize?")
            process._transport.get_pipe_transport(2).close()  # type: ignore[attr-defined]
            await follow(browser, listener, authorization_url)
            assert process.stdout
            assert read_authorization(await process.stdout.read())["repo_user"] == "octocat"
            assert await process.wait() == 0


def wrapped(text: str) -> str:
    return "\n".join(text[at : at + COLUMNS] for at in range(0, len(text), COLUMNS))


@pytest.mark.parametrize("bracketed", [False, True])
async def test_a_wrapped_paste_is_taken_unseen(sandbox: Sandbox, tmp_path: Path, bracketed: bool) -> None:
    fifo = tmp_path / "redirect"
    os.mkfifo(fifo)
    environ = commands.environ(sandbox, SCRIPTED_REDIRECT=str(fifo))
    async with terminal("link", "github", environ=environ) as screen:
        redirect = await asyncio.to_thread(fifo.read_text)
        await screen.until("Paste the final address here")
        screen.type("nonsense\n")
        await screen.until("the final address (no code")
        paste = wrapped(redirect)
        screen.type(f"\x1b[200~{paste}\x1b[201~" if bracketed else f"{paste}\n")
        assert await screen.ended() == 0, screen.shown
    assert f"received {len(paste)} characters" in screen.shown
    assert 'Linked "github-' in screen.shown
    assert "(octocat on GitHub)" in screen.shown
    for unseen in (redirect[-20:], "code=", "state=", "nonsense"):
        assert unseen not in screen.shown


async def test_the_clock_counts_down_and_control_c_leaves_the_terminal_as_it_was(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, SCRIPTED_USER="nothing")
    async with terminal("link", "github", "--timeout", "100", environ=environ) as screen:
        await screen.until("1:40 left")
        await screen.until("1:39 left")
        screen.type("\x03")
        assert await screen.ended() == 130
        modes = termios.tcgetattr(screen.keyboard)[3]
        assert modes & termios.ECHO
        assert modes & termios.ICANON
    assert "\x1b[2K\x1b[31m\x1b[1merror:\x1b[0m Cancelled. Nothing was created" in screen.shown
    assert screen.shown.count("\x1b[?2004h") == screen.shown.count("\x1b[?2004l") == 1


async def test_delete_asks_on_a_terminal_in_no_colours_if_the_user_wants_none(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, NO_COLOR="1")
    assert (await commands.run("link", "github", "--name", "mine", environ=environ)).status == 0
    async with terminal("delete", "mine", "--json", environ=environ) as screen:
        await screen.until('Delete "mine"? [y/N]: ')
        screen.type("n\n")
        assert await screen.ended() == 0
    assert screen.shown.splitlines()[-2:] == ["Nothing was deleted.", "[]"]
    assert "\x1b" not in screen.shown
    assert [one["name"] for one in await records(sandbox)] == ["mine"]
    async with terminal("delete", "mine", environ=environ) as screen:
        await screen.until('Delete "mine"? [y/N]: ')
        screen.type("y\n")
        assert await screen.ended() == 0
    assert await records(sandbox) == []


async def test_without_credentials_a_terminal_asks_for_an_iam_user(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    async with terminal("list", environ=environ) as screen:
        for question, answer in (
            ("Account name", sandbox.user.domain_name),
            ("IAM user name", sandbox.user.name),
            # With the blank: what is typed before it is thrown away, because it was shown.
            ("Password: ", sandbox.user.password.reveal()),
        ):
            await screen.until(question)
            screen.type(f"{answer}\n")
        assert await screen.ended() == 0, screen.shown
    assert sandbox.user.password.reveal() not in screen.shown
    assert "No authorizations yet." in screen.shown
