"""The cookie of a KEY that is good once, in real browsers: it comes along where another site redirects to us."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import web
from browser_session import Browser, Chromium, Firefox, Tab
from listener_desk import RedirectReceiver, listening

from oauth_helper.events import RejectedRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

HAS_FORM = "document.forms.length === 1"


@pytest_asyncio.fixture(params=[Chromium, Firefox], ids=["chromium", "firefox"], scope="module", loop_scope="module")
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    kind: type[Browser] = request.param
    if kind.find() is None:
        pytest.skip(f"none of {', '.join(kind.names)} is installed")
    async with kind() as browser:
        yield browser


@asynccontextmanager
async def redirecting_to(target: str) -> AsyncIterator[str]:
    """Another site, as browsers tell sites apart: a page with a link, and behind the link a redirect to ``target``."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(
            text='<!doctype html><title>Elsewhere</title><a href="/on">On</a>', content_type="text/html"
        )

    async def on(_request: web.Request) -> web.Response:
        raise web.HTTPFound(target)

    async with serving({"/": page, "/on": on}) as port:
        yield f"http://localhost:{port}/"


@asynccontextmanager
async def serving(routes: dict[str, object]) -> AsyncIterator[int]:
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_get(path, handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def come_from(tab: Tab, elsewhere: str) -> None:
    """Click the link of the other site."""
    await tab.open(elsewhere)
    assert await tab.evaluate("location.hostname") == "localhost"
    await tab.evaluate("document.querySelector('a').click()")


async def test_the_page_is_shown_again_to_who_comes_by_a_redirect_from_another_site(browser: Browser) -> None:
    tab = browser.tab
    async with listening(RedirectReceiver()) as opened:
        start = f"{opened.listener.address}/start?k={opened.first}"
        await tab.open(start)
        assert await tab.evaluate(HAS_FORM)
        assert await tab.evaluate("document.cookie") == "", "no script sees it"
        async with redirecting_to(start) as elsewhere:
            await come_from(tab, elsewhere)
            await tab.wait_for(f"location.hostname === '127.0.0.1' && {HAS_FORM}")
        assert opened.receiver.visits == 2
        assert opened.receiver.strays == []
        async with type(browser)() as other:
            await other.tab.open(start)
            assert "already opened" in await other.tab.evaluate("document.body.innerText")
            assert not await other.tab.evaluate(HAS_FORM)
        assert opened.receiver.strays == [RejectedRequest.ALREADY_OPENED]
        assert len(opened.receiver.new_addresses) == 1


async def test_a_strict_cookie_would_not_come_along(browser: Browser) -> None:
    tab = browser.tab
    borne: list[set[str]] = []

    async def give(_request: web.Request) -> web.Response:
        answer = web.Response(text="<!doctype html><title>Given</title>", content_type="text/html")
        for kind in ("Strict", "Lax"):
            answer.set_cookie(kind.lower(), "1", httponly=True, samesite=kind)
        return answer

    async def see(request: web.Request) -> web.Response:
        # Those that other ports have set come too (RFC 6265 section 8.5).
        borne.append({"strict", "lax"} & set(request.cookies))
        return web.Response(text="<!doctype html><title>Seen</title>", content_type="text/html")

    async with serving({"/give": give, "/see": see}) as port:
        there = f"http://127.0.0.1:{port}"
        await tab.open(f"{there}/give")
        await tab.open(f"{there}/see")
        async with redirecting_to(f"{there}/see") as elsewhere:
            await come_from(tab, elsewhere)
            await tab.wait_for("document.title === 'Seen'")
    assert borne == [{"strict", "lax"}, {"lax"}]
