"""The command under the interpreter's other modes: optimised, isolated, and as strict as it can be."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command import surroundings
from test_readme import without_what_varies

STRICT = ("-X", "dev", "-bb", "-W", "error")
MODES = [("-O",), ("-OO",), ("-I",), STRICT]


def run(mode: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *mode, "-m", "oauth_helper", *arguments]
    return subprocess.run(
        command, env=surroundings(BROWSER=""), capture_output=True, text=True, check=False, timeout=50
    )


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_a_link_is_made(mode: tuple[str, ...]) -> None:
    plain, other = (run(each, "link", "github", "--sandbox") for each in ((), mode))
    assert (other.returncode, without_what_varies(other.stdout)) == (0, without_what_varies(plain.stdout))
    assert "Traceback" not in other.stderr
    assert "Warning" not in other.stderr


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
@pytest.mark.parametrize("command", [(), ("link",), ("doctor",), ("repos",)], ids="-".join)
def test_help_is_given(mode: tuple[str, ...], command: tuple[str, ...]) -> None:
    plain, other = (run(each, *command, "--help").stdout for each in ((), mode))
    assert other == plain
    assert other
