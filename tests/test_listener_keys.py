"""KEY is good once: what its first use is exchanged for, and what becomes of a second one."""

import asyncio
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from listener_desk import ADDRESS, Answer, Forms, Open, RedirectReceiver, ask, is_bare, listening, told

from oauth_helper.events import RejectedRequest, Way

NOT_OURS = "https://console.example/?code=x&state=foreign"


def cookie_of(answer: Answer) -> str:
    """What a browser would send back."""
    cookies = SimpleCookie(answer.headers.get("set-cookie", ""))
    return "; ".join(f"{name}={one.value}" for name, one in cookies.items())


async def begin(opened: Open, key: str, cookie: str = "") -> Answer:
    return await ask(opened.port, f"/start?k={key}", **({"Cookie": cookie} if cookie else {}))


async def hand_in(opened: Open, text: str, cookie: str = "", **headers: str) -> Answer:
    sent = headers | ({"Cookie": cookie} if cookie else {})
    body = urlencode({"redirect": text})
    return await ask(opened.port, f"/redirect?k={opened.first}", method="POST", body=body, **sent)


def key_in(address: str | None) -> str:
    return parse_qs(urlsplit(address or "").query)["k"][0]


async def test_the_first_use_is_given_a_cookie_of_this_port_that_no_script_sees() -> None:
    async with listening(RedirectReceiver()) as opened:
        answer = await begin(opened, opened.first)
        cookie = SimpleCookie(answer.headers["set-cookie"])[f"oauth-helper-{opened.port}"]
        assert len(cookie.value) >= 43, "256 bits"
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        assert int(cookie["max-age"]) <= 3600
        assert opened.receiver.visits == 1


async def test_who_bears_the_cookie_goes_on_and_who_does_not_learns_nothing() -> None:
    async with listening(RedirectReceiver()) as opened:
        cookie = cookie_of(await begin(opened, opened.first))
        for _ in range(3):
            assert 'id="authorize"' in (await begin(opened, opened.first, cookie)).body
        for stranger in ("", f"oauth-helper-{opened.port}=guessed", cookie.replace(f"{opened.port}=", "1=")):
            answer = await begin(opened, opened.first, stranger)
            assert answer.status == 404
            assert "already opened" in answer.body
            assert opened.receiver.authorization_url not in answer.body
            assert "authorize" not in answer.body
            assert "set-cookie" not in answer.headers
        assert told(await hand_in(opened, ADDRESS, cookie)) == "linked"


async def test_nobody_hands_in_a_redirect_or_asks_for_the_outcome_with_a_used_key() -> None:
    receiver = RedirectReceiver(ending=None)
    async with listening(receiver) as opened:
        await begin(opened, opened.first)
        for answer in (
            await hand_in(opened, ADDRESS),
            await hand_in(opened, ADDRESS, Accept="application/json"),
            await ask(opened.port, f"/outcome?k={opened.first}", Accept="application/json"),
        ):
            assert answer.status == 404
            assert "already opened" in answer.body
        assert not receiver.taken
        assert not receiver.ignored
        assert receiver.strays == [RejectedRequest.ALREADY_OPENED] * 3


async def test_a_form_may_be_the_first_use_and_the_page_that_follows_has_the_cookie() -> None:
    async with listening(RedirectReceiver()) as opened:
        again = await hand_in(opened, NOT_OURS)
        assert again.status == 400
        assert (await hand_in(opened, ADDRESS)).status == 404
        assert told(await hand_in(opened, ADDRESS, cookie_of(again))) == "linked"


async def test_beside_a_cookie_that_another_port_has_set_ours_is_found() -> None:
    async with listening(RedirectReceiver()) as opened:
        ours = cookie_of(await begin(opened, opened.first))
        planted = f"oauth-helper-{opened.port}=planted"
        for cookie in (f"{planted}; {ours}", f"a=b;{ours};{planted}", f"junk; =; {ours}"):
            assert (await begin(opened, opened.first, cookie)).status == 200


async def test_the_user_is_told_once_of_a_new_address_until_that_one_is_used() -> None:
    async with listening(RedirectReceiver()) as opened:
        await begin(opened, opened.first)
        for _ in range(5):
            await begin(opened, opened.first)
        [new] = opened.receiver.new_addresses
        assert 'id="authorize"' in (await begin(opened, key_in(new))).body
        for _ in range(5):
            await begin(opened, opened.first)
        assert len(opened.receiver.new_addresses) == len(set(opened.receiver.new_addresses)) == 2
        assert opened.receiver.strays == [RejectedRequest.ALREADY_OPENED] * 10


async def test_a_request_that_moves_no_tab_uses_no_key_up() -> None:
    async with listening(RedirectReceiver()) as opened:
        assert is_bare(await ask(opened.port, f"/start?k={opened.first}", Sec_Purpose="prefetch"), 404)
        assert is_bare(await ask(opened.port, f"/start?k={opened.first}", method="HEAD"), 405)
        assert is_bare(await ask(opened.port, f"/start?k={opened.first}", Host=f"localhost:{opened.port}"), 404)
        assert (await begin(opened, opened.first)).status == 200


async def test_the_page_links_to_an_address_of_its_own_for_a_private_window() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await begin(opened, opened.first)
        links = [link["href"] for link in Forms(page.body).all("a") if (link["href"] or "").startswith("/start")]
        [private] = {key_in(link) for link in links}
        assert private != opened.first
        assert private in (await begin(opened, opened.first, cookie_of(page))).body, "the same until it is used"
        assert 'id="authorize"' in (await begin(opened, private)).body
        assert private not in (await begin(opened, opened.first, cookie_of(page))).body


async def test_at_the_end_a_stranger_with_the_used_key_is_not_shown_the_outcome() -> None:
    receiver = RedirectReceiver(ending=None)
    async with listening(receiver) as opened:
        cookie = cookie_of(await begin(opened, opened.first))
        receiver.judge(ADDRESS, Way.TERMINAL)
        assert (await begin(opened, opened.first, cookie)).status == 303
        assert (await begin(opened, opened.first)).status == 404


@pytest.mark.parametrize("held", [True, False])
async def test_a_revoked_address_is_nobodys(held: bool) -> None:
    async with listening(RedirectReceiver()) as opened:
        start = opened.listener.start(held=held, good_once=False)
        opened.listener.revoke(start)
        assert is_bare(await begin(opened, start.key.reveal()), 404)


async def test_who_waits_at_an_address_that_is_revoked_is_shown_nothing() -> None:
    async with listening(RedirectReceiver()) as opened:
        start = opened.listener.start(held=True, good_once=False)
        waiting = asyncio.create_task(begin(opened, start.key.reveal()))
        await ask(opened.port, "/nowhere")  # a later connection, answered: the earlier request is in by now
        opened.listener.revoke(start)
        assert is_bare(await waiting, 404)
