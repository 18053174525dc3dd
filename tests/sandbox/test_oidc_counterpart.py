"""A certified OpenID provider as the Git host: codes exchanged and refused for real, and `iss` in every answer."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from sandbox.oidc_provider import LOGIN, OidcProvider, go_through, oidc_provider
from support.command_runner import commands, error_of, records
from support.link_script import delivered, scripted

from oauth_helper.models import Authorization, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.oidc import Registration
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oauth_helper.i18n import Text

CHALLENGE = "?code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&a=%7Eb+c%24"
"""RFC 7636 appendix B, and characters that a library might encode again."""


class Host(NamedTuple):
    """A provider, a sandbox that uses it, and the sandbox's warnings."""

    provider: OidcProvider
    sandbox: Sandbox
    warnings: list[Text]

    async def code(self) -> Secret:
        """Consent; return the code."""
        return Secret(_of(await go_through(await self._authorization_url()), "code"))

    async def create(self, name: str, code: Secret) -> Authorization:
        """Exchange the code, with a state of its own."""
        state = Secret(_of(await self._authorization_url(), "state"))
        async with self._client() as service:
            return await service.create_oauth(RepoType.GITHUB, name=name, code=code, state=state)

    async def _authorization_url(self) -> str:
        async with self._client() as service:
            return await service.authorization_url(RepoType.GITHUB)

    def _client(self) -> ServiceStageClient:
        sandbox = self.sandbox
        return ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key)


def _of(address: str, name: str) -> str:
    (value,) = parse_qs(urlsplit(address).query, strict_parsing=True)[name]
    return value


@asynccontextmanager
async def opened(provider: OidcProvider, registration: Registration | None = None) -> AsyncIterator[Host]:
    warnings: list[Text] = []
    async with Sandbox(registration=registration or provider.registration, warn=warnings.append) as sandbox:
        yield Host(provider, sandbox, warnings)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with oidc_provider() as provider, opened(provider) as host:
        yield host


@pytest.mark.parametrize("repo_type", ["github", "gitlab", "gitee", "bitbucket"])
async def test_a_link_has_the_account_of_the_provider(host: Host, repo_type: str) -> None:
    environ = commands.environ(host.sandbox)
    async with scripted("link", repo_type, environ=environ) as script:
        redirect = await go_through((await script.event("waiting"))["authorization_url"])
        assert _of(redirect, "iss") == host.provider.issuer
        assert (await delivered(redirect, environ)).status == 0
        assert (await script.ended()).status == 0
    (record,) = await records(host.sandbox)
    assert (record["repo_user"], record["repo_host"]) == (f"{LOGIN}-of-oidc", host.provider.issuer)
    assert record["repo_home"].startswith(host.provider.issuer)
    assert await host.provider.next("granted")
    assert host.warnings == []


async def test_an_expired_code_is_refused(host: Host) -> None:
    environ = commands.environ(host.sandbox)
    async with scripted(environ=environ) as script:
        redirect = await go_through((await script.event("waiting"))["authorization_url"])
        await host.provider.advance(600)
        refused = await delivered(redirect, environ, "--json")
        assert (await script.ended()).status == refused.status == 6
    assert error_of(refused.err)["code"] == "SVCSTG.REPO.0402"
    assert (await host.provider.next("refused"))["error"] == "invalid_grant"
    assert host.warnings == ["The Git host refused the code (invalid_grant)"]
    assert await records(host.sandbox) == []


@pytest.mark.parametrize("query", ["", CHALLENGE], ids=["no challenge", "a challenge"])
async def test_the_authorization_url_is_opened_unchanged(query: str) -> None:
    async with oidc_provider(endpoint_query=query) as provider, opened(provider) as host:
        async with scripted(environ=commands.environ(host.sandbox)) as script:
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
    async with odd as provider, opened(provider) as host:
        assert (await host.create("my-auth", await host.code())).repo_user == f"{LOGIN}-of-oidc"
