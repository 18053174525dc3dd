"""The pages in a real Chromium and a real Firefox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp import web
from browsers.browser_session import Browser, Chromium, Firefox, Tab
from listener.axe import axe_core, violations
from listener.listener_pages import gallery
from listener.raw_client import ADDRESS, DENIAL, DIRECT, LINKED, OURS, Open, WaitingLink, authorization_url, listening

from oauth_helper.events import PageOpened, RejectedRequest, Way
from oauth_helper.sandbox.faults import Server

SHOWS_LINKED = "document.body.dataset.outcome === 'linked'"
STALE = ADDRESS.replace("canary", "stale")
DROP = """(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.setData("text/uri-list", TEXT);
    document.body.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
})()"""
TYPE_AND_CLICK = """(() => {
    document.querySelector("textarea").value = TEXT;
    document.querySelector("button[type=submit]").click();
})()"""


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.thorough("firefox")]


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
def browser(browsers: list[Browser]) -> Browser:
    return browsers[0]


@pytest.fixture
def tab(browser: Browser) -> Tab:
    return browser.tab


def start(opened: Open) -> str:
    return f"{opened.listener.address}/start?k={opened.key}"


async def offer(tab: Tab, how: str, text: str) -> None:
    await tab.evaluate(how.replace("TEXT", json.dumps(text)))


async def paste(tab: Tab, text: str) -> None:
    """Cut ``text`` from a field, then press Ctrl+V where no field has the focus."""
    await tab.evaluate(f"document.querySelector('textarea').value = {json.dumps(text)}")
    await tab.evaluate("document.querySelector('textarea').focus()")
    await tab.chord("a")
    await tab.chord("x")
    assert await tab.evaluate("document.querySelector('textarea').value") == ""
    await tab.evaluate("document.activeElement.blur()")
    await tab.chord("v")


@pytest.mark.parametrize("how", ["pasted", "dropped"])
async def test_an_address_pasted_or_dropped_anywhere_links(tab: Tab, how: str) -> None:
    async with listening(WaitingLink()) as opened:
        await tab.open(start(opened))
        await (paste(tab, ADDRESS) if how == "pasted" else offer(tab, DROP, ADDRESS))
        await tab.wait_for(SHOWS_LINKED)
        assert opened.receiver.taken == [Way.PAGE]
        assert "octo<b>cat" in await tab.evaluate("document.body.innerText")


async def test_the_form_works_without_scripts(browser: Browser) -> None:
    async with type(browser)(scripts=False) as plain, listening(WaitingLink()) as opened:
        await plain.tab.open(start(opened))
        assert await plain.tab.evaluate("document.querySelector('#clipboard').hidden")
        assert "Ctrl" not in await plain.tab.evaluate("document.body.innerText")
        await offer(plain.tab, TYPE_AND_CLICK, ADDRESS)
        await plain.tab.wait_for(SHOWS_LINKED)
        async with listening(WaitingLink(None), timeout=0.05) as slow:
            await plain.tab.open(f"{slow.listener.address}{DIRECT}?{OURS}")
            await plain.tab.wait_for("document.body.dataset.outcome === 'waiting'")
            slow.receiver.end(LINKED)
            await plain.tab.wait_for(SHOWS_LINKED)


async def test_consent_happens_in_a_new_tab_that_learns_nothing_of_our_page(browser: Browser, tab: Tab) -> None:
    referers: list[str | None] = []

    async def git_host(request: web.Request) -> web.Response:
        referers.append(request.headers.get("Referer"))
        return web.Response(text="<!doctype html><title>Consent</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/login/oauth/authorize", git_host)
    async with Server() as server:
        await server.serve(app)
        async with listening(WaitingLink(url=authorization_url(origin=server.address))) as opened:
            await tab.open(start(opened))
            await tab.evaluate("document.querySelector('#authorize').click()")
            consent_tab = await browser.second_tab()
            assert await consent_tab.wait_for("document.title === 'Consent' && !opener && !document.referrer")
            await consent_tab.open(f"{opened.listener.address}{DIRECT}?{OURS}")
            await consent_tab.wait_for(SHOWS_LINKED)
            assert "/done?k=" in await consent_tab.evaluate("location.href")
            await consent_tab.close()
            await tab.wait_for(SHOWS_LINKED)
            assert await tab.evaluate("location.pathname") == "/start", "the page showed the end by itself"
    assert referers == [None]


async def test_a_page_requests_no_icon_and_its_policy_forbids_nothing_of_ours(tab: Tab) -> None:
    async with listening(WaitingLink()) as opened:
        await tab.open(start(opened))
        assert await tab.evaluate("getComputedStyle(document.body).maxWidth") == "672px"
        assert await tab.evaluate("window.violations") == []
        await paste(tab, STALE)
        assert "another attempt" in await tab.wait_for("document.querySelector('[role=alert]')?.innerText")
        assert await tab.evaluate("document.querySelector('textarea').value") == ""
        assert await tab.evaluate("window.violations") == []
        await paste(tab, ADDRESS)
        await tab.wait_for(SHOWS_LINKED)
        assert await tab.evaluate("window.violations") == []
        assert opened.receiver.ignored == ["foreign-state"]


FITS = "document.documentElement.scrollWidth <= innerWidth"
AT_THE_HEADING = "document.activeElement === document.querySelector('h1')"
TOLD = "document.body.dataset.outcome"
HAS_ASKED = "performance.getEntriesByName(new URL(document.body.dataset.live, location.href).href).length > 0"


async def faults(browser: Browser, script: str, addresses: dict[str, str]) -> list[str]:
    """Return what is wrong with any page: its accessibility, what its policy forbids, what does not fit."""
    found: list[str] = []
    for name, address in addresses.items():
        await browser.tab.resize(1000, 700)
        await browser.tab.open(address)
        if name == "lost":
            await browser.tab.wait_for("document.title === 'oauth-helper is no longer running'")
            assert await browser.tab.evaluate(TOLD) == "unknown"
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
    async with gallery() as addresses:
        assert await asyncio.gather(*(faults(browser, script, addresses) for browser in browsers)) == [[], []]


@pytest.mark.parametrize(("text", "outcome"), [(ADDRESS, "linked"), (f"https://console.example/?{DENIAL}", "denied")])
async def test_the_start_page_shows_the_outcome_of_another_way(tab: Tab, text: str, outcome: str) -> None:
    async with listening(WaitingLink(), timeout=0.1) as opened:
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


async def test_a_page_shows_the_new_address_after_starting_over(tab: Tab) -> None:
    receiver = WaitingLink(None)
    async with listening(receiver, timeout=0.1) as opened:
        await tab.open(start(opened))
        await tab.wait_for(HAS_ASKED)
        receiver.judge(ADDRESS, Way.TERMINAL)
        receiver.ask_again()
        opened.listener.start_over("https://github.example/a-window-goes-there")
        await tab.wait_for(f"document.querySelector('#authorize')?.href.endsWith('=fresh') && {HAS_ASKED}")
        assert await tab.evaluate("location.pathname + location.search") == f"/start?k={opened.key}"
        receiver.end(LINKED)
    await tab.wait_for(f"{TOLD} === 'linked'")


async def test_a_page_goes_on_to_the_next_link(tab: Tab) -> None:
    first, second = WaitingLink(), WaitingLink(url=authorization_url(origin="https://gitlab.example"))
    async with listening(WaitingLink(), timeout=0.1) as opened:
        await tab.open(await opened.listener.serve(first, more_to_come=True))
        first.judge(ADDRESS, Way.TERMINAL)
        await tab.wait_for(f"{TOLD} === 'linked'")
        assert "continues with the next account" in await tab.evaluate("document.body.innerText")
        await opened.listener.serve(second)
        assert opened.listener.handed_on
        opened.listener.handed_on.lead(None)
        await tab.wait_for(f"document.querySelector('#authorize')?.host === 'gitlab.example' && {HAS_ASKED}")
        second.judge(ADDRESS, Way.TERMINAL)
    await tab.wait_for(f"{TOLD} === 'linked'")


async def test_a_page_that_cannot_go_on_says_that_the_command_has_ended(tab: Tab) -> None:
    async with listening(WaitingLink(), timeout=0.1) as opened:
        await tab.open(await opened.listener.serve(receiver := WaitingLink(), more_to_come=True))
        receiver.judge(ADDRESS, Way.TERMINAL)
        await tab.wait_for(f"{TOLD} === 'linked'")
    closing = "document.querySelector('.closing').innerText"
    assert await tab.wait_for(f"{closing}.startsWith('The command has ended')")
    assert await tab.evaluate(TOLD) == "linked"


HAS_FORM = "document.forms.length === 1"


@asynccontextmanager
async def redirecting_to(target: str) -> AsyncIterator[str]:
    """Another site, as browsers tell sites apart: a page with a link, and behind the link a redirect to ``target``."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(
            text='<!doctype html><title>Elsewhere</title><a href="/on">On</a>', content_type="text/html"
        )

    async def on(_request: web.Request) -> web.Response:
        raise web.HTTPFound(target)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/on", on)])
    async with Server() as server:
        await server.serve(app)
        yield server.address.replace("127.0.0.1", "localhost") + "/"


async def come_from(tab: Tab, elsewhere: str) -> None:
    """Click the link of the other site."""
    await tab.open(elsewhere)
    assert await tab.evaluate("location.hostname") == "localhost"
    await tab.evaluate("document.querySelector('a').click()")


async def test_the_cookie_is_sent_after_a_redirect_from_another_site(browser: Browser) -> None:
    tab = browser.tab
    async with listening(WaitingLink()) as opened:
        start = f"{opened.listener.address}/start?k={opened.first}"
        await tab.open(start)
        assert await tab.evaluate(HAS_FORM)
        assert await tab.evaluate("document.cookie") == "", "no script sees it"
        async with redirecting_to(start) as elsewhere:
            await come_from(tab, elsewhere)
            await tab.wait_for(f"location.hostname === '127.0.0.1' && {HAS_FORM}")
        assert opened.receiver.events.count(PageOpened()) == 2
        assert opened.receiver.ignored == []
        async with type(browser)() as other:
            await other.tab.open(start)
            assert "already open" in await other.tab.evaluate("document.body.innerText")
            assert not await other.tab.evaluate(HAS_FORM)
        assert opened.receiver.ignored == [RejectedRequest.ALREADY_OPENED]
        assert len(opened.receiver.new_addresses) == 1
