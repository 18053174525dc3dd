"""The sandbox's Git host and console, as a browser without JavaScript sees them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sandbox.sandbox_user import RawUser, changed, only_form, open_raw_user, origin, query_of
from support.repo_type_contract import IN_BROWSER
from yarl import URL

AUTHORIZE = {"decision": "authorize"}


@pytest.fixture
async def user() -> AsyncIterator[RawUser]:
    async with open_raw_user() as user:
        yield user


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_the_consent_page_has_two_buttons_and_loads_nothing(user: RawUser, repo_type: str) -> None:
    url = await user.authorization_url(repo_type)
    response, html = await user.get(url)
    assert response.status == 200
    assert only_form(html).method == "post"
    assert all(text in html for text in ("octocat", ">Authorize<", ">Deny<", *query_of(url)["scope"].split()))
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert '<link rel="icon" href="data:image/svg+xml,' in html
    assert not re.search(r"<script|src=|url\(|@import", html)


@pytest.mark.parametrize(
    ("accepted", "language", "words"),
    [
        ("", "en", ("simulation", "Deny")),
        ("fr", "en", ("Deny",)),
        ("zh-CN,en;q=0.5", "zh-CN", ("沙箱", "拒绝", "模拟")),
    ],
)
async def test_a_page_has_the_language_of_the_browser(
    user: RawUser, accepted: str, language: str, words: tuple[str, ...]
) -> None:
    url = await user.authorization_url()
    async with user.session.get(URL(url, encoded=True), headers={"Accept-Language": accepted}) as response:
        html = await response.text()
    assert f'<html lang="{language}">' in html
    assert [word for word in words if word not in html] == []


async def test_values_of_the_request_are_escaped(user: RawUser) -> None:
    url = changed(await user.authorization_url(), scope="<b>x</b>", state='"><script>')
    _, html = await user.get(url)
    assert "<script>" not in html
    assert "<b>x" not in html
    assert only_form(html).fields["state"] == '"><script>'


@pytest.mark.parametrize("decision", ["authorize", "deny"])
@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_a_decision_goes_to_the_console_with_the_state(user: RawUser, repo_type: str, decision: str) -> None:
    url, redirect = await user.decide(repo_type, decision)
    assert redirect.startswith(query_of(url)["redirect_uri"] + "&")
    query = query_of(redirect)
    assert query["state"] == query_of(url)["state"]
    assert "state=%242a%2410%24" in redirect
    assert query.get("iss") == (f"{origin(url)}/login/oauth" if repo_type == "github" else None)
    assert user.sandbox.console.requests == 0
    if decision == "authorize":
        assert re.fullmatch(rf"[0-9a-f]{{{20 if repo_type == 'github' else 64}}}", query["code"])
    else:
        assert ("code" in query, query["error"]) == (False, "access_denied")
        assert "error_description=The+user+has+denied" in redirect
        assert query["error_uri"].startswith("https://")


async def test_a_get_does_not_decide_and_an_unknown_decision_is_an_error(user: RawUser) -> None:
    url = await user.authorization_url()
    response, _ = await user.get(f"{url}&decision=authorize")
    assert response.status == 200
    response, html = await user.post(f"{url}&decision=authorize", {"decision": "maybe"})
    assert (response.status, "two buttons" in html) == (400, True)


@pytest.mark.parametrize(
    ("sent", "echoed"), [("%0D%0AX:%20y", "%0D%0AX%3A+y"), ("a%26b", "a%26b"), ("%FF", "%EF%BF%BD")]
)
async def test_a_hostile_state_comes_back_as_one_parameter(user: RawUser, sent: str, echoed: str) -> None:
    url = changed(await user.authorization_url(), state=None)
    response, _ = await user.post(f"{url}&state={sent}", AUTHORIZE)
    assert response.headers["Location"].endswith(f"&state={echoed}")
    assert "X" not in response.headers
    response, _ = await user.post(url, AUTHORIZE)
    assert "state" not in query_of(response.headers["Location"])


ELSEWHERE = "http://127.0.0.1:9/elsewhere?a=b"


@pytest.mark.parametrize(
    ("repo_type", "change"),
    [
        *((repo_type, {"client_id": "0" * 20}) for repo_type in IN_BROWSER),
        *((repo_type, {"redirect_uri": ELSEWHERE}) for repo_type in IN_BROWSER if repo_type != "github"),
    ],
)
async def test_an_untrusted_request_gets_an_error_page(user: RawUser, repo_type: str, change: dict[str, str]) -> None:
    url = changed(await user.authorization_url(repo_type), **change)
    for response, _ in (await user.get(url), await user.post(url, AUTHORIZE)):
        assert response.status == 400
        assert "Location" not in response.headers


@pytest.mark.parametrize(
    ("repo_type", "change", "error"),
    [
        ("github", {"redirect_uri": ELSEWHERE}, "redirect_uri_mismatch"),
        ("gitlab", {"response_type": None}, "unsupported_response_type"),
        ("gitlab", {"response_type": "token"}, "unsupported_response_type"),
    ],
)
async def test_other_errors_go_to_the_registered_redirect_uri(
    user: RawUser, repo_type: str, change: dict[str, str | None], error: str
) -> None:
    url = await user.authorization_url(repo_type)
    response, _ = await user.post(changed(url, **change), AUTHORIZE)
    redirect = response.headers["Location"]
    assert redirect.startswith(query_of(url)["redirect_uri"] + "&")
    assert query_of(redirect)["error"] == error


async def test_the_console_asks_for_a_sign_in_and_shows_a_failure(user: RawUser) -> None:
    _, redirect = await user.decide("github", "authorize")
    response, _ = await user.get(redirect)
    sign_in = response.headers["Location"]
    assert (response.status, parse_qs(urlsplit(sign_in).query)["service"]) == (302, [redirect])
    _, html = await user.get(origin(redirect) + sign_in)
    form = only_form(html)
    response, _ = await user.post(origin(redirect) + form.action, form.fields)
    assert (response.status, response.headers["Location"]) == (302, redirect)
    assert "HttpOnly" in response.headers["Set-Cookie"]
    assert "SameSite=Lax" in response.headers["Set-Cookie"]
    response, html = await user.get(redirect)
    assert (response.status, "Failed to create the authorization" in html) == (200, True)
    code_and_state = query_of(redirect)
    assert code_and_state["code"] not in html
    assert user.sandbox.console.requests == 4
    body = {"name": "my-auth", "code": code_and_state["code"], "state": code_and_state["state"]}
    assert (await user.exchange(body))[0] == 200, "the console has used neither"


@pytest.mark.parametrize("service", ["", "https://example.com/", "{console}.example.com/", "{console}/\r\nX: y"])
async def test_the_sign_in_leads_to_the_console_only(user: RawUser, service: str) -> None:
    console = origin(user.sandbox.console.redirect_uri("github"))
    service = service.replace("{console}", console)
    response, _ = await user.get(f"{console}/authui/login.html?{urlencode({'service': service})}")
    assert response.status == 400
    response, _ = await user.post(f"{console}/authui/login.html", {"service": service})
    assert response.status == 400
    assert "Set-Cookie" not in response.headers
