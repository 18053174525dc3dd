"""Where credentials are found, in which order, and what is said about the places that are not used."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from settings.identity_server import SECRET, IdentityServer
from support.fake_servicestage import PROJECT

from oauth_helper import ServiceStageClient, credential_sources, find_credentials
from oauth_helper.credential_sources import CHAIN_VARIABLES, Search, find_settings_and_credentials
from oauth_helper.credentials import AccessKey, IamSettings, IamToken
from oauth_helper.errors import CredentialsError, OAuthHelperError
from oauth_helper.servicestage.iam import Iam
from oauth_helper.settings import Settings, Sources
from oauth_helper.values import FileValues

SDK = {"HUAWEICLOUD_SDK_AK": "SDKAK", "HUAWEICLOUD_SDK_SK": "sdk-sk"}
TERRAFORM = {"HW_ACCESS_KEY": "HWAK", "HW_SECRET_KEY": "hw-sk"}
USER = {"HW_USER_NAME": "ada", "HW_USER_PASSWORD": "planted word", "HW_DOMAIN_NAME": "acme"}
OPENSTACK = {
    "OS_AUTH_URL": "https://iam.cn-north-4.myhuaweicloud.com/v3",
    "OS_USERNAME": "ada",
    "OS_PASSWORD": "planted word",
    "OS_USER_DOMAIN_NAME": "acme",
}
ACTION = {"HUAWEI_CLOUD_ACCESS_KEY_ID": "ACTIONAK", "HUAWEI_CLOUD_SECRET_ACCESS_KEY": "action-sk"}
EXPLORER = {"CLOUD_SDK_AK": "EXPLORERAK", "CLOUD_SDK_SK": "explorer-sk"}
ROLE = {"HW_ASSUME_ROLE_AGENCY_NAME": "agency", "HW_ASSUME_ROLE_DOMAIN_NAME": "other"}
PROFILE = FileValues("creds", {"ak": "FILEAK", "sk": "file-sk", "security_token": "file-token"})
NO_PROFILE = FileValues("creds")
NOW = IamSettings()


@pytest.fixture(autouse=True)
def home(clean_environment: Path) -> Path:
    return clean_environment


def search(environ: dict[str, str], profile: FileValues = NO_PROFILE, **config: str) -> Search:
    return both(environ, profile, **config)[1]


def both(environ: dict[str, str], profile: FileValues = NO_PROFILE, **config: str) -> tuple[Settings, Search]:
    return find_settings_and_credentials(Sources({}, environ, FileValues("config.toml", config), profile))


async def fetched(environ: dict[str, str], profile: FileValues = NO_PROFILE) -> AccessKey | IamToken:
    return await search(environ, profile).required().fetch(Iam(NOW))


async def used(server: IdentityServer, environ: dict[str, str], **client: Any) -> str:
    """Return what authenticates a list call: an access key, or a token."""
    source = find_credentials(server.environ | {"OAUTH_HELPER_PROJECT_ID": PROJECT} | environ)
    async with ServiceStageClient(server.endpoint, project_id=PROJECT, credentials=source, **client) as service:
        await service.list_authorizations()
    return server.used[-1]


async def test_the_first_match_wins() -> None:
    chain = [
        ({"OAUTH_HELPER_TOKEN": "token"}, IamToken("token")),
        (SDK, AccessKey("SDKAK", "sdk-sk")),
        ({"HW_AUTH_TOKEN": "hw-token"}, IamToken("hw-token")),
        (TERRAFORM, AccessKey("HWAK", "hw-sk")),
        ({"OS_ACCESS_KEY": "OSAK", "OS_SECRET_KEY": "os-sk"}, AccessKey("OSAK", "os-sk")),
        (ACTION, AccessKey("ACTIONAK", "action-sk")),
        (EXPLORER, AccessKey("EXPLORERAK", "explorer-sk")),
    ]
    environ = {name: value for variables, _ in chain for name, value in variables.items()}
    for variables, expected in chain:
        assert await fetched(environ, PROFILE) == expected
        unused = " ".join(search(environ, PROFILE).unused)
        environ = {name: value for name, value in environ.items() if name not in variables}
        assert all(name in unused for name in environ), "the others are named"
        assert "[basic] of creds" in unused
    assert await fetched({}, PROFILE) == AccessKey("FILEAK", "file-sk", "file-token")


async def test_users_get_a_token_for_the_project(home: Path) -> None:
    for user, terraform_project in ((USER, "HW_PROJECT_NAME"), (OPENSTACK, "OS_TENANT_NAME")):
        async with IdentityServer() as server:
            environ = user | {"OS_AUTH_URL": f"{server.endpoint}/v3", terraform_project: "cn-north-4_dev"}
            assert await used(server, environ) == "token-of-user"
            assert server.bodies["/v3/auth/tokens"]["auth"]["scope"] == {"project": {"id": PROJECT}}
            source = find_credentials(server.environ | environ)
            assert (await source.fetch(Iam(source.iam))).project_id == "f" * 32  # type: ignore[union-attr]
            assert server.bodies["/v3/auth/tokens"]["auth"]["scope"] == {"project": {"name": "cn-north-4_dev"}}


@pytest.mark.parametrize("url", ["https://keystone.example/v3", "https://evilmyhuaweicloud.com/v3", ""])
@pytest.mark.parametrize("secret", [OPENSTACK, {"OS_AUTH_TOKEN": "planted"}])
def test_secrets_of_another_openstack_are_not_used(secret: dict[str, str], url: str) -> None:
    with pytest.raises(CredentialsError, match="No credentials were found") as refused:
        search(secret | {"OS_AUTH_URL": url}).required()
    assert "OS_AUTH_URL does not name the IAM of this cloud" in refused.value.hint
    assert "planted" not in refused.value.hint


def test_openstacks_settings_count_with_its_credentials_only() -> None:
    more = {"OS_REGION_NAME": "eu-west-101", "OS_PROJECT_ID": "0" * 32}
    with_openstack, _search = both({"OS_ACCESS_KEY": "A", "OS_SECRET_KEY": "S"} | more)
    assert with_openstack.endpoint.value == "https://servicestage.eu-west-101.myhuaweicloud.eu"
    assert with_openstack.project_id.value == "0" * 32
    without, _search = both(SDK | more)
    assert (without.region.value, without.project_id.value) == (None, None)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        *(({one: "planted"}, f"the environment has {one}, but not") for one in (*SDK, *TERRAFORM, *ACTION, *EXPLORER)),
        ({"HUAWEICLOUD_SDK_SECURITY_TOKEN": "planted"}, "but not HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"),
        ({"HW_USER_NAME": "ada", "HW_USER_PASSWORD": "planted"}, "but not HW_DOMAIN_NAME"),
        (
            {"HUAWEICLOUD_OIDC_ID_TOKEN": "planted"} | SDK,
            "HUAWEICLOUD_OIDC_PROVIDER_URN and HUAWEICLOUD_OIDC_AGENCY_URN",
        ),
        ({"HUAWEICLOUD_OIDC_PROVIDER_URN": "planted"}, " and HUAWEICLOUD_OIDC_TOKEN_FILE"),
        ({"HUAWEICLOUD_SDK_IDP_ID": "planted"} | SDK, "but not HUAWEICLOUD_SDK_ID_TOKEN_FILE"),
        (
            {"HC_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/planted"},
            "but not HC_CONTAINER_AUTHORIZATION",
        ),
        (SDK | {"HW_ASSUME_ROLE_AGENCY_NAME": "planted"}, "but not HW_ASSUME_ROLE_DOMAIN_NAME"),
        (SDK | {"HW_ASSUME_ROLE_DOMAIN_ID": "planted"}, "but not HW_ASSUME_ROLE_AGENCY_NAME"),
        (SDK | {"HW_ASSUME_ROLE_DURATION": "900"}, "HW_ASSUME_ROLE_AGENCY_NAME and HW_ASSUME_ROLE_DOMAIN_NAME"),
        (SDK | ROLE | {"HW_ASSUME_ROLE_DURATION": "planted"}, "HW_ASSUME_ROLE_DURATION is not a number of seconds"),
        ({"HW_SHARED_CONFIG_FILE": "/missing/config.json"}, "HW_SHARED_CONFIG_FILE names a file that is not there"),
        ({"OAUTH_HELPER_CREDENTIALS": "planted"}, "OAUTH_HELPER_CREDENTIALS names no source"),
        ({"OAUTH_HELPER_CREDENTIALS": "pod"} | SDK, "OAUTH_HELPER_CREDENTIALS selects pod, which is not set up"),
        ({"HW_AUTH_TOKEN": '{"token": "planted"}'}, "HW_AUTH_TOKEN is JSON, not a token"),
        ({"HUAWEI_CLOUD_ACCESS_KEY_ID": "p" * 40, "HUAWEI_CLOUD_SECRET_ACCESS_KEY": "A1" * 10}, "look swapped"),
    ],
)
def test_half_of_a_pair_or_a_value_that_cannot_be_right_is_an_error(environ: dict[str, str], message: str) -> None:
    with pytest.raises(CredentialsError) as refused:
        search(environ).required()
    assert message in refused.value.message
    assert refused.value.exit_status == 3
    assert "planted" not in refused.value.message + refused.value.hint


def test_half_a_profile_is_an_error() -> None:
    for values in ({"ak": "a"}, {"idp_id": "a", "ak": "a", "sk": "b"}):
        with pytest.raises(CredentialsError, match="but not"):
            search({}, FileValues("creds", values)).required()


@pytest.mark.parametrize("content", ["", "{\n", "“id-token”", "two\nlines"])
def test_a_token_file_that_cannot_be_right_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    environ = {"HUAWEICLOUD_SDK_IDP_ID": "idp", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": str(tmp_path / "token")}
    with pytest.raises(CredentialsError, match="token"):
        search(environ).required()


def koocli(folder: Path, *, mode: str = "AKSK", **fields: object) -> dict[str, str]:
    profile = {"name": "dev", "mode": mode, "region": "cn-east-3", "projectId": "1" * 32} | fields
    path = folder / "config.json"
    path.write_text(json.dumps({"current": "dev", "profiles": [{"name": "default"}, profile]}))
    return {"HW_SHARED_CONFIG_FILE": str(path)}


async def test_a_profile_of_koocli_is_used_with_its_region_and_project(tmp_path: Path, home: Path) -> None:
    environ = koocli(tmp_path, accessKeyId="KOOCLI00000000000001", secretAccessKey="s" * 40)
    assert await fetched(environ) == AccessKey("KOOCLI00000000000001", "s" * 40)
    settings, found = both(environ)
    assert (settings.region.value, settings.project_id.value) == ("cn-east-3", "1" * 32)
    assert 'profile "dev"' in found.required().found_in
    assert both(environ, region="cn-north-1")[0].region.value == "cn-north-1", "config.toml comes first"
    assert both(environ | SDK)[0].region.value is None, "only with its credentials"
    token = {"accessKeyId": "SSO00000000000000001", "secretAccessKey": "t" * 40, "securityToken": "u"}
    environ = koocli(tmp_path, mode="SSO", ssoAuth={"stsToken": token})
    assert await fetched(environ) == AccessKey("SSO00000000000000001", "t" * 40, "u")
    (home / ".hcloud").mkdir()
    (tmp_path / "config.json").rename(home / ".hcloud" / "config.json")
    assert (await fetched({})).access_key == "SSO00000000000000001"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"accessKeyId": "2f" * 40, "secretAccessKey": "3e" * 60},
            "is encrypted; `hcloud configure set --cli-auth-encrypt",
        ),
        ({"accessKeyId": "KOOCLI00000000000001", "secretAccessKey": "planted+/=="}, "is encrypted"),
        ({"mode": "AssumeRole"}, "has the mode AssumeRole, which is not used"),
        ({"mode": "ecsAgency"}, "has the mode ecsAgency, which is not used"),
        ({}, "has no access key"),
        ({"accessKeyId": {"planted": 1}}, "is not a configuration file of KooCLI"),
    ],
)
def test_a_profile_of_koocli_that_cannot_be_used_is_named(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    environ = koocli(tmp_path, **fields)
    with pytest.raises(CredentialsError, match="No credentials were found") as refused:
        search(environ).required()
    assert reason in refused.value.hint
    assert "planted" not in refused.value.hint
    assert reason in " ".join(search(SDK | environ).unused)


async def test_an_agency_is_assumed_by_the_credentials_that_were_found() -> None:
    async with IdentityServer() as server:
        assert await used(server, SDK | ROLE) == "ROLE-BY-SDKAK-1"
        assert server.bodies["/v3.0/OS-CREDENTIAL/securitytokens"]["auth"]["identity"] == {
            "methods": ["assume_role"],
            "assume_role": {"domain_name": "other", "agency_name": "agency", "duration_seconds": 3600},
        }
        assert await used(server, {"HW_AUTH_TOKEN": "base"} | ROLE) == "ROLE-BY-base-2"
        assert await used(server, USER | ROLE | {"HW_ASSUME_ROLE_DURATION": "900"}) == "ROLE-BY-token-of-user-3"
        assert server.bodies["/v3/auth/tokens"]["auth"]["scope"] == {"domain": {"name": "acme"}}
        by_id = {"HW_ASSUME_ROLE_AGENCY_NAME": "agency", "HW_ASSUME_ROLE_DOMAIN_ID": "0d"}
        assert await used(server, TERRAFORM | by_id) == "AGENCY-BY-HWAK-4"
        assert server.bodies["/v5/agencies/assume"]["agency_urn"] == "iam::0d:agency:agency"
        with pytest.raises(CredentialsError, match="with an access key only"):
            await used(server, {"HW_AUTH_TOKEN": "base"} | by_id)


@pytest.mark.parametrize("has_token", [True, False])
async def test_the_metadata_service_gives_the_key_of_an_ecs_with_or_without_a_token(
    has_token: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with IdentityServer(has_metadata_token=has_token) as server:
        monkeypatch.setattr(credential_sources, "METADATA_ENDPOINT", server.endpoint)
        key = await fetched({"OAUTH_HELPER_CREDENTIALS": "ecs"})
        assert isinstance(key, AccessKey)
        assert key.access_key == "ECS-1"
        assert key.expires_at


def test_the_metadata_service_is_used_only_if_it_is_selected() -> None:
    assert search({}).source is None
    found = search({"OAUTH_HELPER_CREDENTIALS": "ecs"} | SDK)
    assert found.required().name == "ecs"
    assert "HUAWEICLOUD_SDK_AK" in " ".join(found.unused)


async def test_one_source_can_be_selected() -> None:
    environ = {"OAUTH_HELPER_TOKEN": "t"} | SDK | TERRAFORM | ACTION
    for name, expected in (("token", IamToken("t")), ("env", AccessKey("SDKAK", "sdk-sk"))):
        assert await fetched(environ | {"OAUTH_HELPER_CREDENTIALS": name}) == expected
    assert search(environ, credentials="action").required().name == "action", "also in the file"


@pytest.mark.parametrize("variable", sorted(CHAIN_VARIABLES - {*SDK, "HUAWEICLOUD_SDK_CREDENTIALS_FILE"}))
def test_every_variable_beside_a_key_is_used_refused_or_named(variable: str) -> None:
    found = search(SDK | {variable: "x"})
    said = [found.error.message] if found.error else [found.required().found_in, *found.unused]
    assert variable in " ".join(said) or variable == "HUAWEICLOUD_SDK_SECURITY_TOKEN"


async def test_no_credentials_lists_where_we_looked(home: Path) -> None:
    with pytest.raises(CredentialsError, match="No credentials were found") as refused:
        search({}).required()
    hint = refused.value.hint
    assert hint.startswith("Set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
    assert "--sandbox" in hint
    assert '"creds" does not exist' in hint
    assert '"~/.hcloud/config.json" does not exist' in hint
    (home / "creds").write_text("[global]\n")
    assert "has no ak and sk in a section [basic]" in " ".join(search({}, FileValues(str(home / "creds"))).reasons)


OIDC = {"HUAWEICLOUD_OIDC_PROVIDER_URN": "p", "HUAWEICLOUD_OIDC_AGENCY_URN": "a", "HUAWEICLOUD_OIDC_ID_TOKEN": "t"}


@pytest.mark.parametrize(
    ("minutes", "fails", "expected"),
    [(5, False, ["OIDC-1", "OIDC-2"]), (60, False, ["OIDC-1", "OIDC-1"]), (5, True, ["OIDC-1", "OIDC-1"])],
)
async def test_temporary_keys_that_expire_before_the_deadline_are_fetched_again_once(
    minutes: int, fails: bool, expected: list[str]
) -> None:
    async with IdentityServer(timedelta(minutes=minutes)) as server:
        source = find_credentials(server.environ | OIDC)
        async with ServiceStageClient(server.endpoint, project_id=PROJECT, credentials=source) as service:
            await service.list_authorizations()
            server.failing = {"/v5/agencies/assume-with-oidc": (403, {})} if fails else {}
            async with service.kept_open(until=datetime.now(UTC) + timedelta(minutes=10)):
                assert service.must_renew_credentials is (minutes == 5)
                await service.renew_credentials()
            assert not service.must_renew_credentials or fails
            await service.list_authorizations()
        assert server.used == expected


IDP = {"HUAWEICLOUD_SDK_IDP_ID": "p", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": "{token}"}
POD = {"HC_CONTAINER_CREDENTIALS_FULL_URI": "{endpoint}/pod", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{token}"}


@pytest.mark.parametrize(
    ("path", "environ"),
    [
        ("/v5/agencies/assume-with-oidc", OIDC | {"HUAWEICLOUD_OIDC_ID_TOKEN": "planted-token"}),
        ("/v3.0/OS-AUTH/id-token/tokens", IDP),
        ("/v3.0/OS-CREDENTIAL/securitytokens", IDP),
        ("/v3/auth/tokens", USER),
        ("/pod", POD),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 403])
async def test_no_secret_is_in_an_error(path: str, environ: dict[str, str], status: int, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("planted-token")
    repeated = "unscoped-token" if path.endswith("securitytokens") else environ.get("HW_USER_PASSWORD", "planted-token")
    document = {"error_code": "X.1", "error_msg": f"{repeated} is wrong", "credential": SECRET}
    async with IdentityServer(failing={path: (status, document)}) as server:
        values = {"token": tmp_path / "token", "endpoint": server.endpoint}
        with pytest.raises(OAuthHelperError) as refused:
            await used(server, {name: value.format(**values) for name, value in environ.items()})
    text = f"{refused.value.message} {refused.value.hint}"
    assert not any(secret in text for secret in (repeated, SECRET))
    assert (refused.value.exit_status == 3) is (status == 403)
