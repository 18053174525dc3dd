"""The sandbox's Git host and console over real sockets, as a browser without JavaScript would meet them."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar
from yarl import URL

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.reading import Form, PageReader

ALL_TYPES = ("github", "gitlab", "gitee", "bitbucket")


@dataclass
class Browser:
    sandbox: Sandbox
    session: ClientSession

    async def authorization_url(self, repo_type: str = "github") -> str:
        address = f"{self.sandbox.endpoint}/v1/{self.sandbox.project_id}/git/auths/{repo_type}/redirect"
        async with self.session.get(address, headers={"X-Auth-Token": self.sandbox.token.token.reveal()}) as response:
            return str((await response.json())["url"])

    async def get(self, address: str) -> tuple[ClientResponse, str]:
        # Verbatim, as a browser asks: yarl would write `%24` as `$`.
        async with self.session.get(URL(address, encoded=True), allow_redirects=False) as response:
            return response, await response.text()

    async def post(self, address: str, fields: dict[str, str]) -> tuple[ClientResponse, str]:
        async with self.session.post(address, data=fields, allow_redirects=False) as response:
            return response, await response.text()

    async def decide(self, repo_type: str, label: str) -> tuple[str, str]:
        """Press a button of the consent page; return the authorization URL and where the browser is sent."""
        url = await self.authorization_url(repo_type)
        form = only_form((await self.get(url))[1])
        button = next(button for button in form.buttons if button.label == label)
        response, _ = await self.post(origin(url) + form.action, form.press(button))
        assert response.status == 302
        return url, response.headers["Location"]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Sandbox() as sandbox, ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield Browser(sandbox, session)


def only_form(html: str) -> Form:
    (form,) = PageReader.read(html).forms
    return form


def origin(address: str) -> str:
    url = urlsplit(address)
    return f"{url.scheme}://{url.netloc}"


def query(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query, strict_parsing=True))


def changed(address: str, **parameters: str | None) -> str:
    kept = {key: value for key, value in {**query(address), **parameters}.items() if value is not None}
    return f"{address.partition('?')[0]}?{urlencode(kept)}"


@pytest.mark.parametrize("repo_type", ALL_TYPES)
async def test_the_consent_page_is_one_form_with_two_buttons(browser: Browser, repo_type: str) -> None:
    url = await browser.authorization_url(repo_type)
    response, html = await browser.get(url)
    assert response.status == 200
    form = only_form(html)
    assert form.method == "post"
    assert [(button.name, button.value, button.label) for button in form.buttons] == [
        ("decision", "authorize", "Authorize"),
        ("decision", "deny", "Deny"),
    ]
    assert "octocat" in html
    for scope in query(url)["scope"].split():
        assert scope in html


async def test_the_pages_ask_nothing_of_anyone_else(browser: Browser) -> None:
    response, html = await browser.get(await browser.authorization_url())
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert '<link rel="icon" href="data:,">' in html
    assert not re.search(r"<script|src=|url\(|@import", html)
    assert "prefers-color-scheme: dark" in html


async def test_what_a_stranger_puts_into_the_request_is_escaped(browser: Browser) -> None:
    url = changed(await browser.authorization_url(), scope="<b>x</b>", state='"><script>')
    _, html = await browser.get(url)
    assert "<script>" not in html
    assert "<b>x" not in html
    assert only_form(html).fields["state"] == '"><script>'


@pytest.mark.parametrize(("repo_type", "digits"), [("github", 20), ("gitlab", 64), ("gitee", 64), ("bitbucket", 64)])
async def test_authorize_brings_code_and_state_to_the_console(browser: Browser, repo_type: str, digits: int) -> None:
    url, location = await browser.decide(repo_type, "Authorize")
    assert location.startswith(query(url)["redirect_uri"] + "&")
    answer = query(location)
    assert re.fullmatch(rf"[0-9a-f]{{{digits}}}", answer["code"])
    assert answer["state"] == query(url)["state"]
    assert "state=%242a%2410%24" in location
    assert answer.get("iss") == (f"{origin(url)}/login/oauth" if repo_type == "github" else None)
    assert browser.sandbox.console.requests == 0


@pytest.mark.parametrize("repo_type", ALL_TYPES)
async def test_deny_brings_the_refusal_to_the_console(browser: Browser, repo_type: str) -> None:
    url, location = await browser.decide(repo_type, "Deny")
    answer = query(location)
    assert (answer["error"], answer["state"]) == ("access_denied", query(url)["state"])
    assert "code" not in answer
    assert "error_description=The+user+has+denied" in location
    assert answer["error_uri"].startswith("https://")
    assert ("iss" in answer) == (repo_type == "github")


async def test_a_script_may_leave_the_request_in_the_address(browser: Browser) -> None:
    response, _ = await browser.post(await browser.authorization_url(), {"decision": "authorize"})
    assert response.status == 302
    assert "code" in query(response.headers["Location"])


async def test_a_get_never_decides_and_an_undecided_post_neither(browser: Browser) -> None:
    url = await browser.authorization_url()
    response, _ = await browser.get(f"{url}&decision=authorize")
    assert response.status == 200
    response, html = await browser.post(f"{url}&decision=authorize", {"decision": "maybe"})
    assert response.status == 400
    assert "Neither" in html


@pytest.mark.parametrize(
    ("sent", "echoed"), [("%0D%0AX:%20y", "%0D%0AX%3A+y"), ("a%26b", "a%26b"), ("%FF", "%EF%BF%BD")]
)
async def test_a_hostile_state_comes_back_as_one_parameter_and_no_header(
    browser: Browser, sent: str, echoed: str
) -> None:
    url = changed(await browser.authorization_url(), state=None) + f"&state={sent}"
    async with browser.session.post(
        URL(url, encoded=True), data={"decision": "authorize"}, allow_redirects=False
    ) as response:
        assert response.headers["Location"].endswith(f"&state={echoed}")
        assert "X" not in response.headers


async def test_a_request_without_a_state_is_answered_without_one(browser: Browser) -> None:
    url = changed(await browser.authorization_url(), state=None)
    response, _ = await browser.post(url, {"decision": "authorize"})
    assert "state" not in query(response.headers["Location"])


@pytest.mark.parametrize("repo_type", ALL_TYPES)
async def test_an_unknown_application_gets_an_error_page_and_no_redirect(browser: Browser, repo_type: str) -> None:
    url = changed(await browser.authorization_url(repo_type), client_id="0" * 20)
    for response, _ in (await browser.get(url), await browser.post(url, {"decision": "authorize"})):
        assert response.status == 400
        assert "Location" not in response.headers


async def test_an_application_is_known_at_its_own_path_alone(browser: Browser) -> None:
    url = await browser.authorization_url("github")
    response, _ = await browser.get(url.replace("/login/oauth/authorize", "/site/oauth2/authorize"))
    assert response.status == 400


async def test_a_repeated_parameter_gets_an_error_page(browser: Browser) -> None:
    response, _ = await browser.get(f"{await browser.authorization_url()}&state=another")
    assert response.status == 400


@pytest.mark.parametrize("repo_type", ["gitlab", "gitee", "bitbucket"])
async def test_a_foreign_redirect_uri_gets_an_error_page(browser: Browser, repo_type: str) -> None:
    url = changed(await browser.authorization_url(repo_type), redirect_uri="http://127.0.0.1:9/elsewhere?a=b")
    response, html = await browser.get(url)
    assert (response.status, response.headers.get("Location")) == (400, None)
    assert "Invalid redirect_uri" in html


async def test_github_answers_a_foreign_redirect_uri_at_the_registered_one(browser: Browser) -> None:
    url = await browser.authorization_url("github")
    response, _ = await browser.get(changed(url, redirect_uri="http://127.0.0.1:9/elsewhere?a=b"))
    location = response.headers["Location"]
    assert location.startswith(query(url)["redirect_uri"] + "&")
    assert query(location)["error"] == "redirect_uri_mismatch"


@pytest.mark.parametrize("response_type", [None, "token"])
async def test_all_but_github_want_a_response_type(browser: Browser, response_type: str | None) -> None:
    url = changed(await browser.authorization_url("gitlab"), response_type=response_type)
    response, _ = await browser.post(url, {"decision": "authorize"})
    assert query(response.headers["Location"])["error"] == "unsupported_response_type"


async def test_the_console_asks_for_a_sign_in_and_then_says_that_it_failed(browser: Browser) -> None:
    _, location = await browser.decide("github", "Authorize")
    response, _ = await browser.get(location)
    assert response.status == 302
    sign_in = response.headers["Location"]
    assert sign_in.startswith("/authui/login.html?service=")
    assert parse_qs(urlsplit(sign_in).query)["service"] == [location]
    _, html = await browser.get(origin(location) + sign_in)
    form = only_form(html)
    assert [button.label for button in form.buttons] == ["Log In"]
    response, _ = await browser.post(origin(location) + form.action, form.press(form.buttons[0]))
    assert (response.status, response.headers["Location"]) == (302, location)
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    response, html = await browser.get(location)
    assert response.status == 200
    assert "Failed to create the authorization" in html
    assert query(location)["code"] not in html
    assert browser.sandbox.console.requests == 4


async def test_the_console_uses_up_neither_code_nor_state(browser: Browser) -> None:
    _, location = await browser.decide("github", "Authorize")
    await browser.get(location)
    answer = query(location)
    address = f"{browser.sandbox.endpoint}/v1/{browser.sandbox.project_id}/git/auths/github/oauth"
    body = {"name": "my-auth", "code": answer["code"], "state": answer["state"]}
    headers = {"X-Auth-Token": browser.sandbox.token.token.reveal()}
    async with browser.session.post(address, json=body, headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("service", ["", "https://example.com/", "{console}.example.com/", "{console}/\r\nX: y"])
async def test_the_sign_in_leads_to_the_console_alone(browser: Browser, service: str) -> None:
    console = origin(browser.sandbox.console.redirect_uri("github"))
    address = f"{console}/authui/login.html"
    there = service.replace("{console}", console)
    response, _ = await browser.get(f"{address}?{urlencode({'service': there})}")
    assert response.status == 400
    response, _ = await browser.post(address, {"service": there})
    assert response.status == 400
    assert "Set-Cookie" not in response.headers


async def test_the_console_counts_what_it_does_not_know_too(browser: Browser) -> None:
    response, _ = await browser.get(origin(browser.sandbox.console.redirect_uri("github")) + "/favicon.ico")
    assert response.status == 404
    assert browser.sandbox.console.requests == 1
