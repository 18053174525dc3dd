"""oauth-helper processes that wait for a redirect: in this process, and in one that can be killed.

Run as a program, this waits in the folder that its argument names, and prints the process id of a child.
"""

import asyncio
import fcntl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from oauth_helper.errors import AuthorizationDeniedError
from oauth_helper.events import Event, Failed, Linked, Outcome
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import Authorization, LinkRequest, RepoType, Target
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.single_instance import InstanceInfo, SingleRun, lock_path, waiting_instances

TARGET = Target("https://servicestage.example.com", "0123456789abcdef0123456789abcdef", "my-auth")
REQUEST = LinkRequest(RepoType.GITHUB, TARGET.name, timeout=10)
LINKED = Linked(Authorization(TARGET.name, "github", repo_user="octo<b>cat", status=0))
STATE = "$2a$10$planted.state.canary"
CODE = "planted-code-canary"
CONSOLE = "https://console.huaweicloud.com/servicestage/oauth"
REDIRECT = f"{CONSOLE}?repo_type=github&code={CODE}&state={quote(STATE)}"


@dataclass
class Waiting:
    info: InstanceInfo
    receiver: RedirectReceiver
    told: list[Event]


@asynccontextmanager
async def waiting(
    folder: Path,
    *,
    outcome: Outcome | None = LINKED,
    target: Target = TARGET,
    timeout: float = 20.0,
    state: str = STATE,
) -> AsyncIterator[Waiting]:
    """Wait for a redirect, and end with ``outcome`` when it comes; None: the test ends the receiver."""
    told: list[Event] = []
    url = f"https://github.com/login/oauth/authorize?client_id=1&redirect_uri={quote(CONSOLE)}&state={quote(state)}"
    receiver = RedirectReceiver(AuthorizationRequest.parse(url, RepoType.GITHUB), told.append)
    run = SingleRun(target, RepoType.GITHUB, told.append, folder=folder)
    ending = asyncio.create_task(_end(receiver, outcome))
    try:
        async with Listener(timeout=timeout) as listener, run.acquired_or_joined(REQUEST):
            await listener.serve(receiver)
            with run.announced(listener.start(good_once=False).address, receiver.request.state):
                [info] = [one for one in waiting_instances(folder) if one.name == target.name]
                yield Waiting(info, receiver, told)
    finally:
        ending.cancel()


async def _end(receiver: RedirectReceiver, outcome: Outcome | None) -> None:
    try:
        await receiver.redirect()
    except AuthorizationDeniedError as denied:
        receiver.end(Failed(denied))
    else:
        if outcome:
            receiver.end(outcome)


@dataclass
class Killable:
    process: subprocess.Popen[bytes]
    child: int
    lock: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        with self.lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the system releases the files a moment after the process was reaped


@contextmanager
def waiting_process(folder: Path) -> Iterator[Killable]:
    tests = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "link.other_instances", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": f"{tests}:{tests.parent}"},
    )
    assert process.stdout
    try:
        yield Killable(process, int(process.stdout.readline()), lock_path(folder, TARGET))
    finally:
        process.kill()
        process.communicate()  # the child ends with its input


async def _main() -> None:
    async with waiting(Path(sys.argv[1])):
        # As a browser does, the child outlives its parent.
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False)  # noqa: ASYNC220 - it only starts
        print(child.pid, flush=True)  # noqa: T201 - the test waits for this line
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
