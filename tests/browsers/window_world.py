"""Stand-ins for what a window meets: a Git host, a console that must never hear of it, a listener, and a judge."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

from oauth_helper.browsers.window import BrowserWindow
from oauth_helper.errors import RedirectRejectedError
from oauth_helper.i18n import _
from oauth_helper.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from oauth_helper.browsers.discovery import InstalledBrowser

STATE: Final = "$2a$10$canary-state"
CODE: Final = "canary-code"
PATH: Final = "/servicestage/oauth"
SECONDS: Final = 20

CLICK: Final = "<script>document.querySelector('#authorize').click()</script>"
REDIRECTING_PAGES: Final[dict[str, str]] = {
    "script": "<script>location.href = 'CALLBACK'</script>",
    "meta": "<meta http-equiv='refresh' content='0; url=CALLBACK'>",
    "form": "<form method='post' action='REDIRECT'><button id='authorize'></button></form>" + CLICK,
    "form-then-meta": "<form method='post' action='/git/meta'><button id='authorize'></button></form>" + CLICK,
    "popup": "<script>window.open('REDIRECT')</script>",
    "popup-noopener": "<script>window.open('REDIRECT', '_blank', 'noopener')</script>",
    "popup-assigned": "<script>window.open('about:blank').location = 'CALLBACK'</script>",
    "blank-target": "<a id='authorize' target='_blank' href='REDIRECT'>Authorize</a>" + CLICK,
    "after-elsewhere": "<script>window.open('ELSEWHERE'); location.href = 'CALLBACK'</script>",
    "after-stray": "<script>window.open('STRAY'); fetch('/when/rejected').then(() => location = 'CALLBACK')</script>",
    "denied": "<script>location.href = 'DENIAL'</script>",
}
"""Consent pages, by how they send the browser to the callback."""
TOUR: Final = ("redirect", "six-hops", *REDIRECTING_PAGES)
PAGES: Final[dict[str, str]] = REDIRECTING_PAGES | {
    "waiting": "<title>Consent</title>",
    "closing": "<script>fetch('/reach/closing').then(() => window.close())</script>",
    "asking": "<script>fetch('/reach/asking').then(() => fetch('/reach/answered-' + confirm('Sure?')))</script>",
    # Speculation leaves nothing behind that could be waited for where it does not happen.
    "speculative": """<a href='CALLBACK'>Authorize</a><script type='speculationrules'>
        {"prefetch": [{"urls": ["CALLBACK", "REDIRECT"], "eagerness": "immediate"}],
         "prerender": [{"urls": ["CALLBACK", "REDIRECT"], "eagerness": "immediate"}]}
        </script><script>setTimeout(() => location.href = 'CALLBACK', 1500)</script>""",
}


class Milestones:
    """What has happened, each of which can be waited for."""

    def __init__(self) -> None:
        self._events: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def reach(self, name: str) -> None:
        self._events[name].set()

    async def reached(self, name: str, *, seconds: float = SECONDS) -> None:
        async with asyncio.timeout(seconds):
            await self._events[name].wait()


class Console:
    """The host that must not hear of it: counts whoever connects, and answers as a sign-in page would."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(b"")
        self.heard[-1] = await reader.read(4096)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\nSign in")
        writer.close()


@dataclass
class RedirectReceiver:
    """Judges what is caught, as the real one does."""

    milestones: Milestones
    judged: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    def judge(self, query: str) -> None:
        if STATE not in query:
            self.rejected.append(query)
            self.milestones.reach("rejected")
            raise RedirectRejectedError("foreign-state", _("not this run's"))
        self.judged.append(query)
        self.milestones.reach("judged")


