"""Browsers that are of no use as a window say why in one line, and whether the waiting tab is still there."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from browsers.real_browsers import chromium
from browsers.window_traces import Traces, traces
from browsers.window_world import Console, Window, World
from msgspec.structs import replace

from oauth_helper.browsers import launch
from oauth_helper.browsers.discovery import Family, InstalledBrowser, Packaging
from oauth_helper.browsers.drivers import NoWindowError, Timeouts

__all__ = ["traces"]

Failure = Callable[..., Awaitable[tuple[NoWindowError, Window]]]

FAKE = Path(__file__).with_name("fake_browser.py")
ODD = "says something that cannot be read; it may be too new"
TOO_OLD = "does not do {} as it is asked to here; it may be too old"
SELF_TEST = "did not hold the request of its self-test within 1 seconds"
LAST_LINES = "Missing X server / Giving up on [31mhttp://127.0.0.1:1/start… '…' … /usr/lib/x"
SHORT = Timeouts(endpoint=1, command=1, session=1, self_test=1, close=1)
"""For a browser of which nothing comes; one that answers gets the usual time, on a busy machine too."""
C, F = Family.CHROMIUM, Family.FIREFOX


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Console() as console, World.opened(console.origin) as world:
        yield world
        assert console.heard == []


@pytest.fixture
async def failure(world: World, traces: Traces) -> AsyncIterator[Failure]:
    """Open a window that fails; at the end, nothing is left of it."""
    async with AsyncExitStack() as stack:

        async def open_it(
            browser: InstalledBrowser, timeouts: Timeouts = SHORT, **environ: str
        ) -> tuple[NoWindowError, Window]:
            window = Window(world, browser, "/git/secret", environ=traces.environ | environ, timeouts=timeouts)
            await stack.enter_async_context(window)
            with pytest.raises(NoWindowError) as caught:
                await window.opened()
            shown = f"{caught.value!r} {caught.value.__cause__!r} {window!r}"
            assert not [secret for secret in ("KEY", "DONEKEY", "/git/secret", "selftest") if secret in shown]
            return caught.value, window

        yield open_it
    await traces.gone()


@pytest.fixture
async def opened(world: World, traces: Traces) -> AsyncIterator[Callable[[str], Awaitable[Window]]]:
    """Open a window in a fake Chromium; at the end, nothing is left of it."""
    async with AsyncExitStack() as stack:

        async def open_it(fault: str) -> Window:
            window = Window(world, fake(C, fault), "/git/redirect", environ=traces.environ, timeouts=Timeouts(close=1))
            await stack.enter_async_context(window)
            await window.opened()
            return window

        yield open_it
    await traces.gone()


def fake(family: Family, fault: str) -> InstalledBrowser:
    return InstalledBrowser(family, (sys.executable, str(FAKE), fault), "Fake", Packaging.PLAIN, True)


@pytest.mark.parametrize(
    ("family", "fault", "reason", "limits", "exists"),
    [
        (C, "silent", "did not answer Target.setDiscoverTargets within 1 seconds", {"endpoint": 1}, True),
        (C, "forbidden", "may not be driven: a policy of this machine forbids it", {}, True),
        (F, "silent", "did not say within 1 seconds where it can be driven", {"endpoint": 1}, True),
        (F, "odd-bidi-answer", ODD, {}, True),
        (F, "deaf", "takes no connection to drive it (ClientConnectorError)", {}, True),
        (C, "refuses", TOO_OLD.format("Target.setDiscoverTargets"), {}, False),
        (C, "ends", "ended with status 21", {}, False),
        (C, "is-closed", "was closed", {}, False),
        (F, "talks", f'ended with status 1: "{LAST_LINES}"', {}, False),
        (C, "no-json", SELF_TEST, {"self_test": 1}, False),
        (C, "odd-answer", ODD, {}, False),
        (C, "odd-event", ODD, {}, False),
        (F, "odd-bidi-event", ODD, {}, False),
        (C, "does-not-hold", SELF_TEST, {"self_test": 1}, False),
        (C, "stops-listening", "was closed before it was ready", {}, False),
        (C, "loses-the-user", "was closed before it was ready", {}, False),
        (F, "taken", "does not let itself be driven; another program may be driving it", {}, False),
        (F, "too-old", TOO_OLD.format("network.provideResponse"), {}, False),
    ],
)
async def test_a_browser_that_cannot_be_driven_says_why_and_its_tab_may_still_wait(
    family: Family,
    fault: str,
    reason: str,
    limits: dict[str, float],
    exists: bool,
    world: World,
    failure: Failure,
) -> None:
    error, _window = await failure(fake(family, fault), Timeouts(close=1, **limits))
    assert error.message == f"Fake {reason}"
    assert error.exists is exists
    if exists and fault != "odd-bidi-answer":
        world.lead(None)
        await world.milestones.reached("fallback")


async def test_one_that_cannot_be_driven_is_still_noticed_when_the_user_closes_it(
    failure: Failure, traces: Traces
) -> None:
    error, window = await failure(fake(C, "hangs-up"), Timeouts(close=1))
    assert error.message == "Fake closed the connection over which it is driven"
    assert error.exists
    [leader] = traces.leaders()
    os.kill(leader, signal.SIGTERM)
    async with asyncio.timeout(10):
        await window.until_closed()
    assert not window.is_open


async def test_one_whose_process_ends_before_all_that_it_started_has_ended(
    opened: Callable[[str], Awaitable[Window]], traces: Traces
) -> None:
    window = await opened("outlives-itself")
    [leader] = traces.leaders()
    os.kill(leader, signal.SIGKILL)
    async with asyncio.timeout(10):
        await window.until_closed()
    assert traces.processes(), "the connection is still held"


@pytest.mark.parametrize(
    ("fault", "milestone"), [("reloads", "both-answered"), ("speaks-strangely", "spoke-strangely")]
)
async def test_a_reload_during_the_self_test_or_strange_messages_after_it_do_not_end_the_window(
    opened: Callable[[str], Awaitable[Window]], world: World, fault: str, milestone: str
) -> None:
    window = await opened(fault)
    await world.milestones.reached(milestone)
    assert window.is_open


async def test_a_disk_that_is_full_says_so(failure: Failure) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        error, _window = await failure(fake(C, "silent"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.message.startswith("Fake could not be started (File too large)")
    assert not error.exists


@pytest.mark.parametrize("is_supervised", [True, False])
async def test_a_program_that_is_not_there_says_so(
    failure: Failure, monkeypatch: pytest.MonkeyPatch, is_supervised: bool
) -> None:
    monkeypatch.setattr(launch, "_CAN_SUPERVISE", is_supervised)
    error, _window = await failure(replace(fake(F, ""), command=("/nonexistent/browser",)))
    assert error.message.startswith("Fake could not be started")
    assert not error.exists


async def test_a_folder_that_cannot_be_made_says_so(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    browser = replace(fake(F, "silent"), packaging=Packaging.SNAP)
    error, _window = await failure(browser, HOME=str(tmp_path / "file"))
    assert "was given no profile folder" in error.message


async def test_where_policy_forbids_to_drive_chromium_its_waiting_tab_becomes_the_page(
    world: World, failure: Failure, tmp_path: Path
) -> None:
    wrapper = tmp_path / "chromium"
    wrapper.write_text(f"""#!/bin/sh
for word; do
    shift
    [ "$word" = --remote-debugging-pipe ] || set -- "$@" "$word"
done
echo "[1:1:ERROR:devtools] DevTools remote debugging is disallowed by the system admin." >&2
exec {chromium().command[0]} "$@"
""")
    wrapper.chmod(0o755)
    error, _window = await failure(replace(chromium(), command=(str(wrapper),)), Timeouts())
    assert "policy" in error.message
    assert error.exists
    await world.milestones.reached("start")
    world.lead(None)
    await world.milestones.reached("fallback")


async def test_without_a_supervisor_the_browser_and_its_profile_are_removed_too(
    failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, or in a frozen build."""
    monkeypatch.setattr(launch, "_CAN_SUPERVISE", False)
    error, _window = await failure(fake(F, "stubborn"))
    assert "did not say within 1 seconds" in error.message
