"""What the listener answers a page that shows the end by itself, and who else may not ask like that."""

import asyncio
from urllib.parse import urlsplit

import pytest
from listener_desk import ADDRESS, GENUINE, LINKED, Answer, Forms, Open, RedirectReceiver, ask, is_bare, listening, told

from oauth_helper.events import Way

OURS = {
    "Accept": "text/html",
    "Sec_Fetch_Site": "same-origin",
    "Sec_Fetch_Mode": "same-origin",
    "Sec_Fetch_Dest": "empty",
}


def done(opened: Open) -> str:
    parts = urlsplit(opened.listener.done_address)
    return f"{parts.path}?{parts.query}"


async def asking(opened: Open, target: str = "") -> asyncio.Task[Answer]:
    """Ask as a page does; return once the listener waits with the answer."""
    task = asyncio.create_task(ask(opened.port, target or done(opened), **OURS))
    assert (await ask(opened.port, "/nowhere")).status == 404  # a later connection, answered: the first is in by now
    assert not task.done()
    return task


async def test_a_page_has_a_donekey_of_its_own_and_may_connect_only_to_the_listener() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await ask(opened.port, f"/start?k={opened.key}")
        [target] = Forms(page.body).all("body")[0].values()
        assert target != done(opened)
        assert "connect-src 'self'" in page.headers["content-security-policy"]
        opened.receiver.judge(ADDRESS, Way.TERMINAL)
        assert told(await ask(opened.port, target or "", **OURS)) == "linked"
        final = await ask(opened.port, done(opened))
    assert Forms(final.body).all("body")[0] == {"data-outcome": "linked"}
    assert Forms(final.body).all("script") == []
    assert "connect-src 'none'" in final.headers["content-security-policy"]


async def test_a_page_waits_for_the_end_before_there_is_a_redirect_and_is_told_it_before_the_listener_is_gone() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await asking(opened)
        opened.receiver.judge(ADDRESS, Way.TERMINAL)
    assert told(page.result()) == "linked"


async def test_a_page_that_was_told_to_ask_again_may_do_so_while_the_listener_closes() -> None:
    async with asyncio.TaskGroup() as tasks, listening(RedirectReceiver(), patience=0.01) as opened:
        nothing = await ask(opened.port, done(opened), **OURS)
        assert is_bare(nothing, 204)
        opened.receiver.judge(ADDRESS, Way.TERMINAL)
        page = tasks.create_task(ask(opened.port, done(opened), **OURS))
    assert told(page.result()) == "linked"


async def test_a_page_that_begins_to_ask_takes_nothing_away_from_a_tab_that_was_sent_to_the_end() -> None:
    receiver = RedirectReceiver()
    async with asyncio.TaskGroup() as tasks, listening(receiver, patience=0.01) as opened:
        sent_on = await ask(opened.port, GENUINE)
        assert told(await ask(opened.port, done(opened), **OURS)) == "linked"
        page = tasks.create_task(ask(opened.port, sent_on.headers["location"]))
    assert told(page.result()) == "linked"


async def test_pages_that_ask_keep_no_listener_open_whose_story_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oauth_helper.listener.handlers._FAREWELL", 60)
    async with listening(RedirectReceiver()) as opened:  # which closes within seconds, or fails
        pages = [await asking(opened) for _ in range(3)]
    assert [told(await page) for page in pages] == ["unknown"] * 3


async def test_a_page_of_an_attempt_that_is_over_is_told_where_to_go_on() -> None:
    receiver = RedirectReceiver(ending=None)
    async with listening(receiver) as opened:
        before = done(opened)
        page = await asking(opened)
        again = opened.listener.start_over(None)
        answer = await page
        assert is_bare(answer, 204)
        assert "/start?k=" in answer.headers["location"]
        assert answer.headers["location"] != again, "that one is for the user's eyes"
        assert (await ask(opened.port, before, **OURS)).headers["location"] == answer.headers["location"]
        fresh = await asking(opened)
        receiver.end(LINKED)
        assert told(await fresh) == "linked"


async def test_a_page_stays_at_its_own_address_when_the_same_link_starts_over() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await ask(opened.port, f"/start?k={opened.key}")
        [target] = Forms(page.body).all("body")[0].values()
        opened.listener.start_over("https://github.com/login?state=second")
        answer = await ask(opened.port, target or "", **OURS)
        assert answer.headers["location"] == f"{opened.listener.address}/start?k={opened.key}"
        await opened.listener.serve(RedirectReceiver())
        assert opened.listener.handed_on
        opened.listener.handed_on.lead(None)
        answer = await ask(opened.port, target or "", **OURS)
        assert "/start?k=" in answer.headers["location"]
        assert opened.key not in answer.headers["location"]


async def test_where_donekey_leads_on_to_the_next_attempt_each_address_is_good_once() -> None:
    async with listening(RedirectReceiver()) as opened:
        opened.listener.start_over("https://github.com/login?state=second")

        async def lead_on() -> str:
            onward = urlsplit((await ask(opened.port, done(opened))).headers["location"])
            return f"{onward.path}?{onward.query}"

        first = await lead_on()
        assert first == await lead_on(), "the same until it is used"
        tab = await ask(opened.port, first)
        assert "state=second" in tab.body
        stranger = await ask(opened.port, first)
        assert (stranger.status, "state=second" in stranger.body) == (404, False)
        assert (await ask(opened.port, first, Cookie=tab.headers["set-cookie"].partition(";")[0])).status == 303
        second = await lead_on()
        assert second != first, "another tab may wait for the same"
        assert "state=second" in (await ask(opened.port, second)).body


@pytest.mark.parametrize(
    "headers",
    [
        OURS | {"Sec_Fetch_Site": "same-site"},
        OURS | {"Sec_Fetch_Site": "cross-site"},
        OURS | {"Sec_Fetch_Site": "none"},
        OURS | {"Sec_Fetch_Mode": "no-cors"},
        OURS | {"Sec_Fetch_Mode": "cors", "Origin": "https://evil.example"},
        OURS | {"Sec_Fetch_Dest": "image"},
        OURS | {"Sec_Fetch_Dest": "iframe", "Sec_Fetch_Mode": "navigate"},
        {"Sec_Fetch_Dest": "empty"},
    ],
)
async def test_no_other_page_may_ask_like_that(headers: dict[str, str]) -> None:
    async with listening(RedirectReceiver()) as opened:
        assert is_bare(await ask(opened.port, done(opened), **headers), 404)


@pytest.mark.parametrize("path", ["/start", "/outcome"])
async def test_our_own_page_may_ask_for_nothing_else(path: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        assert is_bare(await ask(opened.port, f"{path}?k={opened.key}", **OURS), 404)
