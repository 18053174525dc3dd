"""``link`` against the contract: by a redirect, a token and a password, with every event and all that is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from command import Ended, error_of, surroundings
from contract_server import CODE, CONSOLE, PASSWORD, STATE, TOKEN, USER, ContractServer
from forked_commands import run_command
from link_script import bring, scripted

PROOFS = {
    "personal": (("link", "gitlab", "--with-token", "--name", "my-auth"), TOKEN),
    "password": (("link", "devcloud", "--with-password", "--user", USER, "--name", "my-auth"), PASSWORD),
}


@pytest.fixture
async def server() -> AsyncIterator[ContractServer]:
    async with ContractServer() as server:
        yield server


async def link(server: ContractServer, kind: str, *options: str, given: str | None = None) -> Ended:
    command, secret = PROOFS[kind]
    return await run_command(
        *command, *options, environ=surroundings() | server.environment(), given=given or f"{secret}\n"
    )


def events_of(end: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in end.out.splitlines()]


async def test_a_redirect_is_exchanged(server: ContractServer) -> None:
    environ = surroundings() | server.environment()
    async with scripted("link", "github", "--name", "my-auth", "--tag", "intl", environ=environ) as script:
        await script.event("waiting")
        query = f"&code={CODE}&state={quote(STATE, safe='')}&iss=https%3A%2F%2Fgithub.com%2Flogin%2Foauth"
        await bring(script.listener, f"{CONSOLE}github{query}")
        assert (await script.ended()).status == 0
    assert script.names == ["checked", "waiting", "captured", "exchanging", "linked"]
    assert script.events[-1]["authorization"] == server.records["my-auth"]
    assert server.calls == {"list": 1, "redirect": 1, "oauth": 1}


@pytest.mark.parametrize("kind", PROOFS)
async def test_a_link_without_a_browser_is_one_list_and_one_creation(server: ContractServer, kind: str) -> None:
    end = await link(server, kind, "--json")
    assert end.status == 0, end.err
    assert json.loads(end.out) == server.records["my-auth"]
    assert server.records["my-auth"]["token_type"] == kind
    assert server.calls == {"list": 1, kind: 1}
    assert end.err.splitlines()[1:] == ["Asking ServiceStage to create the authorization.", "Linked my-auth."]
    again = await link(server, kind)
    assert (again.status, server.calls[kind]) == (0, 1)
    assert "Kept my-auth as it is" in again.err
    assert f"Type      {kind}" in again.out


@pytest.mark.parametrize("kind", PROOFS)
async def test_the_events_of_a_link_without_a_browser(server: ContractServer, kind: str) -> None:
    told = events_of(await link(server, kind, "--events"))
    assert [event["event"] for event in told] == ["checked", "exchanging", "linked"]
    assert {key: told[1][key] for key in ("attempt", "replaces", "kept")} == {
        "attempt": 1,
        "replaces": False,
        "kept": False,
    }
    assert told[-1]["authorization"] == server.records["my-auth"]
    kept = events_of(await link(server, kind, "--events"))
    assert [event["event"] for event in kept] == ["checked", "linked"]
    assert kept[-1]["kept"] is True
    failed = events_of(await link(server, kind, "--events", "--if-exists", "fail"))
    assert [event["event"] for event in failed] == ["failed"]
    assert failed[-1]["error"]["kind"] == "name-taken"


@pytest.mark.parametrize("kind", PROOFS)
async def test_what_stands_is_replaced_right_before(server: ContractServer, kind: str) -> None:
    before = server.put("my-auth", "github", "oauth", create_time=1)
    in_the_way = await link(server, kind, "--json")
    assert (in_the_way.status, error_of(in_the_way.err)["kind"]) == (6, "name-taken")
    assert server.calls == {"list": 1}
    told = events_of(await link(server, kind, "--events", "--if-exists", "replace"))
    assert [event["event"] for event in told] == ["checked", "exchanging", "linked"]
    assert told[1]["replaces"] is True
    assert server.records["my-auth"]["token_type"] == kind != before["token_type"]
    assert server.calls == {"list": 2, "delete": 1, kind: 1}


async def test_a_private_host_goes_along(server: ContractServer) -> None:
    end = await link(server, "personal", "--host", "https://git.example:8443/gitlab/")
    assert end.status == 0, end.err
    assert server.records["my-auth"]["repo_host"] == "https://git.example:8443/gitlab"


async def test_the_other_body_is_sent_where_the_documented_one_is_refused(server: ContractServer) -> None:
    server.understands = "terraform"
    end = await link(server, "password")
    assert end.status == 0, end.err
    assert server.calls == {"list": 1, "password": 2}
    assert "attempt" not in end.err


@pytest.mark.parametrize("kind", PROOFS)
@pytest.mark.parametrize(
    ("refused", "status", "error_kind", "hint"),
    [
        ((400, "SVCSTG.REPO.0451"), 6, "refused", "Check the "),
        ((400, "SVCSTG.REPO.0400"), 6, "refused", "Check the "),
        ((400, "SVCSTG.REPO.0401"), 6, "repository-not-implemented", "This region"),
        ((403, "IAM.0003"), 3, "not-permitted", "administrator"),
        ((401, "APIGW.0301"), 3, "credentials", ""),
    ],
)
async def test_a_creation_that_is_refused_is_not_sent_again(
    server: ContractServer, kind: str, refused: tuple[int, str], status: int, error_kind: str, hint: str
) -> None:
    server.refusals[kind] = refused
    end = await link(server, kind, "--json")
    assert (end.status, end.out) == (status, "")
    error = error_of(end.err)
    assert (error["kind"], error["code"]) == (error_kind, refused[1])
    assert hint in error["hint"]
    assert "resume" not in error["hint"]
    both_bodies = kind == "password" and refused[1].endswith("0400")
    assert server.calls == {"list": 1, kind: 2 if both_bodies else 1}


async def test_who_may_not_list_links_all_the_same(server: ContractServer) -> None:
    server.refusals["list"] = (403, "IAM.0003")
    end = await link(server, "personal")
    assert end.status == 0, end.err
    assert "may not list authorizations" in end.err
    taken = await link(server, "personal", "--json")
    assert (taken.status, error_of(taken.err)["kind"]) == (6, "name-taken")


@pytest.mark.parametrize("kind", PROOFS)
async def test_nothing_is_created_where_nothing_can_be_listed(server: ContractServer, kind: str) -> None:
    server.refusals["list"] = (503, "APIGW.0308")
    end = await link(server, kind, "--json")
    assert (end.status, error_of(end.err)["kind"]) == (7, "unusable-answer")
    assert server.calls == {"list": 4}
