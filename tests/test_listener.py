"""The listener's table: every request an honest browser, script or user makes, over real sockets."""

import asyncio
import re
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from listener_desk import (
    ADDRESS,
    CODE,
    DENIAL,
    DIRECT,
    LINKED,
    OURS,
    STATE,
    Forms,
    RedirectReceiver,
    ask,
    genuine,
    listening,
    paste,
    told,
)

from oauth_helper.errors import OutcomeUnknownError, RefusedError
from oauth_helper.events import Failed, Linked, Outcome, Way
from oauth_helper.i18n import _
from oauth_helper.listener.pages import PROBLEMS

DONE = re.compile(r"/done\?k=[\w-]{43}")


async def test_start_is_a_page_with_one_link_to_the_git_host_and_one_form() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await ask(opened.port, f"/start?k={opened.key}")
    seen = Forms(page.body)
    authorize = next(link for link in seen.all("a") if link.get("id") == "authorize")
    assert page.status == 200
    assert "Link your GitHub account to ServiceStage" in page.body
    assert authorize["href"] == opened.receiver.authorization_url
    assert (authorize["target"], authorize["rel"]) == ("_blank", "noopener noreferrer")
    assert seen.all("form") == [{"method": "post", "action": f"/redirect?k={opened.key}"}]
    assert [field["name"] for field in seen.all("textarea")] == ["redirect"]
    assert seen.all("link") == [{"rel": "icon", "href": "data:,"}]
    assert "<script>alert" not in page.body
    assert opened.receiver.untouched


async def test_a_pasted_redirect_is_judged_and_answered_with_the_outcome() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await paste(opened, ADDRESS)
    assert (page.status, told(page)) == (200, "linked")
    assert "my-auth" in page.body
    assert "octo&lt;b&gt;cat" in page.body
    assert opened.receiver.taken == [Way.PAGE]
    assert CODE not in page.body


async def test_a_redirect_delivered_from_another_terminal_is_counted_as_such() -> None:
    async with listening(RedirectReceiver()) as opened, aiohttp.ClientSession() as session:
        address = f"{opened.listener.address}/redirect?k={opened.key}"
        async with session.post(address, data={"redirect": ADDRESS, "way": "deliver"}) as answer:
            assert answer.status == 200
    assert opened.receiver.taken == [Way.DELIVER]


async def test_a_multipart_form_is_read_too() -> None:
    async with listening(RedirectReceiver()) as opened, aiohttp.ClientSession() as session:
        with aiohttp.MultipartWriter("form-data") as form:
            form.append(ADDRESS).set_content_disposition("form-data", name="redirect")
        async with session.post(f"{opened.listener.address}/redirect?k={opened.key}", data=form) as answer:
            assert answer.status == 200
    assert opened.receiver.taken == [Way.PAGE]


@pytest.mark.parametrize("reason", sorted(PROBLEMS))
async def test_every_reason_is_put_in_words_with_what_to_do(reason: str) -> None:
    what, remedy = PROBLEMS[reason]
    assert what.endswith(".")
    assert remedy.endswith(".")


async def test_a_text_that_is_not_ours_brings_the_page_again_and_echoes_nothing() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await paste(opened, f"https://console.huaweicloud.com{DIRECT}?code=pasted-canary&state=stale")
        assert "belongs to another attempt" in page.body
        assert "Choose “Continue to GitHub” once more" in page.body
        assert page.status == 400
        assert len(Forms(page.body).all("form")) == 1
        assert "pasted-canary" not in page.body
        assert opened.receiver.ignored == ["foreign-state"]
        assert (await paste(opened, ADDRESS)).status == 200


async def test_a_form_without_the_field_or_with_a_file_in_it_is_no_redirect() -> None:
    async with listening(RedirectReceiver()) as opened, aiohttp.ClientSession() as session:
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
async def test_a_form_that_cannot_be_read_is_400_and_the_page_again(content_type: str, body: str) -> None:
    async with listening(RedirectReceiver()) as opened:
        length = str(len(body.encode()))
        target = f"/redirect?k={opened.key}"
        fields = {"Content_Type": content_type, "Content_Length": length}
        page = await ask(opened.port, target, method="POST", body=body, **fields)
        assert page.status in {400, 413}
        assert len(Forms(page.body).all("form")) == 1
        assert opened.receiver.untouched


async def test_a_form_of_thousands_of_fields_is_no_redirect() -> None:
    async with listening(RedirectReceiver()) as opened:
        body = "&".join("a=1" for _ in range(2000))
        page = await ask(opened.port, f"/redirect?k={opened.key}", method="POST", body=body)
        assert page.status in {400, 413}
        assert opened.receiver.taken == []


