"""The recipes: each does what it says against a sandbox, and does it once however often it is run."""

import asyncio
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from support.command_runner import Ended, commands, records
from support.fake_servicestage import FakeServiceStage, Received
from support.promised_json import read_event

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Fault

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
NAME = "my-team"


def with_user(sandbox: Sandbox, **more: str) -> dict[str, str]:
    """The environment of a user, with the command and this Python on the path."""
    return commands.environ(sandbox, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more)


def in_ci(sandbox: Sandbox) -> dict[str, str]:
    """The environment where there is neither a user nor a browser, nor credentials but those that the recipe sets."""
    found = with_user(sandbox, CI="true", BROWSER="")
    return {name: value for name, value in found.items() if not name.startswith("HUAWEICLOUD_SDK_")}


def secrets_of_ci(sandbox: Sandbox) -> dict[str, str]:
    return {
        "OAUTH_HELPER_TOKEN": sandbox.token.token.reveal(),
        "GIT_TOKEN": sandbox.personal_token.reveal(),
    }


async def run_recipe(*command: object, environ: Mapping[str, str], given: str | None = None) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=DEVNULL if given is None else PIPE, stdout=PIPE, stderr=PIPE, env=dict(environ)
    )
    async with asyncio.timeout(50):
        out, err = await process.communicate(None if given is None else given.encode())
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def loaded(recipe: str) -> Any:
    return yaml.safe_load((RECIPES / recipe).read_text(encoding="utf-8"))


async def assert_one(sandbox: Sandbox, token_type: str) -> None:
    (record,) = await records(sandbox)
    assert (record["name"], record["repo_type"], record["token_type"]) == (NAME, "github", token_type)


def test_recipes_are_short_and_the_documents_lead_to_each() -> None:
    scripting = (ROOT / "docs" / "scripting.md").read_text(encoding="utf-8")
    found = sorted(path for path in RECIPES.iterdir() if path.is_file())
    assert len(found) == 6
    for recipe in found:
        assert f"(../recipes/{recipe.name})" in scripting
        assert len(recipe.read_text(encoding="utf-8").splitlines()) < 40


async def test_the_makefile_links_once_and_deletes(sandbox: Sandbox) -> None:
    environ = with_user(sandbox)
    make = (shutil.which("make") or "make", "--no-print-directory", "-f", RECIPES / "Makefile")
    for _ in range(2):
        end = await run_recipe(*make, "servicestage-link", environ=environ)
        assert end.status == 0, end.err
        assert f"Name      {NAME}" in end.out
    assert sandbox.calls["redirect-url"] == 1
    await assert_one(sandbox, "oauth")
    assert (await run_recipe(*make, "servicestage-unlink", environ=environ)).status == 0
    assert await records(sandbox) == []
    missing = await run_recipe(*make, "servicestage-unlink", environ=environ)
    assert missing.status == 2, "make's own, for whatever failed"


async def test_the_shell_script_links_once_and_prints_the_account(sandbox: Sandbox) -> None:
    for _ in range(2):
        end = await run_recipe(RECIPES / "onboard.sh", NAME, environ=with_user(sandbox))
        assert (end.status, end.out) == (0, "octocat\n"), end.err
    assert sandbox.calls["redirect-url"] == 1
    await assert_one(sandbox, "oauth")


async def test_the_shell_script_finishes_an_interrupted_link_without_asking_the_user_again() -> None:
    async with Sandbox(faults=[Fault.parse("exchange=500-after")]) as sandbox:
        key = sandbox.access_key_without_list
        limited = {"HUAWEICLOUD_SDK_AK": key.access_key, "HUAWEICLOUD_SDK_SK": key.secret_key.reveal()}
        unknown = await run_recipe(RECIPES / "onboard.sh", NAME, environ=with_user(sandbox, **limited))
        assert (unknown.status, unknown.out) == (8, "")
        assert unknown.err.count("error: ") == 2, "that of the link, and that of resume"
        for _ in range(2):
            end = await run_recipe(RECIPES / "onboard.sh", NAME, environ=with_user(sandbox, BROWSER="false"))
            assert (end.status, end.out) == (0, "octocat\n"), end.err
        assert sandbox.calls["redirect-url"] == 1
        await assert_one(sandbox, "oauth")


async def test_the_shell_script_ends_as_the_link_ends(sandbox: Sandbox) -> None:
    denied = await run_recipe(RECIPES / "onboard.sh", NAME, environ=with_user(sandbox, SCRIPTED_USER="deny"))
    assert (denied.status, denied.out) == (4, "")
    unasked = await run_recipe(RECIPES / "onboard.sh", environ=with_user(sandbox))
    assert "usage: onboard.sh NAME" in unasked.err
    assert unasked.status != 0


