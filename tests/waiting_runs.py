"""Runs that wait to be found: one in this process, and one in a process of its own that can be killed."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from support.listener import RedirectReceiver, listening

from oauth_helper.models import RepoType, Target
from oauth_helper.single_instance import InstanceInfo, TargetLock, find_notice, lock_path, noticed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PROGRAM = Path(__file__).parent / "run_to_be_killed.py"
TARGET = Target("https://servicestage.example", "0123456789abcdef0123456789abcdef", "my-auth")


class Killable(NamedTuple):
    """A run in a process of its own, and the child that it started."""

    process: subprocess.Popen[bytes]
    child: int
    claim: Path

    def kill(self) -> None:
        """End it with no time to tidy up."""
        self.process.kill()
        self.process.wait(10)
        with self.claim.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the system lets go of its files a moment after it was reaped


def taken(folder: Path, target: Target = TARGET) -> TargetLock:
    """The claim, which is free."""
    claim = TargetLock.try_take(folder, target)
    assert claim
    return claim


@asynccontextmanager
async def waiting(folder: Path, receiver: RedirectReceiver, *, patience: float = 20.0) -> AsyncIterator[InstanceInfo]:
    """Wait for a redirect on behalf of ``desk``, in this process; give the notice as others find it."""
    async with listening(receiver, patience=patience) as opened:
        address = opened.listener.start(good_once=False).address
        with taken(folder), noticed(folder, TARGET, address=address, repo_type=RepoType.GITHUB):
            notice = find_notice(folder, TARGET)
            assert notice
            yield notice


@contextmanager
def waiting_elsewhere(folder: Path) -> Iterator[Killable]:
    """Wait in a process of its own, until it is killed."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), TARGET.endpoint, TARGET.project_id, TARGET.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(PROGRAM.parent.parent)},
    )
    assert process.stdout
    try:
        yield Killable(process, int(process.stdout.readline()), lock_path(folder, TARGET.digest))
    finally:
        process.kill()
        process.communicate()  # the child ends with its input
