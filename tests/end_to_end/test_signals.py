"""Signals and terminals."""

import asyncio
import json
import os
import signal
import socket
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from support.command_runner import Ended, commands, error_of, line_with, records
from support.link_script import LINK, consent, until
from support.promised_json import read_authorization
from support.screen import COLUMNS, terminal
from yarl import URL

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Fault


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "Cancelled"), (signal.SIGTERM, "Terminated"), (signal.SIGHUP, "Hung up")]
)
async def test_a_signal_ends_the_wait_in_order_and_frees_the_port(
    sandbox: Sandbox, number: signal.Signals, word: str
) -> None:
    async with commands.running(
        "link", "github", "--no-browser", "--json", environ=commands.environ(sandbox)
    ) as process:
        start = await line_with(process.stderr, "/start?k=")
        process.send_signal(number)
        end = await commands.ended(process)
    assert end.status == 128 + number
    assert f"error: {word}. Nothing was created" in end.err
    assert error_of(end.err)["kind"] == "stopped"
    with socket.socket() as again:
        again.bind(("127.0.0.1", int(start.split(":")[2].split("/")[0])))


async def waiting_redirect(process: asyncio.subprocess.Process) -> str:
    """Return the listener's address that brings the redirect straight to it, once it waits."""
    start = await line_with(process.stderr, "/start?k=")
    authorization_url = await line_with(process.stderr, "/login/oauth/authorize?")
    async with ClientSession() as browser, browser.get(authorization_url, allow_redirects=False) as answer:
        query = answer.headers["Location"].partition("?")[2]
    return f"{start.partition('/start')[0]}/servicestage/oauth?{query}"


async def test_a_signal_after_the_link_takes_nothing_of_it_back() -> None:
    async with Sandbox(decision="authorize") as sandbox:
        environ = commands.environ(sandbox)
        async with commands.running("link", "github", "--no-browser", "--json", environ=environ) as process:
            redirect = await waiting_redirect(process)
            async with ClientSession() as browser:
                async with browser.get(URL(redirect, encoded=True), allow_redirects=False) as answer:
                    assert answer.status == 303
                process.send_signal(signal.SIGINT)
                end = await commands.ended(process)
    assert end.status == 0, end.err
    assert read_authorization(end.out)["repo_user"] == "octocat"


async def test_nobody_listening_to_what_is_said_takes_nothing_of_the_link_back() -> None:
    async with Sandbox(decision="authorize") as sandbox:
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "oauth_helper", "link", "github", "--no-browser", "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=writing,
            env=commands.environ(sandbox),
        )
        os.close(writing)
        said = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(said), os.fdopen(reading, "rb", buffering=0)
        )
        process.stderr = said
        redirect = await waiting_redirect(process)
        transport.close()
        async with ClientSession() as browser, browser.get(URL(redirect, encoded=True)) as answer:
            assert 'data-outcome="linked"' in await answer.text()
        assert process.stdout
        out = await process.stdout.read()
        assert await process.wait() == 0
    assert read_authorization(out)["repo_user"] == "octocat"


