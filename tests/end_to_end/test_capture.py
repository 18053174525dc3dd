"""``capture``: the redirect of any OAuth provider, by each way, to the command, to Python and to a token endpoint."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from aiohttp import ClientSession, CookieJar, web
from sandbox.oidc_provider import OidcProvider, go_through, oidc_provider
from support.command_runner import commands, error_of, use_temporary_folder
from support.link_script import delivered, scripted
from support.recorded_events import RecordedEvents
from support.screen import terminal
from support.window_links import program_of
from yarl import URL

from oauth_helper import AuthorizationDeniedError, capture
from oauth_helper.api import capture_redirect
from oauth_helper.browsers.discovery import Family
from oauth_helper.events import Captured, Way
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.session import BrowserOptions

CALLBACK = "https://tool.invalid/oauth/callback"
"""The only redirect URI of the client; no name server knows it."""
CLIENT = "tool"
STATE = "s$1-of-the-tool."
CODE = "a+b/c"


class Tool:
    """The other tool, which makes the authorization URL and exchanges the code, with PKCE and plain curl."""

    def __init__(self, provider: OidcProvider) -> None:
        self._issuer = provider.issuer
        self._verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self._verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        self.url = authorization_url(f"{self._issuer}/auth", code_challenge=challenge, code_challenge_method="S256")

    async def exchange(self, code: str) -> dict[str, str]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": CLIENT}
        data = urlencode(form | {"code_verifier": self._verifier})
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "--noproxy", "*", "-d", "@-", f"{self._issuer}/token"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await process.communicate(data.encode())
        tokens: dict[str, str] = json.loads(answer)
        return tokens


def authorization_url(endpoint: str, **more: str | None) -> str:
    usual = {"response_type": "code", "client_id": CLIENT, "redirect_uri": CALLBACK, "scope": "openid", "state": STATE}
    query = {name: value for name, value in (usual | more).items() if value is not None}
    return f"{endpoint}?{urlencode(query)}"


def parameters(redirect: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(redirect).query).items()}


def bare_environ(**more: str) -> dict[str, str]:
    """No settings, no credentials, and nothing else that the command could read."""
    ours = commands.environ()
    return {name: ours[name] for name in ("PATH", "HOME", "PYTHONPATH", "RECORDED_IN", "XDG_RUNTIME_DIR")} | more


@pytest.fixture
async def provider() -> AsyncIterator[str]:
    """The authorization endpoint of a small provider, whose page has one form, like the sandbox's."""

    async def ask(request: web.Request) -> web.Response:
        if "at_once" in request.query:
            return await decide(request)
        return web.Response(text='<form method="post" action=""></form>', content_type="text/html")

    async def decide(request: web.Request) -> web.Response:
        is_denied = (await request.post()).get("decision") == "deny"
        result = {"error": "access_denied", "error_description": "not today"} if is_denied else {"code": CODE}
        result["state"] = request.query.get("state", "")
        target = f"{request.query.get('redirect_uri', CALLBACK)}?{urlencode(result)}"
        return web.Response(status=302, headers={"Location": target})

    application = web.Application()
    application.router.add_get("/authorize", ask)
    application.router.add_post("/authorize", decide)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}/authorize".format(*runner.addresses[0])
    await runner.cleanup()


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.thorough("firefox")
async def test_a_window_captures_the_redirect_and_the_code_can_be_exchanged(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    use_temporary_folder(monkeypatch, folder)
    options = BrowserOptions(browser=await program_of(family), headless=True)
    told = RecordedEvents()
    async with oidc_provider(hand="authorize", client_id=CLIENT, redirect_uri=CALLBACK) as provider:
        tool = Tool(provider)
        response = await capture_redirect(AuthorizationRequest.parse(tool.url), options, told, seconds=40)
        assert "access_token" in await tool.exchange(response.code.reveal())
    assert response.state.reveal() == STATE
    assert response.parameters["iss"].reveal() == provider.issuer
    assert told[-1] == Captured(Way.WINDOW, response.redirect)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.thorough("firefox")
async def test_no_request_reaches_the_redirect_uri_from_a_window(
    family: Family, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    use_temporary_folder(monkeypatch, folder)
    options = BrowserOptions(browser=await program_of(family), headless=True)
    connections: list[object] = []
    server = await asyncio.start_server(lambda reader, _writer: connections.append(reader), "127.0.0.2", 0)
    callback = f"http://127.0.0.2:{server.sockets[0].getsockname()[1]}/cb"
    async with server:
        url = authorization_url(provider, redirect_uri=callback, at_once="yes")
        response = await capture_redirect(AuthorizationRequest.parse(url), options, lambda _event: None, seconds=40)
    assert response.redirect.reveal() == f"{callback}?{urlencode({'code': CODE, 'state': STATE})}"
    assert not connections


@pytest.mark.parametrize("way", ["page", "deliver", "terminal"])
async def test_the_redirect_of_an_openid_provider_comes_by_hand_and_the_code_can_be_exchanged(way: str) -> None:
    environ = bare_environ()
    async with oidc_provider(client_id=CLIENT, redirect_uri=CALLBACK) as provider:
        tool = Tool(provider)
        redirect = await go_through(tool.url, redirect_uri=CALLBACK)
        if way == "terminal":
            async with terminal("capture", tool.url, "--no-browser", "--code", environ=environ) as screen:
                await screen.until("/auth?")
                screen.type(f"{redirect}\n")
                assert await screen.ended() == 0, screen.shown
            assert parameters(redirect)["code"] in screen.shown
        else:
            async with scripted("capture", tool.url, environ=environ) as script:
                await script.event("waiting")
                if way == "deliver":
                    took = await delivered(redirect, environ)
                    assert (took.status, took.out) == (0, "")
                    assert "127.0.0.1 took it" in took.err
                else:
                    assert 'data-outcome="captured"' in await pasted(script.listener, redirect)
                assert (await script.ended()).status == 0
            captured = script.events[-1]
            assert (captured["event"], captured["way"], captured["redirect"]) == ("captured", way, redirect)
        assert "access_token" in await tool.exchange(parameters(redirect)["code"])


async def pasted(listener: str, *redirects: str) -> str:
    """Open the page, and paste these one after the other; return the last answer."""
    html = ""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        async with browser.get(URL(listener, encoded=True)):
            pass
        for redirect in redirects:
            address = URL(listener.replace("/start", "/redirect"), encoded=True)
            async with browser.post(address, data={"redirect": redirect}) as answer:
                html = await answer.text()
        return html


async def test_the_default_browser_shows_the_page_and_each_output_is_what_it_promises(provider: str) -> None:
    environ = bare_environ(BROWSER=commands.environ()["BROWSER"])
    query = urlencode({"code": CODE, "state": STATE})
    for option, expected in (
        ((), f"{CALLBACK}?{query}\n"),
        (("--code",), f"{CODE}\n"),
        (("--json",), json.dumps({"code": CODE, "state": STATE}) + "\n"),
    ):
        end = await commands.run("capture", authorization_url(provider), *option, environ=environ)
        assert (end.status, end.out) == (0, expected), end.err
        assert CODE not in end.err
    assert not list(Path(environ["HOME"]).rglob("*pending*"))


async def test_the_url_comes_from_standard_input_or_is_asked_for(provider: str) -> None:
    environ = bare_environ(BROWSER=commands.environ()["BROWSER"])
    url = authorization_url(provider, redirect_uri=None)
    end = await commands.run("capture", "-", "--redirect-uri", CALLBACK, environ=environ, given=f"{url}\n")
    assert (end.status, parameters(end.out)) == (0, {"code": CODE, "state": STATE}), end.err
    async with terminal("capture", "--code", environ=environ) as screen:
        await screen.until("Authorization URL: ")
        screen.type(f"{authorization_url(provider)}\n")
        assert await screen.ended() == 0, screen.shown
    assert CODE in screen.shown


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_redirect_uri_on_this_machine_is_served(provider: str, host: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    callback = f"http://{host}:{port}/cb"
    url = authorization_url(provider, redirect_uri=callback, at_once="yes")
    async with scripted("capture", url, environ=bare_environ()) as script:
        assert (await script.event("waiting"))["listener"].startswith(f"http://127.0.0.1:{port}/")
        async with ClientSession() as browser, browser.get(URL(url, encoded=True)) as answer:
            assert 'data-outcome="captured"' in await answer.text()
        assert (await script.ended()).status == 0
    assert script.events[-1]["way"] == "direct"


async def test_a_denial_is_reported_with_the_providers_error(provider: str) -> None:
    environ = bare_environ(BROWSER=commands.environ()["BROWSER"], SCRIPTED_USER="deny")
    end = await commands.run("capture", authorization_url(provider), environ=environ)
    assert (end.status, end.out) == (4, "")
    assert "The authorization was refused (access_denied): not today" in end.err
    assert "created" not in end.err
    assert "link" not in end.err


async def test_a_foreign_redirect_never_ends_the_wait_and_the_deadline_does(provider: str) -> None:
    environ = bare_environ()
    async with scripted("capture", authorization_url(provider), "--timeout", "3", environ=environ) as script:
        await script.event("waiting")
        foreign = (f"code={CODE}&state=wrong", f"code={CODE}", "error=access_denied")
        page = await pasted(script.listener, *(f"{CALLBACK}?{query}" for query in foreign))
        assert 'id="authorize"' in page
        end = await script.ended()
    assert end.status == 5
    assert script.names == ["waiting", "ignored", "ignored", "ignored", "failed"]
    assert "created" not in end.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": None}, "--no-state"),
        ({"redirect_uri": None}, "--redirect-uri"),
        ({"redirect_uri": "app://callback"}, "https redirect URI"),
        ({"redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}, "https redirect URI"),
        ({"response_type": "id_token token"}, "response_type=code"),
        ({"response_mode": "fragment"}, "response_mode=query"),
        ({"redirect_uri": "http://127.0.0.1:8976/start"}, "a path other than /start"),
    ],
)
async def test_a_redirect_that_cannot_be_captured_is_refused_at_once(
    changes: Mapping[str, str | None], words: str
) -> None:
    end = await commands.run(
        "capture", authorization_url("https://id.example/auth", **changes), "--json", environ=bare_environ()
    )
    assert (end.status, end.out) == (2, "")
    assert words in error_of(end.err)["hint"]


async def test_without_a_state_it_warns(provider: str) -> None:
    url = authorization_url(provider, state=None)
    async with scripted("capture", url, "--no-state", environ=bare_environ()) as script:
        await script.event("waiting")
        await pasted(script.listener, f"{CALLBACK}?code={CODE}")
        end = await script.ended()
    assert parameters(script.events[-1]["redirect"])["code"]
    assert "warning: Without a state" in end.err


async def test_from_python(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", commands.environ()["BROWSER"])
    response = await capture(authorization_url(provider))
    assert (response.code.reveal(), response.state.reveal()) == (CODE, STATE)
    assert CODE not in repr(response)
    monkeypatch.setitem(os.environ, "SCRIPTED_USER", "deny")
    with pytest.raises(AuthorizationDeniedError):
        await capture(authorization_url(provider, redirect_uri=None), redirect_uri=CALLBACK)
