"""No secret gets out of a link that goes well, by whichever way its redirect comes."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from canary_play import link_by_hand, listener, straight, waiting
from canary_run import searched_run
from link_script import consent, until

DEBUG = {"PYTHONASYNCIODEBUG": "1"}
DEVELOPMENT = {"PYTHONDEVMODE": "1"}


@pytest.mark.parametrize(
    ("repo_type", "user", "options", "environ"),
    [
        ("github", "page", (), {}),
        ("gitlab", "page", ("-vv",), DEBUG),
        ("gitee", "direct", ("--events", "-vv"), DEVELOPMENT),
        ("bitbucket", "stranger", ("--json", "-v"), DEBUG | DEVELOPMENT),
        ("github", "direct", ("--quiet", "--tag", "intl"), {}),
    ],
)
async def test_a_browser_brings_the_redirect(
    tmp_path: Path, repo_type: str, user: str, options: tuple[str, ...], environ: Mapping[str, str]
) -> None:
    async with searched_run(tmp_path / "run", environ=environ) as run:
        async with run.started("link", repo_type, *options, SCRIPTED_USER=user) as link:
            await link.ended(0)
        await until(lambda: not list((run.folder / "pages").glob("open-*")))
        assert list((run.folder / "pages").glob("*.html"))


@pytest.mark.parametrize("options", [(), ("-vv",)], ids=str)
async def test_a_script_opens_the_address_by_hand(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        await link_by_hand(run, *options)


async def test_what_is_offered_first_is_not_the_redirect(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run, waiting(run, "-vv") as (link, url):
        redirect = await consent(url)
        offered = [
            redirect.replace("state=", "state=x"),
            redirect.replace("code=", "kode="),
            f"{redirect}&code=another",
            re.sub(r"\biss=[^&]*", "iss=https://evil.example", redirect),
            redirect.replace("repo_type=github", "repo_type=gitee"),
            redirect + "x" * 70_000,
        ]
        async with run.browser() as browser:
            await run.visit(browser, listener(link))
            form = listener(link).replace("/start?", "/redirect?")
            for text in offered:
                await run.visit(browser, straight(link, text[:60_000]))
                await run.visit(browser, form, {"redirect": text})
            await run.visit(browser, form, {"redirect": redirect})
        await link.ended(0)
        assert len({event["reason"] for event in link.told("ignored")}) >= 5


@pytest.mark.parametrize("way", ["input", "argument"])
async def test_another_process_delivers_it(tmp_path: Path, way: str) -> None:
    async with searched_run(tmp_path / "run") as run, waiting(run, "-vv") as (link, url):
        redirect = await consent(url)
        if way == "input":
            refused = await run.command("deliver", "-vv", given=redirect.replace("state=", "state=x"), **DEBUG)
            assert refused.process.returncode == 2
        given, arguments = (redirect, ()) if way == "input" else (None, (redirect,))
        took = await run.command("deliver", "-vv", *arguments, given=given, **DEBUG)
        assert took.process.returncode == 0, took.err
        await link.ended(0)


async def test_a_prompt_of_another_process_takes_it(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run") as run, waiting(run) as (link, url):
        async with run.on_terminal("deliver", "-vv") as screen:
            await screen.until("Paste the address of the page where the browser ended")
            screen.type(f"{await consent(url)}\n")
            assert await screen.ended() == 0, screen.shown
        await link.ended(0)


@pytest.mark.parametrize("mark", ["\x1b[200~{}\x1b[201~", "{}\n"], ids=["bracketed", "typed"])
async def test_it_is_pasted_into_the_terminal(tmp_path: Path, mark: str) -> None:
    fifo = tmp_path / "redirect"
    os.mkfifo(fifo)
    async with (
        searched_run(tmp_path / "run", environ=DEBUG | {"SCRIPTED_REDIRECT": str(fifo)}) as run,
        run.on_terminal("link", "github", "-vv") as screen,
    ):
        redirect = await asyncio.to_thread(fifo.read_text)
        await screen.until("Paste the redirect's address here")
        screen.type(mark.format(redirect.replace("state=", "state=x")))
        await screen.until("belongs to another attempt")
        screen.type(mark.format(redirect))
        assert await screen.ended() == 0, screen.shown