async def test_a_hang_up_that_is_ignored_stays_ignored(sandbox: Sandbox) -> None:
    process = await asyncio.create_subprocess_exec(
        *("nohup", sys.executable, "-m", "oauth_helper", "link", "github", "--no-browser", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=commands.environ(sandbox),
    )
    await line_with(process.stderr, "/start?k=")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert (await commands.ended(process)).status == 143


SIGNALLED_AT_THE_END = """
import os, signal, sys

class Output:
    def __init__(self, whole):
        self._whole = whole

    def write(self, text):
        written = self._whole.write(text)
        if '"linked"' in text or '"failed"' in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return written

    def __getattr__(self, name):
        return getattr(self._whole, name)

sys.stdout = Output(sys.stdout)
from oauth_helper.cli import main
sys.exit(main())
"""


"""The command, which is terminated in the moment in which it tells a script the end."""


WITH_TOKEN = (*LINK, "--with-token")


async def link_with(token: str, sandbox: Sandbox) -> Ended:
    process = await create_subprocess_exec(
        *(sys.executable, "-c", SIGNALLED_AT_THE_END, *WITH_TOKEN, "--events"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=commands.environ(sandbox),
    )
    return await commands.ended(process, token.encode())


async def test_a_direct_link_that_has_ended_well_stays_so() -> None:
    async with Sandbox() as sandbox:
        end = await link_with(sandbox.personal_token.reveal(), sandbox)
        assert end.status == 0, end.err
        assert len(await records(sandbox)) == 1
    assert [json.loads(line)["event"] for line in end.out.splitlines()] == ["checked", "exchanging", "linked"]


async def test_a_direct_link_that_has_failed_keeps_its_reason() -> None:
    async with Sandbox() as sandbox:
        end = await link_with("another-token", sandbox)
        assert await records(sandbox) == []
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0451")
    assert json.loads(end.out.splitlines()[-1])["error"] == error_of(end.err)


async def test_a_link_whose_redirect_was_refused_keeps_its_reason() -> None:
    async with Sandbox(faults=[Fault.parse("exchange=0402")]) as sandbox:
        command = ("link", "github", "--no-browser", "--events")
        async with commands.running(*command, environ=commands.environ(sandbox), stdin=DEVNULL) as process:
            assert process.stdout
            async with asyncio.timeout(30):
                while (event := json.loads(await process.stdout.readline()))["event"] != "waiting":
                    pass
            redirect = await consent(event["authorization_url"])
            query = redirect.partition("?")[2]
            listener = event["listener"].partition("/start")[0]
            async with ClientSession() as browser:
                address = URL(f"{listener}/servicestage/oauth?{query}", encoded=True)
                async with browser.get(address, allow_redirects=False) as answer:
                    assert answer.status == 303
                async with asyncio.timeout(30):
                    while json.loads(await process.stdout.readline())["event"] != "failed":
                        pass
                # The browser has not yet fetched the page that tells of it, and the listener waits for that.
                process.send_signal(signal.SIGTERM)
                end = await commands.ended(process)
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0402")


async def test_who_stops_a_replacement_is_told_that_the_old_one_is_gone() -> None:
    faults = map(Fault.parse, ("exchange=500-after", "exchange=hang"))
    async with Sandbox(faults=faults) as sandbox:
        token = sandbox.personal_token.reveal()
        assert (await link_with(token, sandbox)).status == 0
        command = (*WITH_TOKEN, "--if-exists", "replace", "--json")
        async with commands.running(*command, environ=commands.environ(sandbox), stdin=PIPE) as process:
            assert process.stdin
            process.stdin.write(token.encode())
            process.stdin.close()
            await until(lambda: sandbox.calls["exchange"] == 2)
            process.send_signal(signal.SIGTERM)
            end = await commands.ended(process)
        assert await records(sandbox) == []
    assert end.status == 143
    assert error_of(end.err)["message"].endswith(
        ' while ServiceStage was creating "my-auth". The old authorization "my-auth" is deleted'
    )


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
        await screen.until("1:38 left")
        screen.type("\x03")
        assert await screen.ended() == 130
        modes = termios.tcgetattr(screen.keyboard)[3]
        assert modes & termios.ECHO
        assert modes & termios.ICANON
    assert "\x1b[2K\x1b[31m\x1b[1merror:\x1b[0m Cancelled. Nothing was created" in screen.shown
    assert screen.shown.count("\x1b[?2004h") == screen.shown.count("\x1b[?2004l") == 1


async def test_delete_asks_on_a_terminal_in_no_colours_if_the_user_wants_none(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, NO_COLOR="1")
    assert (await commands.run_forked("link", "github", "--name", "mine", environ=environ)).status == 0
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


async def test_who_has_no_credentials_is_asked_for_an_iam_user(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
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
    assert "No authorizations yet." in screen.shown
