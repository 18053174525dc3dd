"""Every page in a real Chromium and a real Firefox: accessible, of any width, and alive."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from axe import axe_core, violations
from browser_session import Browser, Chromium, Firefox, Tab
from listener_desk import ADDRESS, DENIAL, LINKED, RedirectReceiver, listening
from page_gallery import PAGES, start

from oauth_helper.events import Way
from oauth_helper.models import RepoType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

FITS = "document.documentElement.scrollWidth <= innerWidth"
AT_THE_HEADING = "document.activeElement === document.querySelector('h1')"
TOLD = "document.body.dataset.outcome"
HAS_ASKED = "performance.getEntriesByName(new URL(document.body.dataset.live, location.href).href).length > 0"
TAB_STOPS = ["#authorize", "#redirect", "button[type=submit]", "#clipboard", "aside a"]


@pytest_asyncio.fixture(params=[Chromium, Firefox], ids=["chromium", "firefox"], scope="module", loop_scope="module")
async def browsers(request: pytest.FixtureRequest) -> AsyncIterator[list[Browser]]:
    """A light one and a dark one."""
    kind: type[Browser] = request.param
    if kind.find() is None:
        pytest.skip(f"none of {', '.join(kind.names)} is installed")
    async with AsyncExitStack() as stack:
        pair = [kind(dark=dark) for dark in (False, True)]
        yield list(await asyncio.gather(*(stack.enter_async_context(browser) for browser in pair)))


@pytest.fixture
def tab(browsers: list[Browser]) -> Tab:
    return browsers[0].tab


async def faults(browser: Browser, script: str) -> list[str]:
    """Return what is wrong with any page: its accessibility, what its policy forbade, what does not fit."""
    found: list[str] = []
    for name, shown in PAGES.items():
        await browser.tab.resize(1000, 700)
        async with shown(browser.tab):
            wrong = await violations(browser.tab, script)
            wrong += await browser.tab.evaluate("violations")
            for width, zoom in ((320, 100), (500, 100), (640, 200)):
                await browser.tab.resize(width, 700)
                await browser.tab.evaluate(f"document.documentElement.style.fontSize = '{zoom}%'")
                wrong += [] if await browser.tab.evaluate(FITS) else [f"too wide at {width} pixels, {zoom} %"]
            found += [f"{name}: {fault}" for fault in wrong]
    return found


async def test_every_page_is_accessible_light_and_dark_and_fits_narrow_windows_and_large_print(
    browsers: list[Browser],
) -> None:
    script = axe_core()
    assert await asyncio.gather(*(faults(browser, script) for browser in browsers)) == [[], []]


async def test_the_tab_key_goes_through_the_page_in_its_order(tab: Tab) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        shown = f"{TAB_STOPS!r}.filter((stop) => !document.querySelector(stop).hidden)"
        expected: list[str] = await tab.evaluate(shown)
        reached = []
        for _ in expected:
            await tab.press_tab()
            stop = f"{TAB_STOPS!r}.find((stop) => document.activeElement.matches(stop))"
            reached.append(await tab.evaluate(stop))
        assert reached == expected
        # A Firefox without a window never has the focus, so there nothing is drawn.
        outline = "document.hasFocus() ? getComputedStyle(document.activeElement).outlineStyle : 'solid'"
        assert await tab.evaluate(outline) == "solid", "who uses the keyboard sees where it is"


@pytest.mark.parametrize(("text", "outcome"), [(ADDRESS, "linked"), (f"https://console.example/?{DENIAL}", "denied")])
async def test_the_start_page_shows_the_end_of_what_another_way_brought(tab: Tab, text: str, outcome: str) -> None:
    async with listening(RedirectReceiver(), patience=0.1) as opened:
        await tab.open(start(opened))
        await tab.evaluate("window.isStill = true")
        await tab.wait_for(HAS_ASKED)
        opened.receiver.judge(text, Way.TERMINAL)
    # The listener is closed by now, and has waited for the page.
    await tab.wait_for(f"{TOLD} === '{outcome}'")
    assert await tab.evaluate("isStill && location.pathname") == "/start", "nothing was loaded anew"
    assert await tab.evaluate(AT_THE_HEADING)
    heading = await tab.evaluate("document.querySelector('h1').textContent")
    assert await tab.evaluate("document.title") == heading
    assert await tab.evaluate("document.querySelector('#announcer').textContent") == heading
    assert await tab.evaluate("violations") == []


async def test_a_page_that_waits_shows_the_end_without_being_loaded_anew(tab: Tab) -> None:
    async with listening(RedirectReceiver(ending=None), patience=0.1) as opened:
        await tab.open(start(opened))
        opened.receiver.judge(ADDRESS, Way.TERMINAL)
        await tab.wait_for(f"{TOLD} === 'waiting'")
        await tab.evaluate("window.isStill = true")
        opened.receiver.end(LINKED)
    await tab.wait_for(f"{TOLD} === 'linked'")
    assert await tab.evaluate("isStill")


async def test_a_page_of_an_attempt_that_came_to_nothing_gets_the_fresh_address(tab: Tab) -> None:
    receiver = RedirectReceiver(ending=None)
    async with listening(receiver, patience=0.1) as opened:
        await tab.open(start(opened))
        await tab.wait_for(HAS_ASKED)
        receiver.judge(ADDRESS, Way.TERMINAL)
        receiver.taken.clear()
        receiver.authorization_url = "https://github.com/login/oauth/authorize?state=fresh"
        opened.listener.start_over("https://github.example/a-window-goes-there")
        await tab.wait_for(f"document.querySelector('#authorize')?.href.endsWith('=fresh') && {HAS_ASKED}")
        assert await tab.evaluate("location.pathname + location.search") == f"/start?k={opened.key}"
        receiver.end(LINKED)
    await tab.wait_for(f"{TOLD} === 'linked'")


async def test_a_page_goes_on_from_one_story_to_the_next(tab: Tab) -> None:
    first, second = (
        RedirectReceiver(),
        RedirectReceiver(authorization_url="https://gitlab.example/oauth", repo_type=RepoType.GITLAB),
    )
    async with listening(RedirectReceiver(), patience=0.1) as opened:
        await tab.open(await opened.listener.serve(first, more_to_come=True))
        first.judge(ADDRESS, Way.TERMINAL)
        await tab.wait_for(f"{TOLD} === 'linked'")
        assert "goes on to the next account" in await tab.evaluate("document.body.innerText")
        await opened.listener.serve(second)
        assert opened.listener.handed_on
        opened.listener.handed_on.lead(None)
        await tab.wait_for(f"document.querySelector('#authorize')?.host === 'gitlab.example' && {HAS_ASKED}")
        second.judge(ADDRESS, Way.TERMINAL)
    await tab.wait_for(f"{TOLD} === 'linked'")


async def test_a_page_that_was_to_go_on_says_that_the_command_has_ended(tab: Tab) -> None:
    async with listening(RedirectReceiver(), patience=0.1) as opened:
        await tab.open(await opened.listener.serve(receiver := RedirectReceiver(), more_to_come=True))
        receiver.judge(ADDRESS, Way.TERMINAL)
        await tab.wait_for(f"{TOLD} === 'linked'")
    closing = "document.querySelector('.closing').innerText"
    assert await tab.wait_for(f"{closing}.startsWith('The command has ended')")
    assert await tab.evaluate(TOLD) == "linked"
