"""Open a window, say so, and wait: a process for tests to kill. Arguments: the browser's family, program, packaging."""

import asyncio
import sys

from support.window_world import Console, World

from oauth_helper.browsers.discovery import Family, FoundBrowser, Packaging


async def main() -> None:
    family, program, packaging = sys.argv[1:]
    browser = FoundBrowser(Family(family), (program,), family, Packaging(packaging), True)
    async with (
        Console() as console,
        World.opened(console.origin) as world,
        world.window(browser, "/git/waiting") as window,
    ):
        await window.open()
        print("open", flush=True)  # noqa: T201 the test waits for this line
        await window.until_closed()


asyncio.run(main())
