"""``list``, ``show``, ``delete`` and ``repos`` against the contract: success, nothing, errors, and ``--json``."""

import json
from collections.abc import AsyncIterator

import pytest
from command import Ended, error_of, surroundings
from contract_server import ContractServer
from forked_commands import run_command

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
]
"""Of each operation, two ways or one; how each code is understood is tested where that is decided."""


@pytest.fixture
async def server() -> AsyncIterator[ContractServer]:
    async with ContractServer(namespaces={name: dict(projects) for name, projects in NAMESPACES.items()}) as server:
        yield server


async def run(server: ContractServer, *arguments: str) -> Ended:
    return await run_command(*arguments, environ=surroundings() | server.environment())


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


@pytest.mark.parametrize(("code", "kind"), [("0450", "no-such-authorization"), ("0451", "refused")])
async def test_repos_of_an_authorization_that_is_missing_or_not_good(
    server: ContractServer, code: str, kind: str
) -> None:
    server.refusals["namespaces"] = (400, f"SVCSTG.REPO.{code}")
    end = await run(server, "repos", "none", "--json")
    assert (end.status, end.out, error_of(end.err)["kind"]) == (6, "", kind)
    assert server.calls == {"namespaces": 1}


async def test_the_hint_for_a_namespace_that_is_not_there_leads_to_those_that_are(server: ContractServer) -> None:
    server.refusals["projects"] = (400, "SVCSTG.REPO.0400")
    end = await run(server, "repos", "first", "nobody", "--json")
    assert "`oauth-helper repos first` shows what there is" in error_of(end.err)["hint"]
    up = await run(server, "repos", "first", "..", "--json")
    assert (up.status, error_of(up.err)["kind"]) == (2, "usage")
