import asyncio
import json
import os
import shlex
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oauth_helper.browsers.default import browser_commands, open_default_browser, why_no_browser
from oauth_helper.errors import NoBrowserError

ADDRESS = "http://127.0.0.1:4321/start?k=planted-KEY&a=$HOME&b='x y'&c=`id`;%20\\#"
"""Longer than the real one: everything that a shell, or a careless split, would harm."""

DISPLAY = {"DISPLAY": ":0"}

RECORDER = """#!{python} -IS
import json, os, sys
record = {{
    "arguments": sys.argv[1:],
    "pid": os.getpid(),
    "session": os.getsid(0),
    "browser": os.environ.get("BROWSER"),
    "null": [os.path.samestat(os.fstat(fd), os.stat(os.devnull)) for fd in (0, 1, 2)],
    "held": [fd for fd in range(3, 256) if os.path.exists(f"/dev/fd/{{fd}}")],
}}
with open({record!r} + ".part", "w") as file:
    json.dump(record, file)
os.rename({record!r} + ".part", {record!r})
print("chatter")
print("chatter", file=sys.stderr)
if {hold!r}:
    open({hold!r}).read()  # a FIFO: until the test lets go
sys.exit({status})
"""


@dataclass
class Machine:
    """A folder of programs that record how they were started, and the environment in which only they exist."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": str(self.folder / "bin")}

    def install(self, name: str, *, status: int = 0, hold: Path | None = None) -> Path:
        program = self.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        record = str(self._record(name))
        program.write_text(
            RECORDER.format(python=sys.executable, record=record, hold=str(hold or ""), status=status),
            encoding="utf-8",
        )
        program.chmod(0o755)
        return program

    def started(self, name: str) -> bool:
        return self._record(name).exists()

    def record(self, name: str) -> dict[str, Any]:
        """Return what ``name`` recorded; wait for it where it was only just started."""
        deadline = time.monotonic() + 20
        while not self.started(name) and time.monotonic() < deadline:
            time.sleep(0.01)
        found: dict[str, Any] = json.loads(self._record(name).read_text(encoding="utf-8"))
        return found

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A program that holds on to it runs until the test ends, or opens it for writing."""
    path = tmp_path / "hold"
    os.mkfifo(path)
    yield path
    writer = os.open(path, os.O_RDWR)  # never blocks, unlike O_WRONLY where nobody reads
    os.close(writer)


def _which(*programs: str) -> Callable[..., str | None]:
    paths = {**{Path(program).name: program for program in programs}, **{program: program for program in programs}}
    return lambda name, path: paths.get(name)


def _commands(
    environ: dict[str, str], *programs: str, platform: str = "linux", is_root: bool = False
) -> list[list[str]]:
    return browser_commands("URL", environ, platform, which=_which(*programs), is_root=is_root)


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
        "from oauth_helper.browsers.default import open_default_browser\n"
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


async def test_a_browser_of_the_users_choice_sees_the_choice_as_it_is(machine: Machine) -> None:
    machine.install("mine")
    await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "mine --new"})
    assert machine.record("mine")["browser"] == "mine --new"


@pytest.mark.parametrize(
    ("chosen", "arguments"),
    [
        ("mine", [ADDRESS]),
        ("mine --new-window", ["--new-window", ADDRESS]),
        ("mine --new-window %s", ["--new-window", ADDRESS]),
        ("mine --app=%s --then", [f"--app={ADDRESS}", "--then"]),
        ("mine %s %s", [ADDRESS, ADDRESS]),
        ("mine -P 'the work profile' %s", ["-P", "the work profile", ADDRESS]),
        ("mine %s &", [ADDRESS]),
        ("mine &", [ADDRESS]),
        ("  mine  ", [ADDRESS]),
    ],
)
async def test_browser_is_read_as_webbrowser_reads_it(machine: Machine, chosen: str, arguments: list[str]) -> None:
    machine.install("mine")
    assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": chosen}) == "mine"
    assert machine.record("mine")["arguments"] == arguments


