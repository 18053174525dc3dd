"""The language of a page; every word of it can be translated."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from gettext import NullTranslations
from pathlib import Path

import pytest
from aiohttp import web
from listener.raw_client import ADDRESS, DIRECT, LINKED, WaitingLink, ask
from sandbox.page_reader import elements
from support.command_runner import use_temporary_folder

from oauth_helper.browsers.discovery import Family, choose_here
from oauth_helper.browsers.launch import driver_for, launched
from oauth_helper.browsers.window import rejected
from oauth_helper.errors import (
    AuthorizationDeniedError,
    DeadlineError,
    NoBrowserError,
    OutcomeUnknownError,
    RedirectRejectedError,
    RefusedError,
    StoppedError,
)
from oauth_helper.events import Failed, Linked, Outcome, Way
from oauth_helper.i18n import Language, Preference, _
from oauth_helper.listener import pages as listener_pages
from oauth_helper.listener.handlers import Listener
from oauth_helper.listener.pages import Pages
from oauth_helper.models import Authorization, RepoType
from oauth_helper.sandbox.faults import Server

CHINESE = "zh-CN,zh;q=0.9,en;q=0.8"


class Shouting(NullTranslations):
    """A language whose every message is known by its brackets."""

    def gettext(self, message: str) -> str:
        return f"«{message}»"


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
        await listener.serve(receiver := WaitingLink())
        port = int(listener.address.rpartition(":")[2])
        key = listener.start(good_once=False).key.reveal()
        rejected = f"{DIRECT}?code=c&state=stale"
        shown = [await ask(port, target, Accept_Language=accepted) for target in (f"/start?k={key}", rejected)]
        receiver.judge(ADDRESS, Way.TERMINAL)
        shown.append(await ask(port, listener.done_address, Accept_Language=accepted))
    for page in shown:
        assert elements(page.body, "html") == [{"lang": language}]
        assert (page.headers["content-language"], page.headers["vary"]) == (language, "Accept-Language")


@pytest.fixture
def shouted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pages]:
    """The pages with a catalog that marks every message."""
    catalog = Shouting()
    monkeypatch.setattr(listener_pages, "catalog_of", lambda _language: catalog)
    listener_pages._environment.cache_clear()
    yield Pages(RepoType.GITHUB, None, Language.CHINESE)
    listener_pages._environment.cache_clear()


REJECTED = RedirectRejectedError("foreign-state", _("Not ours"), hint=_("Copy it."))
WORDS = re.compile(r">([^<>]*[A-Za-z][^<>]*)<")


def test_every_word_of_a_page_is_a_message(shouted: Pages) -> None:
    record = Authorization(name="-", repo_type="github", repo_user="-", status=0)
    error = RefusedError(_("a <b>; see `x`"), code="-", hint=_("An end."))
    for page in (
        shouted.start("-", authorization_url="", private_start="", live="/", rejection=REJECTED),
        shouted.message("onward", address="-"),
        shouted.message("already opened"),
        shouted.message("other user"),
        shouted.message("rejected", rejection=REJECTED),
        shouted.outcome(None, live="/"),
        shouted.outcome(Linked(record, kept=True), live="/", more_to_come=True),
        shouted.outcome(Failed(error)),
    ):
        body = re.sub(r"<(style|script)>.*?</\1>|<header>.*?</header>", "", page.html, flags=re.DOTALL)
        body = re.sub(r"«[^»]*»|GitHub", "", body)
        assert [words for words in WORDS.findall(body) if words.strip()] == []
    assert "<p>«a &lt;b&gt;; see <code>x</code>»。</p>" in page.html
    assert "<p>«An end.»。</p>" in page.html


UNLINKED = "Your GitHub account was not linked"
HOSTILE = AuthorizationDeniedError("access_denied", "<script>alert(1)</script>\r\nX: y")
REFUSED = RefusedError(_("Refused <b>"), code="SVCSTG.REPO.0402", request_id="r-1", hint=_("Try `list`."))


@pytest.mark.parametrize(
    ("outcome", "word", "heading", "words"),
    [
        (LINKED, "linked", "Your GitHub account is linked", ["my-auth", "octo&lt;b&gt;cat"]),
        (Linked(LINKED.authorization, kept=True), "linked", "Your GitHub account is already linked", ["was kept"]),
        (Failed(HOSTILE), "denied", "You denied access to your", ["&lt;script&gt;alert(1)&lt;/script&gt; X: y"]),
        (
            Failed(AuthorizationDeniedError("server_error", "")),
            "denied",
            "GitHub refused the",
            ["Run the command again"],
        ),
        (Failed(DeadlineError(_("Time is up"))), "failed", UNLINKED, ["Time is up."]),
        (Failed(StoppedError(_("Interrupted"))), "failed", UNLINKED, ["Interrupted."]),
        (Failed(REFUSED), "failed", UNLINKED, ["&lt;b&gt;", "SVCSTG.REPO.0402", "r-1", "<code>list</code>."]),
        (Failed(OutcomeUnknownError(_("No answer"))), "unknown", "Couldn’t tell whether your GitHub", ["No answer."]),
    ],
)
def test_the_final_page_shows_the_outcome(outcome: Outcome, word: str, heading: str, words: list[str]) -> None:
    html = Pages(RepoType.GITHUB, None, Language.ENGLISH).outcome(outcome).html
    assert f"<h1>{heading}" in html
    assert f'data-outcome="{word}"' in html
    assert [text for text in words if text not in html] == []
    assert ("<h2>" in html) == (word == "linked")


@pytest.mark.parametrize(
    ("redirect_uri", "expected"),
    [
        ("https://console.huaweicloud.com/servicestage/oauth?a=b", 'href="https://console.huaweicloud.com"'),
        ("https://ada@console.eu.huaweicloud.com:443/x", 'href="https://console.eu.huaweicloud.com"'),
        ("http://console.example/x", "open the console: ServiceStage &gt;"),
        ("http://127.0.0.1:4000/servicestage/oauth", "exists only in the sandbox"),
    ],
)
def test_the_success_page_leads_to_the_console_of_the_site(redirect_uri: str, expected: str) -> None:
    pages = Pages(RepoType.GITHUB, redirect_uri, Language.ENGLISH)
    html = pages.outcome(LINKED).html
    assert expected in html
    assert ("Repository Authorization" in html) != ("sandbox" in expected)
    assert ('class="sandbox"' in html) == ("sandbox" in expected)
    assert "oauth-helper repos" not in html


def test_after_a_paste_the_user_may_close_two_tabs() -> None:
    pages = Pages(RepoType.GITHUB, None, Language.ENGLISH)
    assert "close this tab" in pages.outcome(LINKED).html
    assert "close both tabs" in pages.outcome(LINKED, was_pasted=True).html


def test_the_repr_of_a_page_tells_nothing() -> None:
    assert repr(Pages(RepoType.GITHUB, None, Language.ENGLISH).message("already opened")) == "Page()"


def test_the_page_of_a_held_request_has_a_language() -> None:
    assert '<html lang="zh-CN">' in rejected(Language.CHINESE).html
    assert '<html lang="en">' in rejected().html


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.thorough("firefox")
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
    driver = driver_for(browser, headless=True, language=Language.CHINESE)
    async with Server() as server:
        await server.serve(app)
        async with launched(browser, driver, f"{server.address}/start", environ=os.environ):
            assert await accepted.get() == CHINESE
