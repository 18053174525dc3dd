"""The command under the interpreter's other modes, on another event loop, and what its help does not import."""

import subprocess
import sys

import pytest
from support.command_runner import commands

from oauth_helper import RepoType, ServiceStageClient, link
from oauth_helper.models import Authorization
from oauth_helper.sandbox import Sandbox

STRICT = ("-X", "dev", "-bb", "-W", "error")


def run(mode: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *mode, "-m", "oauth_helper", *arguments]
    environ = commands.environ(BROWSER="")
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=50)


def test_a_link_causes_no_warning() -> None:
    ended = run(STRICT, "link", "github", "--sandbox")
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr


@pytest.mark.parametrize("mode", [("-OO",), ("-I",)], ids=" ".join)
def test_the_help_is_the_same(mode: tuple[str, ...]) -> None:
    """-OO removes docstrings, so descriptions of commands must not be there."""
    plain, other = (run(each, "link", "--help").stdout for each in ((), mode))
    assert other == plain
    assert other


def test_the_help_does_not_import_what_talks_to_servers() -> None:
    ended = run(("-X", "importtime"), "link", "--help")
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "click" in imported
    assert "aiohttp" not in imported


def test_a_link_is_made_on_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not for this platform")
    monkeypatch.setenv("BROWSER", commands.environ()["BROWSER"])

    async def linked() -> Authorization:
        async with (
            Sandbox() as sandbox,
            ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as api,
        ):
            return await link(api, RepoType.GITHUB, name="my-auth")

    assert uvloop.run(linked()).name == "my-auth"