@pytest.mark.parametrize("quoted", [True, False])
async def test_browser_may_be_a_path_with_spaces(machine: Machine, quoted: bool) -> None:
    program = machine.install("my own browser")
    chosen = shlex.quote(str(program)) if quoted else str(program)
    assert await open_default_browser(ADDRESS, environ={"BROWSER": chosen}) == "my own browser"
    assert machine.record("my own browser")["arguments"] == [ADDRESS]


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        ("absent --token=planted-value", "absent was not found"),
        ("fails", "fails ended with status 3"),
        ("lynx", "lynx is a text-mode browser"),
        ("disguised", "disguised is a text-mode browser"),
        ("fails 'open", "the quotes in it do not match"),
        ("&", "it names no program"),
        ("plain.txt", "plain.txt could not be started (Exec format error)"),
    ],
)
async def test_where_nothing_in_browser_works_the_error_names_it_and_no_secret(
    machine: Machine, chosen: str, complaint: str
) -> None:
    machine.install("fails", status=3)
    lynx = machine.install("lynx")
    (lynx.parent / "disguised").symlink_to(lynx)
    machine.install("plain.txt").write_text("no program", encoding="utf-8")
    machine.install("xdg-open")
    environ = machine.environ | DISPLAY | {"BROWSER": chosen}
    with pytest.raises(NoBrowserError) as caught:
        await open_default_browser(ADDRESS, environ=environ)
    assert caught.value.message == f"No browser was opened: BROWSER is set, but {complaint}."
    assert "BROWSER" in caught.value.hint
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert not machine.started("lynx")
    assert not machine.started("xdg-open")


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


async def test_a_chosen_browser_needs_no_display(machine: Machine) -> None:
    machine.install("forwarder.sh")
    assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "forwarder.sh"}) == "forwarder.sh"


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


def test_openers_come_before_browsers_on_a_linux_desktop() -> None:
    programs = ("/bin/firefox", "/bin/gio", "/bin/xdg-open", "/bin/sensible-browser", "/bin/www-browser")
    expected = [["/bin/xdg-open", "URL"], ["/bin/gio", "open", "URL"], ["/bin/firefox", "URL"]]
    assert _commands(DISPLAY, *programs) == expected
    assert _commands({"WAYLAND_DISPLAY": "wayland-0"}, *programs) == expected


def test_as_root_browsers_come_before_openers_and_chromium_gets_its_switch() -> None:
    programs = ("/bin/xdg-open", "/bin/firefox", "/opt/google-chrome-stable", "/bin/chromium")
    assert _commands(DISPLAY, *programs, is_root=True) == [
        ["/bin/firefox", "URL"],
        ["/opt/google-chrome-stable", "--no-sandbox", "URL"],
        ["/bin/chromium", "--no-sandbox", "URL"],
        ["/bin/xdg-open", "URL"],
    ]
    assert ["/bin/chromium", "URL"] in _commands(DISPLAY, *programs)


def test_the_switch_goes_before_the_users_own_arguments_and_to_no_other_program() -> None:
    programs = ("/bin/chromium", "/bin/operate")
    environ = {"BROWSER": "chromium --incognito:operate --incognito"}
    assert _commands(environ, *programs, is_root=True) == [
        ["/bin/chromium", "--no-sandbox", "--incognito", "URL"],
        ["/bin/operate", "--incognito", "URL"],
    ]


def test_a_chromium_behind_an_alternatives_link_is_known(tmp_path: Path) -> None:
    (tmp_path / "chromium").touch(mode=0o755)
    (tmp_path / "x-www-browser").symlink_to(tmp_path / "chromium")
    environ = DISPLAY | {"PATH": str(tmp_path)}
    assert browser_commands("URL", environ, "linux", is_root=True)[0] == [
        str(tmp_path / "x-www-browser"),
        "--no-sandbox",
        "URL",
    ]


def test_a_text_mode_browser_behind_an_alternatives_link_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "w3m").touch(mode=0o755)
    (tmp_path / "x-www-browser").symlink_to(tmp_path / "w3m")
    environ = DISPLAY | {"PATH": str(tmp_path)}
    assert browser_commands("URL", environ, "linux") == []
    assert why_no_browser(environ, "linux") == "x-www-browser is a text-mode browser"


