"""Which commands open the default browser, how they are started, and why there are none."""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest
from browsers.recording_machine import ADDRESS, DISPLAY, Machine, fifo, machine

from oauth_helper.browsers.discovery import first_browser, open_commands
from oauth_helper.browsers.launch import open_default_browser
from oauth_helper.credential_sources import CHAIN_VARIABLES
from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import Text

__all__ = ["fifo", "machine"]

WSL = {"WSL_DISTRO_NAME": "Debian"}
HANDLER = "url.dll,FileProtocolHandler"
FIREFOX, EDGE = r"C:\Program Files\Mozilla Firefox\firefox.exe", r"C:\Edge\msedge.exe"


def pretend(
    monkeypatch: pytest.MonkeyPatch, programs: tuple[str, ...], *, user: int = 1000, platform: str = "linux"
) -> None:
    """Let only these programs exist, for this user."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "pathsep", ";" if platform == "win32" else ":")
    paths = {**{Path(program).name: program for program in programs}, **{program: program for program in programs}}
    monkeypatch.setattr(shutil, "which", lambda name, path: paths.get(name))
    monkeypatch.setattr(os, "geteuid", lambda: user)


def commands(environ: dict[str, str]) -> list[list[str]]:
    found = [command for command in open_commands(environ) if not isinstance(command, Text)]
    return [[word.replace("%s", "URL") for word in command] for command in found]


DESKTOP = ("/bin/firefox", "/bin/gio", "/bin/xdg-open", "/bin/sensible-browser", "/bin/www-browser")
OPENED = [["/bin/xdg-open", "URL"], ["/bin/gio", "open", "URL"], ["/bin/firefox", "URL"]]


BOTH = {"BROWSER": rf'"{FIREFOX}" -new-tab %s;{EDGE}'}
RUNDLL = r"D:\Win\System32\rundll32.exe"


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "expected"),
    [
        (DISPLAY, "linux", DESKTOP, OPENED),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", DESKTOP, OPENED),
        ({"BROWSER": " : "} | DISPLAY, "linux", DESKTOP, OPENED),
        ({"BROWSER": "firefox"} | DISPLAY, "linux", DESKTOP, [["/bin/firefox", "URL"]]),
        (WSL, "linux", ("/b/wslview", "/c/rundll32.exe"), [["/b/wslview", "URL"], ["/c/rundll32.exe", HANDLER, "URL"]]),
        (WSL | DISPLAY, "linux", ("/b/wslview", "/b/xdg-open"), [["/b/wslview", "URL"], ["/b/xdg-open", "URL"]]),
        ({}, "darwin", ("/usr/bin/open",), [["/usr/bin/open", "URL"]]),
        ({"SystemRoot": r"D:\Win"}, "win32", (RUNDLL,), [[RUNDLL, HANDLER, "URL"]]),
        (BOTH, "win32", (FIREFOX, EDGE), [[FIREFOX, "-new-tab", "URL"], [EDGE, "URL"]]),
    ],
)
def test_commands_by_machine_best_first(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    platform: str,
    programs: tuple[str, ...],
    expected: list[list[str]],
) -> None:
    pretend(monkeypatch, programs, platform=platform)
    assert commands(environ) == expected


def test_as_root_browsers_come_first_and_chromium_gets_its_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ("/bin/xdg-open", "/bin/firefox", "/opt/google-chrome-stable", "/bin/operate"), user=0)
    expected = [["/opt/google-chrome-stable", "--no-sandbox", "URL"], ["/bin/firefox", "URL"], ["/bin/xdg-open", "URL"]]
    assert commands(DISPLAY) == expected
    environ = {"BROWSER": "google-chrome-stable --incognito:operate --incognito"}
    assert commands(environ) == [
        ["/opt/google-chrome-stable", "--no-sandbox", "--incognito", "URL"],
        ["/bin/operate", "--incognito", "URL"],
    ]


@pytest.mark.parametrize(
    ("target", "expected", "reason"),
    [("chromium", ["--no-sandbox", "URL"], ""), ("w3m", None, "x-www-browser is a text-mode browser")],
)
def test_a_browser_behind_an_alternatives_link_is_recognized(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, expected: list[str] | None, reason: str
) -> None:
    (tmp_path / target).touch(mode=0o755)
    (link := tmp_path / "x-www-browser").symlink_to(tmp_path / target)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    environ = DISPLAY | {"PATH": str(tmp_path)}
    assert commands(environ)[:1] == ([[str(link), *expected]] if expected else [])
    assert first_browser(environ)[1] == reason


@pytest.mark.parametrize("name", ["lynx", "www-browser"])
def test_text_mode_browsers_are_skipped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch, (f"/bin/{name}", "/bin/firefox"))
    assert commands({"BROWSER": f"{name} %s:firefox"}) == [["/bin/firefox", "URL"]]


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "reason"),
    [
        ({}, "linux", DESKTOP, "no display: neither DISPLAY nor WAYLAND_DISPLAY is set"),
        (DISPLAY, "linux", (), "no graphical browser was found on PATH"),
        (WSL, "linux", (), "no graphical browser was found on PATH"),
        ({}, "darwin", (), "no graphical browser was found on PATH"),
        (
            {"BROWSER": "absent:lynx"} | DISPLAY,
            "linux",
            ("/bin/lynx", "/bin/firefox"),
            "BROWSER is set, but absent was not found; lynx is a text-mode browser",
        ),
        ({"BROWSER": "\x1b[2Jabsent"}, "linux", (), "BROWSER is set, but [2Jabsent was not found"),
        (DISPLAY, "linux", DESKTOP, ""),
        ({"BROWSER": "absent:firefox"}, "linux", DESKTOP, ""),
    ],
)
def test_the_reason_why_no_browser_can_be_opened(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    platform: str,
    programs: tuple[str, ...],
    reason: str,
) -> None:
    pretend(monkeypatch, programs, platform=platform)
    assert first_browser(environ)[1] == reason


async def test_the_address_is_one_unharmed_argument(machine: Machine) -> None:
    machine.install("xdg-open")
    hidden = {"MOZ_HEADLESS": "1", "QT_QPA_PLATFORM": "offscreen"}
    hidden |= dict.fromkeys(CHAIN_VARIABLES, "planted")
    environ = machine.environ | DISPLAY | hidden | {"HTTPS_PROXY": "http://me:planted@proxy:1/"}
    assert await open_default_browser(ADDRESS, environ=environ) == "xdg-open"
    record = machine.record("xdg-open")
    assert record["arguments"] == [ADDRESS]
    assert not hidden.keys() & record["environ"].keys()
    assert record["environ"]["HTTPS_PROXY"] == "http://proxy:1/"
    # xdg-open is told which browsers are graphical.
    assert "firefox" in record["environ"]["BROWSER"].split(":")
    assert not {"www-browser", "lynx", "w3m", "links"} & set(record["environ"]["BROWSER"].split(":"))


async def test_the_browser_gets_none_of_our_streams_and_a_session_of_its_own(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.install("loud")
    ours, other = os.pipe()
    os.set_inheritable(ours, True)
    try:
        assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "loud --new"}) == "loud"
    finally:
        os.close(ours)
        os.close(other)
    record = machine.record("loud")
    assert record["null"] == [True, True, True]
    assert ours not in record["held"]
    assert record["session"] == record["pid"]
    assert record["environ"]["BROWSER"] == "loud --new"
    assert capfd.readouterr() == ("", "")


async def test_a_browser_that_keeps_running_is_not_waited_for_and_leaves_no_zombie(
    machine: Machine, fifo: Path
) -> None:
    program = machine.install("firefox", hold=fifo)
    async with asyncio.timeout(10):
        assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "firefox"}) == "firefox"
    pid = machine.record("firefox")["pid"]
    os.kill(pid, 0)  # it still runs
    reaper = next(thread for thread in threading.enumerate() if thread.name == f"reap {program}")
    assert reaper.daemon
    await asyncio.to_thread(lambda: fifo.open("w").close())
    await asyncio.to_thread(reaper.join, 10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_browser_outlives_us_and_we_end_silently(machine: Machine, fifo: Path) -> None:
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
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "firefox\n", "")
    os.kill(machine.record("firefox")["pid"], 0)


async def test_after_a_command_that_fails_the_next_one_is_tried(machine: Machine) -> None:
    machine.install("fails", status=3)
    machine.install("broken").write_text("#!/nowhere/at/all\n", encoding="utf-8")
    machine.install("works")
    machine.install("late")
    environ = machine.environ | {"BROWSER": ":".join(["absent", "fails", "broken", "", "works", "late"])}
    assert await open_default_browser(ADDRESS, environ=environ) == "works"
    assert machine.started("fails")
    assert not machine.started("late")


async def test_all_failures_are_reported(machine: Machine) -> None:
    machine.install("firefox", status=1)
    machine.install("xdg-open", status=4)
    with pytest.raises(NoBrowserError) as caught:
        await open_default_browser(ADDRESS, environ=machine.environ | DISPLAY)
    assert "xdg-open ended with status 4" in caught.value.message
    assert "firefox ended with status 1" in caught.value.message
    assert "BROWSER" not in caught.value.message
    assert "--browser none" in caught.value.hint


@pytest.mark.parametrize(
    ("chosen", "arguments"),
    [
        ("mine", [ADDRESS]),
        ("mine --new-window", ["--new-window", ADDRESS]),
        ("mine --app=%s --then", [f"--app={ADDRESS}", "--then"]),
        ("mine %s %s", [ADDRESS, ADDRESS]),
        ("mine -P 'the work profile' %s", ["-P", "the work profile", ADDRESS]),
        ("mine %s &", [ADDRESS]),
        ("  mine &", [ADDRESS]),
    ],
)
async def test_browser_is_read_as_webbrowser_reads_it(machine: Machine, chosen: str, arguments: list[str]) -> None:
    machine.install("mine")  # without a display, too
    assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": chosen}) == "mine"
    assert machine.record("mine")["arguments"] == arguments


@pytest.mark.parametrize("quoted", [True, False])
async def test_browser_may_be_a_path_with_spaces(machine: Machine, quoted: bool) -> None:
    program = machine.install("my own browser")
    chosen = shlex.quote(str(program)) if quoted else str(program)
    assert await open_default_browser(ADDRESS, environ={"BROWSER": chosen}) == "my own browser"
    assert machine.record("my own browser")["arguments"] == [ADDRESS]


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ("absent --token=planted-value", "absent was not found"),
        ("fails", "fails ended with status 3"),
        ("lynx", "lynx is a text-mode browser"),
        ("env TERM=dumb lynx %s", "lynx is a text-mode browser"),
        ("disguised", "disguised is a text-mode browser"),
        ("fails 'open", "the quotes in it do not match"),
        ("&", "it names no program"),
        ("plain.txt", "plain.txt could not be started (Exec format error)"),
    ],
)
async def test_if_nothing_in_browser_works_the_error_names_it_and_no_secret(
    machine: Machine, chosen: str, problem: str
) -> None:
    machine.install("fails", status=3)
    lynx = machine.install("lynx")
    (lynx.parent / "disguised").symlink_to(lynx)
    machine.install("plain.txt").write_text("no program", encoding="utf-8")
    machine.install("xdg-open")
    with pytest.raises(NoBrowserError) as caught:
        await open_default_browser(ADDRESS, environ=machine.environ | DISPLAY | {"BROWSER": chosen})
    assert caught.value.message == f"No browser was opened: BROWSER is set, but {problem}"
    assert "BROWSER" in caught.value.hint
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert not machine.started("lynx")
    assert not machine.started("xdg-open")
