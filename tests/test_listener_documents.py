"""What the listener answers other runs of ours: documents instead of pages, to who has KEY, and to no web page."""

import asyncio
import json
from urllib.parse import urlencode

import pytest
from listener_desk import (
    ADDRESS,
    DIRECT,
    GENUINE,
    LINKED,
    OURS,
    Answer,
    Open,
    RedirectReceiver,
    ask,
    genuine,
    is_bare,
    listening,
    told,
)

from oauth_helper.events import Linked, Way
from oauth_helper.single_instance import read_outcome

JSON = "application/json"


async def handed_over(opened: Open, text: str, **headers: str) -> Answer:
    body = urlencode({"redirect": text, "way": "deliver"})
    return await ask(opened.port, f"/redirect?k={opened.key}", method="POST", body=body, **{"Accept": JSON} | headers)


async def end_of(opened: Open, **headers: str) -> Answer:
    return await ask(opened.port, f"/outcome?k={opened.key}", **headers)


async def test_who_delivers_and_asks_for_json_gets_a_document() -> None:
    async with listening(RedirectReceiver()) as opened:
        answer = await handed_over(opened, ADDRESS)
        assert (answer.status, answer.headers["content-type"]) == (200, f"{JSON}; charset=utf-8")
        assert read_outcome(answer.body) == LINKED
        assert answer.headers["cache-control"] == "no-store"
    assert opened.receiver.taken == [Way.DELIVER]


@pytest.mark.parametrize("accepted", ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "*/*"])
async def test_who_asks_for_anything_else_gets_the_page(accepted: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        assert "<form" in (await handed_over(opened, "nothing", Accept=accepted)).body
        assert told(await handed_over(opened, ADDRESS, Accept=accepted)) == "linked"


async def test_what_is_not_ours_is_400_with_the_reason_and_a_hint() -> None:
    async with listening(RedirectReceiver()) as opened:
        answer = await handed_over(opened, f"https://c.example{DIRECT}?code=pasted-canary&state=stale")
        assert answer.status == 400
        document = json.loads(answer.body)
        assert (document["outcome"], document["reason"]) == ("rejected", "foreign-state")
        assert document["message"] == "not ours: foreign-state"
        assert document["hint"].startswith("Copy the whole address")
        assert "pasted-canary" not in answer.body
        await genuine(opened)


async def test_what_cannot_be_read_or_is_too_long_is_said_in_a_document_too() -> None:
    async with listening(RedirectReceiver()) as opened:
        too_long = await handed_over(opened, "x" * 70_000)
        unreadable = await handed_over(opened, "x", Content_Type="multipart/form-data")
        assert (too_long.status, json.loads(too_long.body)["reason"]) == (413, "too-long")
        assert (unreadable.status, json.loads(unreadable.body)["reason"]) == (400, "unreadable")
        assert opened.receiver.untouched


async def test_the_outcome_is_told_to_who_asks_and_asking_changes_nothing() -> None:
    async with listening(RedirectReceiver(), patience=0.05) as opened:
        assert (await end_of(opened)).body == '{"outcome": "waiting"}'
        assert opened.receiver.untouched
        await genuine(opened)
        for _ in range(2):
            assert read_outcome((await end_of(opened)).body) == LINKED


async def test_who_waits_when_the_story_ends_is_told_at_once() -> None:
    async with listening(RedirectReceiver(ending=None)) as opened, asyncio.timeout(3), asyncio.TaskGroup() as tasks:
        waits = tasks.create_task(end_of(opened))
        await ask(opened.port, "/")  # answered after the request above came
        opened.receiver.end(Linked(LINKED.authorization, kept=True))
        assert read_outcome((await waits).body) == Linked(LINKED.authorization, kept=True)


async def test_who_was_told_to_wait_is_served_while_the_listener_closes() -> None:
    async with asyncio.TaskGroup() as tasks, listening(RedirectReceiver(ending=None), patience=0.05) as opened:
        for answer in (await end_of(opened), await handed_over(opened, ADDRESS)):
            assert read_outcome(answer.body) is None
        opened.receiver.end(LINKED)
        late = [tasks.create_task(_after(0.1, opened)), tasks.create_task(_after(0.3, opened))]
    assert [read_outcome(task.result().body) for task in late] == [LINKED, LINKED]


async def _after(seconds: float, opened: Open) -> Answer:
    await asyncio.sleep(seconds)  # the pause of a slow visitor, not a wait for anything
    return await end_of(opened)


async def test_a_visitor_takes_no_place_of_a_browser_that_was_promised_the_final_page() -> None:
    async with asyncio.TaskGroup() as tasks, listening(RedirectReceiver(), patience=0.05) as opened:
        location = (await ask(opened.port, GENUINE)).headers["location"]
        await end_of(opened)
        page = tasks.create_task(_page_after(0.2, opened, location))
    assert told(page.result()) == "linked"


async def _page_after(seconds: float, opened: Open, location: str) -> Answer:
    await asyncio.sleep(seconds)  # as above
    return await ask(opened.port, location)


async def test_who_has_left_while_it_waited_does_not_hold_up_the_end() -> None:
    loop = asyncio.get_running_loop()
    async with listening(RedirectReceiver(ending=None), patience=0.3) as opened:
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(f"GET /outcome?k={opened.key} HTTP/1.1\r\nHost: 127.0.0.1:{opened.port}\r\n\r\n".encode())
        await ask(opened.port, "/")
        writer.close()
        await writer.wait_closed()
        assert read_outcome((await end_of(opened)).body) is None  # and so the one who left had its answer too
        opened.receiver.end(LINKED)
        assert read_outcome((await end_of(opened)).body) == LINKED
        ended = loop.time()
    assert loop.time() - ended < 0.6


@pytest.mark.parametrize("query", ["", "?k=", "?k=wrong", "?k=KEY&k=KEY", "?key=KEY"])
async def test_without_the_key_there_is_no_outcome(query: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        assert is_bare(await ask(opened.port, f"/outcome{query.replace('KEY', opened.key)}"), 404)


async def test_the_key_of_the_final_page_does_not_open_the_outcome() -> None:
    async with listening(RedirectReceiver()) as opened:
        done_key = (await ask(opened.port, f"{DIRECT}?{OURS}")).headers["location"].rpartition("=")[2]
        assert is_bare(await ask(opened.port, f"/outcome?k={done_key}"), 404)


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_the_outcome_is_asked_for_by_get_alone(method: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        assert is_bare(await ask(opened.port, f"/outcome?k={opened.key}", method=method), 405)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:PORT"},
        {"Host": "evil.example:PORT"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
        {"Sec_Fetch_Dest": "empty", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Dest": "script", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Purpose": "prefetch"},
    ],
)
async def test_another_page_learns_no_outcome_even_with_the_key(headers: dict[str, str]) -> None:
    async with listening(RedirectReceiver(), patience=0.05) as opened:
        sent = {name: value.replace("PORT", str(opened.port)) for name, value in headers.items()}
        assert is_bare(await end_of(opened, **sent), 404)
        assert (await end_of(opened)).status == 200
        assert opened.receiver.untouched