@pytest.mark.parametrize("name", ["lynx", "w3m", "links", "links2", "elinks", "www-browser", "browsh"])
def test_text_mode_browsers_in_browser_are_skipped(name: str) -> None:
    assert _commands({"BROWSER": f"{name} %s:firefox"}, f"/bin/{name}", "/bin/firefox") == [["/bin/firefox", "URL"]]


@pytest.mark.parametrize("unset", ["", " ", ":", " : "])
def test_an_empty_browser_is_no_choice(unset: str) -> None:
    assert _commands({"BROWSER": unset} | DISPLAY, "/bin/xdg-open") == [["/bin/xdg-open", "URL"]]
    assert "BROWSER" not in (why_no_browser({"BROWSER": unset} | DISPLAY, "linux", which=_which()) or "BROWSER")


def test_a_choice_keeps_the_usual_candidates_out() -> None:
    assert _commands({"BROWSER": "firefox"} | DISPLAY, "/bin/xdg-open", "/bin/firefox") == [["/bin/firefox", "URL"]]


def test_wsl_goes_to_windows_first_and_to_a_linux_browser_where_there_is_a_display() -> None:
    programs = ("/usr/bin/wslview", "/mnt/c/Windows/System32/rundll32.exe", "/usr/bin/xdg-open")
    windows = [
        ["/usr/bin/wslview", "URL"],
        ["/mnt/c/Windows/System32/rundll32.exe", "url.dll,FileProtocolHandler", "URL"],
    ]
    assert _commands({"WSL_INTEROP": "/run/WSL/8_interop"}, *programs) == windows
    assert _commands({"WSL_DISTRO_NAME": "Debian"} | DISPLAY, *programs) == [*windows, ["/usr/bin/xdg-open", "URL"]]


def test_macos_uses_open() -> None:
    assert _commands({}, "/usr/bin/open", platform="darwin") == [["/usr/bin/open", "URL"]]


def test_windows_asks_the_url_handler_by_its_whole_path() -> None:
    handler = r"D:\Win\System32\rundll32.exe"
    assert _commands({"SystemRoot": r"D:\Win"}, handler, platform="win32") == [
        [handler, "url.dll,FileProtocolHandler", "URL"]
    ]


def test_browser_on_windows_keeps_its_backslashes_and_takes_semicolons() -> None:
    firefox, edge = r"C:\Program Files\Mozilla Firefox\firefox.exe", r"C:\Edge\msedge.exe"
    environ = {"BROWSER": rf'"{firefox}" -new-tab %s;{edge};{firefox}'}
    assert _commands(environ, firefox, edge, platform="win32") == [
        [firefox, "-new-tab", "URL"],
        [edge, "URL"],
        [firefox, "URL"],
    ]


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "reason"),
    [
        ({}, "linux", ["/bin/xdg-open"], "no display: neither DISPLAY nor WAYLAND_DISPLAY is set"),
        (DISPLAY, "linux", [], "no graphical browser was found on PATH"),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, "linux", [], "no graphical browser was found on PATH"),
        ({}, "darwin", [], "no graphical browser was found on PATH"),
        (
            {"BROWSER": "absent:lynx"} | DISPLAY,
            "linux",
            ["/bin/lynx", "/bin/firefox"],
            "BROWSER is set, but absent was not found; lynx is a text-mode browser",
        ),
        (DISPLAY, "linux", ["/bin/firefox"], None),
        ({"BROWSER": "absent:firefox"}, "linux", ["/bin/firefox"], None),
    ],
)
def test_why_no_browser_could_be_opened_is_said(
    environ: dict[str, str], platform: str, programs: list[str], reason: str | None
) -> None:
    assert why_no_browser(environ, platform, which=_which(*programs)) == reason


def test_what_browser_names_cannot_rewrite_the_terminal() -> None:
    reason = why_no_browser({"BROWSER": "\x1b[2Jabsent"}, "linux", which=_which())
    assert reason == "BROWSER is set, but [2Jabsent was not found"
