"""How long from the Git host's redirect to our POST on the wire? Median of N links, for each way side by side.

Run it with ``make benchmark``. The other side is a server of its own in this process: it answers the list, gives out
an authorization URL, redirects to ``https://console.huaweicloud.com`` at once, and notes when the POST arrives.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, web
from yarl import URL

from oauth_helper import IamToken, RepoType, ServiceStageClient
from oauth_helper.browsers.find import choose, look_around
from oauth_helper.errors import NoBrowserError
from oauth_helper.journal import Journal
from oauth_helper.link_request import LinkRequest
from oauth_helper.wiring import Ways, run_link

CONSOLE = "https://console.huaweicloud.com/servicestage/oauth?repo_type=github"


@dataclass
class Moments:
    """When things happened in one link, in seconds of the performance counter."""

    redirected: float = 0.0
    posted: float = 0.0


@dataclass
class OtherSide:
    """ServiceStage and Git host in one."""

    moments: Moments = field(default_factory=Moments)
    origin: str = ""

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/v1/project/git/auths", self._list)
        application.router.add_get("/v1/project/git/auths/github/redirect", self._authorization_url)
        application.router.add_get("/authorize", self._redirect)
        application.router.add_post("/v1/project/git/auths/github/oauth", self._create)
        return application

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"authorizations": [], "count": 0})

    async def _authorization_url(self, _: web.Request) -> web.Response:
        url = URL(f"{self.origin}/authorize").with_query(redirect_uri=CONSOLE, state=secrets.token_hex(30))
        return web.json_response({"url": str(url)})

    async def _redirect(self, request: web.Request) -> web.Response:
        location = URL(request.query["redirect_uri"]).update_query(code="code", state=request.query["state"])
        self.moments.redirected = time.perf_counter()
        return web.Response(status=302, headers={"Location": str(location)})

    async def _create(self, request: web.Request) -> web.Response:
        self.moments.posted = time.perf_counter()
        body = await request.json()
        return web.json_response({"authorization": {"name": body["name"], "repo_type": "github", "status": 0}})


@asynccontextmanager
async def other_side() -> AsyncIterator[OtherSide]:
    """Serve on a free port."""
    side = OtherSide()
    runner = web.AppRunner(side.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    side.origin = f"http://{host}:{port}"
    try:
        yield side
    finally:
        await runner.cleanup()


async def straight(start: str) -> None:
    """Bring the redirect to the listener without a browser: the least that any way can take."""
    async with ClientSession() as session:
        async with session.get(start) as page:
            authorize = (await page.text()).partition('id="authorize"')[2].partition('href="')[2].partition('"')[0]
        async with session.get(authorize.replace("&amp;", "&"), allow_redirects=False) as answer:
            query = URL(answer.headers["Location"]).raw_query_string
        async with session.get(URL(f"{URL(start).origin()}/servicestage/oauth?{query}", encoded=True)) as final:
            await final.read()


async def measure(browser: str, visitor: Callable[[str], Awaitable[None]] | None, runs: int) -> list[float]:
    """Link ``runs`` times; return the milliseconds each took from redirect to POST."""
    took = []
    # No display: where the visitor is to play the user, no browser must be found.
    environ = {"PATH": os.defpath} if visitor else dict(os.environ)
    for _ in range(runs):
        async with (
            other_side() as side,
            ServiceStageClient(side.origin, project_id="project", credentials=IamToken("token")) as service,
        ):
            ways = Ways(browser=browser, visitor=visitor, headless=not visitor, environ=environ)
            request = LinkRequest(RepoType.GITHUB, "benchmark")
            await run_link(request, service, ways, lambda _event: None, journal=Journal.of_the_user())
            took.append((side.moments.posted - side.moments.redirected) * 1000)
    return took


async def main(runs: int) -> None:
    """Measure each way that this machine has, and print them side by side."""
    baseline = statistics.median(await measure("auto", straight, runs))
    print(f"{'way':<10}{'p50 ms':>8}{'max ms':>8}{'ratio':>8}   ({runs} links each)")
    print(f"{'direct':<10}{baseline:>8.1f}{'':>8}{1:>8.1f}")
    for family in ("chromium", "firefox"):
        try:
            choose(family, await look_around())
        except NoBrowserError as error:
            print(f"{family:<10}{error.message}")
            continue
        took = await measure(family, None, runs)
        median = statistics.median(took)
        print(f"{family:<10}{median:>8.1f}{max(took):>8.1f}{median / baseline:>8.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=20)
    sys.exit(asyncio.run(main(parser.parse_args().runs)))
