"""The sandbox's Git host over real sockets, as a browser without JavaScript would meet it."""

import re

import pytest
from repo_type_contract import IN_BROWSER
from sandbox_browser import Browser, browser, changed, only_form, origin, query
from yarl import URL

__all__ = ["browser"]


@pytest.mark.parametrize("repo_type", IN_BROWSER)
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


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_authorize_brings_code_and_state_to_the_console(browser: Browser, repo_type: str) -> None:
    url, location = await browser.decide(repo_type, "Authorize")
    assert location.startswith(query(url)["redirect_uri"] + "&")
    answer = query(location)
    assert re.fullmatch(rf"[0-9a-f]{{{20 if repo_type == 'github' else 64}}}", answer["code"])
    assert answer["state"] == query(url)["state"]
    assert "state=%242a%2410%24" in location
    assert answer.get("iss") == (f"{origin(url)}/login/oauth" if repo_type == "github" else None)
    assert browser.sandbox.console.requests == 0


@pytest.mark.parametrize("repo_type", IN_BROWSER)
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


@pytest.mark.parametrize("repo_type", IN_BROWSER)
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


@pytest.mark.parametrize("repo_type", [name for name in IN_BROWSER if name != "github"])
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
