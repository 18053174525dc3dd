"""The simulated user: authorizes at the sandbox's Git host, and pastes the redirect on the page of a small listener."""

from __future__ import annotations

import socket
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from sandbox.sandbox_user import open_raw_user
from support.repo_type_contract import IN_BROWSER

from oauth_helper.errors import MachineError
from oauth_helper.sandbox import play_user
from oauth_helper.sandbox.faults import Server

KEY = "the-key-of-the-page"
PAGE = """<a href="/nowhere">?</a><a id="authorize" target="_blank" href="{url}">Continue</a>
<form method="post" action="/redirect?k={key}"><textarea name="redirect"></textarea><button>Done</button></form>"""


@dataclass
class Listener:
    address: str
    authorization_url: str = ""
    page: str = PAGE
    status: int = 200
    redirects: list[str] = field(default_factory=list)

    @property
    def start(self) -> str:
        return f"{self.address}/start?k={KEY}"

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/start", self._start)
        application.router.add_post("/redirect", self._redirect)
        application.router.add_post("/no-redirect", self._start)
        return application

    async def _start(self, request: web.Request) -> web.Response:
        text = self.page.replace("{url}", escape(self.authorization_url)).replace("{key}", KEY)
        response = web.Response(text=text, content_type="text/html")
        response.set_cookie("listener", "seen", httponly=True, samesite="Lax")
        return response

    async def _redirect(self, request: web.Request) -> web.Response:
        assert (request.query["k"], request.cookies["listener"]) == (KEY, "seen")
        self.redirects.append(str((await request.post())["redirect"]))
        return web.Response(status=self.status)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with Server() as server:
        listener = Listener(server.address)
        await server.serve(listener.application())
        yield listener


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_the_redirect_arrives_as_the_git_host_wrote_it(listener: Listener, repo_type: str) -> None:
    async with open_raw_user() as user:
        listener.authorization_url = await user.authorization_url(repo_type)
        await play_user(listener.start)
        (redirect,) = listener.redirects
        assert redirect.startswith(f"{user.sandbox.console.redirect_uri(repo_type)}&code=")
        state = dict(parse_qsl(urlsplit(listener.authorization_url).query))["state"]
        assert dict(parse_qsl(urlsplit(redirect).query))["state"] == state
        assert "state=%242a%2410%24" in redirect


async def failure(listener: Listener) -> str:
    with pytest.raises(MachineError) as caught:
        await play_user(listener.start)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert "the-state" not in shown
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("missing", ['id="authorize"', 'action="/redirect?k={key}"'])
async def test_a_page_without_link_or_form_is_an_error(listener: Listener, missing: str) -> None:
    listener.page = listener.page.replace(missing, "")
    assert "no link to the Git host, or no form" in await failure(listener)


async def test_a_git_host_that_does_not_redirect_is_an_error(listener: Listener) -> None:
    listener.authorization_url = f"{listener.address}/no-redirect?state=the-state"
    assert "did not redirect (HTTP 200)" in await failure(listener)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/?state=the-state", "ftp://[the-state", "ftp://h/?state=the-state"]
)
async def test_an_unusable_address_is_an_error(listener: Listener, address: str) -> None:
    listener.authorization_url = address
    assert "unexpected " in await failure(listener)


async def test_a_listener_that_never_answers_is_an_error() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(MachineError, match=r"not done after 0\.2 s"):
        await play_user(f"http://127.0.0.1:{silent.getsockname()[1]}/start?k={KEY}", time_limit=0.2)
