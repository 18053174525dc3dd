"""Browsers open no page at some ports (Fetch standard, section 2.9); neither a listener nor the sandbox takes these."""

import shutil
import subprocess
import sys

import pytest
from command import error_of, run_command, surroundings
from other_users import needs_root

from oauth_helper import RepoType, UsageError, link
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient

COMMANDS = (("link", "github", "--sandbox", "--port"), ("doctor", "--port"), ("sandbox", "--console-port"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("port", ["22", "3659", "6679"])
async def test_a_port_that_browsers_block_is_wrong_usage(command: tuple[str, ...], port: str) -> None:
    end = await run_command(*command, port, "--json", environ=surroundings())
    assert (end.status, end.out) == (2, "")
    error = error_of(end.err)
    assert error["kind"] == "usage"
    assert command[-1] in error["message"]
    assert f"port {port}" in error["message"]


FREE_PORT = """
import socket, sys
from oauth_helper.listener.server import listen
from oauth_helper.sandbox.faults import open_port
found = [{"listener": listen, "sandbox": open_port}[sys.argv[1]](None)]
print(*(each.getsockname()[1] for each in found))
"""


@needs_root
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("unshare"), reason="the free ports cannot be chosen")
@pytest.mark.parametrize("which", ["listener", "sandbox"])
def test_a_free_port_is_never_a_blocked_one(which: str) -> None:
    """In a network of its own, where only one of the free ports is not blocked."""
    choose = 'ip link set lo up && echo "6665 6670" >/proc/sys/net/ipv4/ip_local_port_range && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", choose, "sh", sys.executable, "-c", FREE_PORT, which]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if "Operation not permitted" in ended.stderr or "Read-only file system" in ended.stderr:
        pytest.skip("this root may not change a network of its own")
    assert (ended.stdout.split(), ended.stderr) == (["6670"], "")


async def test_python_callers_are_told_too() -> None:
    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        with pytest.raises(UsageError, match="port 6000"):
            await link(service, RepoType.GITHUB, name="my-auth", port=6000)
