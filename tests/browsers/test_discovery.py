"""Which browsers are found on which machine, which one is the default, and what `--browser` chooses."""

from __future__ import annotations

import os
import plistlib
import select
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from oauth_helper.browsers import discovery
from oauth_helper.browsers.discovery import (
    InstalledBrowser,
    Packaging,
    Product,
    choose_here,
    default_product,
    find_browsers,
    product_of,
    why_no_window,
)
from oauth_helper.errors import NoBrowserError

LINUX = {"PATH": "/usr/local/bin:/usr/bin", "HOME": "/home/me"}
SHIM = """#!/bin/sh
if ! [ -x /snap/bin/{name} ]; then
    echo "Command '$0' requires the {name} snap to be installed." >&2
    exit 1
fi
SOME=1 exec /snap/bin/{name} "$@"
"""
APPS = "/Applications"
CHROME_APP = f"{APPS}/Google Chrome.app/Contents/MacOS/Google Chrome"
FIREFOX_APP = f"{APPS}/Firefox.app/Contents/MacOS/firefox"
BRAVE_APP = "/Users/me/Applications/Brave Browser.app/Contents/MacOS/Brave Browser"
MAC_APPS = (CHROME_APP, FIREFOX_APP, BRAVE_APP)
CHOICE = r"HKEY_CURRENT_USER\Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice"
PATHS = r"Software\Microsoft\Windows\CurrentVersion\App Paths"
EDGE = r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe"
CHROME = r"C:\Program Files\Google\Chrome\Application\chrome.exe"
FIREFOX = r"C:\Users\me\Mozilla Firefox\firefox.exe"
OPERA = r"C:\My Opera\OPERA.EXE"


@dataclass
class Machine:
    """The programs, links and files of a machine."""

    programs: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=lambda: LINUX)
    platform: str = "linux"
    links: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    registry: dict[tuple[str, str], str] = field(default_factory=dict)
    default: str = ""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def which(program: str, path: str) -> str | None:
            places = [program] if {"/", "\\"} & set(program) else [f"{folder}/{program}" for folder in path.split(":")]
            return next((place for place in places if place in self.programs), None)

        async def default(environ: object) -> Product | None:
            return product_of(self.default)

        monkeypatch.setattr(sys, "platform", self.platform)
        monkeypatch.setattr(discovery, "default_product", default)
        monkeypatch.setattr(shutil, "which", which)
        monkeypatch.setattr(os.path, "realpath", lambda path: self.links.get(path, path))
        monkeypatch.setattr(discovery, "_beginning_of", lambda path: self.files.get(path, "").encode())
        monkeypatch.setattr(discovery, "registry_value", lambda key, name: self.registry.get((key, name), ""))


def in_short(found: list[InstalledBrowser]) -> list[str]:
    words = {Packaging.PLAIN: "", Packaging.SNAP: " snap", Packaging.FLATPAK: " flatpak"}
    return [f"{' '.join(one.command)}{words[one.packaging]}{' default' * one.is_default}" for one in found]


FLATPAKS = "/var/lib/flatpak/exports/bin"
MINE = "/home/me/.local/share/flatpak/exports/bin"
FOUR = Machine(("/usr/bin/firefox", "/usr/bin/chromium", "/usr/bin/brave", "/usr/bin/google-chrome"))
TWO = Machine(("/usr/bin/firefox-esr", "/usr/bin/firefox", "/usr/bin/chromium"))
LINKED = Machine(("/usr/local/bin/opera",), links={"/usr/local/bin/opera": "/usr/bin/snap"})
SHIMS = Machine(
    ("/usr/bin/chromium-browser", "/snap/bin/chromium", "/usr/bin/firefox"),
    # The snap of Firefox is not installed, and its shim would only say so.
    files={f"/usr/bin/{name}": SHIM.format(name=name[:8].strip("-")) for name in ("chromium-browser", "firefox")},
)
SCRIPT = Machine(("/usr/bin/firefox",), files={"/usr/bin/firefox": '#!/bin/sh\nexec firefox-esr "$@"\n'})
FLATPAK = Machine(
    ("/usr/bin/flatpak", "/usr/bin/chromium", f"{FLATPAKS}/org.mozilla.firefox", f"{MINE}/com.google.Chrome")
)
OWN_DATA = Machine(("/bin/flatpak", "/d/flatpak/exports/bin/com.opera.Opera"), {"PATH": "/bin", "XDG_DATA_HOME": "/d"})
CURRENT_FOLDER = Machine(("/chromium", "./chromium", "/usr/bin/firefox"), {"PATH": ":/usr/bin::"})
WSL = Machine(("/mnt/c/chrome.exe", "/mnt/c/firefox"), {"PATH": "/mnt/c", "WSL_DISTRO_NAME": "Ubuntu"})
MAC = Machine(MAC_APPS, {"HOME": "/Users/me"}, "darwin")
WINDOWS = Machine(
    (EDGE, CHROME, FIREFOX),
    {},
    "win32",
    registry={
        (rf"HKEY_LOCAL_MACHINE\{PATHS}\msedge.exe", ""): EDGE,
        (rf"HKEY_LOCAL_MACHINE\{PATHS}\chrome.exe", ""): f'"{CHROME}"',
        (rf"HKEY_CURRENT_USER\{PATHS}\firefox.exe", ""): FIREFOX,
        (rf"HKEY_CURRENT_USER\{PATHS}\brave.exe", ""): r"C:\removed\brave.exe",
        (rf"HKEY_CURRENT_USER\{PATHS}\opera.exe", ""): "nothing",
    },
)
RUN = "/usr/bin/flatpak run"


