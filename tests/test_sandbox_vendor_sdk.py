"""The vendor's own Python SDK, unchanged, against the sandbox: the judge of what the sandbox says and accepts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from repo_type_contract import IN_BROWSER
from vendor_client import Vendor, code_and_state

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def vendor(sandbox: Sandbox, clean_surroundings: object) -> AsyncIterator[Callable[..., Any]]:
    opened: list[Vendor] = []

    async def open_client(key: AccessKey = sandbox.access_key) -> Vendor:
        opened.append(await asyncio.to_thread(Vendor, sandbox.endpoint, key, sandbox.project_id))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.mark.parametrize("repo_type", IN_BROWSER)
@pytest.mark.parametrize("tag", [None, "intl", "a b&c=d/é~*+"])
async def test_the_sdk_links_lists_and_deletes(vendor: Callable[..., Any], repo_type: str, tag: str | None) -> None:
    client = await vendor()
    v2 = client.v2
    shown = await client.call("show_redirect_url", v2.ShowRedirectUrlRequest(repo_type=repo_type, tag=tag))
    body = v2.OAuth(name="my-auth.1_2", **await code_and_state(shown.url))
    created = await client.call("create_o_auth", v2.CreateOAuthRequest(repo_type=repo_type, tag=tag, body=body))
    assert created.authorization.repo_user == "octocat"
    assert created.authorization.token_type == "oauth"
    listed = await client.call("list_authorizations", v2.ListAuthorizationsRequest())
    assert listed.count == 1
    (record,) = listed.authorizations
    assert (record.name, record.repo_type, record.tag, record.status) == ("my-auth.1_2", repo_type, tag, 0)
    assert record.avartar == created.authorization.avartar
    await client.call("delete_authorize", v2.DeleteAuthorizeRequest(name="my-auth.1_2"))
    assert (await client.call("list_authorizations", v2.ListAuthorizationsRequest())).count == 0


async def test_the_sdk_finds_the_project_by_its_region(sandbox: Sandbox, clean_surroundings: object) -> None:
    client = await asyncio.to_thread(Vendor.of_region, sandbox)
    assert (await client.call("list_authorizations", client.v2.ListAuthorizationsRequest())).count == 0
    client.close()


async def test_the_sdk_reads_the_refusals(vendor: Callable[..., Any]) -> None:
    client = await vendor()
    v2 = client.v2
    body = v2.OAuth(name="my-auth", code="0" * 20, state="$2a$10$" + "x" * 53)
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("create_o_auth", v2.CreateOAuthRequest(repo_type="github", body=body))
    assert (caught.value.status_code, caught.value.error_code) == (400, "SVCSTG.REPO.0402")
    assert caught.value.error_msg == "oauth code or state invalid"
    assert len(caught.value.request_id) == 32


async def test_a_wrong_secret_key_is_refused(vendor: Callable[..., Any], sandbox: Sandbox) -> None:
    client = await vendor(AccessKey(sandbox.access_key.access_key, "0" * 40))
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("list_authorizations", client.v2.ListAuthorizationsRequest())
    assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
    assert "verify aksk signature fail" in caught.value.error_msg


async def test_a_key_without_list_may_not_list(vendor: Callable[..., Any], sandbox: Sandbox) -> None:
    client = await vendor(sandbox.access_key_without_list)
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("list_authorizations", client.v2.ListAuthorizationsRequest())
    assert (caught.value.status_code, caught.value.error_code) == (403, "IAM.0003")


async def test_the_sdk_links_with_a_token(vendor: Callable[..., Any], sandbox: Sandbox) -> None:
    client = await vendor()
    v2 = client.v2
    for name, host in (("official", None), ("private", "https://192.168.1.1:8080/gitlab")):
        body = v2.AccessToken(name=name, token=sandbox.personal_token.reveal(), host=host)
        made = await client.call("create_personal_auth", v2.CreatePersonalAuthRequest(repo_type="gitlab", body=body))
        assert (made.authorization.token_type, made.authorization.status) == ("personal", 0)
        assert made.authorization.repo_host == (host or made.authorization.repo_home.removesuffix("/octocat"))
    wrong = v2.AccessToken(name="wrong", token="ghp_" + "0" * 36)
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("create_personal_auth", v2.CreatePersonalAuthRequest(repo_type="gitlab", body=wrong))
    assert (caught.value.status_code, caught.value.error_code) == (400, "SVCSTG.REPO.0451")


@pytest.mark.parametrize(("repo_type", "user"), [("bitbucket", "octocat"), ("devcloud", "account/octocat")])
async def test_the_sdk_links_with_a_password(
    vendor: Callable[..., Any], sandbox: Sandbox, repo_type: str, user: str
) -> None:
    client = await vendor()
    v2 = client.v2
    body = v2.AccessPassword(name="my-auth", user=user, password=sandbox.git_password.reveal())
    request = v2.CreatePasswordAuthRequest(repo_type=repo_type, body=body)
    made = await client.call("create_password_auth", request)
    assert (made.authorization.token_type, made.authorization.repo_user) == ("password", "octocat")
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("create_password_auth", request)
    assert caught.value.error_code == "SVCSTG.REPO.0403"


async def test_the_sdk_sees_namespaces_projects_and_branches(vendor: Callable[..., Any], sandbox: Sandbox) -> None:
    client = await vendor()
    v2 = client.v2
    body = v2.AccessToken(name="my-auth", token=sandbox.personal_token.reveal())
    await client.call("create_personal_auth", v2.CreatePersonalAuthRequest(repo_type="github", body=body))
    seen = await client.call("list_namespaces", v2.ListNamespacesRequest(x_repo_auth="my-auth"))
    assert [one.name for one in seen.namespaces] == ["octocat", "sandbox-group/tools", "sandbox-group/attic"]
    for namespace in (seen.namespaces[1].name, seen.namespaces[1].id):
        request = v2.ListProjectsRequest(x_repo_auth="my-auth", namespace=namespace)
        (project,) = (await client.call("list_projects", request)).projects
        assert project.clone_url.endswith("/sandbox-group/tools/build.tools.git")
    asked = v2.ListBranchesRequest(x_repo_auth="my-auth", namespace="sandbox-group/tools", project="build.tools")
    assert (await client.call("list_branches", asked)).branches == ["master", "release/1.0"]


@pytest.mark.parametrize(("name", "code"), [(None, "0450"), ("unknown", "0450"), ("expired", "0451")])
async def test_the_sdk_is_told_that_an_authorization_is_missing_or_no_longer_good(
    vendor: Callable[..., Any], sandbox: Sandbox, name: str | None, code: str
) -> None:
    client = await vendor()
    v2 = client.v2
    body = v2.AccessToken(name="expired", token=sandbox.personal_token.reveal())
    await client.call("create_personal_auth", v2.CreatePersonalAuthRequest(repo_type="gitee", body=body))
    sandbox.expire("expired")
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("list_namespaces", v2.ListNamespacesRequest(x_repo_auth=name))
    assert (caught.value.status_code, caught.value.error_code) == (400, f"SVCSTG.REPO.{code}")
