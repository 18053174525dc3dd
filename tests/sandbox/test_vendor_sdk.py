"""The vendor's Python SDK, unchanged, against the sandbox: every call, every repository type, every refusal."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from sandbox.vendor_client import (
    Operation,
    Vendor,
    code_and_state,
    iam_client,
    operations,
    served,
    servicestage_client,
)

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.gateway import Gateway, Iam
from oauth_helper.sandbox.git_host import GitHost
from oauth_helper.sandbox.servicestage import ServiceStage

SERVICESTAGE: Final = "huaweicloudsdkservicestage.v2"
GIT: Final = "/v1/{project_id}/git"
AUTHS: Final = f"{GIT}/auths"
REPOS: Final = f"{GIT}/repos"
NOT_SERVED: Final = frozenset(
    {
        # What a pipeline does with a linked repository; no command of ours calls it.
        *("create_project", "create_tag", "create_hook", "create_file"),
        *("delete_tag", "delete_hook", "delete_file", "update_file"),
        *("list_commits", "list_hooks", "list_tags", "list_trees", "show_content", "show_project_detail"),
    }
)
REFUSED_TYPES: Final = frozenset(
    {
        # The SDK's comment names it, as the manual of 2023-06 did; no later manual has it, nor does Terraform.
        ("create_password_auth", "github")
    }
)
"""Types that the SDK names and the sandbox refuses."""
TAG: Final = "a b&c=d/é~*+"


@pytest.fixture
async def vendor(sandbox: Sandbox, clean_environment: object) -> AsyncIterator[Vendor]:
    client = servicestage_client(sandbox)
    yield client
    client.close()


def served_by_servicestage() -> set[Operation]:
    git_host = GitHost("http://127.0.0.1:1", time.time, 1, None)
    return served(ServiceStage({}, git_host, git_host, time.time, "documented").routes())


async def show_redirect_url(client: Vendor, sandbox: Sandbox, repo_type: str = "github") -> str:
    request = client.models.ShowRedirectUrlRequest(repo_type=repo_type, tag=TAG)
    shown = await client.call("show_redirect_url", request)
    assert f"repo_type%3D{repo_type}" in shown.url
    return str(shown.url)


async def create_o_auth(client: Vendor, sandbox: Sandbox, repo_type: str = "github") -> Any:
    # A type without OAuth has no authorization URL; ServiceStage refuses it with any code.
    git_credential = {"code": "0" * 20, "state": "s"}
    if repo_type != "devcloud":
        git_credential = await code_and_state(await show_redirect_url(client, sandbox, repo_type))
    body = client.models.OAuth(name="my-auth", **git_credential)
    return await client.call("create_o_auth", client.models.CreateOAuthRequest(repo_type=repo_type, tag=TAG, body=body))


async def create_personal_auth(client: Vendor, sandbox: Sandbox, repo_type: str = "github") -> Any:
    body = client.models.AccessToken(name="my-auth", token=sandbox.personal_token.reveal())
    request = client.models.CreatePersonalAuthRequest(repo_type=repo_type, body=body)
    return await client.call("create_personal_auth", request)


async def create_password_auth(client: Vendor, sandbox: Sandbox, repo_type: str = "bitbucket") -> Any:
    body = client.models.AccessPassword(name="my-auth", user=sandbox.git_user, password=sandbox.git_password.reveal())
    request = client.models.CreatePasswordAuthRequest(repo_type=repo_type, body=body)
    return await client.call("create_password_auth", request)


async def list_authorizations(client: Vendor, sandbox: Sandbox) -> None:
    made = (await create_o_auth(client, sandbox)).authorization
    (listed,) = (await client.call("list_authorizations", client.models.ListAuthorizationsRequest())).authorizations
    assert listed.to_dict() == made.to_dict() | {"tag": TAG}
    assert (made.repo_user, made.token_type) == ("octocat", "oauth")


async def delete_authorize(client: Vendor, sandbox: Sandbox) -> None:
    await create_personal_auth(client, sandbox)
    await client.call("delete_authorize", client.models.DeleteAuthorizeRequest(name="my-auth"))
    assert (await client.call("list_authorizations", client.models.ListAuthorizationsRequest())).authorizations == []


async def list_namespaces(client: Vendor, sandbox: Sandbox) -> list[Any]:
    await create_personal_auth(client, sandbox)
    seen = await client.call("list_namespaces", client.models.ListNamespacesRequest(x_repo_auth="my-auth"))
    assert [one.name for one in seen.namespaces] == [sandbox.git_user, "sandbox-group/tools", "sandbox-group/attic"]
    return list(seen.namespaces)


async def list_projects(client: Vendor, sandbox: Sandbox) -> None:
    namespaces = await list_namespaces(client, sandbox)
    for namespace in (namespaces[1].name, namespaces[1].id):
        request = client.models.ListProjectsRequest(x_repo_auth="my-auth", namespace=namespace)
        (project,) = (await client.call("list_projects", request)).projects
        assert project.clone_url.endswith("/sandbox-group/tools/build.tools.git")


async def list_branches(client: Vendor, sandbox: Sandbox) -> None:
    await create_personal_auth(client, sandbox)
    request = client.models.ListBranchesRequest(
        x_repo_auth="my-auth", namespace="sandbox-group/tools", project="build.tools"
    )
    assert (await client.call("list_branches", request)).branches == ["master", "release/1.0"]


CALLS: Final[dict[Operation, Callable[[Vendor, Sandbox], Awaitable[Any]]]] = {
    ("GET", AUTHS): list_authorizations,
    ("GET", f"{AUTHS}/{{repo_type}}/redirect"): show_redirect_url,
    ("POST", f"{AUTHS}/{{repo_type}}/oauth"): create_o_auth,
    ("POST", f"{AUTHS}/{{repo_type}}/personal"): create_personal_auth,
    ("POST", f"{AUTHS}/{{repo_type}}/password"): create_password_auth,
    ("DELETE", f"{AUTHS}/{{name}}"): delete_authorize,
    ("GET", f"{REPOS}/namespaces"): list_namespaces,
    ("GET", f"{REPOS}/{{namespace}}/projects"): list_projects,
    ("GET", f"{REPOS}/{{namespace}}/{{project}}/branches"): list_branches,
}
CREATING: Final = {call.__name__: call for call in CALLS.values() if call.__name__.startswith("create_")}
NAMED_TYPES: Final = {
    "show_redirect_url": "ShowRedirectUrlRequest",
    "create_o_auth": "CreateOAuthRequest",
    "create_personal_auth": "CreatePersonalAuthRequest",
    "create_password_auth": "CreatePasswordAuthRequest",
}


def test_every_call_of_the_sandbox_is_tested() -> None:
    assert set(CALLS) == served_by_servicestage()


def test_the_sandbox_and_the_sdk_have_the_same_calls() -> None:
    of_sdk = {name: one for name, one in operations(SERVICESTAGE).items() if one[1].startswith(f"{GIT}/")}
    assert {of_sdk.pop(name) for name in NOT_SERVED}.isdisjoint(CALLS)
    assert of_sdk == {call.__name__: operation for operation, call in CALLS.items()}


@pytest.mark.parametrize("operation", CALLS, ids=" ".join)
async def test_the_sdk_makes_each_call(vendor: Vendor, sandbox: Sandbox, operation: Operation) -> None:
    await CALLS[operation](vendor, sandbox)
    assert operation in {operations(SERVICESTAGE)[name] for name in vendor.called}


@pytest.mark.parametrize("name", sorted(NOT_SERVED))
async def test_a_call_that_is_not_served_does_not_exist(vendor: Vendor, name: str) -> None:
    request = getattr(vendor.models, f"{name.title().replace('_', '')}Request")
    given = {key: "some-thing" for key in request.attribute_map if key != "body"}
    with pytest.raises(vendor.errors.ClientRequestException) as caught:
        await vendor.call(name, request(**given, **({"body": {}} if "body" in request.attribute_map else {})))
    assert (caught.value.status_code, caught.value.error_code) == (404, "APIGW.0101")


@pytest.mark.parametrize("repo_type", ["github", "gitlab", "gitee", "bitbucket", "devcloud"])
@pytest.mark.parametrize("name", NAMED_TYPES)
async def test_the_sandbox_serves_the_types_that_the_sdk_names(
    vendor: Vendor, sandbox: Sandbox, name: str, repo_type: str
) -> None:
    comment = getattr(vendor.models, NAMED_TYPES[name]).repo_type.__doc__
    is_named = repo_type in re.findall(r"[a-z]+", comment.partition("：")[2].partition("。")[0])
    call = {**CREATING, "show_redirect_url": show_redirect_url}[name]
    if is_named and (name, repo_type) not in REFUSED_TYPES:
        made = await call(vendor, sandbox, repo_type)  # type: ignore[call-arg]
        assert isinstance(made, str) or made.authorization.repo_type == repo_type
    else:
        with pytest.raises(vendor.errors.ClientRequestException) as caught:
            await call(vendor, sandbox, repo_type)  # type: ignore[call-arg]
        assert caught.value.error_code == "SVCSTG.REPO.0401"


@pytest.fixture
async def client(sandbox: Sandbox, clean_environment: object) -> AsyncIterator[Vendor]:
    client = iam_client(sandbox)
    yield client
    client.close()


def token_request(v3: Any, sandbox: Sandbox, password: str) -> Any:
    domain = v3.PwdPasswordUserDomain(name=sandbox.user.domain_name)
    user = v3.PwdPasswordUser(name=sandbox.user.name, password=password, domain=domain)
    identity = v3.PwdIdentity(methods=["password"], password=v3.PwdPassword(user=user))
    scope = v3.AuthScope(project=v3.AuthScopeProject(name=sandbox.region))
    body = v3.KeystoneCreateUserTokenByPasswordRequestBody(auth=v3.PwdAuth(identity=identity, scope=scope))
    return v3.KeystoneCreateUserTokenByPasswordRequest(nocatalog="true", body=body)


async def test_the_sdk_makes_each_call_of_iam(sandbox: Sandbox, client: Vendor) -> None:
    found = await client.call("keystone_list_projects", client.models.KeystoneListProjectsRequest(name=sandbox.region))
    assert [(one.id, one.name) for one in found.projects] == [(sandbox.project_id, sandbox.region)]
    request = token_request(client.models, sandbox, sandbox.user.password.reveal())
    issued = await client.call("keystone_create_user_token_by_password", request)
    assert issued.token.project.id == sandbox.project_id
    address = f"{sandbox.endpoint}/v1/{sandbox.project_id}/git/auths"
    async with (
        ClientSession(headers={"X-Auth-Token": issued.x_subject_token}) as session,
        session.get(address) as response,
    ):
        assert response.status == 200
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("keystone_create_user_token_by_password", token_request(client.models, sandbox, "wrong"))
    assert caught.value.status_code == 401
    iam = Iam(sandbox.user, {}, Gateway("p", time.time), time.time)
    assert {operations("huaweicloudsdkiam.v3")[name] for name in client.called} == served(iam.routes())


async def refusal(vendor: Vendor, name: str, request: Any) -> tuple[int, str]:
    with pytest.raises(vendor.errors.ClientRequestException) as caught:
        await vendor.call(name, request)
    assert len(caught.value.request_id) == 32
    assert caught.value.error_msg
    return caught.value.status_code, caught.value.error_code


async def test_a_key_that_is_wrong_or_may_not_list_is_refused(sandbox: Sandbox, clean_environment: object) -> None:
    wrong = AccessKey(sandbox.access_key.access_key, "0" * 40)
    for key, expected in ((wrong, (401, "APIGW.0301")), (sandbox.access_key_without_list, (403, "IAM.0003"))):
        client = servicestage_client(sandbox, key)
        assert await refusal(client, "list_authorizations", client.models.ListAuthorizationsRequest()) == expected
        client.close()