async def test_the_python_script_links_each_account_once(sandbox: Sandbox) -> None:
    for _ in range(2):
        end = await run_recipe(sys.executable, RECIPES / "onboard.py", environ=with_user(sandbox))
        assert (end.status, end.err) == (0, "")
        assert end.out.splitlines() == ["my-team-github: octocat", "my-team-gitee: octocat"]
    assert sandbox.calls["redirect-url"] == 2
    denied = await run_recipe(
        sys.executable, RECIPES / "onboard.py", environ=with_user(sandbox, HUAWEICLOUD_SDK_SK="wrong")
    )
    assert (denied.status, denied.out) == (3, "")
    assert len(denied.err.splitlines()) == 2


async def test_the_github_workflow_links_once(sandbox: Sandbox, tmp_path: Path) -> None:
    values = secrets_of_ci(sandbox) | {"PROVIDER_URN": "iam::a:oidc:p", "AGENCY_URN": "iam::a:agency:b"}
    *_, step = loaded("github-actions.yml")["jobs"]["link"]["steps"]
    environ = {
        name: re.sub(r"\$\{\{ \w+\.(\w+) \}\}", lambda at: values[at[1]], value) for name, value in step["env"].items()
    }
    script = tmp_path / "step.sh"
    script.write_text(step["run"])
    assert step["shell"] == "bash"
    # As GitHub starts it where a step says `shell: bash`.
    bash = ("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
    refusals = [{"error_code": "STS5.0010", "error_msg": "the token is not trusted"}]

    def respond(request: Received) -> web.Response:
        if request.method == "GET":  # GitHub's
            assert request.headers["Authorization"] == "bearer of-the-runner"
            return web.json_response({"value": "id-token"})
        assert json.loads(request.body)["id_token"] == "id-token"
        if len(sandbox.calls) > 1 and refusals:
            return web.json_response(refusals.pop(), status=403)
        key = {"access_key_id": sandbox.access_key.access_key, "security_token": "temporary"}
        key["secret_access_key"] = sandbox.access_key.secret_key.reveal()
        return web.json_response({"credentials": key})

    async with FakeServiceStage(respond) as server:
        environ |= {
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{server.endpoint}/token?api-version=2",
            "HUAWEICLOUD_SDK_STS_ENDPOINT": server.endpoint,
        }
        for status, words in ((0, f'Linked "{NAME}"'), (3, "not trusted"), (0, "")):
            end = await run_recipe(*bash, environ=in_ci(sandbox) | environ)
            assert end.status == status, end.err
            assert words in end.err
        await assert_one(sandbox, "personal")


async def test_the_codearts_build_links_once(sandbox: Sandbox) -> None:
    build = loaded("codearts-build.yml")
    *_, step = build["steps"]["BUILD"]
    parameters = {one["name"]: one["value"] for one in build["params"]} | secrets_of_ci(sandbox)
    for kept in (False, True):
        end = await run_recipe("bash", "-c", step["sh"]["inputs"]["command"], environ=in_ci(sandbox) | parameters)
        assert end.status == 0, end.err
        linked = read_event(end.out.splitlines()[-1])
        assert (linked["event"], linked["kept"]) == ("linked", kept)
        await assert_one(sandbox, "personal")


async def test_the_ansible_task_links_once_and_reports_a_change_only_then(sandbox: Sandbox) -> None:
    secrets = secrets_of_ci(sandbox)
    (play,) = loaded("ansible.yml")
    (task,) = play["tasks"]
    vault = {"iam_token": secrets["OAUTH_HELPER_TOKEN"], "git_token": secrets["GIT_TOKEN"]}

    def filled(text: str) -> str:
        return re.sub(r"\{\{ (\w+) \}\}", lambda at: (vault | play["vars"])[at[1]], text)

    command = task["ansible.builtin.command"]
    environ = {name: filled(value) for name, value in task["environment"].items()}
    assert task["changed_when"] == f"not ({task['register']}.stdout_lines | last | from_json).kept"
    for kept in (False, True):
        end = await run_recipe(
            *map(filled, command["argv"]), environ=in_ci(sandbox) | environ, given=filled(command["stdin"])
        )
        assert end.status == 0, end.err
        assert read_event(end.out.splitlines()[-1])["kept"] is kept
        await assert_one(sandbox, "personal")
