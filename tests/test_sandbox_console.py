"""The sandbox's console over real sockets, as a browser without JavaScript would meet it."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sandbox_browser import Browser, browser, only_form, origin, query

__all__ = ["browser"]


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
