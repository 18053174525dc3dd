"""A browser without JavaScript in front of a sandbox, and what it reads in addresses and pages."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar
from yarl import URL

from oauth_helper.sandbox import Form, PageReader, Sandbox


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
