"""Reads README and docs/, and runs the commands in them against a sandbox.

With OAUTH_HELPER_TESTS_REWRITE=1 the tests write the output of today into the pages.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from contextlib import suppress
from pathlib import Path
from typing import Final

from support.command_runner import BROWSER
from support.command_runner import commands as runner

from oauth_helper.sandbox import Sandbox

ROOT: Final = Path(__file__).parents[2]
ENGLISH: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CHINESE: Final = [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs" / "zh-CN").glob("*.md"))]
PAGES: Final = [*ENGLISH, *CHINESE]
IS_REWRITING: Final = os.environ.get("OAUTH_HELPER_TESTS_REWRITE") == "1"

FIXED: Final = {
    r"(?m)^(Waiting for you to authorize, until|请在 [\d:]+ 前完成授权).*\n": "",
    r"(?m)^.*\n +http://\S+/start\?k=\S+\n": "",
    r"http://127\.0\.0\.1:\d+": "https://github.com",
    r"127\.0\.0\.1:\d+": "127.0.0.1:40741",
    r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?": "2026-01-31 09:31",
    r"\d{4}-\d\d-\d\d(?! \d)": "2026-01-31",
    r"(?<![\d:])\d\d:\d\d:\d\d(?![\d:])": "09:41:12",
    r"\b[0-9a-f]{32}\b": "0123456789abcdef" * 2,
}
"""Every transcript shows GitHub for the sandbox's Git host, the same times and ids, and not what depends on timing."""

_CONSOLE: Final = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_NOT_RUN: Final = ("make ", "uv tool install .", "export HUAWEICLOUD_SDK_AK=…")
"""Other tests run what these commands start."""
_AUTHORIZE: Final = f"""
start=$(grep -m1 waiting <(tail -n +1 -F events 2>/dev/null) | grep -o 'http://[^"]*' | head -1)
SCRIPTED_REDIRECT=address {sys.executable} {BROWSER} "$start"
"""
"""What the user does whom a comment among the commands asks to authorize."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def translation_of(page: Path) -> Path:
    """The Chinese page for an English one."""
    return ROOT / "README.zh-CN.md" if page.name == "README.md" else ROOT / "docs" / "zh-CN" / page.name


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """The text below a heading, with its subsections."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def commands(text: str) -> list[str]:
    """The commands in the transcripts of a page."""
    return [line[2:] for block in blocks("console", text) for line in block.splitlines() if line.startswith("$ ")]


def fixed(output: str) -> str:
    for pattern, same in FIXED.items():
        output = re.sub(pattern, same, output)
    return output.rstrip()


def script_of(text: str) -> str:
    """A script that runs a page's commands in order and prints a line with NUL before each."""
    script = ""
    for command in commands(text):
        if command.startswith("#"):
            run = _AUTHORIZE
        elif command.startswith(_NOT_RUN):
            run = ":"
        else:
            run = command.replace(" --region cn-north-4", "").replace("ada@example.com", "octocat")
        script += f"{{ {run}\n}} 2>&1 || echo '(exit status '$?')'\nprintf '\\0'\n"
    return script


async def outputs_of(text: str, folder: Path, **environ: str) -> list[str]:
    """Run a page's commands in a folder with the files that they name; return the output of each."""
    async with Sandbox() as sandbox:
        for declaration in blocks("toml", text):
            (folder / "team.toml").write_text(declaration)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        token, password = sandbox.personal_token.reveal(), sandbox.git_password.reveal()
        (folder / "token-file").write_text(token)
        (folder / "password-file").write_text(password)
        secrets = {"GIT_TOKEN": token, "GITLAB_TOKEN": token, "BITBUCKET_PASSWORD": password}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script_of(text)),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            cwd=folder,
            start_new_session=True,
            env=runner.environ(sandbox, PATH=path, COLUMNS="100", **secrets, **environ),
        )
        try:
            async with asyncio.timeout(50):
                out, _ = await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return [fixed(output) for output in out.decode().split("\0")[:-1]]


def with_outputs(text: str, outputs: list[str]) -> str:
    """The page with the output of each command whose output it shows."""
    remaining = iter(outputs)

    def rewritten(block: re.Match[str]) -> str:
        shown = []
        for entry in re.split(r"^(?=\$ )", block[0], flags=re.MULTILINE)[1:]:
            command, _, output = entry.partition("\n")
            new = next(remaining)
            shown += [command, *([new] if output.strip() else [])]
        return "\n".join(shown) + "\n"

    return _CONSOLE.sub(rewritten, text)
