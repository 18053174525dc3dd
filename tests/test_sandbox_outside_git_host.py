"""The sandbox in front of a Git host outside that is missing, is something else, or answers what nobody can use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from paper_provider import TOKEN, PaperProvider, answering

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    NameTakenError,
    OAuthHelperError,
    SettingsError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.i18n import Text
from oauth_helper.models import Authorization, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import address_of, open_port, serving
from oauth_helper.sandbox.oidc import Registration
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient

SECRET = "planted-client-secret"


@pytest.fixture
async def provider() -> AsyncIterator[PaperProvider]:
    port = open_port()
    provider = PaperProvider(address_of(port))
    async with serving(provider.application(), port):
        yield provider


@dataclass
class User:
    """Makes authorizations of whatever code."""

    service: ServiceStageClient
    said: list[Text]

    async def state(self) -> Secret:
        url = await self.service.authorization_url(RepoType.GITHUB)
        return Secret(parse_qs(urlsplit(url).query)["state"][0])

    async def create(self, name: str = "my-auth") -> Authorization:
        return await self.service.create_oauth(
            RepoType.GITHUB, name=name, code=Secret("planted-code"), state=await self.state()
        )


@asynccontextmanager
async def using(provider: PaperProvider, issuer: str | None = None) -> AsyncIterator[User]:
    said: list[Text] = []
    registration = Registration(issuer or provider.address, "id", Secret(SECRET))
    async with (
        Sandbox(registration=registration, warn=said.append) as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        yield User(service, said)


async def failure(issuer: str) -> OAuthHelperError:
    with pytest.raises(OAuthHelperError) as failed:
        async with Sandbox(registration=Registration(issuer, "id", Secret(SECRET))):
            pytest.fail("it has started")
    assert failed.value.hint
    assert SECRET not in str(failed.value)
    return failed.value


async def test_the_token_request_is_the_one_of_rfc_6749_and_the_account_that_of_userinfo(
    provider: PaperProvider,
) -> None:
    async with using(provider) as user:
        made = await user.create()
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


async def test_a_git_host_that_is_not_there_is_said_before_anything_is_printed() -> None:
    with open_port() as port:
        address = address_of(port)
    error = await failure(address)
    assert isinstance(error, UnreachableError)
    assert not error.sent
    assert f"{address}/.well-known/openid-configuration" in error.message


@pytest.mark.parametrize("path", ["/page", "/moved", "/closed", "/nowhere"])
async def test_what_is_no_openid_provider_is_refused(provider: PaperProvider, path: str) -> None:
    error = await failure(provider.address + path)
    assert isinstance(error, UnusableAnswerError)
    assert f"{path}/.well-known/openid-configuration" in error.message


@pytest.mark.parametrize("issuer", ["http://git.example.com", "https://git.example.com/?a=b", "ftp://127.0.0.1", ""])
async def test_an_address_that_no_secret_may_be_sent_to_is_refused(issuer: str) -> None:
    assert isinstance(await failure(issuer), SettingsError)


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
async def test_what_a_document_lacks_is_named(provider: PaperProvider, field_name: str, value: object) -> None:
    provider.changes = {field_name: value}
    error = await failure(provider.address)
    assert isinstance(error, UnusableAnswerError)
    assert f"lacks what is needed: {field_name}" in error.message


async def test_a_document_of_another_issuer_is_refused(provider: PaperProvider) -> None:
    provider.changes = {"issuer": "https://git.example.com"}
    assert "https://git.example.com" in (await failure(provider.address)).message


async def test_a_slash_at_the_end_of_an_issuer_is_none_of_its_name(provider: PaperProvider) -> None:
    provider.changes = {"issuer": f"{provider.address}/"}
    async with using(provider, f"{provider.address}/") as user:
        assert (await user.create()).name == "my-auth"


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client"])
async def test_a_refusal_is_the_one_of_a_wrong_code_and_its_reason_is_told_to_who_runs_the_sandbox(
    provider: PaperProvider, error: str
) -> None:
    provider.token = answering(401 if error == "invalid_client" else 400, {"error": error})
    async with using(provider) as user:
        with pytest.raises(CodeOrStateInvalidError):
            await user.create()
        assert user.said == [f"The Git host refused the code ({error})"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": "server_error"}),
        (400, {}),
        (302, TOKEN),
        (200, "<html>"),
        (200, "[1]"),
        (200, "[" * 100_000),
        (200, "{" + " " * 300_000 + "}"),
        (200, {"access_token": "t"}),
        (200, {**TOKEN, "token_type": "DPoP"}),
        (200, {**TOKEN, "access_token": ""}),
        (200, {**TOKEN, "access_token": "t\r\nX: y"}),
        (200, {**TOKEN, "access_token": 5}),
    ],
    ids=str,
)
async def test_a_token_that_cannot_be_used_is_servicestages_failure(
    provider: PaperProvider, status: int, body: object
) -> None:
    provider.token = answering(status, body, Location="/userinfo")
    await assert_fails(provider)
    assert len(provider.headers) == 1


@pytest.mark.parametrize(
    ("status", "body"), [(401, {"error": "invalid_token"}), (200, {}), (200, {"sub": 5}), (200, "eyJhbGciOiJub25lIn0")]
)
async def test_an_account_that_is_not_told_is_servicestages_failure(
    provider: PaperProvider, status: int, body: object
) -> None:
    provider.claims = answering(status, body)
    await assert_fails(provider)


async def assert_fails(provider: PaperProvider) -> None:
    async with using(provider) as user:
        with pytest.raises(UnusableAnswerError) as failed:
            await user.create()
        assert (failed.value.status, failed.value.code) == (500, "SVCSTG.REPO.0500")
        assert len(user.said) == 1
        assert await user.service.list_authorizations() == []


async def test_of_two_that_want_one_name_at_the_same_time_one_gets_it(provider: PaperProvider) -> None:
    both = asyncio.Barrier(2)

    async def answer_both_together() -> web.Response:
        await both.wait()
        return web.json_response(TOKEN)

    provider.token = answer_both_together
    async with using(provider) as user:
        ends = await asyncio.gather(user.create(), user.create(), return_exceptions=True)
        assert {type(end) for end in ends} == {Authorization, NameTakenError}
        assert [one.name for one in await user.service.list_authorizations()] == ["my-auth"]
