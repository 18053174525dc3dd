"""A secret that is given where something else belongs is in no error; escape sequences in what is given are escaped."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_runner import commands, error_of, line_with

from oauth_helper.sandbox import Sandbox

TOKENS = (
    "ghp_4bX9planted7Qz1Wm5Rt8Yk2",
    "glpat-planted_9Xq-2LmZ",
    "0f1e2d3cplanted0f1e2d3c",
    "eyJwbGFudGVk.planted.x9",
)
ADDRESS = "https://console.example/x?code=planted8f3a&state=%242a%2410%24planted"
PLACES: tuple[tuple[str, ...], ...] = (
    ("{}",),
    ("link", "{}"),
    ("link", "github", "{}"),
    ("link", "github", "--with-token", "{}"),
    ("link", "github", "--{}"),
    ("link", "github", "--json={}"),
    ("link", "github", "--port", "{}"),
    ("link", "github", "--timeout", "{}"),
    ("link", "github", "--browser", "{}"),
    ("link", "github", "--if-exists", "{}"),
    ("link", "github", "--name", "{} "),
    ("link", "github", "--region", "{}/"),
    ("list", "--lang", "{}"),
    ("list", "{}"),
    ("deliver", "github", "{}"),
    ("repos", "a", "b", "c", "{}"),
    ("completion", "{}"),
    ("apply", "{}"),
    ("apply", "team.toml", "{}"),
    ("doctor", "{}"),
    ("sandbox", "--fault", "{}"),
    ("sandbox", "--fault", "list={}"),
    ("sandbox", "--fault", "list=hang:{}"),
    ("sandbox", "--git-host", "https://a.example", "--client-id", "c", "--client-secret-file", "{}"),
    ("sandbox", "--console-port", "{}"),
)


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
async def test_what_is_given_in_the_wrong_place_is_not_repeated(place: tuple[str, ...]) -> None:
    environs = [commands.environ(None, LANG=locale) for locale in ("C.UTF-8", "zh_CN.UTF-8")]
    for number, secret in enumerate((*TOKENS, ADDRESS)):
        given = [part.format(secret) for part in place]
        given += ["--json"] if given[0] not in {"sandbox", "completion"} and number % 2 else []
        end = await commands.run(*given, environ=environs[number % 2])
        assert end.status in {2, 3}, end.err
        assert "planted" not in end.out + end.err, given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("link", "github", "now"), "Unexpected argument 2"),
        (("list", "a", "b"), "Unexpected argument 1"),
        (("lnik",), 'Unknown command "lnik"'),
        (("link", "svn"), 'REPO_TYPE: "svn" is not one of github'),
        (("list", "--jsn"), "Unknown option: --jsn"),
        (("list", "--json=x"), "The option --json takes no value"),
        (("link", "github", "--name"), "The option --name needs a value"),
        (("link", "github", "--port", "70000"), "--port must be a number from 1 to 65535"),
        (("link", "github", "--timeout", "soon"), "--timeout must be a number from 1 to 3600"),
        (("show",), "Missing argument NAME"),
    ],
)
async def test_the_place_of_a_slip_is_named(given: tuple[str, ...], words: str) -> None:
    end = await commands.run(*given, environ=commands.environ())
    assert (end.status, end.out) == (2, "")
    assert end.err.startswith(f"error: {words}"), end.err


async def test_a_name_that_does_not_exist_is_repeated_only_if_it_is_one(sandbox: Sandbox) -> None:
    for command in (("show",), ("delete", "--yes")):
        end = await commands.run(*command, "--json", "--", TOKENS[0], environ=commands.environ(sandbox))
        assert (end.status, "planted" in end.err) == (6, False)
        end = await commands.run(*command, "web-team2", environ=commands.environ(sandbox))
        assert end.err.startswith('error: There is no authorization named "web-team2"')


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ('secret = "{}"', 3),
        ('secret = "S"\n\n[{}]', 2),
        ('secret = "S"\n{} = "x"', 2),
        ('secret = "S"\n{0} = "x"\n{0} = "x"', 2),
        ('secret = "S"\nrepo_type = "{}"', 2),
        ('secret = "S"\nmethod = "{}"', 2),
        ('secret = "S"\n{}', 2),
        ('secret = "S"\n"{}" = 3', 2),
    ],
)
async def test_nothing_in_a_file_that_may_be_a_secret_is_repeated(sandbox: Sandbox, more: str, status: int) -> None:
    usual = {"name": "web-team", "repo_type": "github", "method": "token"}
    lines = [f'{key} = "{value}"' for key, value in usual.items() if f"\n{key} =" not in more]
    for number, secret in enumerate(TOKENS):
        options = ((), ("--json",), ("--dry-run",), ("--dry-run", "--json"))[number]
        text = "\n".join(["[[authorization]]", *lines, more.format(secret)])
        end = await commands.run("apply", "-", *options, environ=commands.environ(sandbox), given=text)
        assert end.status == status, end.err
        assert "planted" not in end.out + end.err
        assert status != 3 or "entry 1" in end.err


HOSTILE = "a\x1b]52;c;cGxhbnRlZA==\x07\x1b[31m\u202eb"


async def test_control_characters_in_paths_and_arguments_are_escaped(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / f"{HOSTILE}.toml"
    file.write_text("nonsense")
    empty = tmp_path / f"{HOSTILE}.secret"
    empty.write_text("")
    provider = ("--git-host", "https://a.example", "--client-id", "c")
    for given, more in (
        (("apply", str(file), "-vv"), {}),
        (("apply", f"{file}.missing"), {}),
        (("show", HOSTILE), {}),
        (("delete", "--yes", HOSTILE), {}),
        (("list", HOSTILE), {}),
        ((HOSTILE,), {}),
        (("list",), {"OAUTH_HELPER_CONFIG": str(file)}),
        (("list",), {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(file)}),
        (("doctor",), {"SSL_CERT_FILE": f"{file}.missing"}),
        (("sandbox", *provider, "--client-secret-file", str(empty)), {}),
    ):
        end = await commands.run(*given, environ=commands.environ(sandbox, **more))
        assert end.status
        assert not {"\x1b", "\x07", "\u202e"} & set(end.out + end.err), given
    end = await commands.run("apply", str(file), environ=commands.environ(sandbox))
    assert r"a\x1b]52;c;cGxhbnRlZA==\x07\x1b[31m\u202eb.toml" in end.err


@pytest.fixture
def core_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


async def test_a_command_that_is_aborted_leaves_no_core_file(core_files: Path) -> None:
    async with commands.running("sandbox", environ=commands.environ()) as process:
        await line_with(process.stdout, "HUAWEICLOUD_SDK_SK")
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert "Max core file size        0 " in limits
        process.send_signal(signal.SIGABRT)
        await process.wait()
    assert not list(core_files.glob("core*"))


async def test_json_is_asked_for_by_an_option_and_nothing_else() -> None:
    environ = commands.environ()
    end = await commands.run("show", "a", "b", "--", "--json", environ=environ)
    assert (end.status, "{" in end.err) == (2, False)
    end = await commands.run("show", "a", "b", "--json", environ=environ)
    assert error_of(end.err)["kind"] == "usage"
    end = await commands.run("show", "a", "b", "-qvv", environ=environ)
    assert end.err.startswith("Traceback")
    assert json.loads((await commands.run("resume", "--json", environ=environ)).out) == []
