"""Every page there is, as a browser comes to see it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from listener_desk import ADDRESS, DENIAL, DIRECT, LINKED, OURS, Open, RedirectReceiver, ask, listening
from msgspec.structs import replace

from oauth_helper.errors import CodeOrStateInvalidError, OutcomeUnknownError
from oauth_helper.events import Failed, Linked
from oauth_helper.i18n import Language, _
from oauth_helper.listener.handlers import show
from oauth_helper.listener.pages import Pages
from oauth_helper.models import RepoType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from browser_session import Tab

LONG = replace(
    LINKED.authorization,
    name="an-authorization-with-the-longest-name.that_ServiceStage-takes.",
    repo_user="a-user-whose-name-is-as-long-as-hosts-let",
)
REFUSED = CodeOrStateInvalidError(
    _("ServiceStage refused the code or the state"), code="SVCSTG.REPO.0402", request_id="6fb06e5b4bf84ce8b3fc29"
)
UNKNOWN = OutcomeUnknownError(_("ServiceStage gave no answer, and nobody knows whether it made the authorization"))


def start(opened: Open) -> str:
    return f"{opened.listener.address}/start?k={opened.key}"


def _brought(
    receiver: Callable[[], RedirectReceiver], query: str = OURS
) -> Callable[[Tab], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def shown(tab: Tab) -> AsyncIterator[None]:
        async with listening(receiver(), patience=0.2) as opened:
            await tab.open(f"{opened.listener.address}{DIRECT}?{query}")
            yield

    return shown


@asynccontextmanager
async def _start(tab: Tab) -> AsyncIterator[None]:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        yield


@asynccontextmanager
async def _problem(tab: Tab) -> AsyncIterator[None]:
    async with listening(RedirectReceiver()) as opened:
        await tab.open(start(opened))
        stale = json.dumps(ADDRESS.replace("canary", "stale"))
        await tab.evaluate(f"document.querySelector('textarea').value = {stale}")
        await tab.evaluate("document.querySelector('button[type=submit]').click()")
        await tab.wait_for("document.querySelector('[role=alert]') !== null")
        yield


@asynccontextmanager
async def _already_opened(tab: Tab) -> AsyncIterator[None]:
    async with listening(RedirectReceiver()) as opened:
        await ask(opened.port, f"/start?k={opened.first}")
        await tab.open(f"{opened.listener.address}/start?k={opened.first}")
        yield


@asynccontextmanager
async def _other_user(tab: Tab) -> AsyncIterator[None]:
    pages = Pages(RepoType.GITHUB, "", done="/done", attempt="1.1", language=Language.ENGLISH)

    async def answer(_request: web.Request) -> web.Response:
        return show(pages.other_user())

    app = web.Application()
    app.router.add_get("/start", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await tab.open(f"http://127.0.0.1:{runner.addresses[0][1]}/start")
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def cut_off() -> AsyncIterator[tuple[Open, str, asyncio.Event]]:
    """Open a listener behind a forwarder; give the page's address, and what cuts the listener off when it is set."""
    writers: list[asyncio.StreamWriter] = []
    cut = asyncio.Event()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ours: bytes, theirs: bytes) -> None:
        while data := await reader.read(65536):
            writer.write(data.replace(ours, theirs))
        writer.close()

    async with listening(RedirectReceiver()) as opened:

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", opened.port)
            writers.extend((writer, back))
            ours, theirs = (b"127.0.0.1:%d" % port for port in (server.sockets[0].getsockname()[1], opened.port))
            await asyncio.gather(
                carry(reader, back, ours, theirs), carry(there, writer, b"\0", b"\0"), return_exceptions=True
            )

        async def cutting() -> None:
            await cut.wait()
            server.close()
            for writer in writers:
                writer.transport.abort()

        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        task = asyncio.create_task(cutting())
        try:
            yield opened, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/start?k={opened.key}", cut
        finally:
            cut.set()
            await task


@asynccontextmanager
async def _lost(tab: Tab) -> AsyncIterator[None]:
    async with cut_off() as (_, address, cut):
        await tab.open(address)
        cut.set()
        await tab.wait_for("document.title === 'oauth-helper is no longer running'")
        assert await tab.evaluate("document.body.dataset.outcome") == "unknown"
        yield


PAGES: dict[str, Callable[[Tab], AbstractAsyncContextManager[None]]] = {
    "start": _start,
    "problem": _problem,
    "waiting": _brought(lambda: RedirectReceiver(ending=None)),
    "linked": _brought(RedirectReceiver),
    "kept": _brought(lambda: RedirectReceiver(ending=Linked(LONG, kept=True))),
    "denied": _brought(RedirectReceiver, DENIAL),
    "failed": _brought(lambda: RedirectReceiver(ending=Failed(REFUSED))),
    "unknown": _brought(lambda: RedirectReceiver(ending=Failed(UNKNOWN))),
    "stray": _brought(RedirectReceiver, "code=c&state=stale"),
    "already-opened": _already_opened,
    "other-user": _other_user,
    "lost": _lost,
}
