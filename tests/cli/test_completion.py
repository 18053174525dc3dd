"""Completion is quick and quiet, and works in real shells."""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli.completing_shells import SHELLS as REAL_SHELLS
from cli.completing_shells import CompletingShell
from support.command_runner import Ended, commands
from support.journal_entries import pending
from support.repo_type_contract import TYPES

from oauth_helper.journal import Journal

SHELLS = ("bash", "zsh", "fish")


WATCHED = """
import sys

def refuse(event, _arguments):
    if event.startswith("socket."):
        raise AssertionError(event)

sys.addaudithook(refuse)
from oauth_helper.cli import main
status = main()
assert not {"aiohttp", "oauth_helper.api"} & set(sys.modules)
sys.exit(status)
"""


"""The command, where nothing may touch a socket."""


def at_tab(words: str, position: object, shell: str = "bash", **more: str) -> dict[str, str]:
    """The surroundings in which a shell that completes starts the command."""
    asked = {"_OAUTH_HELPER_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    return dict(os.environ) | asked | more


async def watched(*arguments: str, environ: dict[str, str]) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WATCHED, *arguments), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environ
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["link", "--help"], ["completion", "zsh"]], ids=str)
async def test_help_and_scripts_need_no_socket_and_no_aiohttp(arguments: list[str]) -> None:
    end = await watched(*arguments, environ=dict(os.environ))
    assert (end.status, end.err) == (0, "")
    assert "oauth-helper" in end.out


async def test_an_empty_variable_is_no_shell_that_asks() -> None:
    end = await commands.run_forked("--version", environ=dict(os.environ) | {"_OAUTH_HELPER_COMPLETE": ""})
    assert (end.status, end.err) == (0, "")
    assert end.out.startswith("oauth-helper ")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "words",
    [
        "oauth-helper ",
        "oauth-helper link github --",
        "oauth-helper link --browser ",
        "oauth-helper sandbox --fault list=403 --",
    ],
)
async def test_tab_needs_no_socket_and_no_aiohttp(shell: str, words: str) -> None:
    *before, last = words.split(" ")
    position = last if shell == "fish" else len(before)  # fish tells the word, the others its number
    end = await watched(environ=at_tab(words, position, shell))
    assert (end.status, end.err) == (0, "")
    assert "plain" in end.out


@pytest.mark.parametrize("command", ["show", "delete"])
async def test_names_are_not_looked_up(command: str) -> None:
    end = await watched(environ=at_tab(f"oauth-helper {command} my", 2))
    assert (end.status, end.out.strip(), end.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "position"),
    [
        ("", ""),
        ("", 0),
        ("oauth-helper li", "one"),
        ("oauth-helper li", 99),
        ("oauth-helper li", -5),
        ("oauth-helper\r\nli\r\n", "1\r"),
        ("oauth-helper 'unclosed \\", 1),
        ("oauth-helper \udcff\udcfe", 1),
        ("oauth-helper : = : =", 3),
        ("oauth-helper link --timeout soon --port x --", 7),
        ("oauth-helper nonsense --nonsense ", 3),
        ("oauth-helper --help ", 2),
    ],
)
@pytest.mark.parametrize("shell", [*SHELLS, "powershell", "tcsh", ""])
async def test_odd_words_do_no_harm(words: str, position: object, shell: str) -> None:
    end = await commands.run_forked(environ=at_tab(words, position, shell))
    assert end.status in {0, 1}
    assert end.err == ""
    assert end.status == 0 or end.out == ""


def test_lines_end_as_shells_read_them() -> None:
    """What Windows makes of text is what ``newline`` makes of it here."""
    ours = "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, newline='\\r\\n'); "
    script = f"{ours}from oauth_helper.cli import main; sys.exit(main())"
    for arguments, environ in ((["completion", "bash"], dict(os.environ)), ([], at_tab("oauth-helper li", 1))):
        told = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, check=True, timeout=30, env=environ
        )
        assert told.stdout.count(b"\n") > 1
        assert b"\r" not in told.stdout


def test_a_shell_that_has_gone_is_not_complained_about() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "oauth_helper"],
        check=False,
        stdout=writing,
        stderr=PIPE,
        env=at_tab("oauth-helper li", 1),
        timeout=30,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


async def test_neither_tab_nor_a_shell_that_starts_sweeps_the_journal(clean_surroundings: Path) -> None:
    journal = Journal.of_the_user()
    journal.write(pending(age=datetime(2025, 3, 1, 12, tzinfo=UTC) - datetime.now(UTC) + timedelta(hours=1)))
    (entry,) = clean_surroundings.rglob("pending-*.json")
    (entry.parent / "pending-nonsense.json").write_text("no entry of ours")
    before = {path: path.read_bytes() for path in entry.parent.iterdir()}
    assert b"planted-code" in before[entry]
    for arguments, environ in ((["completion", "fish"], dict(os.environ)), ([], at_tab("oauth-helper resume ", 2))):
        assert (await commands.run_forked(*arguments, environ=environ)).err == ""
        assert {path: path.read_bytes() for path in entry.parent.iterdir()} == before
    swept = await commands.run_forked("resume", environ=dict(os.environ))
    assert "planted-code" not in "".join(path.read_text() for path in entry.parent.iterdir()), swept.err


@pytest.mark.parametrize("shell", SHELLS)
async def test_the_script_is_for_that_shell_and_names_the_command(shell: str) -> None:
    end = await commands.run_forked("completion", shell, environ=dict(os.environ))
    assert (end.status, end.err) == (0, "")
    assert f"_OAUTH_HELPER_COMPLETE={shell}_complete" in end.out
    asked = await commands.run_forked(environ=dict(os.environ) | {"_OAUTH_HELPER_COMPLETE": f"{shell}_source"})
    assert asked.out == end.out


async def test_another_shell_is_wrong_usage() -> None:
    end = await commands.run_forked("completion", "tcsh", environ=dict(os.environ))
    assert (end.status, end.out) == (2, "")
    assert all(shell in end.err for shell in SHELLS)


@pytest.fixture(params=REAL_SHELLS, ids=lambda each: each.name)
def shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CompletingShell:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "certificate.pem").touch()
    monkeypatch.chdir(folder)
    found: CompletingShell = request.param(folder, os.environ)
    return found


FITTING: dict[str, set[str]] = {
    "oauth-helper li": {"link", "list"},
    "oauth-helper --vers": {"--version"},
    "oauth-helper link git": {name for name in TYPES if name.startswith("git")},
    "oauth-helper link github --if-exists ": {"keep", "replace", "fail"},
    "oauth-helper link --browser c": {"chromium"},
    "oauth-helper link --browser=c": {"--browser=chromium"},
    "oauth-helper link --browser ./cert": {"./certificate.pem"},
    "oauth-helper link --endpoint http://127.0.0.1:1 --if": {"--if-exists"},
    "oauth-helper list --ca-bundle cert": {"certificate.pem"},
    "oauth-helper completion ": {"bash", "zsh", "fish"},
    "oauth-helper show ": set(),
}


async def test_what_fits_is_offered(shell: CompletingShell) -> None:
    expected = {words: offers for words, offers in FITTING.items() if not (shell.name == "bash" and "=" in words)}
    offered = await shell.offered(list(expected))
    assert dict(zip(expected, map(set, offered), strict=True)) == expected
