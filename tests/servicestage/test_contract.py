"""Every request that commands send keeps ServiceStage's contract; what they print of its answers and refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from aiohttp import web
from support.command_runner import Ended, commands, error_of
from support.contract import contract_faults
from support.fake_servicestage import KEY, PROJECT, RECORD, FakeServiceStage, Received, answering
from support.link_script import bring, scripted

from oauth_helper.models import RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient

SECRET_KEYS = {"AccessKey": "SecretKey"}


async def test_every_operation_keeps_the_contract() -> None:
    """The fixture in conftest.py fails the test if a request that the sandbox received does not."""
    async with Sandbox(password_body="terraform") as sandbox:
        environ = commands.environ(sandbox)
        async with scripted("link", "github", "--name", "by-oauth", "--tag", "intl", environ=environ) as script:
            redirect = await script.consent()
            await bring(script.listener, redirect)
            assert (await script.ended()).status == 0
        token, password = sandbox.personal_token.reveal(), sandbox.git_password.reveal()
        for arguments, given in (
            (("link", "gitlab", "--with-token", "--host", "https://git.example:8443/", "--name", "by-token"), token),
            (("link", "devcloud", "--with-password", "--user", "a/octocat", "--name", "by-password"), password),
            (("repos", "by-token"), None),
            (("repos", "by-token", "octocat", "hello-world"), None),
            (("list",), None),
            (("delete", "by-oauth", "--yes"), None),
        ):
            end = await commands.run(*arguments, environ=environ, given=given)
            assert end.status == 0, end.err
    assert set(commands.operations) == {
        *("list", "redirect", "oauth", "personal", "password", "delete", "namespaces", "projects", "branches")
    }


async def test_a_violation_of_the_contract_is_found() -> None:
    async with (
        FakeServiceStage(answering({"authorization": RECORD})) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        await service.create_oauth(RepoType.GITHUB, name="my-auth", code=Secret("code"), state=Secret("state"))
    [sent] = fake.received

    def faults(request: Received) -> list[str]:
        return contract_faults(request.method, request.target, request.headers, request.body, PROJECT, SECRET_KEYS)

    assert faults(sent) == []
    assert faults(replace(sent, target=f"{sent.target}?tag=other")) == ["the signature"]
    assert faults(replace(sent, target=f"{sent.target}?other=1")) == ["query ['other']"]
    assert faults(replace(sent, target="/v1/other/git/auths")) == ["no such operation"]
    assert faults(replace(sent, body=sent.body.replace(b"code", b"cod3", 1))) != []
    assert faults(replace(sent, headers=dict(sent.headers) | {"X-Other": "1"})) == ["with X-Other"]
    assert faults(replace(sent, headers=dict(sent.headers) | {"X-Project-Id": "1"})) == ["X-Project-Id: 1"]


async def run(fake: FakeServiceStage, *arguments: str) -> Ended:
    environ = {"OAUTH_HELPER_ENDPOINT": fake.endpoint, "OAUTH_HELPER_PROJECT_ID": PROJECT}
    environ |= {"HUAWEICLOUD_SDK_AK": "AccessKey", "HUAWEICLOUD_SDK_SK": "SecretKey"}
    return await commands.run(*arguments, environ=commands.environ() | environ)


async def test_list_shows_each_record_as_it_came() -> None:
    expired = {"name": "second", "repo_type": "gitee", "repo_user": "ada", "status": 1, "tag": "intl", "new": {"a": 1}}
    async with FakeServiceStage(answering({"authorizations": [RECORD, expired], "count": 2})) as fake:
        as_json, table = await run(fake, "list", "--json"), await run(fake, "list")
    assert json.loads(as_json.out)[1].items() >= expired.items()
    assert table.out.splitlines()[2].split()[-1] == "expired"


TREE = {"group/tools": ["build", "deploy"], "group/attic": []}


def respond_with_tree(request: Received) -> web.Response:
    if request.target.endswith("/namespaces"):
        namespaces = [{"id": str(number), "name": name} for number, name in enumerate(TREE)]
        return web.json_response({"namespaces": namespaces})
    if request.target.endswith("/branches"):
        return web.json_response({"branches": ["main"] if "build" in request.target else []})
    name = next(name for name in TREE if name.replace("/", "%2F") in request.target)
    address = f"https://github.com/{name}"
    projects = [{"id": project, "name": project, "clone_url": f"{address}/{project}.git"} for project in TREE[name]]
    return web.json_response({"projects": projects})


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((), ["group/tools build https://github.com/group/tools/build.git", "group/tools deploy https://github.com/"]),
        (("group/tools",), ["group/tools build https://github.com/group/tools/build.git"]),
        (("group/attic",), ["It can access no project in group/attic."]),
        (("group/tools", "build"), ["main"]),
        (("group/tools", "deploy"), ["It has no branches."]),
    ],
)
async def test_repos_shows_what_the_authorization_can_see(arguments: tuple[str, ...], shown: list[str]) -> None:
    async with FakeServiceStage(respond_with_tree) as fake:
        end = await run(fake, "repos", "first", *arguments)
    assert end.status == 0, end.err
    assert all(line in " ".join((end.out + end.err).split()) for line in shown)


@pytest.mark.parametrize(
    ("arguments", "status", "code", "ends", "kind"),
    [
        (("list",), 401, "APIGW.0301", 3, "credentials"),
        (("list",), 404, "APIGW.0101", 6, "refused"),
        (("show", "first"), 403, "APIGW.0302", 3, "not-permitted"),
        (("delete", "first", "--yes"), 403, "IAM.0003", 3, "not-permitted"),
        (("repos", "first"), 400, "SVCSTG.REPO.0450", 6, "no-such-authorization"),
        (("repos", "first"), 400, "SVCSTG.REPO.0451", 6, "refused"),
        (("repos", "first", "group"), 503, "APIGW.0308", 7, "unusable-answer"),
        (("repos", "first", "group"), 400, "SVCSTG.REPO.0400", 6, "refused"),
    ],
)
async def test_a_refusal_has_a_status_and_json(
    arguments: tuple[str, ...], status: int, code: str, ends: int, kind: str
) -> None:
    document = {"error_code": code, "error_msg": "no"}
    headers = {"X-Request-Id": "0" * 32, "Retry-After": "0"}
    async with FakeServiceStage(answering(document, status, headers)) as fake:
        end = await run(fake, *arguments, "--json")
    assert (end.status, end.out) == (ends, "")
    error = error_of(end.err)
    assert (error["kind"], error["code"], error["request_id"]) == (kind, code, "0" * 32)
    if code == "SVCSTG.REPO.0400":
        assert "`oauth-helper repos first` lists them" in error["hint"]


@pytest.mark.parametrize(("code", "status", "verdict"), [("IAM.0003", 0, "note"), ("APIGW.0302", 3, "fail")])
async def test_doctor_passes_without_permission_to_list_but_not_without_permission_for_servicestage(
    code: str, status: int, verdict: str
) -> None:
    async with FakeServiceStage(answering({"error_code": code, "error_msg": "no"}, 403)) as fake:
        end = await run(fake, "doctor", "--json")
    assert end.status == status, end.out
    [service] = [one for one in json.loads(end.out) if one["subject"] == "service"]
    assert service["verdict"] == verdict
