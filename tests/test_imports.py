"""What a command imports: nothing that it does not need, as the real command tells (python -X importtime)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

HEAVY = frozenset({"aiohttp", "asyncio", "ssl", "socket", "email", "logging", "importlib.metadata"})


def imported(
    *arguments: str, home: Path, status: int = 0, more: Mapping[str, str] = MappingProxyType({})
) -> frozenset[str]:
    """Run the command; return the modules that were imported for it."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home), **more}
    command = [sys.executable, "-X", "importtime", "-m", "oauth_helper", *arguments]
    ran = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=50)
    assert ran.returncode == status, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("import time:")]
    return frozenset(line.rpartition("|")[2].strip() for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 0),
        (["--help"], 0),
        (["--version"], 0),
        (["lnik"], 2),
        (["--nonsense"], 2),
        (["completion", "fish"], 0),
        (["completion", "tcsh"], 2),
        (["link", "--help"], 0),
        (["link", "nohost"], 2),
        (["link", "github", "--port", "0"], 2),
        (["link", "github", "--nonsense"], 2),
    ],
    ids=str,
)
def test_a_help_or_a_slip_imports_nothing_heavy(arguments: list[str], status: int, tmp_path: Path) -> None:
    found = imported(*arguments, home=tmp_path, status=status)
    assert not found & (HEAVY | {"oauth_helper.journal"})


NEEDED_BY_ALL = (
    "program",
    "completion_variable",
    "repo_type_names",
    "spoken_help",
    "language_option",
    "fitting",
    "speech",
)
COMMANDS = ("deliver", "resume", "list", "show", "delete", "repos", "apply", "doctor", "sandbox", "completion")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_imports_what_talks_to_servers(command: str, tmp_path: Path) -> None:
    assert not imported(command, "--help", home=tmp_path) & {"aiohttp", "asyncio", "oauth_helper.sandbox"}


def test_what_a_shell_completes_imports_nothing_that_talks_to_servers(tmp_path: Path) -> None:
    asked = {"_OAUTH_HELPER_COMPLETE": "fish_complete", "COMP_WORDS": "oauth-helper ", "COMP_CWORD": ""}
    assert not imported(home=tmp_path, more=asked) & {"aiohttp", "asyncio"}


def test_only_the_command_that_is_run_is_imported(tmp_path: Path) -> None:
    all_found = imported("--help", home=tmp_path)
    assert not all_found & {"pathlib", "urllib.parse", "ipaddress", "json"}
    found = {name for name in all_found if name.startswith("oauth_helper.cli.")}
    assert found == {f"oauth_helper.cli.{room}" for room in NEEDED_BY_ALL}
    assert "oauth_helper.cli.doctor" not in imported("link", "--help", home=tmp_path)


def test_a_link_imports_no_sandbox_and_no_listener_before_the_first_answer(tmp_path: Path) -> None:
    account = {"OAUTH_HELPER_ENDPOINT": "https://127.0.0.1:9", "OAUTH_HELPER_PROJECT_ID": "0" * 32}
    keys = {"HUAWEICLOUD_SDK_AK": "AK", "HUAWEICLOUD_SDK_SK": "SK"}
    found = imported("link", "github", "--no-browser", home=tmp_path, status=7, more=account | keys)
    assert "aiohttp" in found
    unwanted = ("oauth_helper.sandbox", "oauth_helper.browsers", "oauth_helper.declaration", "aiohttp.web_")
    assert not [name for name in found if name.startswith(unwanted)]