@pytest.mark.parametrize(
    ("machine", "default", "expected"),
    [
        (Machine(), "", []),
        (FOUR, "", ["/usr/bin/google-chrome", "/usr/bin/chromium", "/usr/bin/brave", "/usr/bin/firefox"]),
        (TWO, "firefox-esr", ["/usr/bin/firefox default", "/usr/bin/chromium"]),
        (Machine(("/usr/bin/epiphany", "/usr/bin/chromium")), "vivaldi", ["/usr/bin/chromium"]),
        (Machine(("/snap/bin/opera",)), "opera", ["/snap/bin/opera snap default"]),
        (Machine(("/var/lib/snapd/snap/bin/opera",)), "", ["/var/lib/snapd/snap/bin/opera snap"]),
        (LINKED, "", ["/usr/local/bin/opera snap"]),
        (SHIMS, "", ["/snap/bin/chromium snap"]),
        (SCRIPT, "", ["/usr/bin/firefox"]),
        # Flatpaks come last, even the default one, and need flatpak.
        (
            FLATPAK,
            "org.mozilla.firefox",
            ["/usr/bin/chromium", f"{RUN} org.mozilla.firefox flatpak default", f"{RUN} com.google.Chrome flatpak"],
        ),
        (OWN_DATA, "", ["/bin/flatpak run com.opera.Opera flatpak"]),
        (Machine((f"{FLATPAKS}/org.chromium.Chromium",)), "", []),
        (CURRENT_FOLDER, "", ["/usr/bin/firefox"]),
        (WSL, "", ["/mnt/c/firefox"]),
        (MAC, "", [CHROME_APP, BRAVE_APP, FIREFOX_APP]),
        (MAC, "brave", [f"{BRAVE_APP} default", CHROME_APP, FIREFOX_APP]),
        (WINDOWS, "MSEdge.exe", [f"{EDGE} default", CHROME, FIREFOX]),
    ],
)
async def test_browsers_are_found_best_first(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, default: str, expected: list[str]
) -> None:
    replace(machine, default=default).install(monkeypatch)
    assert in_short(await find_browsers(machine.environ)) == expected


