"""What commands read from standard input and print on standard output: encodings, waiting, JSON, printed commands."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from aiohttp import web
from support.command_runner import commands, error_of, line_with
from support.fake_servicestage import FakeServiceStage, Received
from support.link_script import scripted
from support.promised_json import read_event
from support.thoroughness import some_of

from oauth_helper.sandbox import Sandbox

ENTRY = '[[authorization]]\nname = "web-team"\nrepo_type = "gitee"\nmethod = "token"\nsecret = "GITEE_TOKEN"\n'
RECORD = {
    "name": "web-team",
    "repo_type": "gitee",
    "repo_user": "李雷😀" + "u" * 300,
    "repo_host": "https://gitee.example/Ł",
    "status": 0,
}
ENCODINGS = ("ascii", "gbk", "cp437:strict", "utf-16")


def fake(record: dict[str, object] = RECORD) -> FakeServiceStage:
    async def respond(request: Received) -> web.Response:
        if "namespaces" in request.target:
            return web.json_response({"namespaces": []})
        return web.json_response({"authorizations": [record], "authorization": record})

    return FakeServiceStage(respond)


def access(service: FakeServiceStage, **more: str) -> dict[str, str]:
    keys = {"OAUTH_HELPER_ENDPOINT": service.endpoint, "OAUTH_HELPER_PROJECT_ID": "0" * 32, "OAUTH_HELPER_TOKEN": "t"}
    return commands.environ(None, **keys, **more)


@pytest.mark.parametrize("encoding", some_of(ENCODINGS, one_in=2))
async def test_no_encoding_makes_an_error_of_a_success(encoding: str) -> None:
    plain = encoding.partition(":")[0]
    async with fake() as service:
        environ = access(service, PYTHONIOENCODING=encoding, PYTHONUTF8="0", OAUTH_HELPER_LANG="zh")
        for given in (
            ("list",),
            ("show", "web-team"),
            ("link", "gitee", "--name", "web-team", "--with-token"),
            ("--help",),
            ("link", "--help"),
            ("--version",),
            ("doctor",),
            ("completion", "bash"),
        ):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "oauth_helper", *given), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environ
            )
            out, err = await process.communicate(b"token\n")
            assert process.returncode == 0, err.decode(plain)
            if given[0] != "completion":
                assert out.decode(plain)
            if given[0] in {"show", "link"} and len(given) != 2 and plain != "utf-16":
                assert r"\U0001f600" + "u" * 300 in out.decode(plain), "escaped, and not cut"


async def test_utf_16_on_standard_input_is_named_or_read(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    token = await commands.run("link", "gitee", "--with-token", environ=environ, given="token\r\n".encode("utf-16"))
    listed = await commands.run("apply", "-", environ=environ, given=ENTRY.encode("utf-16"))
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "latin-1"):
        async with scripted("link", "github", "--name", f"as-{encoding}", environ=environ) as link:
            text = f"Ü {await link.consent()}\r\n".encode(encoding)
            delivered = await commands.run("deliver", environ=environ, given=text)
            assert (delivered.status, (await link.ended()).status) == (0, 0), delivered.err
    for end in (token, listed):
        assert (end.status, "UTF-16" in end.err) == (2, True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("link", "gitee", "--with-token", "--name", "web-team"), "Reading the token from standard input"),
        (("apply", "-"), "Reading Standard input"),
        (("deliver",), "Reading the address from standard input"),
    ],
)
async def test_a_pipe_that_brings_nothing_is_named_after_a_moment(
    sandbox: Sandbox, given: tuple[str, ...], words: str
) -> None:
    token = sandbox.personal_token.reveal()
    environ = commands.environ(sandbox, GITEE_TOKEN=f"{token}\n")
    async with commands.running(*given, environ=environ, stdin=PIPE) as process:
        await line_with(process.stderr, words)
        end = await commands.ended(process, (token if "link" in given else ENTRY).encode())
    assert end.status == (9 if given == ("deliver",) else 0), end.err
    quick = await commands.run(*given, environ=environ, given=token if "link" in given else ENTRY)
    assert "Reading" not in quick.err


@pytest.mark.parametrize(("value", "words"), [("token\r", "CARRIAGE RETURN"), ("token\n\n", "LINE FEED")])
async def test_a_secret_of_apply_that_can_be_none_is_named_by_its_variable(
    sandbox: Sandbox, value: str, words: str
) -> None:
    environ = commands.environ(sandbox, GITEE_TOKEN=value)
    end = await commands.run("apply", "-", "--json", environ=environ, given=ENTRY)
    assert sandbox.calls.total() == 1, "the list"
    message = error_of(end.err)["message"]
    assert end.status == 2
    assert message.startswith("Entry 1: the environment variable GITEE_TOKEN: ")
    assert words in message
    assert json.loads(end.out)[0]["result"] == "not reached"


async def test_apply_reads_what_a_command_prints(sandbox: Sandbox, tmp_path: Path) -> None:
    environ = commands.environ(sandbox, GITEE_TOKEN=sandbox.personal_token.reveal())
    (tmp_path / "team.toml").write_bytes(b"\xef\xbb\xbf" + ENTRY.replace("\n", "\r\n").encode())
    command = f"{shlex.quote(sys.executable)} -m oauth_helper apply"
    for script in (
        f"{command} <(cat team.toml)",
        f"{command} - <team.toml",
        f"cat team.toml | {command} /dev/stdin",
    ):
        process = await asyncio.create_subprocess_exec("bash", "-c", script, env=environ, cwd=tmp_path, stdout=PIPE)
        out, _ = await process.communicate()
        assert (process.returncode, b"web-team" in out) == (0, True)


async def test_credentials_of_the_cloud_are_never_sent_to_a_git_host(sandbox: Sandbox) -> None:
    ours = ("HUAWEICLOUD_SDK_SK", "huaweicloud_sdk_ak", "OAUTH_HELPER_TOKEN", "HW_AUTH_TOKEN", "OS_PASSWORD")
    more = ("CLOUD_SDK_SK", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "HUAWEICLOUD_OIDC_ID_TOKEN")
    for variable in (*ours, *more):
        text = ENTRY.replace("GITEE_TOKEN", variable) + 'host = "https://git.example"\n'
        environ = commands.environ(sandbox, **{variable: "value"})
        end = await commands.run("apply", "-", "--dry-run", environ=environ, given=text)
        assert (end.status, sandbox.calls.total()) == (3, 0)
        assert "entry 1" in end.err


async def test_the_plan_shows_each_variable_and_where_it_is_sent(sandbox: Sandbox) -> None:
    text = ENTRY + ENTRY.replace("web-team", "own-host") + 'host = "https://git.example:8443/x"\n'
    text += '[[authorization]]\nname = "in-browser"\nrepo_type = "gitlab"\n'
    environ = commands.environ(sandbox, GITEE_TOKEN="t")
    end = await commands.run("apply", "-", "--dry-run", "--json", environ=environ, given=text)
    shown = [(one["plan"], one["secret"], one["host"]) for one in json.loads(end.out)]
    table = (await commands.run("apply", "-", "--dry-run", environ=environ, given=text)).out
    assert shown == [
        ("create", "GITEE_TOKEN", "https://gitee.com"),
        ("create", "GITEE_TOKEN", "https://git.example:8443/x"),
        ("create", None, None),
    ]
    assert "GITEE_TOKEN  https://git.example:8443/x" in table


async def test_a_result_is_one_of_four_words_and_prose_is_in_the_error() -> None:
    text = ENTRY + ENTRY.replace("web-team", "web-other")
    async with fake(RECORD | {"repo_type": "github"}) as service:
        environ = access(service, GITEE_TOKEN="t")
        end = await commands.run("apply", "-", "--json", environ=environ, given=text)
        plan = await commands.run("apply", "-", "--json", "--dry-run", environ=environ, given=text)
    assert (end.status, plan.status) == (6, 6)
    assert [one["result"] for one in json.loads(end.out)] == ["failed", "not reached"]
    assert [one["plan"] for one in json.loads(plan.out)] == ["blocked", "create"]
    for out in (end.out, plan.out):
        assert "type github" in json.loads(out)[0]["error"]["message"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (" web-team", "character 1 is U+0020 SPACE"),
        ("web\u200bteam", "character 4 is U+200B ZERO WIDTH SPACE"),
        ("web\nteam", "character 4 is U+000A LINE FEED"),
        ("web/team", 'character 4 is "/"'),
        ("网站团队", 'character 1 is "网"'),
        ("web", 'Invalid name "web": it has 3 characters'),
        ("w" * 64, "it has 64 characters"),
    ],
)
async def test_what_is_wrong_in_a_name_is_shown(name: str, words: str) -> None:
    end = await commands.run(
        "link", "gitee", "--with-token", "--name", name, "--json", environ=commands.environ(), given="t"
    )
    assert (end.status, words in error_of(end.err)["message"]) == (2, True), end.err


async def test_users_whose_names_have_other_letters_do_not_share_an_authorization(sandbox: Sandbox) -> None:
    given, names, environ = sandbox.personal_token.reveal(), [], commands.environ(sandbox)
    for user in ("王芳", "赵敏", "王芳", "renée", "renèe", "renee", "MSHOME\\ada"):
        environ |= {"LOGNAME": user, "USER": user}
        end = await commands.run("link", "gitee", "--with-token", "--json", environ=environ, given=given)
        assert end.status == 0, end.err
        names.append(json.loads(end.out)["name"])
    again = await commands.run("link", "gitee", "--with-token", environ=environ, given=given)
    assert names[0] == names[2]
    assert len(set(names)) == 6
    assert names[5:] == ["gitee-renee", "gitee-MSHOME-ada"]
    assert "is already linked (octocat on Gitee); kept" in again.err


async def test_json_tells_what_was_deleted_before_a_failure() -> None:
    async def respond(request: Received) -> web.Response:
        if request.method == "DELETE" and "second" in request.target:
            return web.json_response({"error_code": "SVCSTG.REPO.0400", "error_msg": "no"}, status=400)
        return web.json_response({"authorizations": [RECORD | {"name": name} for name in ("first", "second", "third")]})

    async with FakeServiceStage(respond) as service:
        end = await commands.run("delete", "-yq", "first", "second", "third", "--json", environ=access(service))
    assert end.status == 6
    assert [one["name"] for one in json.loads(end.out)] == ["first"]
    assert "Deleted before that: first" in error_of(end.err)["message"]


async def test_the_sandboxs_json_is_one_object_of_strings() -> None:
    async with commands.running("sandbox", "--json", environ=commands.environ()) as process:
        assert process.stdout
        told = json.loads(await process.stdout.readline())
    ours = {f"OAUTH_HELPER_{name}" for name in ("ENDPOINT", "PROJECT_ID", "IAM_ENDPOINT", "TOKEN")}
    assert set(told) == {*ours, "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "git_user", "git_token", "git_password"}
    assert all(isinstance(value, str) and value for value in told.values())


async def test_events_end_with_failed_whatever_happens() -> None:
    code = (
        "import sys, oauth_helper.api as w\n"
        "def broken(*a, **k): raise ZeroDivisionError('planted')\n"
        "w.open_sandbox = broken\n"
        "from oauth_helper.cli import main\n"
        "sys.exit(main(['link', 'github', '--sandbox', '--events']))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=commands.environ(), stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    last = read_event(out.splitlines()[-1])
    assert (process.returncode, last["event"], last["error"]["kind"]) == (1, "failed", "fault")
    assert last["error"] == error_of(err.decode())


@pytest.mark.parametrize("script", ["ulimit -n 9", "ulimit -v 60000"])
async def test_what_the_machine_lacks_is_status_9(script: str) -> None:
    command = (
        f"{script}; exec {shlex.quote(sys.executable)} -m oauth_helper link github --sandbox --browser none --timeout 2"
    )
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command), env=commands.environ(), stdout=PIPE, stderr=PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 9, err.decode()
    assert b"fault in oauth-helper" not in err
