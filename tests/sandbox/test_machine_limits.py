"""On a machine where nothing can listen, the command names the limit and exits with status 9."""

import shutil
import subprocess
import sys

import pytest
from support.command_runner import commands
from support.other_users import needs_root

COMMANDS = pytest.mark.parametrize("words", ["sandbox", "sandbox --console-port 34567", "link github --sandbox"])


def ended_after(limit: str, words: str, *wrapped: str) -> subprocess.CompletedProcess[str]:
    command = [*wrapped, "sh", "-c", f'{limit}; exec "$@"', "sh", sys.executable, "-m", "oauth_helper", *words.split()]
    environ = {name: value for name, value in commands.environ().items() if not name.startswith("COVERAGE_")}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)


@COMMANDS
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_too_few_open_files_are_named(words: str) -> None:
    ended = ended_after("ulimit -n 8", words)
    assert (ended.returncode, ended.stdout) == (9, "")
    assert "error: Cannot listen on 127.0.0.1: Too many open files\n" in ended.stderr
    assert "`ulimit -n 1024`" in ended.stderr


@needs_root
@COMMANDS
@pytest.mark.skipif(not shutil.which("ip"), reason="ip, which configures a network, is missing")
def test_a_missing_loopback_address_is_named(words: str) -> None:
    ended = ended_after("ip link set lo up && ip addr del 127.0.0.1/8 dev lo || exit 99", words, "unshare", "--net")
    if ended.returncode in {1, 99} and "oauth_helper" not in ended.stderr and "error:" not in ended.stderr:
        pytest.skip("this root may not make a network of its own")
    assert (ended.returncode, ended.stdout) == (9, "")
    assert "error: Cannot listen on 127.0.0.1: Cannot assign requested address\n" in ended.stderr
    assert "`ip link set lo up`" in ended.stderr
