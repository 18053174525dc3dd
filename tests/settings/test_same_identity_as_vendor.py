"""In the same environment, the vendor's SDK and this program sign with the same access key."""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from pathlib import Path

import pytest
from settings.identity_server import IdentityServer
from support.fake_servicestage import PROJECT

from oauth_helper import ServiceStageClient, find_credentials
from oauth_helper.errors import CredentialsError

KEY = {"HUAWEICLOUD_SDK_AK": "ENVAK", "HUAWEICLOUD_SDK_SK": "env-sk"}
OIDC = {"HUAWEICLOUD_OIDC_PROVIDER_URN": "iam::a:oidc:p", "HUAWEICLOUD_OIDC_AGENCY_URN": "iam::a:agency:b"}
OIDC_TOKEN = OIDC | {"HUAWEICLOUD_OIDC_ID_TOKEN": "id-token"}
OIDC_FILE = OIDC | {"HUAWEICLOUD_OIDC_TOKEN_FILE": "{folder}/token"}
IDP = {"HUAWEICLOUD_SDK_IDP_ID": "idp", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": "{folder}/token"}
POD = {
    "HC_CONTAINER_CREDENTIALS_FULL_URI": "{endpoint}/pod",
    "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{folder}/pod-token",
}
PROFILE_KEY = "[basic]\nak = PROFILEAK\nsk = 100%%\nsecurity_token = t\n"
PROFILE_IDP = "[basic]\nidp_id = idp\nid_token_file = {folder}/token\n"


@pytest.fixture
def files(clean_environment: Path, tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("id-token\n")
    (tmp_path / "pod-token").write_text("pod-token")
    return tmp_path


def environ_of(server: IdentityServer, folder: Path, variables: dict[str, str], profile: str) -> dict[str, str]:
    path = folder / "credentials"
    path.write_text(profile.format(folder=folder))
    values = {name: value.format(folder=folder, endpoint=server.endpoint) for name, value in variables.items()}
    return server.environ | {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(path)} | values


async def our_key(server: IdentityServer, environ: dict[str, str]) -> str:
    async with ServiceStageClient(
        server.endpoint, project_id=PROJECT, credentials=find_credentials(environ)
    ) as service:
        await service.list_authorizations()
    return server.used[-1].rpartition("-")[0] or server.used[-1]


async def vendors_key(
    server: IdentityServer,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    provider: str = "CredentialProviderChain",
) -> str:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def call() -> None:
        v2 = import_module("huaweicloudsdkservicestage.v2")
        providers = import_module("huaweicloudsdkcore.auth.provider")
        credentials = getattr(providers, provider).get_basic().get_credentials().with_project_id(PROJECT)
        client = (
            v2.ServiceStageClient.new_builder().with_credentials(credentials).with_endpoint(server.endpoint).build()
        )
        try:
            client.list_authorizations(v2.ListAuthorizationsRequest())
        finally:
            client.close()

    await asyncio.to_thread(call)
    return server.used[-1].rpartition("-")[0] or server.used[-1]


@pytest.mark.parametrize(
    ("variables", "profile", "expected"),
    [
        (KEY, "", "ENVAK"),
        (KEY | {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "t"}, PROFILE_KEY, "ENVAK"),
        (OIDC_TOKEN, "", "OIDC"),
        (OIDC_FILE, "", "OIDC"),
        (OIDC_TOKEN | {"HUAWEICLOUD_OIDC_TOKEN_FILE": "{folder}/missing"}, "", "OIDC"),
        (OIDC_TOKEN | KEY, PROFILE_KEY, "OIDC"),
        (OIDC_FILE | IDP, "", "OIDC"),
        (IDP, "", "IDP"),
        (IDP | KEY, "", "IDP"),
        (IDP, PROFILE_KEY, "IDP"),
        (KEY, PROFILE_IDP, "ENVAK"),
        ({}, PROFILE_KEY, "PROFILEAK"),
        ({}, PROFILE_IDP, "IDP"),
        ({}, PROFILE_IDP + PROFILE_KEY.removeprefix("[basic]\n"), "IDP"),
        (POD | KEY, "", "ENVAK"),
    ],
)
async def test_the_same_key_signs(
    files: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], profile: str, expected: str
) -> None:
    async with IdentityServer() as server:
        environ = environ_of(server, files, variables, profile)
        ours = await our_key(server, environ)
        bodies, server.bodies = server.bodies, {}
        assert ours == await vendors_key(server, environ, monkeypatch) == expected
        assert server.bodies == bodies, "both send the same documents"


async def test_a_pod_has_the_same_key_as_with_the_vendors_provider(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with IdentityServer() as server:
        environ = environ_of(server, files, POD, "")
        theirs = await vendors_key(server, environ, monkeypatch, "PodIdentityCredentialProvider")
        assert await our_key(server, environ) == theirs == "POD"


async def test_optional_fields_of_oidc_are_sent_like_the_vendors(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {
        "HUAWEICLOUD_OIDC_SESSION_NAME": "build",
        "HUAWEICLOUD_OIDC_DURATION_SECONDS": "900",
        "HUAWEICLOUD_OIDC_POLICY": '{"Version": "5.0"}',
        "HUAWEICLOUD_OIDC_POLICY_IDS": "one, two",
    }
    async with IdentityServer() as server:
        environ = environ_of(server, files, OIDC_TOKEN, "") | more
        await our_key(server, environ)
        ours = server.bodies["/v5/agencies/assume-with-oidc"]
        await vendors_key(server, environ, monkeypatch)
        assert ours == server.bodies["/v5/agencies/assume-with-oidc"]
        assert ours["policy_ids"] == ["one", "two"]


@pytest.mark.parametrize("half", ["HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_ID_TOKEN_FILE"])
async def test_half_an_identity_provider_beside_a_key_is_an_error(files: Path, half: str) -> None:
    with pytest.raises(CredentialsError, match=f"the environment has {half}, but not"):
        find_credentials(KEY | {half: str(files / "token")})
    assert os.environ.get("HUAWEICLOUD_SDK_AK") is None
