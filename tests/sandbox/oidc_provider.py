"""A certified OpenID provider (panva's oidc-provider, for Node) as the Git host, and the user who visits its pages."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
from aiohttp import ClientSession, CookieJar
from sandbox.page_reader import forms_of
from support.npm_package import npm_package
from yarl import URL

from oauth_helper.sandbox.oidc import Registration
from oauth_helper.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PACKAGE: Final = "oidc-provider@9.13.3"
LOGIN: Final = "ada"
"""The user who signs in. The provider's claims call her ``ada-of-oidc``."""

_PROGRAM: Final = Path(__file__).parent.parent / "data" / "oidc_provider.mjs"
_REPO_TYPES: Final = ("github", "gitlab", "gitee", "bitbucket")
# A port of its own with every sandbox: of a native application's address on loopback, none is compared (RFC 8252
# section 7.3).
_REDIRECT_URIS: Final = [f"http://127.0.0.1/servicestage/oauth?repo_type={repo_type}" for repo_type in _REPO_TYPES]
_CANCEL: Final = re.compile(r'href="([^"]+/abort)"')

Hand = Literal["authorize", "cancel"]


@dataclass
class OidcProvider:
    """A running provider, at which ServiceStage is registered."""

    process: asyncio.subprocess.Process
    registration: Registration
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return self.registration.issuer

    async def next(self, happened: str) -> dict[str, Any]:
        """Wait for an event of the provider."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                self.told.append(json.loads(line))
                if self.told[-1]["happened"] == happened:
                    return self.told[-1]
        raise AssertionError(f"no {happened} in {self.told}")

    async def advance(self, seconds: float) -> None:
        """Advance its clock."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"advance": seconds}).encode() + b"\n")
        await self.next("advanced")


@asynccontextmanager
async def oidc_provider(
    *,
    hand: Hand | None = None,
    endpoint_query: str = "",
    client_id: str = "servicestage",
    client_secret: str | None = None,
    redirect_uri: str | None = None,
) -> AsyncIterator[OidcProvider]:
    """Run one with a single client; skip the test if it is not available.

    With ``hand`` its pages are gone through by themselves; its authorization endpoint has ``endpoint_query``. With
    ``redirect_uri`` the client is a public one, which has only this address and uses PKCE.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    package = npm_package(PACKAGE, under=".venv-oidc")
    secret = client_secret or secrets.token_urlsafe(32)
    client = {
        "client_id": client_id,
        "client_secret": secret,
        "application_type": "native",
        "redirect_uris": _REDIRECT_URIS,
    }
    if redirect_uri:
        client = {"client_id": client_id, "redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none"}
    process = await asyncio.create_subprocess_exec(node, str(_PROGRAM), str(package), stdin=PIPE, stdout=PIPE)
    assert process.stdin
    assert process.stdout
    try:
        wanted = {"clients": [client], "hand": hand, "endpointQuery": endpoint_query}
        process.stdin.write(json.dumps(wanted).encode() + b"\n")
        async with asyncio.timeout(30):
            issuer = json.loads(await process.stdout.readline())["issuer"]
        yield OidcProvider(process, Registration(issuer, client_id, Secret(secret)))
    finally:
        process.stdin.close()
        async with asyncio.timeout(10):
            await process.communicate()


async def go_through(
    authorization_url: str, *, cancels: bool = False, redirect_uri: str = "/servicestage/oauth?"
) -> str:
    """Sign in and consent (or cancel), without JavaScript; return the redirect."""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        address, fields = authorization_url, None
        for _ in range(20):
            method = "GET" if fields is None else "POST"
            # Verbatim, as a browser asks: yarl would write `%24` as `$`.
            asked = URL(address, encoded=True)
            async with browser.request(method, asked, data=fields, allow_redirects=False) as answer:
                html = await answer.text()
            if location := answer.headers.get("Location"):
                address, fields = str(asked.join(URL(location, encoded=True))), None
                if redirect_uri in address:
                    return address
            elif cancels and (link := _CANCEL.search(html)) and 'name="password"' not in html:
                address, fields = link[1], None
            else:
                (form,) = forms_of(html)
                address, fields = form.action, {**form.fields, "login": LOGIN, "password": "any"}
    raise AssertionError("the pages never came to an end")
