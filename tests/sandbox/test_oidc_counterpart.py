"""A certified OpenID provider as the Git host: codes exchanged and refused for real, and `iss` in every answer."""

import re
from collections.abc import AsyncIterator

import pytest
from sandbox.oidc_provider import LOGIN, OidcProvider, go_through, oidc_provider
from sandbox.sandbox_user import SandboxUser, query_of, sandbox_user
from support.command_runner import commands, error_of, records
from support.link_script import delivered, scripted

from oauth_helper.secret import Secret

CHALLENGE = "?code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&a=%7Eb+c%24"
"""RFC 7636 appendix B, and characters that a library might encode again."""


@pytest.fixture
async def provider() -> AsyncIterator[OidcProvider]:
    async with oidc_provider() as provider:
        yield provider


@pytest.fixture
async def user(provider: OidcProvider) -> AsyncIterator[SandboxUser]:
    async with sandbox_user(registration=provider.registration) as user:
        yield user


@pytest.mark.parametrize("repo_type", ["github", "gitlab", "gitee", "bitbucket"])
async def test_a_link_has_the_account_of_the_provider(
    provider: OidcProvider, user: SandboxUser, repo_type: str
) -> None:
    environ = commands.environ(user.sandbox)
    async with scripted("link", repo_type, environ=environ) as script:
        redirect = await go_through((await script.event("waiting"))["authorization_url"])
        assert query_of(redirect)["iss"] == provider.issuer
        assert (await delivered(redirect, environ)).status == 0
        assert (await script.ended()).status == 0
    (record,) = await records(user.sandbox)
    assert (record["repo_user"], record["repo_host"]) == (f"{LOGIN}-of-oidc", provider.issuer)
    assert record["repo_home"].startswith(provider.issuer)
    assert await provider.next("granted")
    assert user.warnings == []


async def test_an_expired_code_is_refused(provider: OidcProvider, user: SandboxUser) -> None:
    environ = commands.environ(user.sandbox)
    async with scripted(environ=environ) as script:
        redirect = await go_through((await script.event("waiting"))["authorization_url"])
        await provider.advance(600)
        refused = await delivered(redirect, environ, "--json")
        assert (await script.ended()).status == refused.status == 6
    assert error_of(refused.err)["code"] == "SVCSTG.REPO.0402"
    assert (await provider.next("refused"))["error"] == "invalid_grant"
    assert user.warnings == ["The Git host refused the code (invalid_grant)"]
    assert await records(user.sandbox) == []


@pytest.mark.parametrize("query", ["", CHALLENGE], ids=["no challenge", "a challenge"])
async def test_the_authorization_url_is_opened_unchanged(query: str) -> None:
    async with (
        oidc_provider(endpoint_query=query) as provider,
        sandbox_user(registration=provider.registration) as user,
    ):
        async with scripted(environ=commands.environ(user.sandbox)) as script:
            authorization_url = (await script.event("waiting"))["authorization_url"]
        (given,) = commands.authorization_urls
        # The command prints a full stop at the end of the state as %2E, so that a click opens the whole URL.
        authorization_url = re.sub(r"%2E$", ".", authorization_url)
        assert authorization_url == given
        assert query in given
        assert ("code_challenge" in given) is bool(query)
        await go_through(authorization_url)
        assert (await provider.next("asked"))["target"] == given.removeprefix(provider.issuer)


async def test_client_id_and_secret_are_form_encoded() -> None:
    odd = oidc_provider(client_id="service:stage 100%+~", client_secret="a:b c%2Fd+e~f&=" * 3)
    async with odd as provider, sandbox_user(registration=provider.registration) as user:
        redirect = await go_through(await user.request())
        user.code = Secret(query_of(redirect)["code"])
        assert (await user.exchange()).repo_user == f"{LOGIN}-of-oidc"
