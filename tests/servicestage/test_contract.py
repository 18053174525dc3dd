"""Every command against a server that checks each request against the API reference."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.command_runner import Ended, commands, error_of
from support.fake_servicestage import CODE, CONSOLE, PASSWORD, PERSONAL_TOKEN, STATE, USER, ContractServer
from support.link_script import bring, scripted

NAMESPACES = {
    "someone": {"hello": ["main", "feature/login"], "tea.pot": []},
    "group/tools": {"build": ["main"]},
    "group/attic": {},
}

COMMANDS = {
    "list": ("list",),
    "show": ("show", "first"),
    "delete": ("delete", "first", "--yes"),
    "namespaces": ("repos", "first"),
    "projects": ("repos", "first", "group/tools"),
    "branches": ("repos", "first", "someone", "hello"),
}

REFUSALS = [
    ("list", (401, "APIGW.0301"), 3, "credentials"),
    ("list", (404, "APIGW.0101"), 6, "refused"),
    ("show", (403, "APIGW.0302"), 3, "not-permitted"),
    ("show", (500, "SVCSTG.REPO.0500"), 7, "unusable-answer"),
    ("delete", (403, "IAM.0003"), 3, "not-permitted"),
    ("delete", (500, "SVCSTG.REPO.0500"), 7, "unusable-answer"),
    ("namespaces", (400, "SVCSTG.REPO.0400"), 6, "refused"),
    ("namespaces", (401, "APIGW.0301"), 3, "credentials"),
    ("projects", (503, "APIGW.0308"), 7, "unusable-answer"),
    ("branches", (400, "SVCSTG.REPO.0400"), 6, "refused"),
    ("namespaces", (400, "SVCSTG.REPO.0450"), 6, "no-such-authorization"),
    ("namespaces", (400, "SVCSTG.REPO.0451"), 6, "refused"),
]
"""Of each operation, two ways or one; how each code is understood is tested where that is decided."""


@pytest.fixture
async def server() -> AsyncIterator[ContractServer]:
    async with ContractServer(namespaces={name: dict(projects) for name, projects in NAMESPACES.items()}) as server:
        yield server


async def run(server: ContractServer, *arguments: str) -> Ended:
    return await commands.run_forked(*arguments, environ=commands.environ() | server.environment())


async def printed(server: ContractServer, *arguments: str) -> object:
    end = await run(server, *arguments, "--json")
    assert end.status == 0, end.err
    return json.loads(end.out)


async def test_list_shows_each_record_as_it_came(server: ContractServer) -> None:
    assert await printed(server, "list") == []
    assert "There are none." in (await run(server, "list")).err
    records = [server.put("first"), server.put("second", "gitee", "personal", status=1, tag="intl", new={"a": 1})]
    assert await printed(server, "list") == [records[0] | {"tag": None}, records[1]]
    table = (await run(server, "list")).out.splitlines()
    assert [line.split() for line in table] == [
        ["NAME", "GIT", "HOST", "ACCOUNT", "TYPE", "STATUS"],
        ["first", "github", "someone", "oauth", "0", "(normal)"],
        ["second", "gitee", "someone", "personal", "1", "(expired)"],
    ]
    assert server.calls == {"list": 4}


async def test_show_shows_the_one_and_says_where_there_is_none(server: ContractServer) -> None:
    record = server.put("first")
    assert await printed(server, "show", "first") == record | {"tag": None}
    assert "Account   someone" in (await run(server, "show", "first")).out
    missing = await run(server, "show", "First", "--json")
    assert (missing.status, missing.out, error_of(missing.err)["kind"]) == (6, "", "no-such-authorization")


async def test_delete_deletes_all_or_none(server: ContractServer) -> None:
    for name in ("first", "second", "third"):
        server.put(name)
    none = await run(server, "delete", "first", "fourth", "--yes", "--json")
    assert (none.status, none.out) == (6, "")
    assert "Nothing was deleted" in error_of(none.err)["message"]
    assert (await run(server, "delete", "first")).status == 2
    assert server.calls["delete"] == 0
    gone = await printed(server, "delete", "first", "second", "first", "--yes")
    assert isinstance(gone, list)
    assert [one["name"] for one in gone] == ["first", "second"]
    assert (await run(server, "delete", "third", "--yes")).out == ""
    assert server.records == {}


async def test_repos_walks_from_namespaces_to_branches(server: ContractServer) -> None:
    tree = await printed(server, "repos", "first")
    assert isinstance(tree, list)
    assert [(one["id"], one["name"]) for one in tree] == [("0", "someone"), ("1", "group/tools"), ("2", "group/attic")]
    build = {"id": "0", "name": "build", "clone_url": "https://github.com/group/tools/build.git"}
    assert [one["projects"] for one in tree[1:]] == [[build], []]
    assert server.calls == {"namespaces": 1, "projects": 3}
    assert await printed(server, "repos", "first", "group/tools") == [build]
    assert await printed(server, "repos", "first", "someone", "hello") == ["main", "feature/login"]
    table = (await run(server, "repos", "first")).out.splitlines()
    assert table[0].split() == ["NAMESPACE", "PROJECT", "CLONE", "URL"]
    assert [line.split() for line in table[1:]] == [
        ["someone", "hello", "https://github.com/someone/hello.git"],
        ["someone", "tea.pot", "https://github.com/someone/tea.pot.git"],
        ["group/tools", "build", "https://github.com/group/tools/build.git"],
    ]
    assert (await run(server, "repos", "first", "group/tools")).out.splitlines()[1] == table[3]
    assert (await run(server, "repos", "first", "someone", "hello")).out == "main\nfeature/login\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("first",), "It can see 2 namespaces, and no project in any of them."),
        (("first", "group/attic"), "It can see no project in group/attic."),
        (("first", "someone", "empty"), "It has no branches."),
    ],
)
async def test_repos_says_where_there_is_nothing(
    server: ContractServer, arguments: tuple[str, ...], words: str
) -> None:
    server.namespaces = {"group/attic": {}, "lone": {}}
    if len(arguments) > 2:
        server.namespaces = {"someone": {"empty": []}}
    end = await run(server, "repos", *arguments)
    assert (end.status, end.out, end.err) == (0, "", f"{words}\n")
    as_json = await run(server, "repos", *arguments, "--json")
    assert (as_json.status, as_json.err) == (0, f"{words}\n")
    assert json.loads(as_json.out) == ([] if len(arguments) > 1 else tree_of("group/attic", "lone"))
    server.namespaces = {}
    assert (await run(server, "repos", "first")).err == "It can see no namespaces.\n"
    assert await printed(server, "repos", "first") == []


def tree_of(*names: str) -> list[object]:
    return [{"id": str(number), "name": name, "projects": []} for number, name in enumerate(names)]


@pytest.mark.parametrize(("operation", "refused", "status", "kind"), REFUSALS)
async def test_every_refusal_has_a_status_words_and_json(
    server: ContractServer, operation: str, refused: tuple[int, str], status: int, kind: str
) -> None:
    server.put("first")
    server.refusals["list" if operation == "show" else operation] = refused
    end = await run(server, *COMMANDS[operation], "--json")
    assert (end.status, end.out) == (status, "")
    error = error_of(end.err)
    assert (error["kind"], error["code"], error["request_id"]) == (kind, refused[1], "0" * 32)
    assert set(error) == {"kind", "message", "hint", "code", "request_id"}


async def test_the_hint_for_a_namespace_that_is_not_there_leads_to_those_that_are(server: ContractServer) -> None:
    server.refusals["projects"] = (400, "SVCSTG.REPO.0400")
    end = await run(server, "repos", "first", "nobody", "--json")
    assert "`oauth-helper repos first` shows what there is" in error_of(end.err)["hint"]
    up = await run(server, "repos", "first", "..", "--json")
    assert (up.status, error_of(up.err)["kind"]) == (2, "usage")


PROOFS = {
    "personal": (("link", "gitlab", "--with-token", "--name", "my-auth"), PERSONAL_TOKEN),
    "password": (("link", "devcloud", "--with-password", "--user", USER, "--name", "my-auth"), PASSWORD),
}


async def link(server: ContractServer, kind: str, *options: str, given: str | None = None) -> Ended:
    command, secret = PROOFS[kind]
    return await commands.run_forked(
        *command, *options, environ=commands.environ() | server.environment(), given=given or f"{secret}\n"
    )


def events_of(end: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in end.out.splitlines()]


async def test_a_redirect_is_exchanged(server: ContractServer) -> None:
    environ = commands.environ() | server.environment()
    async with scripted("link", "github", "--name", "my-auth", "--tag", "intl", environ=environ) as script:
        await script.event("waiting")
        query = (
            f"&code={CODE.reveal()}&state={quote(STATE.reveal(), safe='')}&iss=https%3A%2F%2Fgithub.com%2Flogin%2Foauth"
        )
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


def environment(server: ContractServer) -> dict[str, str]:
    return commands.environ(GIT_TOKEN=PERSONAL_TOKEN, GIT_PASSWORD=PASSWORD) | server.environment()


async def test_doctor_goes_on_without_the_list_but_not_without_servicestage(server: ContractServer) -> None:
    for code, status, verdict in (("IAM.0003", 0, "note"), ("APIGW.0302", 3, "fail")):
        server.refusals["list"] = (403, code)
        end = await commands.run_forked("doctor", "--json", environ=environment(server))
        assert end.status == status, end.out
        [service] = [one for one in json.loads(end.out) if one["subject"] == "service"]
        assert service["verdict"] == verdict


@pytest.fixture
def team(tmp_path: Path) -> str:
    (file := tmp_path / "team.toml").write_text(TEAM)
    return str(file)


async def test_apply_is_one_list_and_one_creation_for_each_that_is_missing(server: ContractServer, team: str) -> None:
    server.put("by-token", "gitlab", "personal")
    end = await commands.run_forked("apply", team, "--json", environ=environment(server))
    assert end.status == 0, end.err
    kept, made = json.loads(end.out)
    assert (kept["result"], made["result"]) == ("kept", "created")
    assert made["authorization"] == server.records["by-password"]
    assert server.calls == {"list": 1, "password": 1}


@pytest.mark.parametrize(("operation", "status", "ends"), [("list", 401, 3), ("personal", 400, 6)])
async def test_apply_tells_a_refusal(server: ContractServer, team: str, operation: str, status: int, ends: int) -> None:
    server.refusals[operation] = (status, "APIGW.0301" if status == 401 else "SVCSTG.REPO.0401")
    end = await commands.run_forked("apply", team, "--json", environ=environment(server))
    assert end.status == ends
    assert error_of(end.err)["code"] == server.refusals[operation][1]
    assert len(server.records) == (0 if operation == "list" else 1)


async def test_resume_sends_the_kept_redirect_and_has_nothing_to_do_afterwards(server: ContractServer) -> None:
    server.refusals["oauth"] = (401, "APIGW.0301")
    async with scripted("link", "github", "--name", "my-auth", environ=environment(server)) as script:
        await script.event("waiting")
        await bring(script.listener, f"{CONSOLE}github&code={CODE.reveal()}&state={quote(STATE.reveal(), safe='')}")
        assert (await script.ended()).status == 3
    del server.refusals["oauth"]
    for expected in (["my-auth"], []):
        end = await commands.run_forked("resume", "--json", environ=environment(server))
        assert end.status == 0, end.err
        assert [record["name"] for record in json.loads(end.out)] == expected
    assert server.calls["oauth"] == 2
