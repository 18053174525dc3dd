"""No secret gets out of a link that ends in any other way than well."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from canary_play import bring, listener, straight, waiting
from canary_run import searched_run
from link_script import LINK, brought, consent, secrets_of, until
from support.thoroughness import some_of

DEBUG = {"PYTHONASYNCIODEBUG": "1"}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("options", some_of([("--events", "-vv"), ("--json", "-vv"), ()], one_in=3), ids=str)
async def test_the_user_says_no_in_the_browser(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with (
        searched_run(tmp_path / "run", environ=DEBUG) as run,
        run.started("link", "github", *options, SCRIPTED_USER="deny") as link,
    ):
        await link.ended(4)


async def test_a_denial_is_delivered(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run, waiting(run, "-vv") as (link, url):
        took = await run.command("deliver", "-vv", "--json", given=await consent(url, "deny"))
        assert took.process.returncode == 4
        await link.ended(4)


HOSTILE = "\x1b]0;{0}\x07<script>alert('{0}')</script>\r\nerror: {0}\u202e%0d%0a$(id) {0}"


@pytest.mark.parametrize("error", ["access_denied", HOSTILE.format("x")], ids=["known word", "any word"])
async def test_the_git_host_says_no_in_hostile_words(tmp_path: Path, error: str) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run, waiting(run, "-vv") as (link, url):
        state = quote(secrets_of(url)[0], safe="")
        told = f"error={quote(error)}&error_description={quote(HOSTILE.format('words' * 100))}&state={state}"
        await bring(run, link, f"https://console.example/?{told}")
        await link.ended(4)


@pytest.mark.parametrize("place", ["error", "error_description"])
async def test_the_git_host_says_no_and_repeats_the_state(tmp_path: Path, place: str) -> None:
    """In whatever it likes: the state came with the request, so it knows it."""
    async with searched_run(tmp_path / "run", environ=DEBUG) as run, waiting(run, "-vv") as (link, url):
        state = quote(secrets_of(url)[0], safe="")
        told = {"error": "server_error"} | {place: f"unknown%20state%20{state}"}
        query = "&".join(f"{name}={value}" for name, value in told.items())
        await bring(run, link, f"https://console.example/?{query}&state={state}")
        await link.ended(4)


@pytest.mark.parametrize("status", some_of([500, 400, 401, 403], one_in=2))
async def test_servicestage_repeats_every_secret_in_its_refusal(tmp_path: Path, status: int) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        run.sandbox.echoes_with = status
        async with waiting(run, "-vv") as (link, url):
            redirect = await consent(url)
            async with brought(listener(link), redirect):
                await until(lambda: link.told("looking") or link.process.returncode is not None)
                link.stop()
                await link.ended()
        run.keeps_redirect = status != 400


@pytest.mark.parametrize("command", [("list",), LINK, ("doctor", "--json")], ids=lambda command: command[0])
async def test_an_unusable_answer_repeats_the_token(tmp_path: Path, command: tuple[str, ...]) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        run.sandbox.echoes_token = True
        end = await run.command(*command, "-vv", OAUTH_HELPER_TOKEN=run.sandbox.token.token.reveal())
        assert end.process.returncode == 7


async def test_the_code_is_not_good_any_more(tmp_path: Path) -> None:
    async with (
        searched_run(tmp_path / "run", environ=DEBUG, code_lifetime=-1) as run,
        waiting(run, "-vv") as (link, url),
    ):
        await bring(run, link, await consent(url))
        await link.ended(6)


async def test_the_user_begins_again_on_a_terminal(tmp_path: Path) -> None:
    async with (
        searched_run(tmp_path / "run", "exchange=0402", environ=DEBUG) as run,
        run.on_terminal("link", "github", "-vv") as screen,
    ):
        await screen.until("Press Enter to start over")
        screen.type("\n")
        await until(lambda: len(run.sandbox.authorization_urls) == 2)
        screen.type("\x03")
        assert await screen.ended() == 130


@pytest.mark.parametrize("more", some_of([DEBUG, {"PYTHONDEVMODE": "1"}, {}], one_in=2), ids=str)
async def test_nobody_comes_before_the_deadline(tmp_path: Path, more: dict[str, str]) -> None:
    async with searched_run(tmp_path / "run", environ=more) as run:
        environ = {"SCRIPTED_USER": "nothing", "BROWSER": run.environ["BROWSER"] if more else "/nonexistent"}
        run.opens_by_hand = not more
        async with run.started(*LINK, "--timeout", "1", "-vv", **environ) as link:
            await link.ended(5)


@pytest.mark.parametrize("number", some_of(SIGNALS, one_in=3))
async def test_a_signal_ends_the_wait(tmp_path: Path, number: signal.Signals) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run, waiting(run, "-vv") as (link, url):
        async with run.browser() as browser:
            await run.visit(browser, listener(link))
            await run.visit(browser, straight(link, (await consent(url)).replace("state=", "state=x")))
        link.stop(number)
        await link.ended(128 + number)


@pytest.mark.parametrize("number", some_of(SIGNALS, one_in=3))
async def test_a_signal_during_the_exchange_leaves_the_redirect_to_resume(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with searched_run(tmp_path / "run", "exchange=hang-after", environ=DEBUG) as run:
        async with waiting(run, "-vv") as (link, url), brought(listener(link), await consent(url)):
            await until(lambda: run.sandbox.calls["exchange"])
            link.stop(number)
            await link.ended(128 + number)
        assert list((run.folder / "home").rglob("pending-*.json"))
        resumed = await run.command("resume", "--json", "-vv")
        assert resumed.process.returncode == 0, resumed.err


async def test_credentials_refused_with_the_redirect_in_hand_keep_it(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", "exchange=401", environ=DEBUG) as run, waiting(run) as (link, url):
        await bring(run, link, await consent(url))
        await link.ended(3)
        run.keeps_redirect = True


async def test_an_entry_that_cannot_be_trusted_is_not_repeated(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", "exchange=401", environ=DEBUG) as run:
        async with waiting(run) as (link, url):
            await bring(run, link, await consent(url))
            await link.ended(3)
        [entry] = (run.folder / "home").rglob("pending-*.json")
        entry.write_text(entry.read_text()[:-1])
        run.own_files.add(entry)
        for command in (("resume", "-vv"), ("list", "-vv")):
            await run.command(*command)


async def test_the_address_that_is_brought_is_none(tmp_path: Path) -> None:
    """Requests that are no HTTP, or not let in: half of a redirect may stand in them."""
    async with searched_run(tmp_path / "run", environ=DEBUG) as run, waiting(run, "-vv") as (link, url):
        redirect = await consent(url)
        query, port = urlsplit(redirect).query, urlsplit(listener(link)).port
        for request in (
            f"GET /servicestage/oauth?{query}\r\n\r\n",
            f"GET /servicestage/oauth?{query} HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            f"GET /servicestage/oauth?{query} HTTP/9.9\r\nBroken {query}\r\n\r\n",
            f"POST /redirect?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: x\r\n\r\n{query}",
            f"\x16\x03\x01{query}\r\n\r\n",
        ):
            run.pages.append(await said_to(port or 0, request))
        await bring(run, link, redirect)
        await link.ended(0)


async def said_to(port: int, request: str) -> str:
    """Say this to the listener; return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    writer.write_eof()
    try:
        return (await reader.read()).decode("latin-1")
    finally:
        writer.close()
