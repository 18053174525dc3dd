"""Many links at once in one process, through the Python API and over one client.

It tells each address it waits at, what all of them take while they wait, and what they took when they have ended.
The argument is their number.
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

from oauth_helper import AccessKey, RepoType, ServiceStageClient, link
from oauth_helper.events import Event, Waiting


class Watch:
    """Knows when all of them wait."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.all_wait = asyncio.Event()

    def tell(self, event: Event) -> None:
        if isinstance(event, Waiting):
            say(listener=event.listener, authorization_url=event.authorization_url)
            self._left -= 1
            if not self._left:
                self.all_wait.set()


async def links(service: ServiceStageClient, number: int, prefix: str) -> None:
    """Begin all of them; tell the seconds until all wait, those until all have ended, and the memory between."""
    watch = Watch(number)
    began = time.perf_counter()
    tasks = [
        asyncio.create_task(
            link(service, RepoType.GITHUB, name=f"{prefix}-{one}", browser="none", timeout=600, tell=watch.tell)
        )
        for one in range(number)
    ]
    waiting = asyncio.create_task(watch.all_wait.wait())
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    all_wait_after = time.perf_counter() - began
    say(kilobytes=resident())
    went_on_at = time.perf_counter()
    await asyncio.gather(*tasks)
    say(seconds=all_wait_after + time.perf_counter() - went_on_at, all_wait_after=all_wait_after)


async def main(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    key = AccessKey(os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"])
    endpoint, project_id = os.environ["OAUTH_HELPER_ENDPOINT"], os.environ["OAUTH_HELPER_PROJECT_ID"]
    async with ServiceStageClient(endpoint, project_id=project_id, credentials=key) as service:
        await links(service, 1, "first")  # imports, and what is made once
        say(kilobytes=resident())
        await links(service, number, "other")


def resident() -> int:
    """Kilobytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def say(**told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
