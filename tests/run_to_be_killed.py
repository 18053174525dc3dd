"""A run that waits: it has the claim, a listener, a notice and a child. Arguments: folder, endpoint, project, name."""

import asyncio
import subprocess
import sys
from pathlib import Path

from support.listener import RedirectReceiver

from oauth_helper.listener.handlers import Listener
from oauth_helper.models import RepoType, Target
from oauth_helper.single_instance import TargetLock, noticed

SLEEPER = "import sys; sys.stdin.read()"


def start_child() -> int:
    """As a browser does, it outlives us; its input ends with the test."""
    return subprocess.Popen([sys.executable, "-c", SLEEPER], close_fds=False).pid


async def main() -> None:
    folder, target = Path(sys.argv[1]), Target(*sys.argv[2:])
    claim = TargetLock.try_take(folder, target)
    assert claim
    with claim:
        async with Listener() as listener:
            await listener.serve(RedirectReceiver())
            with noticed(folder, target, address=listener.start(good_once=False).address, repo_type=RepoType.GITHUB):
                print(start_child(), flush=True)  # noqa: T201 - the test waits for this line
                await asyncio.Event().wait()


asyncio.run(main())
