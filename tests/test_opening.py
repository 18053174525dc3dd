"""How the address gets into a browser, where that goes another way than planned, or is over before it was opened."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from command import use_temporary_folder
from paper_doors import OURS
from support.redirect_cases import AUTHORIZATION_URL
from test_window_links import Told, program_of
from yarl import URL

from oauth_helper.browsers.discovery import Family
from oauth_helper.events import NotOpened, Opened, Warned, Way
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import RepoType
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.session import BrowserOptions, Opening


def a_desk(told: Told, *, without: str = "") -> RedirectReceiver:
    # A Git host on this machine at which nobody listens: what a window shows is of no interest.
    url = URL(AUTHORIZATION_URL.replace("https://github.com", "http://127.0.0.1:9"))
    return RedirectReceiver(AuthorizationRequest.parse(str(url.without_query_params(without)), RepoType.GITHUB), told)


def program(folder: Path, name: str, does: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{does}\n")
    (folder / name).chmod(0o755)


def on_a_desktop(folder: Path) -> dict[str, str]:
    return {"PATH": str(folder), "HOME": str(folder), "DISPLAY": ":of-nobody"}


@asynccontextmanager
async def opening_for(
    receiver: RedirectReceiver, browser_options: BrowserOptions, told: Told, *, keeps_window: bool = False
) -> AsyncIterator[tuple[Opening, Listener, str]]:
    async with Listener() as listener, Opening(browser_options, listener, told, keeps_window=keeps_window) as opening:
        start = await listener.serve(receiver, more_to_come=keeps_window)
        await opening.prepare()
        yield opening, listener, start
        receiver.give_up(TimeoutError())


async def test_where_the_git_host_does_not_say_where_it_redirects_no_window_waits_for_it(tmp_path: Path) -> None:
    program(tmp_path, "chromium", "exit 7")
    program(tmp_path, "xdg-open", f'echo "$1" > {tmp_path}/opened')
    told = Told()
    receiver = a_desk(told, without="redirect_uri")
    async with opening_for(receiver, BrowserOptions(environ=on_a_desktop(tmp_path)), told) as (opening, _, start):
        assert opening.has_window
        await opening.open(start, receiver)
    assert (tmp_path / "opened").read_text().strip() == start
    assert "does not say where it will redirect to" in told.warnings()
    assert Opened("xdg-open") in told.events


async def test_where_the_planned_browser_fails_the_sandboxes_visitor_plays_the_user(tmp_path: Path) -> None:
    program(tmp_path, "xdg-open", "exit 4")
    visited: list[str] = []

    async def simulated_user(address: str) -> None:
        visited.append(address)

    told = Told()
    receiver = a_desk(told)
    browser_options = BrowserOptions(environ=on_a_desktop(tmp_path), browser="auto", simulated_user=simulated_user)
    async with opening_for(receiver, browser_options, told) as (opening, _, start):
        await opening.open(start, receiver)
    assert visited == [start]
    assert "xdg-open ended with status 4: the sandbox's own visitor plays the user." in told.warnings()


async def test_a_browser_that_fails_when_the_redirect_is_in_hand_is_no_news(tmp_path: Path) -> None:
    program(tmp_path, "xdg-open", "exit 4")
    told = Told()
    receiver = a_desk(told)
    async with opening_for(receiver, BrowserOptions(browser="default", environ=on_a_desktop(tmp_path)), told) as opened:
        opening, _, start = opened
        receiver.judge(OURS, Way.TERMINAL)
        told.events.clear()
        await opening.open(start, receiver)
    assert told.events == []


@pytest.fixture
async def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Callable[[], None]]:
    """A browser for windows, and what closes its window."""
    chromium = await program_of(Family.CHROMIUM)
    program(tmp_path, "chromium", f'echo $$ > "{tmp_path}/pid"\nexec "{chromium}" "$@"')
    use_temporary_folder(monkeypatch, tmp_path)
    return str(tmp_path / "chromium"), lambda: os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


async def test_a_window_that_is_closed_when_the_redirect_is_in_hand_is_no_news(
    closed: tuple[str, Callable[[], None]], tmp_path: Path
) -> None:
    browser, close = closed
    told = Told()
    receiver = a_desk(told)
    async with opening_for(receiver, BrowserOptions(browser=browser, headless=True), told) as (opening, _, start):
        showing = asyncio.create_task(opening.open(start, receiver))
        await told.until(Opened)
        receiver.judge(OURS, Way.TERMINAL)
        close()
        await showing
    assert not {NotOpened, Warned} & {type(event) for event in told.events}
    assert not list(tmp_path.glob("oauth-helper-*"))


async def test_a_window_that_stays_for_a_second_link_and_is_closed_then_is_told(
    closed: tuple[str, Callable[[], None]],
) -> None:
    browser, close = closed
    told = Told()
    first, second = a_desk(told), a_desk(told)
    browser_options = BrowserOptions(browser=browser, headless=True)
    async with opening_for(first, browser_options, told, keeps_window=True) as (opening, listener, start):
        showing = asyncio.create_task(opening.open(start, first))
        await told.until(Opened)
        first.judge(OURS, Way.WINDOW)
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        address = await listener.serve(second)
        close()
        await opening.open(address, second)
        second.give_up(TimeoutError())
    assert "The window was closed before the redirect came." in told.warnings()
    assert [type(event) for event in told.events].count(Opened) == 1
    assert NotOpened() in told.events


@pytest.mark.parametrize(("way", "is_told"), [(Way.TERMINAL, True), (Way.WINDOW, False)])
async def test_a_window_that_stays_is_gone_on_with_only_where_its_tab_brought_the_redirect_before(
    closed: tuple[str, Callable[[], None]], way: Way, is_told: bool
) -> None:
    browser, _ = closed
    told = Told()
    first, second = a_desk(told), a_desk(told)
    async with opening_for(first, BrowserOptions(browser=browser, headless=True), told, keeps_window=True) as opened:
        opening, listener, start = opened
        showing = asyncio.create_task(opening.open(start, first))
        await told.until(Opened)
        first.judge(OURS, way)
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        showing = asyncio.create_task(opening.open(await listener.serve(second), second))
        if is_told:
            await showing
        else:
            await asyncio.sleep(0)
        assert (NotOpened() in told.events) is is_told
        second.give_up(TimeoutError())
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
