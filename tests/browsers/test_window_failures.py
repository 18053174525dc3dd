"""Browsers that are of no use as a window say why in one line, and whether the waiting tab is still there."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers.real_browsers import chromium
from browsers.window_traces import Traces, traces
from browsers.window_world import Console, Window, World
from msgspec.structs import replace

from oauth_helper.browsers import launch
from oauth_helper.browsers.discovery import Family, InstalledBrowser, Packaging
from oauth_helper.browsers.drivers import NoWindowError, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["traces"]

FAKE = Path(__file__).with_name("fake_browser.py")
ODD = "says something that cannot be read; it may be too new"
SHORT = Timeouts(endpoint=1, command=1, session=1, self_test=1, close=1)
"""For a browser of which nothing comes; one that answers gets the usual time, on a busy machine too."""


def timeouts_for(reason: str) -> Timeouts:
    """Short for the one thing that never comes: on a busy machine the others take their time."""
    match reason.partition(" within 1 seconds")[0]:
        case "did not hold the request of its self-test":
            return Timeouts(self_test=1, close=1)
        case "did not answer Target.setDiscoverTargets":
            return Timeouts(command=1, close=1)
        case "did not say":
            return Timeouts(endpoint=1, close=1)
        case _:
            return Timeouts(close=1)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Console() as console, World.opened(console.origin) as world:
        yield world
        assert console.heard == []


def fake(family: Family, fault: str) -> InstalledBrowser:
    return InstalledBrowser(family, (sys.executable, str(FAKE), fault), "Fake", Packaging.PLAIN, True)


@pytest.mark.parametrize(
    ("family", "fault", "reason"),
    [
        (Family.CHROMIUM, "silent", "did not answer Target.setDiscoverTargets within 1 seconds"),
        (Family.CHROMIUM, "forbidden", "may not be driven: a policy of this machine forbids it"),
        (Family.CHROMIUM, "hangs-up", "closed the connection over which it is driven"),
        (Family.FIREFOX, "silent", "did not say within 1 seconds where it can be driven"),
        (Family.FIREFOX, "stubborn", "did not say within 1 seconds where it can be driven"),
        (Family.FIREFOX, "odd-bidi-answer", ODD),
        (Family.FIREFOX, "deaf", "takes no connection to drive it (ClientConnectorError)"),
    ],
)
async def test_a_browser_that_cannot_be_driven_says_why_and_its_tab_still_waits(
    family: Family, fault: str, reason: str, world: World, traces: Traces
) -> None:
    async with Window(
        world, fake(family, fault), "/git/redirect", environ=traces.environ, timeouts=timeouts_for(reason)
    ) as window:
        with pytest.raises(NoWindowError) as caught:
            await window.opened()
        assert caught.value.message == f"Fake {reason}"
        assert caught.value.exists
        assert traces.processes()
        if fault != "odd-bidi-answer":
            world.lead(None)
            await world.milestones.reached("fallback")
    await traces.gone()


@pytest.mark.parametrize(
    ("family", "fault", "reason"),
    [
        (Family.CHROMIUM, "ends", "ended with status 21"),
        (Family.FIREFOX, "ends", "ended with status 21"),
        (Family.CHROMIUM, "is-closed", "was closed"),
        (
            Family.FIREFOX,
            "talks",
            "ended with status 1: \"Missing X server / Giving up on [31mhttp://127.0.0.1:1/start… '…' … /usr/lib/x\"",
        ),
        (Family.CHROMIUM, "refuses", "does not do Target.setDiscoverTargets as it is asked to here; it may be too old"),
        (Family.CHROMIUM, "no-json", "did not hold the request of its self-test within 1 seconds"),
        (Family.CHROMIUM, "odd-answer", ODD),
        (Family.CHROMIUM, "odd-event", ODD),
        (Family.FIREFOX, "odd-bidi-event", ODD),
        (Family.CHROMIUM, "does-not-hold", "did not hold the request of its self-test within 1 seconds"),
        (Family.CHROMIUM, "stops-listening", "was closed before it was ready"),
        (Family.CHROMIUM, "loses-the-user", "was closed before it was ready"),
        (Family.FIREFOX, "taken", "does not let itself be driven; another program may be driving it"),
        (Family.FIREFOX, "too-old", "does not do network.provideResponse as it is asked to here; it may be too old"),
    ],
)
async def test_a_browser_that_is_of_no_use_at_all_says_why(
    family: Family, fault: str, reason: str, world: World, traces: Traces
) -> None:
    async with Window(
        world, fake(family, fault), "/git/redirect", environ=traces.environ, timeouts=timeouts_for(reason)
    ) as window:
        with pytest.raises(NoWindowError) as caught:
            await window.opened()
        assert caught.value.message == f"Fake {reason}"
        assert not caught.value.exists
    await traces.gone()


async def test_one_that_cannot_be_driven_is_still_noticed_when_the_user_closes_it(world: World, traces: Traces) -> None:
    browser = fake(Family.CHROMIUM, "hangs-up")
    async with Window(world, browser, "/git/redirect", environ=traces.environ, timeouts=SHORT) as window:
        with pytest.raises(NoWindowError) as caught:
            await window.opened()
        assert caught.value.exists
        [leader] = traces.leaders()
        os.kill(leader, signal.SIGTERM)
        async with asyncio.timeout(10):
            await window.until_closed()
        assert not window.is_open
    await traces.gone()


async def test_one_whose_process_ends_before_all_that_it_started_has_ended(world: World, traces: Traces) -> None:
    browser = fake(Family.CHROMIUM, "outlives-itself")
    async with Window(world, browser, "/git/redirect", environ=traces.environ, timeouts=Timeouts(close=1)) as window:
        await window.opened()
        [leader] = traces.leaders()
        os.kill(leader, signal.SIGKILL)
        async with asyncio.timeout(10):
            await window.until_closed()
        assert traces.processes(), "the connection is still held"
    await traces.gone()


async def test_a_tab_that_is_reloaded_during_the_self_test_is_led_on_too(world: World, traces: Traces) -> None:
    browser = fake(Family.CHROMIUM, "reloads")
    async with Window(world, browser, "/git/redirect", environ=traces.environ, timeouts=Timeouts(close=1)) as window:
        await window.opened()
        await world.milestones.reached("both-answered")
        assert window.is_open
    await traces.gone()


async def test_what_a_window_that_works_says_of_other_things_does_not_end_it(world: World, traces: Traces) -> None:
    browser = fake(Family.CHROMIUM, "speaks-strangely")
    async with Window(world, browser, "/git/redirect", environ=traces.environ) as window:
        await window.opened()
        await world.milestones.reached("spoke-strangely")
        assert window.is_open
    await traces.gone()


async def test_a_disk_that_is_full_says_so(world: World, traces: Traces) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with Window(world, fake(Family.CHROMIUM, "silent"), "/git/redirect", environ=traces.environ) as window:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            with pytest.raises(NoWindowError, match=r"^Fake could not be started \(File too large\)") as caught:
                await window.opened()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not caught.value.exists
    await traces.gone()


@pytest.mark.parametrize("family", list(Family))
async def test_a_program_that_is_not_there_says_so(family: Family, world: World, traces: Traces) -> None:
    browser = replace(fake(family, ""), command=("/nonexistent/browser",))
    async with Window(world, browser, "/git/redirect", environ=traces.environ, timeouts=SHORT) as window:
        with pytest.raises(NoWindowError, match=r"^Fake (could not be started|ended with status)") as caught:
            await window.opened()
    assert not caught.value.exists
    await traces.gone()


async def test_a_folder_that_cannot_be_made_says_so(world: World, traces: Traces, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    browser = replace(fake(Family.FIREFOX, "silent"), packaging=Packaging.SNAP)
    environ = traces.environ | {"HOME": str(tmp_path / "file")}
    async with Window(world, browser, "/git/redirect", environ=environ) as window:
        with pytest.raises(NoWindowError, match="was given no profile folder"):
            await window.opened()


async def test_where_policy_forbids_to_drive_chromium_its_waiting_tab_becomes_the_page(
    world: World, traces: Traces, tmp_path: Path
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
    browser = replace(chromium(), command=(str(wrapper),))
    async with Window(world, browser, "/git/redirect", environ=traces.environ) as window:
        with pytest.raises(NoWindowError, match="policy") as caught:
            await window.opened()
        assert caught.value.exists
        await world.milestones.reached("start")
        world.lead(None)
        await world.milestones.reached("fallback")
    await traces.gone()


async def test_no_secret_stands_in_what_is_shown_of_a_failure(world: World, traces: Traces) -> None:
    window = Window(world, fake(Family.FIREFOX, "too-old"), "/git/secret", environ=traces.environ, timeouts=SHORT)
    async with window:
        with pytest.raises(NoWindowError) as caught:
            await window.opened()
    shown = f"{caught.value!r} {caught.value.__cause__!r} {window!r}"
    assert not [secret for secret in ("KEY", "DONEKEY", "/git/secret", "selftest") if secret in shown]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ((sys.executable, str(FAKE), "stubborn"), "did not say within 1 seconds"),
        (("/nonexistent",), "could not be started"),
    ],
)
async def test_without_a_supervisor_the_browser_and_its_profile_are_removed_too(
    command: tuple[str, ...], reason: str, world: World, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, or in a frozen build."""
    monkeypatch.setattr(launch, "_CAN_SUPERVISE", False)
    browser = InstalledBrowser(Family.FIREFOX, command, "Fake", Packaging.PLAIN, True)
    async with Window(world, browser, "/git/redirect", environ=traces.environ, timeouts=SHORT) as window:
        with pytest.raises(NoWindowError, match=reason):
            await window.opened()
    await traces.gone()
