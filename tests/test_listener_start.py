"""The addresses to begin at: each with a KEY of its own, and held until it is known where it leads."""

import asyncio
from urllib.parse import urlsplit

import pytest
from listener_desk import ADDRESS, Forms, Open, RedirectReceiver, ask, listening, paste, told

from oauth_helper.listener.handlers import EntryLink, Listener


def target(start: EntryLink) -> str:
    parts = urlsplit(start.address)
    return f"{parts.path}?{parts.query}"


async def asked(opened: Open, start: EntryLink) -> asyncio.Task[str]:
    """Ask for a held address; return once the listener waits with the answer."""
    task = asyncio.create_task(_where(opened, start))
    probe = await ask(opened.port, "/nowhere")  # a later connection, answered: the earlier request is in by now
    assert probe.status == 404
    assert not task.done()
    return task


async def _where(opened: Open, start: EntryLink) -> str:
    answer = await ask(opened.port, target(start))
    for meta in Forms(answer.body).all("meta"):
        if meta.get("http-equiv") == "refresh":
            return f"page, then {str(meta['content']).partition('url=')[2]}"
    return answer.headers.get("location", f"{answer.status} {'authorize' in answer.body}")


async def test_a_held_address_waits_and_then_goes_where_it_is_led() -> None:
    async with listening(RedirectReceiver()) as opened:
        start = opened.listener.start(held=True, good_once=False)
        waiting = await asked(opened, start)
        start.lead("https://console.example/oauth?selftest=1")
        assert await waiting == "page, then https://console.example/oauth?selftest=1", "a navigation of its own"
        start.lead("https://github.com/login")
        assert await _where(opened, start) == "https://github.com/login", "who comes later goes on at once"


async def test_a_held_address_becomes_the_page_where_nothing_comes_of_the_window() -> None:
    async with listening(RedirectReceiver()) as opened:
        start = opened.listener.start(held=True, good_once=False)
        waiting = await asked(opened, start)
        start.lead(None)
        assert await waiting == "200 True"
        page = await ask(opened.port, target(start))
        assert f'action="/redirect?k={start.key.reveal()}"' in page.body
        assert told(await paste(opened._replace(key=start.key.reveal()), ADDRESS)) == "linked"
        assert (await _where(opened, start)).startswith("/done?k=")


async def test_every_address_has_a_key_of_its_own_and_all_lead_to_the_page() -> None:
    async with listening(RedirectReceiver()) as opened:
        starts = [opened.listener.start() for _ in range(3)]
        assert len({start.address for start in starts}) == 3
        for start in starts:
            assert await _where(opened, start) == "200 True"
        assert (await ask(opened.port, f"/start?k={opened.key}x")).status == 404


async def test_who_is_held_at_the_end_is_let_go_at_once() -> None:
    async with listening(RedirectReceiver()) as opened:
        waiting = await asked(opened, opened.listener.start(held=True, good_once=False))
    assert await waiting == "200 True"


async def test_there_is_no_address_before_the_listener_serves() -> None:
    async with Listener() as listener:
        with pytest.raises(RuntimeError, match="does not serve"):
            listener.start()
