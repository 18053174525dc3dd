"""The listener when a link starts over, and when one link follows another: where waiting tabs go."""

import asyncio

from listener.raw_client import (
    ADDRESS,
    GENUINE,
    OURS,
    WaitingLink,
    ask,
    authorization_url,
    listening,
    paste,
    told,
)
from sandbox.page_reader import elements

from oauth_helper.events import Way


async def test_a_waiting_form_gets_the_page_with_the_fresh_address() -> None:
    receiver = WaitingLink(None)
    async with listening(receiver) as opened:
        pasting = asyncio.create_task(paste(opened, f"https://console.example/?{OURS}"))
        await receiver.redirect()
        receiver.ask_again()
        again = opened.listener.start_over(None)
        answer = await pasting
        assert answer.status == 303
        for address in (answer.headers["location"], again):
            page = await ask(opened.port, address)
            assert "state=fresh" in page.body


async def test_a_tab_that_waits_on_the_final_page_goes_straight_to_the_git_host() -> None:
    receiver = WaitingLink(None)
    async with listening(receiver) as opened:
        coming = asyncio.create_task(ask(opened.port, GENUINE))
        await receiver.redirect()
        onward = receiver.ask_again()
        opened.listener.start_over(onward)
        done = (await coming).headers["location"]
        again = (await ask(opened.port, done)).headers["location"]
        page = await ask(opened.port, again)
        assert "state=fresh" in page.body, "a page begins the navigation, so that it is held"
        cookie = page.headers["set-cookie"].partition(";")[0]
        assert (await ask(opened.port, again, Cookie=cookie)).headers["location"] == onward


async def test_a_tab_that_has_shown_one_outcome_continues_with_the_next_link() -> None:
    first, second = WaitingLink(), WaitingLink(url=authorization_url(origin="https://gitlab.example"))
    async with listening(WaitingLink()) as opened:
        await opened.listener.serve(first, more_to_come=True)
        done = opened.listener.done_address
        first.judge(ADDRESS, Way.WINDOW)
        page = await ask(opened.port, done)
        assert told(page) == "linked"
        refresh = [meta["content"] for meta in elements(page.body, "meta") if meta.get("http-equiv") == "refresh"]
        assert refresh == [f"1; url={done.removeprefix(opened.listener.address)}"]
        assert "continues with the next account by itself" in page.body
        await opened.listener.serve(second)
        onward = (await ask(opened.port, done)).headers["location"]
        assert opened.listener.handed_on
        opened.listener.handed_on.lead(None)
        page = await ask(opened.port, onward)
        assert "gitlab.example" in page.body
        assert (await ask(opened.port, f"/start?k={opened.key}")).status == 404, "the story before is over"
        second.judge(ADDRESS, Way.PAGE)
        assert "continues" not in (await ask(opened.port, done)).body
