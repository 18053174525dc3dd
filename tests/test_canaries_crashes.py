"""No secret gets out with the traceback of a fault of ours, wherever the fault is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientError
from canary_exceptions import START
from canary_play import waiting
from canary_run import Run, Started, searched_run
from link_script import LINK, consent, until
from support.thoroughness import some_of

DEBUG = {"PYTHONASYNCIODEBUG": "1"}

PLACES = [
    "oauth_helper.redirect:AuthorizationRequest.parse",
    "oauth_helper.redirect:AuthorizationRequest.judge_query",
    "oauth_helper.receiver:Desk.judge_query",
    "oauth_helper.receiver:Desk.end",
    "oauth_helper.listener.handlers:Reception._begin",
    "oauth_helper.listener.handlers:Reception._direct",
    "oauth_helper.listener.pages:Pages.final",
    "oauth_helper.exchange:Exchange._send",
    "oauth_helper.journal:Journal.write",
    "oauth_helper.servicestage.client:ServiceStageClient.create_oauth",
    "oauth_helper.servicestage.transport:Connection._accepted",
    "oauth_helper.servicestage.transport:sign",
    "oauth_helper.session:Session.open_browser",
    "oauth_helper.cli.progress:Narrator._show_addresses",
    "oauth_helper.cli.output:_fields",
    "oauth_helper.single_instance:write_whole",
]
"""What fails; what it is called with bears secrets in most."""


@pytest.mark.parametrize("place", PLACES[::3], ids=lambda place: place.rpartition(":")[2])
async def test_a_crash_of_a_link_shows_no_secret(tmp_path: Path, place: str) -> None:
    await crash(tmp_path / "run", place)


@pytest.mark.parametrize("place", some_of(PLACES, one_in=3), ids=lambda place: place.rpartition(":")[2])
async def test_a_crash_shows_no_secret_that_stands_in_the_words_of_its_cause(tmp_path: Path, place: str) -> None:
    """Libraries put into their errors what they were called with; a fault of ours may let one through."""
    await crash(tmp_path / "run", f"{place}:bearing")


async def crash(folder: Path, place: str) -> None:
    async with searched_run(folder, environ=DEBUG | {"CANARY_CRASH": place}) as run:
        run.opens_by_hand = run.keeps_redirect = True
        async with run.started(*LINK, "--events", "--no-browser", "-vv", "--timeout", "2") as link:
            await played_to_its_end(run, link)
        log = (run.folder / "notes" / "log").read_text()
        assert "planted crash" in link.err + log or "Unexpected RuntimeError" in link.err, link.err


async def played_to_its_end(run: Run, link: Started) -> None:
    """Consent, and bring the redirect where it comes to that."""
    await until(lambda: START.search(link.err + link.out) or link.process.returncode is not None)
    start = START.search(link.err + link.out)
    if start and run.sandbox.authorization_urls:
        redirect = await consent(next(iter(run.sandbox.authorization_urls)))
        async with run.browser() as browser:
            straight = f"{start[0].partition('/start')[0]}/servicestage/oauth?{urlsplit(redirect).query}"
            for address in (start[0], straight):
                with suppress(ClientError):  # it may have ended meanwhile
                    await run.visit(browser, address)
    await link.ended(0, 1, 5)


async def test_a_crash_of_the_terminal_prompt_shows_no_secret(tmp_path: Path) -> None:
    place = "oauth_helper.terminal_prompt:TerminalPrompt._judge:bearing"
    async with searched_run(tmp_path / "run", environ=DEBUG | {"CANARY_CRASH": place}) as run:
        run.opens_by_hand = True
        async with run.on_terminal(*LINK, "--no-browser", "-vv", "--timeout", "3") as screen:
            await screen.until("/authorize?")
            await screen.until("Paste the redirect's address here")
            screen.type(f"\x1b[200~{await consent(next(iter(run.sandbox.authorization_urls)))}\x1b[201~")
            await screen.until("received")
            assert await screen.ended() in {1, 5}


async def test_a_crash_of_deliver_shows_no_secret(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run, waiting(run, "-vv") as (link, url):
        crash = {"CANARY_CRASH": "oauth_helper.single_instance:_address:bearing"}
        end = await run.command("deliver", "-vv", given=await consent(url), **crash)
        assert end.process.returncode == 1
        link.stop()
        await link.ended(143)
