"""Which requests are accepted, as a table; and that a rejected one has no effect."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from listener.raw_client import (
    ADDRESS,
    CODE,
    DIRECT,
    GENUINE,
    OURS,
    STATE,
    Open,
    ask,
    genuine,
    is_bare,
    paste,
    say,
)
from multidict import CIMultiDict, CIMultiDictProxy

from oauth_helper.events import RejectedRequest
from oauth_helper.listener.request_policy import RequestPolicy, authority
from oauth_helper.secret import Secret

HOST = "127.0.0.1:8765"
KEY, DONEKEY = "k" * 43, "d" * 43
START, REDIRECT, OUTCOME, DONE = f"/start?k={KEY}", f"/redirect?k={KEY}", f"/outcome?k={KEY}", f"/done?k={DONEKEY}"
TARGETS = {"GET": (START, GENUINE, OUTCOME, DONE), "POST": (REDIRECT,)}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SCRIPT = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"}
EVIL = {"Origin": "https://evil.example"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}


def refusal(
    method: str, target: str, headers: dict[str, str] | None = None, *, host: str = HOST
) -> RejectedRequest | None:
    policy = RequestPolicy(HOST, {Secret(KEY)}, {Secret(DONEKEY)})
    sent = CIMultiDict([("Host", host)] if host else [])
    sent.extend(headers or {})
    judged = policy.judge(method, target, CIMultiDictProxy(sent))
    return judged if isinstance(judged, RejectedRequest) else None


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        *(
            (method, target, headers)
            for method in TARGETS
            for target in TARGETS[method]
            for headers in ({}, NAVIGATION)
        ),
        *(("GET", target, {**NAVIGATION, **CROSS_SITE}) for target in (START, GENUINE, DONE)),
        *(("GET", target, {**NAVIGATION, "Sec-Fetch-Site": "none"}) for target in TARGETS["GET"]),
        ("GET", DONE, SCRIPT),
        ("POST", REDIRECT, {**NAVIGATION, "Sec-Fetch-Site": "same-origin", "Origin": "null"}),
        ("POST", REDIRECT, {**NAVIGATION, "Sec-Fetch-Site": "same-origin", "Origin": f"http://{HOST}"}),
    ],
)
def test_requests_of_browsers_scripts_and_our_own_pages_are_accepted(
    method: str, target: str, headers: dict[str, str]
) -> None:
    assert refusal(method, target, headers) is None


@pytest.mark.parametrize("target", ["/", "/favicon.ico", "/wrong", f"{DIRECT}/", f"/{DIRECT}", "/servicestage/%6fauth"])
def test_another_path_is_rejected(target: str) -> None:
    for other in (f"{target}?{OURS}", f"http://evil.example{target}", f"/Servicestage/oauth?{OURS}"):
        assert refusal("GET", other) == RejectedRequest.UNKNOWN_PATH


@pytest.mark.parametrize("path", ["/start", "/outcome", "/done", "/redirect"])
@pytest.mark.parametrize(
    "query", ["", "?k=", "?k=wrong", "?k=%F0%9F", "?k=KEY&k=KEY", "?key=KEY", "?k=KEY&a=b", "?KEY"]
)
def test_a_page_without_its_key_is_rejected(path: str, query: str) -> None:
    key = DONEKEY if path == "/done" else KEY
    method = "POST" if path == "/redirect" else "GET"
    assert refusal(method, path + query.replace("KEY", key)) == RejectedRequest.WRONG_KEY
    other = KEY if path == "/done" else DONEKEY
    assert refusal(method, f"{path}?k={other}") == RejectedRequest.WRONG_KEY


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT", "GET", "POST"])
@pytest.mark.parametrize("target", [START, GENUINE, OUTCOME, DONE, REDIRECT])
def test_another_method_is_rejected(method: str, target: str) -> None:
    if target not in TARGETS.get(method, ()):
        assert refusal(method, target) == RejectedRequest.WRONG_METHOD


@pytest.mark.parametrize(
    ("host", "rejected"),
    [
        ("localhost:8765", RejectedRequest.LOCALHOST),
        ("LocalHost:8765", RejectedRequest.LOCALHOST),
        *((host, RejectedRequest.FOREIGN_HOST) for host in ("evil.example:8765", "127.0.0.1", "127.0.0.1:1")),
        *((host, RejectedRequest.FOREIGN_HOST) for host in ("127.1:8765", "[::1]:8765", "")),
    ],
)
def test_another_host_is_rejected(host: str, rejected: RejectedRequest) -> None:
    for target in TARGETS["GET"]:
        assert refusal("GET", target, host=host) == rejected


def test_browsers_leave_out_the_default_port_of_http() -> None:
    assert [authority(80), authority(8080)] == ["127.0.0.1", "127.0.0.1:8080"]


@pytest.mark.parametrize(
    ("targets", "headers", "rejected"),
    [
        ((START, GENUINE, OUTCOME, DONE), EVIL, RejectedRequest.FOREIGN_ORIGIN),
        ((START, GENUINE, OUTCOME, DONE), {"Origin": "null"}, RejectedRequest.FOREIGN_ORIGIN),
        ((START, GENUINE, OUTCOME, DONE), {"Origin": "http://localhost:8765"}, RejectedRequest.FOREIGN_ORIGIN),
        ((REDIRECT,), EVIL, RejectedRequest.FOREIGN_ORIGIN),
        ((REDIRECT,), {"Origin": "null", **CROSS_SITE}, RejectedRequest.FOREIGN_ORIGIN),
        ((REDIRECT, OUTCOME), {"Sec-Fetch-Site": "same-site"}, RejectedRequest.FOREIGN_ORIGIN),
        ((REDIRECT, OUTCOME), {**NAVIGATION, **CROSS_SITE}, RejectedRequest.FOREIGN_ORIGIN),
        ((START, GENUINE, OUTCOME, DONE), {"Sec-Purpose": "prefetch;prerender"}, RejectedRequest.PREFETCH),
        ((START, GENUINE, OUTCOME, DONE), {"Purpose": "prefetch"}, RejectedRequest.PREFETCH),
        ((START, GENUINE, OUTCOME, DONE), {"X-Purpose": "preview"}, RejectedRequest.PREFETCH),
        ((START, GENUINE, OUTCOME, DONE), {"X-Moz": "prefetch"}, RejectedRequest.PREFETCH),
        *(
            ((START, GENUINE, OUTCOME, DONE, REDIRECT), headers, RejectedRequest.SUB_RESOURCE)
            for headers in (
                {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"},
                {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
                {"Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors"},
                {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"},
                {"Sec-Fetch-Dest": "empty"},
                {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "no-cors"},
            )
        ),
        ((START, GENUINE, OUTCOME, REDIRECT), SCRIPT, RejectedRequest.SUB_RESOURCE),
        *(
            ((DONE,), SCRIPT | headers, RejectedRequest.SUB_RESOURCE)
            for headers in (
                {"Sec-Fetch-Site": "same-site"},
                CROSS_SITE,
                {"Sec-Fetch-Site": "none"},
                {"Sec-Fetch-Mode": "no-cors"},
                {"Sec-Fetch-Dest": "image"},
            )
        ),
    ],
)
def test_other_pages_prefetches_frames_and_sub_resources_are_rejected(
    targets: tuple[str, ...], headers: dict[str, str], rejected: RejectedRequest
) -> None:
    for target in targets:
        assert refusal("POST" if target == REDIRECT else "GET", target, headers) == rejected


async def test_a_rejected_request_has_no_effect_and_its_answer_tells_nothing(opened: Open) -> None:
    here = f"Host: 127.0.0.1:{opened.port}\r\n\r\n"
    answers = [
        await ask(opened.port, "/favicon.ico"),
        await ask(opened.port, "/start?k=wrong"),
        await ask(opened.port, GENUINE, Host=f"localhost:{opened.port}"),
        await ask(opened.port, GENUINE, Origin="https://evil.example"),
        await ask(opened.port, GENUINE, Sec_Purpose="prefetch"),
        await ask(opened.port, GENUINE, Sec_Fetch_Dest="image"),
        await paste(opened, ADDRESS, Origin="https://evil.example"),
        await ask(opened.port, f"/redirect?{urlencode({'redirect': ADDRESS})}", method="POST"),
        await say(opened.port, f"GET {GENUINE} HTTP/1.0\r\n\r\n"),
        await say(opened.port, f"GET http://evil.example{GENUINE} HTTP/1.1\r\n{here}"),
        await say(opened.port, f"CONNECT 127.0.0.1:{opened.port} HTTP/1.1\r\n{here}"),
    ]
    assert all(is_bare(answer, 404) for answer in answers)
    assert is_bare(await ask(opened.port, GENUINE, method="HEAD"), 405)
    assert len(opened.receiver.ignored) == len(answers) + 1
    assert opened.receiver.is_waiting
    await genuine(opened)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (urlencode({"error": "access_denied"}), "foreign-state"),
        (urlencode({"error": "access_denied", "state": "forged"}), "foreign-state"),
        (urlencode({"code": CODE, "state": "forged"}), "foreign-state"),
        (f"{OURS}&code=another", "repeated-parameter"),
        (urlencode({"state": STATE}), "missing-code"),
        ("", "no-redirect"),
    ],
)
async def test_a_forged_redirect_is_400_and_the_genuine_one_is_received_afterwards(
    opened: Open, query: str, reason: str
) -> None:
    rejected = await ask(opened.port, f"{DIRECT}?{query}")
    assert (rejected.status, "still waiting" in rejected.body, CODE in rejected.body) == (400, True, False)
    assert opened.receiver.ignored == [reason]
    await genuine(opened)
