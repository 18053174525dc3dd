"""The simulated user: authorizes at the sandbox's Git host, and pastes the redirect on the page of a small listener."""

from __future__ import annotations

import socket
import traceback
from html import escape

import pytest
from aiohttp import web
from sandbox.sandbox_user import open_raw_user

from oauth_helper.errors import MachineError
from oauth_helper.sandbox import play_user
from oauth_helper.sandbox.faults import Server

KEY = "the-key-of-the-page"
PAGE = f"""<a href="/nowhere">?</a><a id="authorize" target="_blank" href="URL">Continue</a>
<form method="post" action="/redirect?k={KEY}"><textarea name="redirect"></textarea><button>Done</button></form>"""


async def play(authorization_url: str, page: str, status: int) -> None:
    """Play the user at a listener with this page, which answers the form with ``status``."""

    async def start(_request: web.Request) -> web.Response:
        response = web.Response(text=page.replace("URL", escape(authorization_url)), content_type="text/html")
        response.set_cookie("listener", "seen", httponly=True, samesite="Lax")
        return response

    async def redirect(request: web.Request) -> web.Response:
        assert (request.query["k"], request.cookies["listener"]) == (KEY, "seen")
        return web.Response(status=status)

    application = web.Application()
    application.add_routes([web.get("/start", start), web.post("/redirect", redirect)])
    async with Server() as server:
        await server.serve(application)
        await play_user(f"{server.address}/start?k={KEY}")


@pytest.mark.parametrize(
    ("url", "page", "status", "reason"),
    [
        ("", PAGE.replace('id="authorize"', ""), 200, "no link to the Git host, or no form"),
        ("", PAGE.replace("action=", ""), 200, "no link to the Git host, or no form"),
        ("consent", PAGE, 400, "refused the redirect (HTTP 400)"),
        ("console?state=the-state", PAGE, 200, "did not redirect (HTTP 405)"),
        ("http://127.0.0.1:1/?state=the-state", PAGE, 200, "unexpected "),
        ("ftp://[the-state", PAGE, 200, "unexpected "),
    ],
)
async def test_a_user_who_cannot_continue_is_an_error(url: str, page: str, status: int, reason: str) -> None:
    async with open_raw_user() as user:
        if url == "consent":
            url = await user.authorization_url()
        url = url.replace("console", user.sandbox.console.redirect_uri("github").partition("?")[0])
        with pytest.raises(MachineError) as caught:
            await play(url, page, status)
    shown = "".join(traceback.format_exception(caught.value))
    assert reason in str(caught.value)
    assert KEY not in shown
    assert "the-state" not in shown


async def test_a_listener_that_never_answers_is_an_error() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(MachineError, match=r"not done after 0\.2 s"):
        await play_user(f"http://127.0.0.1:{silent.getsockname()[1]}/start?k={KEY}", time_limit=0.2)
