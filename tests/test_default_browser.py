"""The default browser is really started: with what, as what, and what becomes of it."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from recording_machine import ADDRESS, DISPLAY, Machine, fifo, machine

from oauth_helper.browsers.launch import open_default_browser
from oauth_helper.errors import NoBrowserError

__all__ = ["fifo", "machine"]


def _let_go(fifo: Path) -> None:
    with fifo.open("w", encoding="utf-8"):
        pass


async def test_the_address_reaches_the_browser_as_one_unharmed_argument(machine: Machine) -> None:
    machine.install("xdg-open")
    assert await open_default_browser(ADDRESS, environ=machine.environ | DISPLAY) == "xdg-open"
    assert machine.record("xdg-open")["arguments"] == [ADDRESS]


async def test_the_browser_gets_none_of_our_streams_and_a_session_of_its_own(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.install("loud")
    ours, other = os.pipe()
    os.set_inheritable(ours, True)
    try:
        assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "loud"}) == "loud"
    finally:
        os.close(ours)
        os.close(other)
    record = machine.record("loud")
    assert record["null"] == [True, True, True]
    assert ours not in record["held"]
    assert record["session"] == record["pid"]
    assert capfd.readouterr() == ("", "")


async def test_a_browser_that_runs_on_is_not_waited_for_and_leaves_no_zombie(machine: Machine, fifo: Path) -> None:
    program = machine.install("firefox", hold=fifo)
    async with asyncio.timeout(10):
        assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "firefox"}) == "firefox"
    pid = machine.record("firefox")["pid"]
    os.kill(pid, 0)  # it still runs
    reaper = next(thread for thread in threading.enumerate() if thread.name == f"reap {program}")
    assert reaper.daemon
    await asyncio.to_thread(_let_go, fifo)
    await asyncio.to_thread(reaper.join, 10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_opener_that_runs_on_is_not_waited_for_either(machine: Machine, fifo: Path) -> None:
    machine.install("xdg-open", hold=fifo)
    async with asyncio.timeout(10):
        assert await open_default_browser(ADDRESS, environ=machine.environ | DISPLAY) == "xdg-open"


def test_a_browser_outlives_us_and_our_end_is_silent(machine: Machine, fifo: Path) -> None:
    machine.install("firefox", hold=fifo)
    script = (
        "import asyncio, sys\n"
        "from oauth_helper.browsers.launch import open_default_browser\n"
        "environ = {'PATH': sys.argv[1], 'BROWSER': 'firefox'}\n"
        "print(asyncio.run(open_default_browser('http://127.0.0.1/', environ=environ)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, machine.environ["PATH"]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "firefox\n", "")
    os.kill(machine.record("firefox")["pid"], 0)


async def test_a_cancelled_opening_leaves_the_browser_running(machine: Machine, fifo: Path) -> None:
    machine.install("xdg-open", hold=fifo)
    opening = asyncio.create_task(open_default_browser(ADDRESS, environ=machine.environ | DISPLAY))
    pid = (await asyncio.to_thread(machine.record, "xdg-open"))["pid"]
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    os.kill(pid, 0)


async def test_what_ends_badly_or_cannot_start_leads_to_the_next(machine: Machine) -> None:
    machine.install("fails", status=3)
    broken = machine.install("broken")
    broken.write_text("#!/nowhere/at/all\n", encoding="utf-8")
    machine.install("works")
    machine.install("late")
    environ = machine.environ | {"BROWSER": os.pathsep.join(["absent", "fails", "broken", "", "works", "late"])}
    assert await open_default_browser(ADDRESS, environ=environ) == "works"
    assert machine.started("fails")
    assert not machine.started("late")


async def test_an_opener_that_finds_no_browser_leads_to_the_next(machine: Machine) -> None:
    machine.install("wslview", status=3)
    machine.install("firefox")
    environ = machine.environ | DISPLAY | {"WSL_DISTRO_NAME": "Ubuntu"}
    assert await open_default_browser(ADDRESS, environ=environ) == "firefox"
    assert machine.started("wslview")


async def test_an_opener_is_told_which_browsers_are_no_text_mode_browsers(machine: Machine) -> None:
    machine.install("xdg-open")
    await open_default_browser(ADDRESS, environ=machine.environ | DISPLAY)
    told = machine.record("xdg-open")["browser"].split(":")
    assert "firefox" in told
    assert not {"www-browser", "lynx", "w3m", "links"} & set(told)


async def test_every_failure_of_the_usual_candidates_is_told(machine: Machine) -> None:
    machine.install("firefox", status=1)
    machine.install("xdg-open", status=4)
    with pytest.raises(NoBrowserError) as caught:
        await open_default_browser(ADDRESS, environ=machine.environ | DISPLAY)
    assert "xdg-open ended with status 4" in caught.value.message
    assert "firefox ended with status 1" in caught.value.message
    assert "BROWSER" not in caught.value.message
    assert "--browser none" in caught.value.hint


async def test_without_a_display_nothing_is_started(machine: Machine) -> None:
    machine.install("xdg-open")
    with pytest.raises(NoBrowserError, match="neither DISPLAY nor WAYLAND_DISPLAY is set"):
        await open_default_browser(ADDRESS, environ=machine.environ | {"DISPLAY": ""})
    assert not machine.started("xdg-open")


async def test_under_wsl_wslview_opens_the_browser_of_windows_without_a_display(machine: Machine) -> None:
    machine.install("wslview")
    environ = machine.environ | {"WSL_DISTRO_NAME": "Ubuntu"}
    assert await open_default_browser(ADDRESS, environ=environ) == "wslview"
    assert machine.record("wslview")["arguments"] == [ADDRESS]


async def test_chromium_gets_no_sandbox_switch_exactly_as_root(machine: Machine) -> None:
    machine.install("chromium")
    await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "chromium"})
    switch = ["--no-sandbox"] if os.geteuid() == 0 else []
    assert machine.record("chromium")["arguments"] == [*switch, ADDRESS]
