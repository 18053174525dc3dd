"""An OpenID provider as the Git host: what the sandbox requests, and every unusable response."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from sandbox.sandbox_user import SandboxUser, sandbox_user

from oauth_helper.errors import OAuthHelperError, UnusableAnswerError
from oauth_helper.models import Authorization
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Server
from oauth_helper.sandbox.oidc import Registration
from oauth_helper.secret import Secret

SECRET = "planted-client-secret"
TOKEN = {"access_token": "planted-token", "token_type": "bearer"}
CLAIMS = {"sub": "1"}
Answer = Callable[[], Awaitable[web.Response]]


async def _token() -> web.Response:
    return web.json_response(TOKEN)


async def _claims() -> web.Response:
    return web.json_response(CLAIMS)


@dataclass
class FakeProvider:
    """An OpenID provider that answers what a test tells it to."""

    address: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Changes to its metadata; None removes a field."""
    token: Answer = _token
    claims: Answer = _claims
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of the requests to the token endpoint and to userinfo."""
    forms: list[dict[str, str]] = field(default_factory=list)

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._describe)
        application.router.add_post("/token", self._answer_token)
        application.router.add_get("/userinfo", self._answer_claims)
        application.router.add_get("/{kind}/.well-known/openid-configuration", _answer_otherwise)
        return application

    async def _describe(self, _: web.Request) -> web.Response:
        document = {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "response_types_supported": ["code"],
        } | self.changes
        return web.json_response({name: value for name, value in document.items() if value is not None})

    async def _answer_token(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return await self.token()

    async def _answer_claims(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        return await self.claims()


async def _answer_otherwise(request: web.Request) -> web.Response:
    kind = request.match_info["kind"]
    if kind == "page":
        return web.Response(text="<html>", content_type="text/html")
    if kind == "moved":
        raise web.HTTPFound("/.well-known/openid-configuration")
    return web.json_response({"error": "temporarily_unavailable"}, status=503)


def answering(status: int, body: object, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)

    async def answer() -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with Server() as server:
        provider = FakeProvider(server.address)
        await server.serve(provider.application())
        yield provider


def using(provider: FakeProvider) -> AbstractAsyncContextManager[SandboxUser]:
    return sandbox_user(registration=Registration(provider.address, "id", Secret(SECRET)))


async def exchange(user: SandboxUser) -> Authorization:
    """Exchange a code, with which the provider does what the test says."""
    await user.request()
    user.code = Secret("planted-code")
    return await user.exchange()


async def failure(issuer: str) -> OAuthHelperError:
    with pytest.raises(OAuthHelperError) as failed:
        async with Sandbox(registration=Registration(issuer, "id", Secret(SECRET))):
            pytest.fail("it has started")
    assert failed.value.hint
    assert SECRET not in str(failed.value)
    return failed.value


async def test_the_token_request_follows_rfc_6749_and_the_account_comes_from_userinfo(
    provider: FakeProvider,
) -> None:
    async with using(provider) as user:
        made = await exchange(user)
    assert (made.repo_user, made.repo_host, made.repo_home) == ("1", provider.address, provider.address)
    (form,) = provider.forms
    redirect_uri = urlsplit(form.pop("redirect_uri"))
    assert (redirect_uri.hostname, redirect_uri.path, redirect_uri.query) == (
        "127.0.0.1",
        "/servicestage/oauth",
        "repo_type=github",
    )
    assert form == {"grant_type": "authorization_code", "code": "planted-code"}
    basic, bearer = (headers["Authorization"] for headers in provider.headers)
    assert basic == "Basic aWQ6cGxhbnRlZC1jbGllbnQtc2VjcmV0"
    assert bearer == "Bearer planted-token"


@pytest.mark.parametrize("path", ["/page", "/moved", "/closed", "/nowhere"])
async def test_another_server_is_refused(provider: FakeProvider, path: str) -> None:
    error = await failure(provider.address + path)
    assert isinstance(error, UnusableAnswerError)
    assert f"{path}/.well-known/openid-configuration" in error.message


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("issuer", None),
        ("issuer", 5),
        ("authorization_endpoint", None),
        ("token_endpoint", None),
        ("token_endpoint", "http://git.example.com/token"),
        ("token_endpoint", "https://ada:pw@git.example.com/token"),
        ("token_endpoint", "/token"),
        ("authorization_endpoint", "https://git.example.com/authorize#here"),
        ("authorization_endpoint", "https://git.example.com/a\nb"),
        ("authorization_endpoint", "http://1[::1]@"),
        ("authorization_endpoint", "http://["),
        ("userinfo_endpoint", None),
        ("userinfo_endpoint", ["https://git.example.com"]),
        ("response_types_supported", ["id_token"]),
        ("response_types_supported", None),
        ("token_endpoint_auth_methods_supported", ["private_key_jwt"]),
        ("token_endpoint_auth_methods_supported", 5),
    ],
)
async def test_missing_metadata_is_named(provider: FakeProvider, field_name: str, value: object) -> None:
    provider.changes = {field_name: value}
    error = await failure(provider.address)
    assert isinstance(error, UnusableAnswerError)
    assert f"lacks {field_name}" in error.message


async def test_the_metadata_of_another_issuer_is_refused(provider: FakeProvider) -> None:
    provider.changes = {"issuer": "https://git.example.com"}
    assert "https://git.example.com" in (await failure(provider.address)).message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": "server_error"}),
        (400, {}),
        (302, TOKEN),
        (200, "<html>"),
        (200, "[1]"),
        (200, "[" * 100_000),
        (200, {"access_token": "t"}),
        (200, {**TOKEN, "token_type": "DPoP"}),
        (200, {**TOKEN, "access_token": ""}),
        (200, {**TOKEN, "access_token": "t\r\nX: y"}),
        (200, {**TOKEN, "access_token": 5}),
    ],
    ids=str,
)
async def test_an_unusable_token_is_an_internal_error(provider: FakeProvider, status: int, body: object) -> None:
    provider.token = answering(status, body, Location="/userinfo")
    await assert_fails(provider)
    assert len(provider.headers) == 1


@pytest.mark.parametrize(
    ("status", "body"), [(401, {"error": "invalid_token"}), (200, {}), (200, {"sub": 5}), (200, "eyJhbGciOiJub25lIn0")]
)
async def test_a_missing_account_is_an_internal_error(provider: FakeProvider, status: int, body: object) -> None:
    provider.claims = answering(status, body)
    await assert_fails(provider)


async def assert_fails(provider: FakeProvider) -> None:
    async with using(provider) as user:
        with pytest.raises(UnusableAnswerError) as failed:
            await exchange(user)
        assert (failed.value.status, failed.value.code) == (500, "SVCSTG.REPO.0500")
        assert len(user.warnings) == 1
        assert await user.names() == []