@pytest.mark.parametrize(
    ("settings", "mime", "expected"),
    [
        ("chromium.desktop", "firefox.desktop", "Chromium"),
        ("firefox_firefox.desktop", "", "Firefox"),
        ("com.brave.Browser.desktop", "", "Brave"),
        ("vivaldi-stable.desktop", "", "Vivaldi"),
        ("google-chrome-beta.desktop", "", "Google Chrome"),
        ("", "org.mozilla.firefox.desktop;other.desktop;", "Firefox"),
        ("\\377\\376\\000", "microsoft-edge.desktop", "Microsoft Edge"),
        ("no idea", "userapp.desktop", None),
        ("../../etc/passwd", "", None),
    ],
)
async def test_the_desktop_entrys_name_says_which_browser_is_the_default(
    tmp_path: Path, settings: str, mime: str, expected: str | None
) -> None:
    install(tmp_path, "xdg-settings", f"printf '{settings}'; exit 4")
    install(tmp_path, "xdg-mime", f"echo '{mime}'")
    product = await default_product({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (product and product.name) == expected


def install(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


@pytest.mark.skipif(not shutil.which("xdg-settings", path="/usr/bin"), reason="xdg-utils are not installed")
async def test_the_desktops_own_tools_are_understood(tmp_path: Path) -> None:
    (tmp_path / "applications").mkdir()
    (tmp_path / "applications" / "chromium.desktop").write_text(
        "[Desktop Entry]\nType=Application\nName=Mine\nExec=/bin/true %U\nMimeType=x-scheme-handler/https;\n"
    )
    (tmp_path / "mimeapps.list").write_text(
        "[Default Applications]\nx-scheme-handler/http=chromium.desktop\nx-scheme-handler/https=chromium.desktop\n"
    )
    folders = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    product = await default_product({"PATH": "/usr/bin:/bin"} | folders)
    assert product
    assert product.name == "Chromium"


async def test_a_tool_that_hangs_is_ended_with_all_that_it_started_and_the_other_is_used(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    install(tmp_path, "xdg-settings", f"cat {tmp_path}/never &\necho $$ $! >{tmp_path}/pids\necho opera.desktop\nwait")
    install(tmp_path, "xdg-mime", "echo firefox-esr.desktop")
    began = time.monotonic()
    product = await default_product({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert time.monotonic() - began < 6
    assert product
    assert product.name == "Firefox"
    assert_ended(tmp_path / "pids")


def assert_ended(pids: Path) -> None:
    for pid in pids.read_text(encoding="utf-8").split():
        try:
            process = os.pidfd_open(int(pid))
        except ProcessLookupError:
            continue
        # A grandchild may stay a zombie if nobody reaps it: that is an end too, and makes this readable.
        ended, _, _ = select.select([process], [], [], 5)
        os.close(process)
        assert ended


@pytest.mark.parametrize(
    ("handlers", "expected"),
    [
        (
            [
                {"LSHandlerContentType": "public.html", "LSHandlerRoleAll": "org.chromium.chromium"},
                {"LSHandlerURLScheme": "http", "LSHandlerRoleAll": "com.microsoft.edgemac"},
                {"LSHandlerURLScheme": "https", "LSHandlerRoleAll": "org.mozilla.firefox"},
            ],
            "Firefox",
        ),
        ([{"LSHandlerURLScheme": "https", "LSHandlerRoleAll": "com.apple.safari"}], None),
        ([{"LSHandlerURLScheme": "https"}], None),
        (1, None),
        (b'<?xml version="1.0"?><plist><dict>', None),
        (None, None),
    ],
)
async def test_macos_names_the_default_browser_by_its_https_handler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, handlers: object, expected: str | None
) -> None:
    plist = tmp_path / "Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist"
    plist.parent.mkdir(parents=True)
    if handlers is not None:
        content = handlers if isinstance(handlers, bytes) else plistlib.dumps({"LSHandlers": handlers})
        plist.write_bytes(content)
    monkeypatch.setattr(sys, "platform", "darwin")
    product = await default_product({"HOME": str(tmp_path)})
    assert (product and product.name) == expected


@pytest.mark.parametrize(
    ("program_id", "command", "expected"),
    [
        ("ChromeHTML", f'"{CHROME}" --single-argument %1', "Google Chrome"),
        ("MSEdgeHTM", f"{EDGE} --single-argument %1", "Microsoft Edge"),
        ("FirefoxURL-308046B0AF4A39CB", f'"{FIREFOX}" -osint -url "%1"', "Firefox"),
        ("OperaStable", f"{OPERA} %1", "Opera"),
        ("AppXq0fevzme2pys62n3e0fbqa7peapykr8v", "", None),
        ("", "", None),
    ],
)
async def test_windows_names_the_default_browser_by_the_users_choice(
    monkeypatch: pytest.MonkeyPatch, program_id: str, command: str, expected: str | None
) -> None:
    registry = {
        (CHOICE, "ProgId"): program_id,
        (rf"HKEY_CLASSES_ROOT\{program_id}\shell\open\command", ""): command,
    }
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(discovery, "registry_value", lambda key, name: registry.get((key, name), ""))
    product = await default_product({})
    assert (product and product.name) == expected


FULL = Machine(
    (
        *("/usr/bin/firefox", "/usr/bin/librewolf", "/usr/bin/chromium", "/usr/bin/vivaldi", "/usr/bin/flatpak"),
        *("/opt/brave.com/brave/brave-browser-beta", "/home/me/mine", "/usr/bin/epiphany"),
        *("/mnt/c/Chrome/chrome.exe", f"{FLATPAKS}/com.opera.Opera"),
    ),
    links={"/home/me/mine": "/opt/google/chrome/google-chrome"},
)
ALL = ["Chromium", "Vivaldi", "Firefox", "LibreWolf", "Opera"]


@pytest.mark.parametrize(
    ("machine", "wanted", "names"),
    [
        (FULL, "auto", ALL),
        (Machine(), "auto", []),
        (FULL, "chromium", ["Chromium", "Vivaldi", "Opera"]),
        (FULL, "firefox", ["Firefox", "LibreWolf"]),
        (FULL, "/opt/brave.com/brave/brave-browser-beta", ["Brave"]),
        (FULL, "/home/me/mine", ["Google Chrome"]),
        (FULL, "vivaldi", ["Vivaldi"]),
        (FULL, f"{FLATPAKS}/com.opera.Opera", ["Opera"]),
        (MAC, f"{APPS}/Google Chrome.app", ["Google Chrome"]),
        (MAC, f"{APPS}/Google Chrome.app/", ["Google Chrome"]),
        (MAC, CHROME_APP, ["Google Chrome"]),
    ],
)
async def test_a_choice_is_auto_a_family_or_a_program(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, wanted: str, names: list[str]
) -> None:
    machine.install(monkeypatch)
    assert [browser.name for browser in await choose_here(wanted, machine.environ)] == names


@pytest.mark.parametrize(
    ("wanted", "machine", "message", "hint"),
    [
        ("chromium", Machine(("/usr/bin/firefox",)), "No browser of the Chromium family", "Google Chrome, Chromium"),
        ("firefox", Machine(("/usr/bin/chromium",)), "No browser of the Firefox family", "Firefox, LibreWolf"),
        ("/nowhere/chrome", FULL, "/nowhere/chrome was not found", "path"),
        ("/opt/\x1b[2Jchrome", FULL, "/opt/[2Jchrome was not found", "path"),
        ("/usr/bin/epiphany", FULL, "/usr/bin/epiphany is not known", "--browser default"),
        ("flatpak", FULL, "flatpak is not known", "--browser default"),
        ("/mnt/c/Chrome/chrome.exe", FULL, "is a Windows browser", "Install a Linux browser"),
    ],
)
async def test_an_impossible_choice_is_refused_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, wanted: str, machine: Machine, message: str, hint: str
) -> None:
    machine.install(monkeypatch)
    with pytest.raises(NoBrowserError) as refused:
        await choose_here(wanted, machine.environ)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert refused.value.exit_status == 9


@pytest.mark.parametrize(
    "program", ["chromedriver", "chrome-headless-shell", "epiphany", "snap", "wslview", "firefoxdriver", ""]
)
def test_other_programs_are_not_taken_for_browsers(program: str) -> None:
    assert product_of(program) is None


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "reason"),
    [
        ({}, "linux", ("/usr/bin/chromium",), "no display"),
        ({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, "linux", ("/usr/bin/chromium",), "no display"),
        ({"DISPLAY": ":0"}, "linux", (), None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", (), None),
        ({}, "darwin", (), None),
        ({}, "win32", (), None),
        ({"WSL_DISTRO_NAME": "Ubuntu", "DISPLAY": ":0"}, "linux", ("/usr/bin/chrome.exe",), "in WSL only a Linux"),
        ({"WSL_INTEROP": "/run/x", "DISPLAY": ":0"}, "linux", (), "in WSL only a Linux"),
        ({"WSL_DISTRO_NAME": "Ubuntu", "DISPLAY": ":0"}, "linux", ("/usr/bin/firefox",), None),
    ],
)
def test_a_window_needs_a_display_on_linux_and_a_linux_browser_in_wsl(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    platform: str,
    programs: tuple[str, ...],
    reason: str | None,
) -> None:
    Machine(programs, platform=platform).install(monkeypatch)
    found = why_no_window(LINUX | environ)
    assert (found is None) if reason is None else (found and reason in found)
