"""``doctor``, ``resume`` and ``apply`` against the contract."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from command import error_of, surroundings
from contract_server import CODE, CONSOLE, PASSWORD, STATE, TOKEN, ContractServer
from forked_commands import run_command
from link_script import bring, scripted

TEAM = """
[[authorization]]
name = "by-token"
repo_type = "gitlab"
method = "token"
host = "https://git.corp.example"
secret = "GIT_TOKEN"

[[authorization]]
name = "by-password"
repo_type = "bitbucket"
method = "password"
user = "ada"
secret = "GIT_PASSWORD"
"""


@pytest.fixture
async def server() -> AsyncIterator[ContractServer]:
    async with ContractServer() as server:
        yield server


def environment(server: ContractServer) -> dict[str, str]:
    return surroundings(GIT_TOKEN=TOKEN, GIT_PASSWORD=PASSWORD) | server.environment()


async def test_doctor_goes_on_without_the_list_but_not_without_servicestage(server: ContractServer) -> None:
    for code, status, verdict in (("IAM.0003", 0, "note"), ("APIGW.0302", 3, "fail")):
        server.refusals["list"] = (403, code)
        end = await run_command("doctor", "--json", environ=environment(server))
        assert end.status == status, end.out
        [service] = [one for one in json.loads(end.out) if one["subject"] == "service"]
        assert service["verdict"] == verdict


@pytest.fixture
def team(tmp_path: Path) -> str:
    (file := tmp_path / "team.toml").write_text(TEAM)
    return str(file)


async def test_apply_is_one_list_and_one_creation_for_each_that_is_missing(server: ContractServer, team: str) -> None:
    server.put("by-token", "gitlab", "personal")
    end = await run_command("apply", team, "--json", environ=environment(server))
    assert end.status == 0, end.err
    kept, made = json.loads(end.out)
    assert (kept["result"], made["result"]) == ("kept", "created")
    assert made["authorization"] == server.records["by-password"]
    assert server.calls == {"list": 1, "password": 1}


@pytest.mark.parametrize(("operation", "status", "ends"), [("list", 401, 3), ("personal", 400, 6)])
async def test_apply_tells_a_refusal(server: ContractServer, team: str, operation: str, status: int, ends: int) -> None:
    server.refusals[operation] = (status, "APIGW.0301" if status == 401 else "SVCSTG.REPO.0401")
    end = await run_command("apply", team, "--json", environ=environment(server))
    assert end.status == ends
    assert error_of(end.err)["code"] == server.refusals[operation][1]
    assert len(server.records) == (0 if operation == "list" else 1)


async def test_resume_sends_the_kept_redirect_and_has_nothing_to_do_afterwards(server: ContractServer) -> None:
    server.refusals["oauth"] = (401, "APIGW.0301")
    async with scripted("link", "github", "--name", "my-auth", environ=environment(server)) as script:
        await script.event("waiting")
        await bring(script.listener, f"{CONSOLE}github&code={CODE}&state={quote(STATE, safe='')}")
        assert (await script.ended()).status == 3
    del server.refusals["oauth"]
    for expected in (["my-auth"], []):
        end = await run_command("resume", "--json", environ=environment(server))
        assert end.status == 0, end.err
        assert [record["name"] for record in json.loads(end.out)] == expected
    assert server.calls["oauth"] == 2


async def test_doctor_asks_for_the_list_alone(server: ContractServer) -> None:
    end = await run_command("doctor", environ=environment(server))
    assert end.status == 0, end.out
    assert server.calls == {"list": 1}
