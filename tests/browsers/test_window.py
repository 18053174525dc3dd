"""The window in real browsers: every redirect is held, the console hears of none, and nothing is left at the end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers.real_browsers import chromium, installed
from browsers.window_traces import Traces, traces
from browsers.window_world import CODE, PATH, STATE, TOUR, Console, Window, World

from oauth_helper.browsers.drivers import Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oauth_helper.browsers.discovery import InstalledBrowser

__all__ = ["traces"]

HURRIED = Timeouts(close=0.2)
"""For a browser that is not asked to end while it asks the user something."""
REAL_CONSOLE = "https://console.huaweicloud.com"


@pytest.fixture(params=["chromium", "chromium-over-port", "firefox"])
def browser(request: pytest.FixtureRequest, tmp_path: Path) -> InstalledBrowser:
    return installed(request.param, tmp_path)


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with Console() as console:
        yield console


@pytest.fixture
async def world(console: Console) -> AsyncIterator[World]:
    async with World.opened(console.origin) as world:
        yield world
        assert console.heard == []


@pytest.mark.thorough("over-port")
async def test_every_way_to_the_callback_is_held_and_the_console_hears_of_none(
    browser: InstalledBrowser, traces: Traces, console: Console
) -> None:
    async with World.opened(console.origin) as world:
        async with Window(world, browser, "/next", environ=traces.environ) as window:
            await window.opened()
            assert traces.processes()
            try:
                await world.milestones.reached("tour over", seconds=40)
            except TimeoutError:
                pytest.fail(f"got only as far as {world.receiver.judged}")
        await traces.gone()
    denied = f"repo_type=github&error=access_denied&state={STATE}"
    pages = ["meta" if way == "form-then-meta" else way for way in TOUR if way != "denied"]
    browser_options = [f"repo_type=github&code={CODE}-{page}&state={STATE}" for page in pages]
    assert world.receiver.judged == [*browser_options, denied]
    assert world.receiver.rejected == [f"repo_type=github&code={CODE}&state=foreign"]
    assert console.heard == []
    assert not [referer for referer in world.referers if PATH in referer or CODE in referer]
    assert not [asked for asked in world.asked if CODE in asked or STATE in asked]


@pytest.mark.thorough("over-port", "firefox")
async def test_a_window_is_open_however_long_the_git_host_takes_to_answer(
    browser: InstalledBrowser, traces: Traces, console: Console
) -> None:
    async with World.opened(console.origin) as world:
        async with Window(world, browser, "/when/answers", environ=traces.environ) as window:
            await window.opened()
            await world.milestones.reached("someone waits")
            world.milestones.reach("answers")
        await traces.gone()


async def test_a_console_whose_name_cannot_be_resolved_will_do(traces: Traces) -> None:
    async with World.opened(REAL_CONSOLE) as world:
        async with Window(world, chromium(), "/git/redirect", environ=traces.environ) as window:
            await window.opened()
            await world.milestones.reached("done")
        assert world.receiver.judged == [f"repo_type=github&code={CODE}-redirect&state={STATE}"]
        await traces.gone()


async def test_firefox_never_looks_the_consoles_name_up(traces: Traces, tmp_path: Path) -> None:
    log = {"MOZ_LOG": "nsHostResolver:5,sync", "MOZ_LOG_FILE": str(tmp_path / "resolver")}
    async with World.opened(REAL_CONSOLE) as world:
        firefox = installed("firefox", tmp_path)
        async with Window(world, firefox, "/git/redirect", environ={**traces.environ, **log}) as window:
            await window.opened()
            await world.milestones.reached("done")
        assert world.receiver.judged == [f"repo_type=github&code={CODE}-redirect&state={STATE}"]
        await traces.gone()
    logs = [path.read_text(errors="replace") for path in tmp_path.glob("resolver*")]
    assert logs, "its log is kept"
    assert not [line for text in logs for line in text.splitlines() if "console.huaweicloud.com" in line]


async def test_speculation_does_not_bring_the_code_to_the_console(traces: Traces, console: Console) -> None:
    async with (
        World.opened(console.origin) as world,
        Window(world, chromium(), "/git/speculative", environ=traces.environ) as window,
    ):
        await window.opened()
        await world.milestones.reached("done")
    assert console.heard == []
    assert not [asked for asked in world.asked if asked.endswith("?go")]


@pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)
@pytest.mark.thorough("firefox")
async def test_what_a_page_asks_is_left_for_the_user_to_answer(
    browser: InstalledBrowser, traces: Traces, console: Console
) -> None:
    async with (
        World.opened(console.origin) as world,
        Window(world, browser, "/git/asking", environ=traces.environ, timeouts=HURRIED) as window,
    ):
        await window.opened()
        await world.milestones.reached("asking")
        with pytest.raises(TimeoutError):
            await world.milestones.reached("answered-false", seconds=1)


@pytest.mark.thorough("firefox")
async def test_what_every_user_can_read_of_a_window_bears_no_address_of_ours(
    browser: InstalledBrowser, traces: Traces, console: Console
) -> None:
    async with World.opened(console.origin) as world:
        async with Window(world, browser, "/next", environ=traces.environ) as window:
            await window.opened()
            [profile] = traces.profiles()
            page = profile / "start.html"
            assert (page.stat().st_mode & 0o777, profile.stat().st_mode & 0o777) == (0o600, 0o700)
            assert f"{world.origin}/start?k=KEY" in page.read_text(encoding="utf-8")
            arguments = traces.processes()
            assert any(page.as_uri() in words for words in arguments)
            assert not [words for words in arguments if "KEY" in words or world.origin in words]
        await traces.gone()


@pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)
@pytest.mark.thorough("firefox")
async def test_a_window_that_the_user_closes_is_noticed_at_once(
    browser: InstalledBrowser, traces: Traces, world: World
) -> None:
    async with Window(world, browser, "/git/closing", environ=traces.environ) as window:
        await window.opened()
        await world.milestones.reached("closing")
        async with asyncio.timeout(1):
            await window.until_closed()
    await traces.gone()


@pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)
@pytest.mark.parametrize("killed", ["browser", "supervisor"])
@pytest.mark.thorough("supervisor")
async def test_a_browser_that_is_killed_is_noticed_at_once(
    browser: InstalledBrowser, traces: Traces, world: World, killed: str
) -> None:
    async with Window(world, browser, "/git/waiting", environ=traces.environ) as window:
        await window.opened()
        await world.milestones.reached("git host")
        [number] = traces.leaders() if killed == "browser" else traces.supervisors()
        os.kill(number, signal.SIGKILL)
        async with asyncio.timeout(1):
            await window.until_closed()
    await traces.gone()


@pytest.mark.parametrize("milestone", ["led", "git host"])
async def test_cancellation_leaves_nothing(traces: Traces, world: World, milestone: str) -> None:
    async def wait_for_ever() -> None:
        async with Window(world, chromium(), "/git/waiting", environ=traces.environ) as window:
            await window.opened()
            await window.until_closed()

    waiting = asyncio.create_task(wait_for_ever())
    await world.milestones.reached(milestone)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await traces.gone()


async def test_a_fault_of_the_judge_surfaces_and_its_request_goes_nowhere(traces: Traces, world: World) -> None:
    def judge(query: str) -> None:
        world.milestones.reach("fault")
        raise ZeroDivisionError

    async with Window(world, chromium(), "/git/redirect", environ=traces.environ, judge=judge) as window:
        await window.opened()
        await world.milestones.reached("fault")
        with pytest.raises(ZeroDivisionError):
            await window.until_closed()
    await traces.gone()
