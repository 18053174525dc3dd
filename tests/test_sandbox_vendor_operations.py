"""Every call that the sandbox's ServiceStage serves, made by the vendor's own client, for every type of repository."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from vendor_client import Operation, Vendor, code_and_state, operations, served

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import FaultInjector
from oauth_helper.sandbox.gateway import Gateway
from oauth_helper.sandbox.git_host import GitHost
from oauth_helper.sandbox.servicestage import ServiceStage

SERVICESTAGE: Final = "huaweicloudsdkservicestage.v2.ServiceStageClient"
GIT: Final = "/v1/{project_id}/git"
AUTHS: Final = f"{GIT}/auths"
REPOS: Final = f"{GIT}/repos"
SERVED_BY_NONE: Final = frozenset(
    {
        # What a pipeline does with a repository once it is linked: no command of ours asks for it.
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
"""Types that the SDK names, and the sandbox refuses."""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def vendor(sandbox: Sandbox, clean_surroundings: object) -> AsyncIterator[Vendor]:
    client = Vendor(sandbox.endpoint, sandbox.access_key, sandbox.project_id)
    yield client
    client.close()


def served_by_servicestage() -> set[Operation]:
    injector = FaultInjector((), now=time.time, duration=0)
    git_host = GitHost("http://127.0.0.1:1", now=time.time, code_lifetime=1, decision=None)
    return served(
        ServiceStage(
            project_id="p",
            applications={},
            authorization_server=git_host,
            git_host=git_host,
            gateway=Gateway(time.time),
            injector=injector,
            now=time.time,
            password_body="documented",
        ).application()
    )


async def show_redirect_url(client: Vendor, sandbox: Sandbox, repo_type: str = "github") -> str:
    request = client.v2.ShowRedirectUrlRequest(repo_type=repo_type)
    shown = await client.call("show_redirect_url", request)
    assert f"repo_type%3D{repo_type}" in shown.url
    return str(shown.url)


async def create_o_auth(client: Vendor, sandbox: Sandbox, repo_type: str = "github") -> Any:
    # A type without OAuth has no address to consent at, and is refused whatever the code.
    git_credential = {"code": "0" * 20, "state": "s"}
    if repo_type != "devcloud":
        git_credential = await code_and_state(await show_redirect_url(client, sandbox, repo_type))
    body = client.v2.OAuth(name="my-auth", **git_credential)
    return await client.call("create_o_auth", client.v2.CreateOAuthRequest(repo_type=repo_type, body=body))


async def create_personal_auth(client: Vendor, sandbox: Sandbox, repo_type: str = "github") -> Any:
    body = client.v2.AccessToken(name="my-auth", token=sandbox.personal_token.reveal())
    request = client.v2.CreatePersonalAuthRequest(repo_type=repo_type, body=body)
    return await client.call("create_personal_auth", request)


async def create_password_auth(client: Vendor, sandbox: Sandbox, repo_type: str = "bitbucket") -> Any:
    body = client.v2.AccessPassword(name="my-auth", user=sandbox.git_user, password=sandbox.git_password.reveal())
    request = client.v2.CreatePasswordAuthRequest(repo_type=repo_type, body=body)
    return await client.call("create_password_auth", request)


async def list_authorizations(client: Vendor, sandbox: Sandbox) -> None:
    made = (await create_personal_auth(client, sandbox)).authorization
    (listed,) = (await client.call("list_authorizations", client.v2.ListAuthorizationsRequest())).authorizations
    assert {key: value for key, value in listed.to_dict().items() if key != "tag"} == made.to_dict()


async def delete_authorize(client: Vendor, sandbox: Sandbox) -> None:
    await create_personal_auth(client, sandbox)
    await client.call("delete_authorize", client.v2.DeleteAuthorizeRequest(name="my-auth"))
    assert (await client.call("list_authorizations", client.v2.ListAuthorizationsRequest())).authorizations == []


async def list_namespaces(client: Vendor, sandbox: Sandbox) -> None:
    await create_personal_auth(client, sandbox)
    seen = await client.call("list_namespaces", client.v2.ListNamespacesRequest(x_repo_auth="my-auth"))
    assert sandbox.git_user in [namespace.name for namespace in seen.namespaces]


async def list_projects(client: Vendor, sandbox: Sandbox) -> None:
    await create_personal_auth(client, sandbox)
    request = client.v2.ListProjectsRequest(x_repo_auth="my-auth", namespace=sandbox.git_user)
    projects = (await client.call("list_projects", request)).projects
    assert [project.name for project in projects] == ["hello-world", "spoon-knife", "empty"]


async def list_branches(client: Vendor, sandbox: Sandbox) -> None:
    await create_personal_auth(client, sandbox)
    request = client.v2.ListBranchesRequest(x_repo_auth="my-auth", namespace=sandbox.git_user, project="hello-world")
    assert (await client.call("list_branches", request)).branches == ["main", "develop", "feature/login"]


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


def test_no_call_that_the_sandbox_serves_is_left_out() -> None:
    assert set(CALLS) == served_by_servicestage()


def test_the_sandbox_and_the_sdk_have_the_same_git_calls_but_those_we_do_not_make() -> None:
    of_sdk = {name: one for name, one in operations(SERVICESTAGE).items() if one[1].startswith(f"{GIT}/")}
    assert {of_sdk.pop(name) for name in SERVED_BY_NONE}.isdisjoint(CALLS)
    assert of_sdk == {call.__name__: operation for operation, call in CALLS.items()}


@pytest.mark.parametrize("operation", CALLS, ids=" ".join)
async def test_the_sdk_makes_each_call(vendor: Vendor, sandbox: Sandbox, operation: Operation) -> None:
    await CALLS[operation](vendor, sandbox)
    assert operation in {operations(SERVICESTAGE)[name] for name in vendor.called}


@pytest.mark.parametrize("name", sorted(SERVED_BY_NONE))
async def test_a_call_that_we_do_not_make_is_not_there(vendor: Vendor, name: str) -> None:
    request = getattr(vendor.v2, f"{name.title().replace('_', '')}Request")
    given = {key: "some-thing" for key in request.attribute_map if key != "body"}
    with pytest.raises(vendor.errors.ClientRequestException) as caught:
        await vendor.call(name, request(**given, **({"body": {}} if "body" in request.attribute_map else {})))
    assert (caught.value.status_code, caught.value.error_code) == (404, "APIGW.0101")


@pytest.mark.parametrize("repo_type", ["github", "gitlab", "gitee", "bitbucket", "devcloud"])
@pytest.mark.parametrize("name", NAMED_TYPES)
async def test_the_types_that_the_sdk_names_are_those_that_are_served(
    vendor: Vendor, sandbox: Sandbox, name: str, repo_type: str
) -> None:
    comment = getattr(vendor.v2, NAMED_TYPES[name]).repo_type.__doc__
    is_named = repo_type in re.findall(r"[a-z]+", comment.partition("：")[2].partition("。")[0])
    call = {**CREATING, "show_redirect_url": show_redirect_url}[name]
    if is_named and (name, repo_type) not in REFUSED_TYPES:
        made = await call(vendor, sandbox, repo_type)  # type: ignore[call-arg]
        assert isinstance(made, str) or made.authorization.repo_type == repo_type
    else:
        with pytest.raises(vendor.errors.ClientRequestException) as caught:
            await call(vendor, sandbox, repo_type)  # type: ignore[call-arg]
        assert caught.value.error_code == "SVCSTG.REPO.0401"
