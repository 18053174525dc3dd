"""The pages' languages: which one a page is in, and that every word of it can be said in another."""

from __future__ import annotations

import asyncio
import os
from gettext import NullTranslations
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from command import use_temporary_folder
from listener_desk import ADDRESS, DIRECT, Forms, RedirectReceiver, ask

from oauth_helper.browsers.discovery import Family, choose_here
from oauth_helper.browsers.drivers import Timeouts
from oauth_helper.browsers.launch import driver_for, launched
from oauth_helper.browsers.window import rejected
from oauth_helper.errors import NoBrowserError
from oauth_helper.events import Way
from oauth_helper.i18n import Language, Preference, _
from oauth_helper.listener import pages as templating
from oauth_helper.listener.handlers import Listener
from oauth_helper.listener.pages import Templates

if TYPE_CHECKING:
    from pathlib import Path

CHINESE = "zh-CN,zh;q=0.9,en;q=0.8"


class Shouting(NullTranslations):
    """A language whose every message is known by its brackets."""

    def gettext(self, message: str) -> str:
        return f"<i>{message}</i>" if "$" in message else f"«{message}»"


@pytest.mark.parametrize(
    ("preference", "accepted", "language"),
    [
        (Preference(Language.ENGLISH), CHINESE, "zh-CN"),
        (Preference(Language.ENGLISH), "fr", "en"),
        (Preference(Language.CHINESE), "", "zh-CN"),
        (Preference(Language.CHINESE), "en-GB", "en"),
        (Preference(Language.ENGLISH, is_demanded=True), CHINESE, "en"),
        (Preference(Language.CHINESE, is_demanded=True), "en", "zh-CN"),
    ],
)
async def test_a_page_is_in_the_language_of_the_user_or_of_the_browser(
    preference: Preference, accepted: str, language: str
) -> None:
    async with Listener(preference=preference) as listener:
        await listener.serve(receiver := RedirectReceiver())
        port = int(listener.address.rpartition(":")[2])
        key = listener.start(good_once=False).key.reveal()
        strays = f"{DIRECT}?code=c&state=stale"
        pages = [await ask(port, target, Accept_Language=accepted) for target in (f"/start?k={key}", strays)]
        receiver.judge(ADDRESS, Way.TERMINAL)
        pages.append(await ask(port, listener.done_address.removeprefix(listener.address), Accept_Language=accepted))
    for page in pages:
        assert Forms(page.body).all("html") == [{"lang": language}]
        assert (page.headers["content-language"], page.headers["vary"]) == (language, "Accept-Language")


async def test_two_browsers_are_told_the_same_in_their_own_languages() -> None:
    async with Listener() as listener:
        await listener.serve(RedirectReceiver())
        port = int(listener.address.rpartition(":")[2])
        for accepted, language in (("en", "en"), (CHINESE, "zh-CN"), ("en", "en")):
            page = await ask(port, f"{DIRECT}?code=c&state=stale", Accept_Language=accepted)
            assert f'lang="{language}"' in page.body


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> Templates:
    catalog = Shouting()
    monkeypatch.setattr(templating, "catalog_of", lambda _language: catalog)
    return Templates(Language.CHINESE)


def test_the_words_of_a_template_are_looked_up_as_one_line_and_filled_in_afterwards(templates: Templates) -> None:
    assert "<h1><i>Your $host account is linked</i></h1>".replace("$host", "A&amp;B") in templates.fill(
        "linked.html", initials="A", host="A&B", kept="", facts="", name="n", closing=""
    )
    assert "«An address of oauth-helper opens in one browser only, so that nobody else on this machine" in (
        templates.fill("already_opened.html")
    )


def test_a_phrase_is_said_escaped_and_ends_as_a_sentence_of_its_language(templates: Templates) -> None:
    assert templates.paragraph(_("a <b>; see `x`")) == "<p>«a &lt;b&gt;; see <code>x</code>»。</p>"
    assert templates.paragraph("An end.") == "<p>An end.</p>"
    assert templates.facts({_("Account"): "me", _("Error code"): ""}) == (
        "<dl><div><dt>«Account»</dt><dd>me</dd></div></dl>"
    )


def test_the_page_of_a_window_that_no_server_gives_out_has_a_language_too() -> None:
    assert '<html lang="zh-CN">' in rejected(Language.CHINESE).html
    assert '<html lang="en">' in rejected().html


@pytest.mark.parametrize("family", list(Family))
async def test_a_window_asks_for_pages_in_the_language_of_the_user(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        browser, *_ = await choose_here(family, os.environ)
    except NoBrowserError as error:
        pytest.skip(error.message)
    use_temporary_folder(monkeypatch, tmp_path)
    accepted: asyncio.Queue[str] = asyncio.Queue()

    async def answer(request: web.Request) -> web.Response:
        accepted.put_nowait(request.headers.get("Accept-Language", ""))
        return web.Response(text="<!doctype html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/start", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address, timeouts = f"http://127.0.0.1:{runner.addresses[0][1]}/start", Timeouts()
    driver = driver_for(browser, headless=True, platform="linux", timeouts=timeouts, language=Language.CHINESE)
    try:
        async with launched(browser, driver, address, environ=os.environ):
            assert await accepted.get() == CHINESE
    finally:
        await runner.cleanup()
