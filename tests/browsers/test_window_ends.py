"""However a window ends, nothing of it is left, and its end is noticed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.real_browsers import chromium, installed
from support.window_traces import Traces, traces
from support.window_world import Console, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oauth_helper.browsers.discovery import FoundBrowser

__all__ = ["traces"]

CHILD = Path(__file__).parents[1] / "support" / "window_to_kill.py"


@pytest.fixture(params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest, tmp_path: Path) -> FoundBrowser:
    return installed(request.param, tmp_path)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Console() as console, World.opened(console.origin) as world:
        yield world
        assert console.heard == []


async def test_a_window_that_the_user_closes_is_noticed_at_once(
    browser: FoundBrowser, traces: Traces, world: World
) -> None:
    async with world.window(browser, "/git/closing", environ=traces.environ) as window:
        await window.open()
        await world.milestones.reached("closing")
        async with asyncio.timeout(1):
            await window.until_closed()
    await traces.gone()


@pytest.mark.parametrize("killed", ["browser", "supervisor"])
async def test_a_browser_that_is_killed_is_noticed_at_once(
    browser: FoundBrowser, traces: Traces, world: World, killed: str
) -> None:
    async with world.window(browser, "/git/waiting", environ=traces.environ) as window:
        await window.open()
        await world.milestones.reached("git host")
        [number] = traces.leaders() if killed == "browser" else traces.supervisors()
        os.kill(number, signal.SIGKILL)
        async with asyncio.timeout(1):
            await window.until_closed()
    await traces.gone()


@pytest.mark.parametrize("milestone", ["led", "git host"])
async def test_cancellation_leaves_nothing(browser: FoundBrowser, traces: Traces, world: World, milestone: str) -> None:
    async def wait_for_ever() -> None:
        async with world.window(browser, "/git/waiting", environ=traces.environ) as window:
            await window.open()
            await window.until_closed()

    waiting = asyncio.create_task(wait_for_ever())
    await world.milestones.reached(milestone)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await traces.gone()


async def test_a_deadline_leaves_nothing_and_closing_twice_is_no_fault(traces: Traces, world: World) -> None:
    window = world.window(chromium(), "/git/waiting", environ=traces.environ)
    async with window:
        await window.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await window.until_closed()
        await window.close()
        await traces.gone()


@pytest.mark.parametrize("waits", [True, False])
async def test_a_fault_of_the_judge_surfaces_and_its_request_goes_nowhere(
    traces: Traces, world: World, waits: bool
) -> None:
    def judge(query: str) -> None:
        world.milestones.reach("fault")
        raise ZeroDivisionError

    async def link() -> None:
        async with world.window(chromium(), "/git/redirect", environ=traces.environ, judge=judge) as window:
            await window.open()
            await world.milestones.reached("fault")
            if waits:
                await window.until_closed()

    with pytest.raises(ZeroDivisionError):
        await link()
    await traces.gone()


@pytest.mark.parametrize("browser", ["chromium", "chromium-over-port", "firefox"], indirect=True)
async def test_when_we_are_killed_the_browser_goes_too(browser: FoundBrowser, traces: Traces) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), browser.family, browser.command[0], browser.packaging),
        env={**traces.environ, "PYTHONPATH": f"{CHILD.parents[1]}{os.pathsep}{CHILD.parents[2]}"},
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    async with asyncio.timeout(30):
        assert await child.stdout.readline() == b"open\n"
    traces.process = child.pid
    assert traces.processes()
    assert traces.profiles()
    child.kill()
    await child.wait()
    await traces.gone(seconds=5)


async def test_what_an_earlier_run_left_is_swept(traces: Traces, world: World) -> None:
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    stale = Path(tempfile.gettempdir()) / f"oauth-helper-{ended.pid}-abcdefgh"
    (stale / "Default").mkdir(parents=True)
    async with world.window(chromium(), "/git/waiting", environ=traces.environ) as window:
        await window.open()
        assert not stale.exists()
