"""Completion is quick and quiet, and works in real shells."""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.command_runner import Ended, commands
from support.journal_entries import pending
from support.repo_type_contract import TYPES
from support.screen import terminal

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


def at_tab(words: str, position: object, shell: str = "bash") -> dict[str, str]:
    """The environment in which a shell that completes starts the command."""
    asked = {"_OAUTH_HELPER_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    return dict(os.environ) | asked


async def watched(*arguments: str, environ: dict[str, str]) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WATCHED, *arguments), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environ
    )
    return await commands.ended(process)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["link", "--help"], ["completion", "zsh"]], ids=str)
async def test_help_and_scripts_need_no_socket_and_no_aiohttp(arguments: list[str]) -> None:
    end = await watched(*arguments, environ=dict(os.environ) | {"_OAUTH_HELPER_COMPLETE": ""})
    assert (end.status, end.err) == (0, "")
    assert "oauth-helper" in end.out


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "words",
    [
        "oauth-helper ",
        "oauth-helper link --browser ",
        "oauth-helper sandbox --fault list=403 --",
        "oauth-helper show my",
    ],
)
async def test_tab_needs_no_socket_and_no_aiohttp(shell: str, words: str) -> None:
    *before, last = words.split(" ")
    position = last if shell == "fish" else len(before)  # fish tells the word, the others its number
    end = await watched(environ=at_tab(words, position, shell))
    assert (end.status, end.err) == (0, "")
    assert ("plain" in end.out) is ("show" not in words)


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
async def test_odd_words_do_no_harm(words: str, position: object) -> None:
    for shell in (*SHELLS, "tcsh", ""):
        end = await commands.run(environ=at_tab(words, position, shell))
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


async def test_neither_tab_nor_a_shell_that_starts_sweeps_the_journal(clean_environment: Path) -> None:
    journal = Journal.of_the_user()
    journal.write(pending(age=datetime(2025, 3, 1, 12, tzinfo=UTC) - datetime.now(UTC) + timedelta(hours=1)))
    (entry,) = clean_environment.rglob("pending-*.json")
    before = entry.read_bytes()
    for arguments, environ in ((["completion", "fish"], dict(os.environ)), ([], at_tab("oauth-helper resume ", 2))):
        assert (await commands.run(*arguments, environ=environ)).err == ""
        assert entry.read_bytes() == before
    await commands.run("resume", environ=dict(os.environ))
    assert not entry.exists()


async def test_the_script_is_for_that_shell_and_no_other() -> None:
    for shell in SHELLS:
        end = await commands.run("completion", shell, environ=dict(os.environ))
        assert (end.status, end.err) == (0, "")
        assert f"_OAUTH_HELPER_COMPLETE={shell}_complete" in end.out
    end = await commands.run("completion", "tcsh", environ=dict(os.environ))
    assert (end.status, end.out) == (2, "")
    assert all(shell in end.err for shell in SHELLS)


COMPLETIONS: dict[str, set[str]] = {
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
SETTINGS = {
    "bash": r"""
PS1='READY> '; source <(oauth-helper completion bash)
show_line() { printf 'LINE<%s>EOL\n' "$READLINE_LINE"; }
bind '"\C-t": insert-completions'; bind -x '"\C-g": show_line'
""",
    "zsh": """
autoload -Uz compinit && compinit -u -D; PROMPT='READY> '; unsetopt beep
source <(oauth-helper completion zsh)
show-line() { print; print -r -- "LINE<$BUFFER>EOL" }; zle -N show-line; bindkey '^G' show-line
zle -C insert-all complete-word _generic; bindkey '^T' insert-all
zstyle ':completion:insert-all:*' completer _all_matches _complete
zstyle ':completion:insert-all:*' insert yes
""",
}
"""Ctrl-T puts everything that fits into the line, and Ctrl-G shows the line."""


@pytest.mark.parametrize("shell", SHELLS)
async def test_real_shells_offer_what_fits(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    monkeypatch.chdir(tmp_path)
    Path("certificate.pem").touch()
    expected = {words: offers for words, offers in COMPLETIONS.items() if not (shell == "bash" and "=" in words)}
    # As when it is installed: found on the path, by its own name.
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = os.environ | {"PATH": search, "TERM": "xterm", "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path)}
    offered = {}
    if shell == "fish":
        at_each = "; echo EOL; ".join(f"complete --do-complete {shlex.quote(line)}" for line in expected)
        asked = ("--no-config", "-c", f"oauth-helper completion fish | source; {at_each}")
        process = await asyncio.create_subprocess_exec(path, *asked, stdout=PIPE, stderr=PIPE, env=environ)
        end = await commands.ended(process)
        assert (end.status, end.err) == (0, "")
        for line, told in zip(expected, end.out.split("EOL\n"), strict=True):
            offered[line] = {each.partition("\t")[0] for each in told.splitlines()}
    else:
        Path(".zshrc").write_text(SETTINGS[shell])
        options = ("--noprofile", "--rcfile", ".zshrc") if shell == "bash" else ()
        async with terminal(program=[path, *options, "-i"], environ=environ) as screen:
            await screen.until("READY>")
            for line in expected:
                screen.type(f"{line}\x14\x07")
                await screen.until(">EOL")
                words = shlex.split(screen.shown.partition("LINE<")[2].partition(">EOL")[0])
                screen.shown = ""
                screen.type("\x15")
                stay = shlex.split(line)[: None if line.endswith(" ") else -1]
                assert words[: len(stay)] == stay
                offered[line] = {word for word in words[len(stay) :] if word != line.rpartition(" ")[2]}
    assert offered == expected