class Window(BrowserWindow):
    """A headless window that is led on to a path of a world."""

    def __init__(
        self,
        world: World,
        browser: InstalledBrowser,
        onward: str,
        *,
        judge: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(browser, start=f"{world.origin}/start?k=KEY", headless=True, **options)
        self._target: dict[str, Any] = {
            "redirect_uri": world.redirect_uri,
            "onward": Secret(world.origin + onward),
            "judge": judge or world.receiver.judge,
            "done": f"{world.origin}/done?k=DONEKEY",
            "lead": world.lead,
        }

    async def opened(self) -> None:
        """Open it as a session does."""
        await self.open(**self._target)


class World:
    """Listener, Git host and judge on one loopback, the console on another port."""

    def __init__(self, console: str) -> None:
        self.milestones = Milestones()
        self.receiver = RedirectReceiver(self.milestones)
        self.referers: list[str] = []
        self.asked: list[str] = []
        self._console = console
        self.redirect_uri = f"{console}{PATH}?repo_type=github"
        self._lead: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._tour = iter(TOUR)

    @classmethod
    @asynccontextmanager
    async def opened(cls, console: str) -> AsyncIterator[World]:
        world = cls(console)
        app = web.Application(middlewares=[world._note])
        app.router.add_get("/start", world._start)
        app.router.add_get("/done", world._done)
        app.router.add_get("/next", world._next)
        app.router.add_route("*", "/git/{kind}", world._git_host)
        app.router.add_get("/hop/{kind}/{left}", world._hop)
        app.router.add_get("/reach/{name}", world._reach)
        app.router.add_get("/when/{name}", world._when)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        world.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield world
        finally:
            world._lead.cancel()
            await runner.cleanup()

    origin: str

    def lead(self, address: str | None) -> None:
        if self._lead.done():
            self._lead = asyncio.get_running_loop().create_future()
        self._lead.set_result(address)
        self.milestones.reach("led")

    def callback(self, kind: str) -> str:
        return f"{self.redirect_uri}&code={CODE}-{kind}&state={STATE}"

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.referers += request.headers.getall("Referer", [])
        response: web.StreamResponse = await handler(request)
        return response

    async def _start(self, request: web.Request) -> web.Response:
        self.milestones.reach("start")
        address = await asyncio.shield(self._lead)
        if address is None:
            return _page(f"<script>location.replace('{self.origin}/reach/fallback')</script>")
        # A page, not a redirect: Chromium watches only what was begun after it was told to.
        return _page(f"<script>location.replace('{address}')</script>")

    async def _done(self, request: web.Request) -> web.Response:
        self.milestones.reach("done")
        return _page("<script>location.replace('/next')</script>" if "/next" in self.asked else "done")

    async def _next(self, request: web.Request) -> web.Response:
        """One kind after the other, in the same window."""
        if kind := next(self._tour, None):
            raise web.HTTPFound(f"/git/{kind}")
        self.milestones.reach("tour over")
        return _page("over")

    async def _git_host(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        self.milestones.reach("git host")
        if kind == "redirect" or "go" in request.query:
            raise web.HTTPFound(self.callback(kind))
        if kind == "six-hops":
            raise web.HTTPFound(f"/hop/{kind}/5")
        html = PAGES[kind]
        for word, address in self._addresses(kind).items():
            html = html.replace(word, address)
        policy = {"form": f"form-action 'self' {self._console}", "form-then-meta": "form-action 'self'"}.get(kind)
        return _page(html, {"Content-Security-Policy": policy} if policy else {})

    def _addresses(self, kind: str) -> dict[str, str]:
        return {
            "CALLBACK": self.callback(kind),
            "REDIRECT": f"/git/{kind}?go",
            "ELSEWHERE": self.redirect_uri.replace(PATH, "/favicon.ico"),
            "STRAY": f"{self.redirect_uri}&code={CODE}&state=foreign",
            "DENIAL": f"{self.redirect_uri}&error=access_denied&state={STATE}",
        }

    async def _hop(self, request: web.Request) -> web.Response:
        kind, left = request.match_info["kind"], int(request.match_info["left"])
        raise web.HTTPFound(f"/hop/{kind}/{left - 1}" if left > 1 else self.callback(kind))

    async def _reach(self, request: web.Request) -> web.Response:
        self.milestones.reach(request.match_info["name"])
        return _page("reached")

    async def _when(self, request: web.Request) -> web.Response:
        self.milestones.reach("someone waits")
        await self.milestones.reached(request.match_info["name"])
        return _page("now")


def _page(html: str, headers: Mapping[str, str] | None = None) -> web.Response:
    icon = "<!doctype html><link rel='icon' href='data:,'>"
    return web.Response(
        text=icon + html, content_type="text/html", headers={"Cache-Control": "no-store", **(headers or {})}
    )