async def test_a_form_longer_than_any_address_is_413_and_the_page_again() -> None:
    async with listening(RedirectReceiver()) as opened:
        page = await paste(opened, "x" * 70_000)
        assert page.status == 413
        assert "longer than any address" in page.body
        assert opened.receiver.untouched


async def test_a_form_that_never_arrives_whole_is_given_up() -> None:
    async with listening(RedirectReceiver(), patience=0.1) as opened:
        page = await ask(opened.port, f"/redirect?k={opened.key}", method="POST", Content_Length="500")
        assert (page.status, opened.receiver.untouched) == (400, True)


async def test_a_form_cut_off_by_its_sender_changes_nothing() -> None:
    async with listening(RedirectReceiver()) as opened:
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(
            f"POST /redirect?k={opened.key} HTTP/1.1\r\nHost: 127.0.0.1:{opened.port}\r\nContent-Length: 900\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n\r\nredirect={quote(ADDRESS)}".encode()
        )
        writer.close()
        await writer.wait_closed()
        assert (await ask(opened.port, f"/start?k={opened.key}")).status == 200
        assert opened.receiver.untouched


async def test_a_direct_redirect_leads_to_the_final_page_without_code_or_state_in_its_address() -> None:
    async with listening(RedirectReceiver()) as opened:
        answer = await ask(opened.port, f"{DIRECT}?{OURS}", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
        assert (answer.status, answer.body) == (303, "")
        assert DONE.fullmatch(answer.headers["location"])
        page = await ask(opened.port, answer.headers["location"])
        assert (page.status, told(page)) == (200, "linked")
        assert "You can close this tab." in page.body
    assert opened.receiver.taken == [Way.DIRECT]


async def test_a_direct_request_that_is_not_ours_is_400_and_the_wait_goes_on() -> None:
    async with listening(RedirectReceiver()) as opened:
        rejected = await ask(opened.port, f"{DIRECT}?code=stray-canary&state=stale")
        assert rejected.status == 400
        assert "still waits" in rejected.body
        assert "stray-canary" not in rejected.body
        assert not opened.receiver.known.done()
        await genuine(opened)


async def test_a_provider_code_of_32_kibibytes_fits() -> None:
    async with listening(RedirectReceiver()) as opened:
        query = urlencode({"code": "c" * 32 * 1024, "state": STATE})
        answer = await ask(opened.port, f"{DIRECT}?{query}")
        assert told(await ask(opened.port, answer.headers["location"])) == "linked"


async def test_the_cookies_of_other_programs_on_this_machine_do_not_matter() -> None:
    async with listening(RedirectReceiver()) as opened:
        assert (await ask(opened.port, f"/start?k={opened.key}", Cookie=f"theirs={'c' * 20_000}")).status == 200


OUTCOMES: list[tuple[Outcome, str, tuple[str, ...]]] = [
    (LINKED, "linked", ("account is linked", "my-auth")),
    (Linked(LINKED.authorization, kept=True), "linked", ("stood already",)),
    (
        Failed(
            RefusedError(
                _("ServiceStage refused <b>"),
                code="SVCSTG.REPO.0402",
                request_id="r-1",
                hint=_("Try `list`."),
            )
        ),
        "failed",
        ("refused &lt;b&gt;", "SVCSTG.REPO.0402", "r-1", "Try <code>list</code>."),
    ),
    (
        Failed(OutcomeUnknownError(_("No answer."))),
        "unknown",
        ("not known whether GitHub was linked", "No answer."),
    ),
]


@pytest.mark.parametrize(("outcome", "word", "phrases"), OUTCOMES)
async def test_the_final_page_tells_the_outcome_as_it_is(outcome: Outcome, word: str, phrases: tuple[str, ...]) -> None:
    async with listening(RedirectReceiver(ending=outcome)) as opened:
        page = await paste(opened, ADDRESS)
    assert (page.status, told(page)) == (200, word)
    assert [text for text in phrases if text not in page.body] == []


async def test_a_denial_by_the_git_host_is_told_with_its_words_escaped() -> None:
    async with listening(RedirectReceiver()) as opened:
        location = (await ask(opened.port, f"{DIRECT}?{DENIAL}")).headers["location"]
        page = await ask(opened.port, location)
    assert told(page) == "denied"
    assert "&lt;script&gt;alert(1)&lt;/script&gt; X: y" in page.body
    assert "<script>" not in page.body


async def test_a_second_valid_redirect_gets_the_same_outcome() -> None:
    async with listening(RedirectReceiver()) as opened:
        assert told(await paste(opened, ADDRESS)) == "linked"
        assert told(await paste(opened, ADDRESS)) == "linked"
        answer = await ask(opened.port, f"{DIRECT}?{OURS}")
        assert told(await ask(opened.port, answer.headers["location"])) == "linked"
