"""The visitor plays the user over real sockets, before a little listener of this test's own."""

import socket
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import ClientSession, web
from repo_type_contract import IN_BROWSER

from oauth_helper.errors import MachineError
from oauth_helper.sandbox import PageReader, Sandbox, play_user

KEY = "the-key-of-the-page"


@dataclass
class Listener:
    """Serves ``/start`` and takes ``/redirect``; further pages and other behaviour are the tests' to choose."""

    authorization_url: str = ""
    page: str = (
        '<form action="/search"><input name="q"></form><a href="/nowhere">?</a>'
        '<a id="authorize" target="_blank" rel="noopener" href="{url}">Continue</a>'
        '<form method="post" action="/redirect?k={key}"><textarea name="redirect"></textarea>'
        '<input type="hidden" name="way" value="page"><button>Done</button></form>'
    )
    status: int = 200
    pages: dict[str, str] = field(default_factory=dict)
    taken: list[dict[str, str]] = field(default_factory=list)
    address: str = ""

    @property
    def start(self) -> str:
        return f"{self.address}/start?k={KEY}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/start" and request.query["k"] == KEY:
            text = self.page.replace("{url}", escape(self.authorization_url)).replace("{key}", KEY)
            response = web.Response(text=text, content_type="text/html")
            response.set_cookie("listener", "seen", httponly=True, samesite="Lax")
            return response
        if request.path == "/redirect" and request.query["k"] == KEY and request.cookies["listener"] == "seen":
            self.taken.append(dict(parse_qsl(await request.text())))
            return web.Response(status=self.status)
        if request.path == "/cut":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(text=self.pages[request.path], content_type="text/html")


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    runner = web.ServerRunner(web.Server(listener.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield listener
    await runner.cleanup()


async def authorization_url(sandbox: Sandbox, repo_type: str) -> str:
    address = f"{sandbox.endpoint}/v1/{sandbox.project_id}/git/auths/{repo_type}/redirect"
    async with (
        ClientSession(headers={"X-Auth-Token": sandbox.token.token.reveal()}) as session,
        session.get(address) as response,
    ):
        return str((await response.json())["url"])


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_the_visitor_consents_signs_in_and_brings_the_redirect_back(listener: Listener, repo_type: str) -> None:
    async with Sandbox() as sandbox:
        listener.authorization_url = await authorization_url(sandbox, repo_type)
        await play_user(listener.start)
        (taken,) = listener.taken
        assert taken["way"] == "page"
        assert taken["redirect"].startswith(f"{sandbox.console.redirect_uri(repo_type)}&code=")
        answer = dict(parse_qsl(urlsplit(taken["redirect"]).query))
        assert answer["state"] == dict(parse_qsl(urlsplit(listener.authorization_url).query))["state"]
        assert "state=%242a%2410%24" in taken["redirect"], "as the Git host wrote it"


async def test_the_visitor_brings_a_refusal_back_too(listener: Listener) -> None:
    async with Sandbox() as sandbox:
        url = await authorization_url(sandbox, "github")
        listener.authorization_url = url.replace("%2Fservicestage", "%2Felsewhere")
        await play_user(listener.start)
        (taken,) = listener.taken
        assert "error=redirect_uri_mismatch" in taken["redirect"]


async def test_the_visitor_goes_by_what_the_pages_say(listener: Listener) -> None:
    listener.authorization_url = f"{listener.address}/consent"
    listener.pages = {
        "/consent": '<form method="post"><input type="submit" name="d" value="Deny"><input type="radio" name="r">'
        '<button type="button">x</button><button name="d" value="yes" formnovalidate> Authorize </button></form>',
    }
    with pytest.raises(MachineError, match="never came to an end"):
        await play_user(listener.start)


async def _stuck(listener: Listener) -> MachineError:
    with pytest.raises(MachineError) as caught:
        await play_user(listener.start)
    shown = "".join(traceback.format_exception(caught.value))
    for secret in (KEY, "the-state"):
        assert secret not in shown
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("missing", "message"), [('id="authorize"', "no link to the Git host"), ('name="redirect"', "no form for the")]
)
async def test_a_listeners_page_without_link_or_form_is_an_error(
    listener: Listener, missing: str, message: str
) -> None:
    listener.page = listener.page.replace(missing, "")
    assert message in str(await _stuck(listener))


async def test_a_page_without_a_form_is_an_error(listener: Listener) -> None:
    listener.authorization_url = f"{listener.address}/consent?state=the-state"
    listener.pages = {"/consent": '<p>nothing</p><form method="post"><button disabled>Authorize</button></form>'}
    assert "no form to go on with" in str(await _stuck(listener))


async def test_a_refused_redirect_is_an_error(listener: Listener) -> None:
    listener.status = 400
    listener.authorization_url = f"{listener.address}/end?code=c&state=the-state"
    listener.pages = {"/end": ""}
    assert "status 400" in str(await _stuck(listener))
    assert listener.taken


@pytest.mark.parametrize("address", ["{own}/cut?state=the-state", "ftp://[the-state", "ftp://h/?state=the-state"])
async def test_an_address_that_leads_nowhere_is_an_error(listener: Listener, address: str) -> None:
    listener.authorization_url = address.replace("{own}", listener.address)
    assert "it met a" in str(await _stuck(listener))


async def test_a_listener_that_never_answers_is_left_in_the_end() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(MachineError, match=r"not done after 0\.2 s"):
        await play_user(f"http://127.0.0.1:{silent.getsockname()[1]}/start?k={KEY}", time_limit=0.2)


def test_a_form_is_read_as_a_browser_would_send_it() -> None:
    page = PageReader.read(
        '<input name="outside" value="1"><form METHOD=POST action="/a?b=1&amp;c=2">'
        '<input name=text value="&quot;x"><input type=hidden name=h value=1><input type=checkbox name=c>'
        "<input value=nameless><input name=off disabled><select name=s></select>"
        "<textarea name=t></textarea><button name=b value=v>La<b>b</b>el</button>"
        '<input type=submit value="Go"></form>'
    )
    (form,) = page.forms
    assert (form.method, form.action) == ("post", "/a?b=1&c=2")
    assert form.fields == {"text": '"x', "h": "1", "t": ""}
    first, second = form.buttons
    assert (first.label, second.label) == ("Label", "Go")
    assert form.press(first) == {"text": '"x', "h": "1", "t": "", "b": "v"}
    assert form.press(second) == form.fields
