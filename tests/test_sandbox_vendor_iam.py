"""Every call that the sandbox's IAM serves, made by the vendor's own client."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from vendor_client import VendorIam, operations, served

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import FaultInjector
from oauth_helper.sandbox.gateway import Gateway, Iam, Project

IAM: Final = "huaweicloudsdkiam.v3.IamClient"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox, clean_surroundings: object) -> AsyncIterator[VendorIam]:
    client = VendorIam(sandbox)
    yield client
    client.close()


def token_request(v3: Any, sandbox: Sandbox, password: str) -> Any:
    domain = v3.PwdPasswordUserDomain(name=sandbox.user.domain_name)
    user = v3.PwdPasswordUser(name=sandbox.user.name, password=password, domain=domain)
    identity = v3.PwdIdentity(methods=["password"], password=v3.PwdPassword(user=user))
    scope = v3.AuthScope(project=v3.AuthScopeProject(name=sandbox.region))
    body = v3.KeystoneCreateUserTokenByPasswordRequestBody(auth=v3.PwdAuth(identity=identity, scope=scope))
    return v3.KeystoneCreateUserTokenByPasswordRequest(nocatalog="true", body=body)


async def test_the_sdk_makes_each_call_to_iam(sandbox: Sandbox, client: VendorIam) -> None:
    found = await client.call("keystone_list_projects", client.v3.KeystoneListProjectsRequest(name=sandbox.region))
    assert [(one.id, one.name) for one in found.projects] == [(sandbox.project_id, sandbox.region)]
    request = token_request(client.v3, sandbox, sandbox.user.password.reveal())
    issued = await client.call("keystone_create_user_token_by_password", request)
    assert issued.token.project.id == sandbox.project_id
    address = f"{sandbox.endpoint}/v1/{sandbox.project_id}/git/auths"
    async with (
        ClientSession(headers={"X-Auth-Token": issued.x_subject_token}) as session,
        session.get(address) as response,
    ):
        assert response.status == 200
    with pytest.raises(client.errors.ClientRequestException) as caught:
        await client.call("keystone_create_user_token_by_password", token_request(client.v3, sandbox, "wrong"))
    assert caught.value.status_code == 401
    injector = FaultInjector((), now=time.time, duration=0)
    iam = Iam(
        user=sandbox.user, project=Project("p", "r"), gateway=Gateway(time.time), injector=injector, now=time.time
    )
    assert {operations(IAM)[name] for name in client.called} == served(iam.application())
