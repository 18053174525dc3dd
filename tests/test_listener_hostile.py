"""What strangers send to a loopback port: none of it has an effect, and none of it hinders the genuine redirect."""

from urllib.parse import urlencode

import pytest
from listener_desk import (
    ADDRESS,
    CODE,
    DIRECT,
    GENUINE,
    OURS,
    STATE,
    RedirectReceiver,
    ask,
    genuine,
    is_bare,
    listening,
    paste,
    say,
)

from oauth_helper.listener.request_policy import authority


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/favicon.ico",
        "/robots.txt",
        f"/wrong?{OURS}",
        f"{DIRECT}/?{OURS}",
        f"/{DIRECT}?{OURS}",
        f"/servicestage/%6fauth?{OURS}",
        f"/Servicestage/oauth?{OURS}",
        "/start",
        "/start?k=",
        "/start?k=wrong",
        "/start?k=%F0%9F",
        "/start?k=KEY&k=KEY",
        "/done",
        "/done?k=KEY",
    ],
)
async def test_any_other_path_and_any_page_without_its_key_is_404_and_tells_nothing(target: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        answer = await ask(opened.port, target.replace("KEY", opened.key))
        assert is_bare(answer, 404)
        assert opened.receiver.untouched
        await genuine(opened)


async def test_a_redirect_pasted_without_the_key_has_no_effect() -> None:
    async with listening(RedirectReceiver()) as opened:
        for query in ("", "?k=wrong", f"?key={opened.key}"):
            body = urlencode({"redirect": ADDRESS})
            assert is_bare(await ask(opened.port, f"/redirect{query}", method="POST", body=body), 404)
        assert opened.receiver.untouched


async def test_the_key_of_the_final_page_opens_that_page_alone() -> None:
    async with listening(RedirectReceiver()) as opened:
        done_key = (await ask(opened.port, GENUINE)).headers["location"].rpartition("=")[2]
        assert is_bare(await ask(opened.port, f"/start?k={done_key}"), 404)
        assert is_bare(await ask(opened.port, f"/redirect?k={done_key}", method="POST"), 404)
        assert (await ask(opened.port, f"/done?k={done_key}")).status == 200


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST"])
async def test_another_method_is_405_and_has_no_effect(method: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        for target in (GENUINE, f"/start?k={opened.key}"):
            answer = await ask(opened.port, target, method=method)
            assert is_bare(answer, 405)
        assert opened.receiver.untouched
        await genuine(opened)


async def test_the_form_is_posted_and_nothing_else() -> None:
    async with listening(RedirectReceiver()) as opened:
        target = f"/redirect?k={opened.key}&{urlencode({'redirect': ADDRESS})}"
        assert is_bare(await ask(opened.port, target), 405)
        assert is_bare(await ask(opened.port, target, method="HEAD"), 405)
        assert opened.receiver.untouched


@pytest.mark.parametrize(
    "host", ["localhost:PORT", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "127.1:PORT", "[::1]:PORT", ""]
)
async def test_a_foreign_host_has_no_effect(host: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        named = host.replace("PORT", str(opened.port))
        assert is_bare(await ask(opened.port, GENUINE, Host=named), 404)
        assert is_bare(await ask(opened.port, f"/start?k={opened.key}", Host=named), 404)
        assert opened.receiver.untouched


async def test_a_request_without_host_or_for_another_server_has_no_effect() -> None:
    async with listening(RedirectReceiver()) as opened:
        assert is_bare(await say(opened.port, f"GET {GENUINE} HTTP/1.0\r\n\r\n"), 404)
        ours = f"Host: 127.0.0.1:{opened.port}\r\n\r\n"
        assert is_bare(await say(opened.port, f"GET http://evil.example{GENUINE} HTTP/1.1\r\n{ours}"), 404)
        assert is_bare(await say(opened.port, f"CONNECT 127.0.0.1:{opened.port} HTTP/1.1\r\n{ours}"), 404)
        assert opened.receiver.untouched


def test_the_port_of_http_itself_is_left_out_of_the_host_as_browsers_do() -> None:
    assert [authority(80), authority(8080)] == ["127.0.0.1", "127.0.0.1:8080"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:PORT"},
        {"Sec_Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X_Purpose": "preview"},
        {"X_Moz": "prefetch"},
        {"Sec_Fetch_Dest": "iframe", "Sec_Fetch_Mode": "navigate"},
        {"Sec_Fetch_Dest": "image", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Dest": "empty", "Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Dest": "document", "Sec_Fetch_Mode": "no-cors"},
    ],
)
async def test_a_foreign_origin_a_prefetch_a_frame_or_a_sub_resource_has_no_effect(headers: dict[str, str]) -> None:
    async with listening(RedirectReceiver()) as opened:
        sent = {name: value.replace("PORT", str(opened.port)) for name, value in headers.items()}
        assert is_bare(await ask(opened.port, GENUINE, **sent), 404)
        assert is_bare(await ask(opened.port, f"/start?k={opened.key}", **sent), 404)
        assert opened.receiver.untouched
        await genuine(opened)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Dest": "iframe"},
    ],
)
async def test_a_form_sent_by_another_page_has_no_effect_even_with_the_key(headers: dict[str, str]) -> None:
    async with listening(RedirectReceiver()) as opened:
        assert is_bare(await paste(opened, ADDRESS, **headers), 404)
        assert opened.receiver.untouched


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1:PORT"])
async def test_the_form_of_our_own_page_is_taken_with_the_origin_browsers_send(origin: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        named = origin.replace("PORT", str(opened.port))
        headers = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
        assert (await paste(opened, ADDRESS, Origin=named, **headers)).status == 200


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (urlencode({"error": "access_denied"}), "no-redirect"),
        (urlencode({"error": "access_denied", "state": "forged"}), "foreign-state"),
        (urlencode({"code": CODE, "state": "forged"}), "foreign-state"),
        (f"{OURS}&code=another", "repeated-parameter"),
        (urlencode({"state": STATE}), "missing-code"),
        ("", "no-redirect"),
    ],
)
async def test_a_forged_redirect_is_400_and_the_genuine_one_is_taken_afterwards(query: str, reason: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        assert (await ask(opened.port, f"{DIRECT}?{query}")).status == 400
        assert opened.receiver.ignored == [reason]
        await genuine(opened)
