"""The listener's pages in a real Chromium and a real Firefox."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import listener_desk
import pytest
import pytest_asyncio
from aiohttp import web
from browser_session import Browser, Chromium, Firefox, Tab
from listener_desk import ADDRESS, DIRECT, OURS, Open, RedirectReceiver, listening

from oauth_helper.events import Way

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINKED = "document.body.dataset.outcome === 'linked'"
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


@pytest_asyncio.fixture(params=[Chromium, Firefox], ids=["chromium", "firefox"], scope="module", loop_scope="module")
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    kind: type[Browser] = request.param
    if kind.find() is None:
        pytest.skip(f"none of {', '.join(kind.names)} is installed")
    async with kind() as browser:
        yield browser


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


@asynccontextmanager
async def tapped(opened: Open) -> AsyncIterator[tuple[str, bytearray]]:
    """Forward a port of its own to the listener, and keep all that browsers say there."""
    said = bytearray()
    port = 0
    writers: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        while data := await reader.read(65536):
            kept += data
            writer.write(data.replace(b"127.0.0.1:%d" % port, b"127.0.0.1:%d" % opened.port))
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", opened.port)
        writers.extend((writer, back))
        await asyncio.gather(carry(reader, back, said), carry(there, writer, bytearray()), return_exceptions=True)

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/start?k={opened.key}", said
        for writer in writers:  # from Python 3.12 on, a server waits for its connections to end
            writer.close()


async def test_an_address_pasted_anywhere_links(tab: Tab) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        await paste(tab, ADDRESS)
        await tab.wait_for(LINKED)
        assert opened.receiver.taken == [Way.PAGE]
        assert "octo<b>cat" in await tab.evaluate("document.body.innerText")


@pytest.mark.parametrize("how", [DROP, TYPE_AND_CLICK], ids=["drop", "click"])
async def test_an_address_dropped_anywhere_or_sent_by_the_button_links(tab: Tab, how: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        await offer(tab, how, ADDRESS)
        await tab.wait_for(LINKED)


async def test_the_form_works_without_scripts(browser: Browser) -> None:
    async with type(browser)(scripts=False) as plain, listening(RedirectReceiver()) as opened:
        await plain.tab.open(start(opened))
        assert await plain.tab.evaluate("document.querySelector('#clipboard').hidden")
        assert "Ctrl" not in await plain.tab.evaluate("document.body.innerText")
        await offer(plain.tab, TYPE_AND_CLICK, ADDRESS)
        await plain.tab.wait_for(LINKED)
        async with listening(RedirectReceiver(ending=None), patience=0.05) as slow:
            await plain.tab.open(f"{slow.listener.address}{DIRECT}?{OURS}")
            await plain.tab.wait_for("document.body.dataset.outcome === 'waiting'")
            slow.receiver.end(listener_desk.LINKED)
            await plain.tab.wait_for(LINKED)


async def test_a_rejected_paste_shows_what_was_wrong_and_the_page_again(tab: Tab) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        await paste(tab, STALE)
        problem = await tab.wait_for("document.querySelector('[role=alert]')?.innerText")
        assert "another attempt" in problem
        assert await tab.evaluate("document.querySelector('textarea').value") == ""
        await paste(tab, ADDRESS)
        await tab.wait_for(LINKED)


async def test_pasting_something_without_text_says_so_and_sends_nothing(tab: Tab) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        await paste(tab, " ")
        assert "no text" in await tab.evaluate("document.querySelector('#progress').innerText")
        assert opened.receiver.untouched


async def test_the_clipboard_is_offered_where_the_browser_has_one(tab: Tab) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        shown = await tab.evaluate("!document.querySelector('#clipboard').hidden")
        assert shown is await tab.evaluate("Boolean(navigator.clipboard?.readText)")


async def test_a_direct_redirect_ends_at_the_final_page_without_the_code_in_the_address(tab: Tab) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(f"{opened.listener.address}{DIRECT}?{OURS}")
        await tab.wait_for(LINKED)
        assert re.fullmatch(r"/done\?k=[\w-]+", await tab.evaluate("location.pathname + location.search"))
        assert opened.receiver.taken == [Way.DIRECT]


async def test_a_page_that_waits_goes_on_by_itself(tab: Tab) -> None:
    async with listening(RedirectReceiver(ending=None), patience=0.05) as opened:
        await tab.open(f"{opened.listener.address}{DIRECT}?{OURS}")
        await tab.wait_for("document.body.dataset.outcome === 'waiting'")
        opened.receiver.end(listener_desk.LINKED)
        await tab.wait_for(LINKED)


async def test_consent_happens_in_a_new_tab_that_learns_nothing_of_our_page(browser: Browser, tab: Tab) -> None:
    referers: list[str | None] = []

    async def git_host(request: web.Request) -> web.Response:
        referers.append(request.headers.get("Referer"))
        return web.Response(text="<!doctype html><title>Consent</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/consent", git_host)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    consent = f"http://127.0.0.1:{runner.addresses[0][1]}/consent"
    try:
        async with listening(RedirectReceiver(authorization_url=consent)) as opened:
            await tab.open(start(opened))
            await tab.evaluate("document.querySelector('#authorize').click()")
            consent_tab = await browser.second_tab()
            assert await consent_tab.wait_for("document.title === 'Consent' && !opener && !document.referrer")
            await consent_tab.open(f"{opened.listener.address}{DIRECT}?{OURS}")
            await consent_tab.wait_for(LINKED)
            await consent_tab.close()
            await tab.wait_for(LINKED)
            assert await tab.evaluate("location.pathname") == "/start", "the page showed the end by itself"
        assert referers == [None]
    finally:
        await runner.cleanup()


async def test_no_icon_is_asked_for_no_referrer_is_sent_and_the_policy_forbids_nothing_of_ours(tab: Tab) -> None:
    async with listening(RedirectReceiver()) as opened, tapped(opened) as (address, said):
        await tab.open(address)
        assert await tab.evaluate("window.violations") == []
        assert await tab.evaluate("getComputedStyle(document.body).maxWidth") == "672px"
        await paste(tab, STALE)
        await tab.wait_for("document.querySelector('[role=alert]') !== null")
        assert await tab.evaluate("window.violations") == []
        await paste(tab, ADDRESS)
        await tab.wait_for(LINKED)
        assert await tab.evaluate("window.violations") == []
        await tab.open("about:blank")
    lines = re.findall(rb"([A-Z]+ /[^ ?]*)\S* HTTP/1\.1\r\n", said)
    assert [line for line in lines if line != b"GET /done"] == [b"GET /start", b"POST /redirect", b"POST /redirect"]
    assert b"referer:" not in said.lower()


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_page_fits_a_wide_and_a_narrow_window(tab: Tab, width: int) -> None:
    async with listening(RedirectReceiver()) as opened:
        await tab.resize(width, 800)
        await tab.open(start(opened))
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
