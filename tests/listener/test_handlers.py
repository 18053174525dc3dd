"""What the listener answers to browsers, scripts and other oauth-helper processes, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import sys
from functools import partial
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from listener.raw_client import (
    ADDRESS,
    CODE,
    DIRECT,
    GENUINE,
    LINKED,
    OURS,
    STATE,
    Answer,
    Open,
    WaitingLink,
    ask,
    authorization_url,
    is_bare,
    listening,
    paste,
    read_answer,
    told,
)
from sandbox.page_reader import elements

from oauth_helper.errors import (
    PortTakenError,
    RedirectRejectedError,
)
from oauth_helper.events import PageOpened, RejectedRequest, Way
from oauth_helper.listener.handlers import EntryLink, Listener
from oauth_helper.single_instance import read_outcome

DONE = re.compile(r"/done\?k=[\w-]{43}")


async def test_start_is_a_page_with_one_link_to_the_git_host_and_one_form(opened: Open) -> None:
    page = await ask(opened.port, f"/start?k={opened.key}")
    assert opened.receiver.is_waiting
    seen = partial(elements, page.body)
    authorize = next(link for link in seen("a") if link.get("id") == "authorize")
    assert page.status == 200
    assert "Link your GitHub account to ServiceStage" in page.body
    assert authorize["href"] == opened.receiver.request.url.reveal()
    assert (authorize["target"], authorize["rel"]) == ("_blank", "noopener noreferrer")
    assert seen("form") == [{"method": "post", "action": f"/redirect?k={opened.key}"}]
    assert [field["name"] for field in seen("textarea")] == ["redirect"]
    [icon] = seen("link")
    assert icon["href"].startswith("data:image/svg+xml,")
    assert "<script>alert" not in page.body


async def test_a_pasted_redirect_is_answered_with_the_outcome(opened: Open) -> None:
    page = await paste(opened, ADDRESS)
    assert (page.status, told(page)) == (200, "linked")
    assert "my-auth" in page.body
    assert "octo&lt;b&gt;cat" in page.body
    assert opened.receiver.taken == [Way.PAGE]
    assert CODE not in page.body


async def test_a_rejected_text_shows_the_page_again_and_is_not_echoed(opened: Open) -> None:
    page = await paste(opened, f"https://console.huaweicloud.com{DIRECT}?code=pasted-canary&state=stale")
    assert "belongs to another attempt" in page.body
    assert "Copy the whole address" in page.body
    assert page.status == 400
    assert len(elements(page.body, "form")) == 1
    assert "pasted-canary" not in page.body
    assert opened.receiver.ignored == ["foreign-state"]
    assert (await paste(opened, ADDRESS)).status == 200


async def test_a_form_without_the_field_or_with_a_file_in_it_is_no_redirect() -> None:
    async with listening(WaitingLink()) as opened, aiohttp.ClientSession() as session:
        address = f"{opened.listener.address}/redirect?k={opened.key}"
        file = aiohttp.FormData()
        file.add_field("redirect", ADDRESS.encode(), filename="redirect.txt")
        for data in ({"something": "else"}, {"redirect": ""}, file):
            async with session.post(address, data=data) as answer:
                assert answer.status == 400
    assert opened.receiver.ignored == ["no-redirect"] * 3


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded; charset=no-such-charset", "redirect=x"),
        ("application/x-www-form-urlencoded; charset=ascii", "redirect=ü"),
        ("multipart/form-data", "redirect=x"),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n",
        ),
    ],
)
async def test_a_form_that_cannot_be_read_is_400_and_the_page_again(opened: Open, content_type: str, body: str) -> None:
    length = str(len(body.encode()))
    target = f"/redirect?k={opened.key}"
    fields = {"Content_Type": content_type, "Content_Length": length}
    page = await ask(opened.port, target, method="POST", body=body, **fields)
    assert page.status in {400, 413}
    assert len(elements(page.body, "form")) == 1
    assert opened.receiver.is_waiting


async def test_an_incomplete_form_times_out() -> None:
    async with listening(WaitingLink(), timeout=0.1) as opened:
        page = await ask(opened.port, f"/redirect?k={opened.key}", method="POST", Content_Length="500")
        assert (page.status, opened.receiver.is_waiting) == (400, True)


async def test_a_direct_redirect_leads_to_the_final_page_without_code_or_state_in_its_address(opened: Open) -> None:
    answer = await ask(opened.port, f"{DIRECT}?{OURS}", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert (answer.status, answer.body) == (303, "")
    assert DONE.fullmatch(answer.headers["location"])
    page = await ask(opened.port, answer.headers["location"])
    assert (page.status, told(page)) == (200, "linked")
    assert "You can close this tab." in page.body
    assert opened.receiver.taken == [Way.DIRECT]


async def test_a_code_of_32_kibibytes_and_long_cookies_of_other_programs_fit(opened: Open) -> None:
    query = urlencode({"code": "c" * 32 * 1024, "state": STATE})
    answer = await ask(opened.port, f"{DIRECT}?{query}", Cookie=f"theirs={'c' * 20_000}")
    assert told(await ask(opened.port, answer.headers["location"])) == "linked"


def cookie_of(answer: Answer) -> str:
    """What a browser would send back."""
    cookies = SimpleCookie(answer.headers.get("set-cookie", ""))
    return "; ".join(f"{name}={one.value}" for name, one in cookies.items())


async def begin(opened: Open, key: str, cookie: str = "") -> Answer:
    return await ask(opened.port, f"/start?k={key}", Cookie=cookie)


def key_in(address: str) -> str:
    return parse_qs(urlsplit(address).query)["k"][0]


async def test_the_first_use_of_a_key_gets_an_httponly_cookie(opened: Open) -> None:
    answer = await begin(opened, opened.first)
    cookie = SimpleCookie(answer.headers["set-cookie"])[f"oauth-helper-{opened.port}"]
    assert len(cookie.value) >= 43, "256 bits"
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert int(cookie["max-age"]) <= 3600
    assert PageOpened() in opened.receiver.events


async def test_a_used_key_is_accepted_only_with_the_cookie(opened: Open) -> None:
    cookie = cookie_of(await begin(opened, opened.first))
    planted = f"oauth-helper-{opened.port}=planted"  # by another program
    for sent in (cookie, cookie, f"{planted}; {cookie}", f"a=b;{cookie};{planted}", f"junk; =; {cookie}"):
        assert 'id="authorize"' in (await begin(opened, opened.first, sent)).body
    for stranger in ("", f"oauth-helper-{opened.port}=guessed", cookie.replace(f"{opened.port}=", "1=")):
        answer = await begin(opened, opened.first, stranger)
        assert answer.status == 404
        assert "already open" in answer.body
        assert opened.receiver.request.url.reveal() not in answer.body
        assert "authorize" not in answer.body
        assert "set-cookie" not in answer.headers
    assert told(await paste(opened._replace(key=opened.first), ADDRESS, Cookie=cookie)) == "linked"


async def test_a_used_key_opens_neither_redirect_nor_outcome() -> None:
    receiver = WaitingLink(None)
    async with listening(receiver) as opened:
        await begin(opened, opened.first)
        used = opened._replace(key=opened.first)
        for answer in (
            await paste(used, ADDRESS),
            await paste(used, ADDRESS, Accept="application/json"),
            await ask(opened.port, f"/outcome?k={opened.first}", Accept="application/json"),
        ):
            assert answer.status == 404
            assert "already open" in answer.body
        assert receiver.is_waiting
        assert receiver.ignored == [RejectedRequest.ALREADY_OPENED] * 3


async def test_after_a_second_use_the_user_gets_one_new_address(opened: Open) -> None:
    await begin(opened, opened.first)
    for _time in range(5):
        await begin(opened, opened.first)
    [new] = opened.receiver.new_addresses
    assert 'id="authorize"' in (await begin(opened, key_in(new))).body
    for _time in range(5):
        await begin(opened, opened.first)
    assert len(opened.receiver.new_addresses) == len(set(opened.receiver.new_addresses)) == 2
    assert opened.receiver.ignored == [RejectedRequest.ALREADY_OPENED] * 10


async def test_a_rejected_request_does_not_use_up_the_key(opened: Open) -> None:
    assert is_bare(await ask(opened.port, f"/start?k={opened.first}", Sec_Purpose="prefetch"), 404)
    assert is_bare(await ask(opened.port, f"/start?k={opened.first}", method="HEAD"), 405)
    assert is_bare(await ask(opened.port, f"/start?k={opened.first}", Host=f"localhost:{opened.port}"), 404)
    assert (await begin(opened, opened.first)).status == 200


async def test_the_page_links_to_another_key_for_a_private_window(opened: Open) -> None:
    page = await begin(opened, opened.first)
    links = [link["href"] for link in elements(page.body, "a") if link["href"].startswith("/start")]
    [private] = {key_in(link) for link in links}
    assert private != opened.first
    assert private in (await begin(opened, opened.first, cookie_of(page))).body, "the same until it is used"
    assert 'id="authorize"' in (await begin(opened, private)).body
    assert private not in (await begin(opened, opened.first, cookie_of(page))).body


async def asked(opened: Open, start: EntryLink) -> asyncio.Task[str]:
    """Ask for a held address; return once the listener waits with the answer."""
    task = asyncio.create_task(_where(opened, start))
    probe = await ask(opened.port, "/nowhere")  # a later connection, answered: the earlier request is in by now
    assert probe.status == 404
    assert not task.done()
    return task


async def _where(opened: Open, start: EntryLink) -> str:
    answer = await ask(opened.port, start.address)
    for meta in elements(answer.body, "meta"):
        if meta.get("http-equiv") == "refresh":
            return f"page, then {meta['content'].partition('url=')[2]}"
    return answer.headers.get("location", f"{answer.status} {'authorize' in answer.body}")


async def test_a_held_address_waits_until_its_target_is_known(opened: Open) -> None:
    start = opened.listener.start(held=True, good_once=False)
    waiting = await asked(opened, start)
    start.lead("https://console.example/oauth?selftest=1")
    assert await waiting == "page, then https://console.example/oauth?selftest=1", "a navigation of its own"
    start.lead("https://github.com/login")
    assert await _where(opened, start) == "https://github.com/login", "who comes later goes on at once"


async def test_a_revoked_address_is_404_also_for_a_browser_that_waits(opened: Open) -> None:
    start = opened.listener.start(held=True, good_once=False)
    waiting = await asked(opened, start)
    opened.listener.revoke(start)
    assert await waiting == "404 False"
    assert is_bare(await ask(opened.port, start.address), 404)


async def test_a_held_address_becomes_the_page_if_the_window_fails(opened: Open) -> None:
    start = opened.listener.start(held=True, good_once=False)
    waiting = await asked(opened, start)
    start.lead(None)
    assert await waiting == "200 True"
    page = await ask(opened.port, start.address)
    assert f'action="/redirect?k={start.key.reveal()}"' in page.body
    assert told(await paste(opened._replace(key=start.key.reveal()), ADDRESS)) == "linked"
    assert (await _where(opened, start)).startswith("/done?k=")


SCRIPT = {
    "Accept": "text/html",
    "Sec_Fetch_Site": "same-origin",
    "Sec_Fetch_Mode": "same-origin",
    "Sec_Fetch_Dest": "empty",
}


async def asking(opened: Open, target: str = "") -> asyncio.Task[Answer]:
    """Ask as a page does; return once the listener waits with the answer."""
    task = asyncio.create_task(ask(opened.port, target or opened.listener.done_address, **SCRIPT))
    assert (await ask(opened.port, "/nowhere")).status == 404  # a later connection, answered: the first is in by now
    assert not task.done()
    return task


async def test_a_page_has_a_donekey_of_its_own_and_may_connect_only_to_the_listener(opened: Open) -> None:
    page = await ask(opened.port, f"/start?k={opened.key}")
    [target] = elements(page.body, "body")[0].values()
    assert target not in opened.listener.done_address
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    opened.receiver.judge(ADDRESS, Way.TERMINAL)
    assert told(await ask(opened.port, target, **SCRIPT)) == "linked"
    final = await ask(opened.port, opened.listener.done_address)
    assert elements(final.body, "body")[0] == {"data-outcome": "linked"}
    assert elements(final.body, "script") == []
    assert "connect-src 'none'" in final.headers["content-security-policy"]


async def test_waiting_pages_do_not_keep_the_listener_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oauth_helper.listener.handlers._FAREWELL", 60)
    async with listening(WaitingLink()) as opened:  # which closes within seconds, or fails
        pages = [await asking(opened) for _ in range(3)]
    assert [told(await page) for page in pages] == ["unknown"] * 3


async def test_a_page_of_an_earlier_attempt_is_sent_to_the_next_one() -> None:
    receiver = WaitingLink(None)
    async with listening(receiver) as opened:
        before = opened.listener.done_address
        page = await asking(opened)
        again = opened.listener.start_over(None)
        answer = await page
        assert is_bare(answer, 204)
        assert "/start?k=" in answer.headers["location"]
        assert answer.headers["location"] != again, "that one is for the user's eyes"
        assert (await ask(opened.port, before, **SCRIPT)).headers["location"] == answer.headers["location"]
        fresh = await asking(opened)
        receiver.end(LINKED)
        assert told(await fresh) == "linked"


async def test_a_page_stays_at_its_own_address_when_the_same_link_starts_over(opened: Open) -> None:
    page = await ask(opened.port, f"/start?k={opened.key}")
    [target] = elements(page.body, "body")[0].values()
    opened.listener.start_over("https://github.com/login?state=second")
    answer = await ask(opened.port, target, **SCRIPT)
    assert answer.headers["location"] == f"{opened.listener.address}/start?k={opened.key}"
    await opened.listener.serve(WaitingLink())
    assert opened.listener.handed_on
    opened.listener.handed_on.lead(None)
    answer = await ask(opened.port, target, **SCRIPT)
    assert "/start?k=" in answer.headers["location"]
    assert opened.key not in answer.headers["location"]


async def test_donekey_leads_to_one_time_addresses_of_the_next_attempt(opened: Open) -> None:
    before = opened.listener.done_address
    opened.listener.start_over("https://github.com/login?state=second")

    async def lead_on() -> str:
        return (await ask(opened.port, before)).headers["location"]

    first = await lead_on()
    assert first == await lead_on(), "the same until it is used"
    tab = await ask(opened.port, first)
    assert "state=second" in tab.body
    stranger = await ask(opened.port, first)
    assert (stranger.status, "state=second" in stranger.body) == (404, False)
    assert (await ask(opened.port, first, Cookie=cookie_of(tab))).status == 303
    second = await lead_on()
    assert second != first, "another tab may wait for the same"
    assert "state=second" in (await ask(opened.port, second)).body


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
        assert "continues" not in (await ask(opened.port, opened.listener.done_address)).body


JSON = "application/json"


async def handed_over(opened: Open, text: str, **headers: str) -> Answer:
    return await paste(opened, text, way="deliver", **{"Accept": JSON} | headers)


async def end_of(opened: Open, **headers: str) -> Answer:
    return await ask(opened.port, f"/outcome?k={opened.key}", **headers)


async def test_an_unreadable_or_too_long_text_is_rejected_and_a_process_gets_json(opened: Open) -> None:
    too_long = await handed_over(opened, "x" * 70_000)
    unreadable = await handed_over(opened, "x", Content_Type="multipart/form-data")
    assert (too_long.status, unreadable.status) == (413, 400)
    page = await paste(opened, "x" * 70_000)
    assert (page.status, "longer than any address" in page.body) == (413, True)
    for answer, reason in ((too_long, "too-long"), (unreadable, "unreadable")):
        with pytest.raises(RedirectRejectedError) as rejected:
            read_outcome(answer.body)
        assert rejected.value.reason == reason
    assert opened.receiver.is_waiting


async def test_a_client_that_was_told_to_wait_is_answered_while_the_listener_closes() -> None:
    async with asyncio.TaskGroup() as tasks, listening(WaitingLink(None), timeout=0.05) as opened:
        for answer in (await end_of(opened), await handed_over(opened, ADDRESS)):
            assert read_outcome(answer.body) is None
        opened.receiver.end(LINKED)
        late = [tasks.create_task(_after(0.1, opened)), tasks.create_task(_after(0.3, opened))]
    assert [read_outcome(task.result().body) for task in late] == [LINKED, LINKED]


async def _after(seconds: float, opened: Open) -> Answer:
    await asyncio.sleep(seconds)  # the pause of a slow visitor, not a wait for anything
    return await end_of(opened)


async def test_a_client_that_left_does_not_delay_the_end() -> None:
    loop = asyncio.get_running_loop()
    async with listening(WaitingLink(None), timeout=0.3) as opened:
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


async def test_a_browser_gets_a_page_that_waits_after_the_timeout() -> None:
    async with listening(WaitingLink(None), timeout=0.05) as opened:
        page = await paste(opened, ADDRESS)
        assert (page.status, told(page)) == (200, "waiting")
        refresh = next(meta for meta in elements(page.body, "meta") if meta.get("http-equiv") == "refresh")
        wait, _, address = refresh["content"].partition("; url=")
        assert wait == "1"
        assert told(await ask(opened.port, address)) == "waiting"
        opened.receiver.end(LINKED)
        assert told(await ask(opened.port, address)) == "linked"


async def test_a_client_that_connects_early_is_answered_when_serving_begins() -> None:
    async with Listener() as listener:
        host, _, port = listener.address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {DIRECT}?{OURS} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        await listener.serve(WaitingLink())
        answer = await read_answer(reader)
        assert answer.status == 303
        await ask(int(port), answer.headers["location"])
        writer.close()


async def test_no_other_program_can_use_the_port() -> None:
    async with Listener() as listener:
        port = int(listener.address.rpartition(":")[2])
        with pytest.raises(PortTakenError, match=f"Port {port} on 127.0.0.1 is not available"):
            await Listener(port).__aenter__()
        for host in ("127.0.0.1", "0.0.0.0", "::1"):  # noqa: S104 - the attempt must fail
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with pytest.raises(OSError, match="in use") as caught:
                    other.bind((host, port))
                assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("::1", port)
    with socket.socket(socket.AF_INET6) as next_one:
        next_one.bind(("::1", port))


async def test_the_port_is_free_as_soon_as_the_listener_closes() -> None:
    async with listening(WaitingLink()) as opened:
        _, silent = await asyncio.open_connection("127.0.0.1", opened.port)
        assert told(await paste(opened, ADDRESS, Connection="close")) == "linked"
    async with Listener(opened.port) as again:
        assert again.address == opened.listener.address
    silent.close()
    await silent.wait_closed()


@pytest.mark.skipif(sys.platform == "win32", reason="no low port is reserved there")
async def test_a_reserved_port_has_its_own_error() -> None:
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(PortTakenError, match="Permission denied") as caught:
            await Listener(1023).__aenter__()
    finally:
        os.seteuid(user)
    assert "above 1023" in caught.value.hint


async def test_the_final_page_deletes_the_cookie(opened: Open) -> None:
    first = await ask(opened.port, f"/start?k={opened.first}")
    answer = await ask(opened.port, GENUINE)
    cookie = first.headers["set-cookie"].partition(";")[0]
    done = await ask(opened.port, answer.headers["location"], Cookie=cookie)
    assert done.headers["set-cookie"].startswith(f'{cookie.partition("=")[0]}=""; ')
    assert "max-age=0" in done.headers["set-cookie"].lower()
