import asyncio
import os
import plistlib
import select
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from oauth_helper.browsers.desktop_entry import started_by
from oauth_helper.browsers.find import (
    Family,
    FoundBrowser,
    Packaging,
    choose,
    find_browsers,
    look_around,
    why_no_window,
)
from oauth_helper.browsers.products import product_of
from oauth_helper.browsers.surroundings import Surroundings, read_file, read_registry
from oauth_helper.errors import NoBrowserError

PATH = {"PATH": "/usr/local/bin:/usr/bin", "HOME": "/home/me"}
SYSTEM = "/usr/share/applications"
SNAPS = "/var/lib/snapd/desktop/applications"
WSL = {"WSL_DISTRO_NAME": "Ubuntu", "DISPLAY": ":0"}

SHIM = b"""#!/bin/sh
if ! [ -x /snap/bin/%(name)s ]; then
    echo "Command '$0' requires the %(name)s snap to be installed." >&2
    exit 1
fi
SOME=1 exec /snap/bin/%(name)s "$@"
"""

APPS = "/Applications"
HANDLERS = "/home/me/Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist"
CHROME_APP = f"{APPS}/Google Chrome.app/Contents/MacOS/Google Chrome"
FIREFOX_APP = f"{APPS}/Firefox.app/Contents/MacOS/firefox"
BRAVE_APP = "/home/me/Applications/Brave Browser.app/Contents/MacOS/Brave Browser"

CHOICE = r"HKEY_CURRENT_USER\Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice"
PATHS = r"Software\Microsoft\Windows\CurrentVersion\App Paths"
EDGE = r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe"
CHROME = r"C:\Program Files\Google\Chrome\Application\chrome.exe"
FIREFOX = r"C:\Users\me\Mozilla Firefox\firefox.exe"


def _machine(
    *programs: str,
    platform: str = "linux",
    environ: Mapping[str, str] = PATH,
    entries: Iterable[str] = (),
    files: Mapping[str, str | bytes] = {},
    links: Mapping[str, str] = {},
    registry: Mapping[tuple[str, str], str] = {},
) -> Surroundings:
    """A machine made of data: it has these programs, files and registry values, and no others."""

    def which(program: str, path: str) -> str | None:
        places = [program] if {"/", "\\"} & set(program) else [f"{folder}/{program}" for folder in path.split(":")]
        return next((place for place in places if place in programs), None)

    def read(path: str) -> bytes:
        content = files.get(path, b"")
        return content.encode() if isinstance(content, str) else content

    return Surroundings(
        environ,
        platform,
        tuple(entries),
        which=which,
        realpath=lambda path: links.get(path, path),
        read=read,
        registry=lambda key, value: registry.get((key, value), ""),
    )


def _entry(command: str) -> str:
    return f"[Desktop Entry]\nName=Browser\nExec={command}\n\n[Desktop Action new]\nExec=/usr/bin/other --new\n"


def _brief(found: list[FoundBrowser]) -> list[str]:
    return [f"{browser.command[0]}{' default' if browser.is_default else ''}" for browser in found]


# Linux


def test_without_a_default_the_chromium_family_comes_before_firefox() -> None:
    here = _machine("/usr/bin/firefox", "/usr/bin/chromium", "/usr/bin/brave", "/usr/bin/google-chrome")
    assert find_browsers(here) == [
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/google-chrome",), "Google Chrome", Packaging.PLAIN, is_default=False),
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/chromium",), "Chromium", Packaging.PLAIN, is_default=False),
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/brave",), "Brave", Packaging.PLAIN, is_default=False),
        FoundBrowser(Family.FIREFOX, ("/usr/bin/firefox",), "Firefox", Packaging.PLAIN, is_default=False),
    ]


def test_the_default_browser_comes_first_and_only_once() -> None:
    here = _machine(
        *("/usr/lib/firefox-esr/firefox-esr", "/usr/bin/firefox-esr", "/usr/bin/firefox", "/usr/bin/chromium"),
        entries=["firefox-esr.desktop"],
        files={f"{SYSTEM}/firefox-esr.desktop": _entry("/usr/lib/firefox-esr/firefox-esr %u")},
    )
    assert _brief(find_browsers(here)) == ["/usr/lib/firefox-esr/firefox-esr default", "/usr/bin/chromium"]


def test_an_entry_that_is_missing_or_leads_nowhere_is_passed_over() -> None:
    here = _machine(
        *("/usr/bin/firefox", "/usr/bin/chromium"),
        entries=["gone.desktop", "empty.desktop", "removed.desktop", "firefox.desktop"],
        files={
            f"{SYSTEM}/empty.desktop": "",
            f"{SYSTEM}/removed.desktop": _entry("/opt/removed/chrome %U"),
            f"{SYSTEM}/firefox.desktop": _entry("firefox %u"),
        },
    )
    assert _brief(find_browsers(here)) == ["/usr/bin/firefox default", "/usr/bin/chromium"]


def test_a_default_browser_of_another_family_makes_nobody_else_the_default() -> None:
    here = _machine(
        *("/usr/bin/epiphany", "/usr/bin/firefox", "/usr/bin/chromium"),
        entries=["epiphany.desktop", "firefox.desktop"],
        files={
            f"{SYSTEM}/epiphany.desktop": _entry("epiphany %U"),
            f"{SYSTEM}/firefox.desktop": _entry("firefox %u"),
        },
    )
    assert _brief(find_browsers(here)) == ["/usr/bin/chromium", "/usr/bin/firefox"]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, "/usr/local/share"),
        ({}, "/usr/share"),
        ({}, "/home/me/.local/share"),
        ({}, "/home/me/.local/share/flatpak/exports/share"),
        ({}, "/var/lib/flatpak/exports/share"),
        ({}, "/var/lib/snapd/desktop"),
        ({"XDG_DATA_HOME": "/data"}, "/data"),
        ({"XDG_DATA_DIRS": "/one:/two"}, "/two"),
    ],
)
def test_desktop_entries_are_read_wherever_they_may_lie(environ: dict[str, str], folder: str) -> None:
    here = _machine(
        "/usr/bin/vivaldi-stable",
        environ=PATH | environ,
        entries=["v.desktop"],
        files={f"{folder}/applications/v.desktop": _entry("/usr/bin/vivaldi-stable %U")},
    )
    assert _brief(find_browsers(here)) == ["/usr/bin/vivaldi-stable default"]


def test_the_users_own_entry_stands_before_the_systems() -> None:
    here = _machine(
        *("/usr/bin/chromium", "/opt/mine/chromium"),
        entries=["c.desktop"],
        files={
            f"{SYSTEM}/c.desktop": _entry("/usr/bin/chromium %U"),
            "/home/me/.local/share/applications/c.desktop": _entry("/opt/mine/chromium %U"),
        },
    )
    assert _brief(find_browsers(here)) == ["/opt/mine/chromium default"]


def test_a_snap_as_the_default_is_told_by_its_path() -> None:
    hint = f"env BAMF_DESKTOP_FILE_HINT={SNAPS}/firefox_firefox.desktop /snap/bin/firefox %u"
    here = _machine(
        *("/snap/bin/firefox", "/usr/bin/firefox", "/usr/bin/google-chrome"),
        entries=["firefox_firefox.desktop"],
        files={f"{SNAPS}/firefox_firefox.desktop": _entry(hint), "/usr/bin/firefox": SHIM % {b"name": b"firefox"}},
        links={"/snap/bin/firefox": "/usr/bin/snap"},
    )
    default, other = find_browsers(here)
    assert default == FoundBrowser(Family.FIREFOX, ("/snap/bin/firefox",), "Firefox", Packaging.SNAP, is_default=True)
    assert other.name == "Google Chrome"


def test_ubuntus_shims_are_the_snaps_behind_them() -> None:
    here = _machine(
        *("/usr/bin/chromium-browser", "/snap/bin/chromium", "/usr/bin/firefox"),
        files={
            "/usr/bin/chromium-browser": SHIM % {b"name": b"chromium"},
            "/usr/bin/firefox": SHIM % {b"name": b"firefox"},
        },
    )
    # The snap of Firefox is not installed: its shim would only say so.
    assert find_browsers(here) == [
        FoundBrowser(Family.CHROMIUM, ("/snap/bin/chromium",), "Chromium", Packaging.SNAP, is_default=False)
    ]


@pytest.mark.parametrize(
    ("program", "links"),
    [
        ("/snap/bin/opera", {}),
        ("/var/lib/snapd/snap/bin/opera", {}),
        ("/usr/local/bin/opera", {"/usr/local/bin/opera": "/usr/bin/snap"}),
    ],
)
def test_a_snap_is_found_where_its_folder_is_not_on_path_too(program: str, links: dict[str, str]) -> None:
    (found,) = find_browsers(_machine(program, links=links))
    assert (found.command, found.packaging) == ((program,), Packaging.SNAP)


def test_a_launcher_script_of_a_distribution_is_no_snap() -> None:
    here = _machine("/usr/bin/firefox", files={"/usr/bin/firefox": '#!/bin/sh\nexec firefox-esr "$@"\n'})
    assert find_browsers(here)[0].packaging is Packaging.PLAIN


def test_flatpaks_come_last_the_default_one_included() -> None:
    run = "/usr/bin/flatpak run --branch=stable --arch=x86_64 --command=firefox --file-forwarding"
    exports = "/var/lib/flatpak/exports"
    here = _machine(
        *("/usr/bin/flatpak", "/usr/bin/firefox"),
        *(f"{exports}/bin/org.mozilla.firefox", "/home/me/.local/share/flatpak/exports/bin/com.google.Chrome"),
        entries=["org.mozilla.firefox.desktop"],
        files={
            f"{exports}/share/applications/org.mozilla.firefox.desktop": _entry(f"{run} org.mozilla.firefox @@u %u @@")
        },
    )
    plain, default, chrome = find_browsers(here)
    assert (plain.command, plain.is_default) == (("/usr/bin/firefox",), False)
    assert default == FoundBrowser(
        Family.FIREFOX,
        ("/usr/bin/flatpak", "run", "org.mozilla.firefox"),
        "Firefox",
        Packaging.FLATPAK,
        is_default=True,
    )
    assert (chrome.name, chrome.command[-1]) == ("Google Chrome", "com.google.Chrome")


@pytest.mark.parametrize("command", ["flatpak run org.gnome.Epiphany @@u %u @@", "flatpak run", "flatpak update x"])
def test_other_uses_of_flatpak_are_no_browser(command: str) -> None:
    here = _machine("/usr/bin/flatpak", entries=["f.desktop"], files={f"{SYSTEM}/f.desktop": _entry(command)})
    assert find_browsers(here) == []


def test_what_flatpak_left_behind_counts_for_nothing_without_flatpak() -> None:
    assert find_browsers(_machine("/var/lib/flatpak/exports/bin/org.chromium.Chromium")) == []


def test_the_current_folder_is_never_searched() -> None:
    asked: list[str] = []

    def which(program: str, path: str) -> str | None:
        asked.append(path)
        return None

    find_browsers(Surroundings({"PATH": ":/usr/bin::", "HOME": "/home/me"}, "linux", which=which))
    assert {folder for path in asked for folder in path.split(":")} == {
        *("/usr/bin", "/snap/bin", "/var/lib/snapd/snap/bin")
    }


# What a desktop entry starts


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/usr/bin/chromium %U", ["/usr/bin/chromium"]),
        ("firefox --new-window %u", ["firefox", "--new-window"]),
        ('"/opt/My Browser/chrome" %U', ["/opt/My Browser/chrome"]),
        (r'"/opt/it costs \\$5/chrome" "\\`" "\\"" "\\\\"', ["/opt/it costs $5/chrome", "`", '"', "\\"]),
        (r"/opt/a\sb", ["/opt/a", "b"]),
        ("chrome --title=%c --percent=5%% %i", ["chrome", "--title=%c", "--percent=5%"]),
        ("env A=1 B_2= /snap/bin/firefox %u", ["/snap/bin/firefox"]),
        ("/usr/bin/env -i -u HOME --unset LANG --chdir=/ A=1 firefox A=1", ["firefox", "A=1"]),
        ("env", []),
        ("firefox 'unmatched", []),
        ("", []),
    ],
)
def test_the_exec_of_a_desktop_entry_is_read_as_the_desktop_reads_it(command: str, words: list[str]) -> None:
    assert started_by(_entry(command)) == words


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "\x7fELF",
        "Exec=firefox",
        "[Desktop Entry]\nName=Firefox\n[Desktop Action new]\nExec=firefox --new\n",
        "[Desktop Entry]\nTryExec=firefox\nExecutable=firefox\n",
    ],
)
def test_an_entry_that_starts_nothing_is_empty(entry: str) -> None:
    assert started_by(entry) == []


# macOS


def _handlers(*handlers: object) -> bytes:
    return plistlib.dumps({"LSHandlers": list(handlers)}, fmt=plistlib.FMT_BINARY)


def _mac(handlers: bytes = b"", *programs: str) -> Surroundings:
    programs = programs or (CHROME_APP, FIREFOX_APP, BRAVE_APP)
    return _machine(*programs, platform="darwin", files={HANDLERS: handlers})


@pytest.mark.parametrize(
    ("bundle", "expected"),
    [
        ("com.google.Chrome", [f"{CHROME_APP} default", BRAVE_APP, FIREFOX_APP]),
        ("com.brave.browser", [f"{BRAVE_APP} default", CHROME_APP, FIREFOX_APP]),
        ("org.mozilla.firefox", [f"{FIREFOX_APP} default", CHROME_APP, BRAVE_APP]),
        ("com.vivaldi.vivaldi", [CHROME_APP, BRAVE_APP, FIREFOX_APP]),
        ("com.apple.safari", [CHROME_APP, BRAVE_APP, FIREFOX_APP]),
    ],
)
def test_macos_names_its_default_browser_by_the_https_handler(bundle: str, expected: list[str]) -> None:
    handlers = _handlers(
        {"LSHandlerContentType": "public.html", "LSHandlerRoleAll": "org.chromium.chromium"},
        {"LSHandlerURLScheme": "http", "LSHandlerRoleAll": "com.microsoft.edgemac"},
        {"LSHandlerURLScheme": "https", "LSHandlerRoleAll": bundle},
    )
    assert _brief(find_browsers(_mac(handlers))) == expected


@pytest.mark.parametrize(
    "handlers",
    [
        b"",
        b"not a property list",
        b'<?xml version="1.0"?><plist><dict>',
        _handlers(),
        _handlers({"LSHandlerURLScheme": "https"}),
        _handlers("https"),
        plistlib.dumps([]),
        plistlib.dumps({"LSHandlers": 1}),
    ],
)
def test_a_handler_list_that_cannot_be_read_leaves_the_order_as_it_is(handlers: bytes) -> None:
    assert _brief(find_browsers(_mac(handlers))) == [CHROME_APP, BRAVE_APP, FIREFOX_APP]


@pytest.mark.parametrize("wanted", [f"{APPS}/Google Chrome.app", f"{APPS}/Google Chrome.app/", CHROME_APP])
def test_on_macos_an_application_can_be_named_by_its_folder(wanted: str) -> None:
    (chosen,) = choose(wanted, _mac())
    assert chosen == FoundBrowser(Family.CHROMIUM, (CHROME_APP,), "Google Chrome", Packaging.PLAIN, is_default=False)


# Windows


def _windows(program_id: str = "", command: str = "", **paths: str) -> Surroundings:
    registry = {
        (CHOICE, "ProgId"): program_id,
        (rf"HKEY_CLASSES_ROOT\{program_id}\shell\open\command", ""): command,
        (rf"HKEY_LOCAL_MACHINE\{PATHS}\msedge.exe", ""): EDGE,
        (rf"HKEY_LOCAL_MACHINE\{PATHS}\chrome.exe", ""): f'"{CHROME}"',
        (rf"HKEY_CURRENT_USER\{PATHS}\firefox.exe", ""): FIREFOX,
        (rf"HKEY_CURRENT_USER\{PATHS}\brave.exe", ""): r"C:\removed\brave.exe",
    }
    return _machine(EDGE, CHROME, FIREFOX, r"C:\My Opera\OPERA.EXE", platform="win32", environ={}, registry=registry)


@pytest.mark.parametrize(
    ("program_id", "command", "expected"),
    [
        ("ChromeHTML", f'"{CHROME}" --single-argument %1', [f"{CHROME} default", EDGE, FIREFOX]),
        ("MSEdgeHTM", f"{EDGE} --single-argument %1", [f"{EDGE} default", CHROME, FIREFOX]),
        ("FirefoxURL-308046B0AF4A39CB", f'"{FIREFOX}" -osint -url "%1"', [f"{FIREFOX} default", CHROME, EDGE]),
        ("OperaStable", r"C:\My Opera\OPERA.EXE %1", [r"C:\My Opera\OPERA.EXE default", CHROME, EDGE, FIREFOX]),
        ("BraveHTML", r'"C:\removed\brave.exe" -- "%1"', [CHROME, EDGE, FIREFOX]),
        ("AppXq0fevzme2pys62n3e0fbqa7peapykr8v", "", [CHROME, EDGE, FIREFOX]),
        ("", "", [CHROME, EDGE, FIREFOX]),
    ],
)
def test_windows_names_its_browsers_in_the_registry(program_id: str, command: str, expected: list[str]) -> None:
    assert _brief(find_browsers(_windows(program_id, command))) == expected


def test_windows_browsers_have_their_names_and_no_packaging() -> None:
    names = [(browser.name, browser.packaging) for browser in find_browsers(_windows())]
    assert names == [(name, Packaging.PLAIN) for name in ("Google Chrome", "Microsoft Edge", "Firefox")]


# What the user demands


FULL = _machine(
    *("/usr/bin/firefox", "/usr/bin/librewolf", "/usr/bin/chromium", "/usr/bin/vivaldi"),
    *("/usr/bin/flatpak", "/opt/brave.com/brave/brave-browser-beta", "/home/me/mine", "/usr/bin/epiphany"),
    *("/home/me/chrome.exe", "/mnt/c/Chrome/chrome.exe", "/var/lib/flatpak/exports/bin/com.opera.Opera"),
    entries=["firefox.desktop"],
    files={f"{SYSTEM}/firefox.desktop": _entry("/usr/bin/firefox %u")},
    links={"/home/me/mine": "/opt/google/chrome/google-chrome"},
)


def test_auto_takes_all_there_are_even_if_that_is_none() -> None:
    assert choose("auto", FULL) == find_browsers(FULL)
    assert choose("auto", _machine()) == []


@pytest.mark.parametrize(
    ("wanted", "names"),
    [("chromium", ["Chromium", "Vivaldi", "Opera"]), ("firefox", ["Firefox", "LibreWolf"])],
)
def test_a_family_takes_all_of_its_own(wanted: str, names: list[str]) -> None:
    assert [browser.name for browser in choose(wanted, FULL)] == names


@pytest.mark.parametrize(
    ("wanted", "command", "name"),
    [
        ("/opt/brave.com/brave/brave-browser-beta", ("/opt/brave.com/brave/brave-browser-beta",), "Brave"),
        ("/home/me/mine", ("/home/me/mine",), "Google Chrome"),
        ("vivaldi", ("/usr/bin/vivaldi",), "Vivaldi"),
        (
            "/var/lib/flatpak/exports/bin/com.opera.Opera",
            ("/usr/bin/flatpak", "run", "com.opera.Opera"),
            "Opera",
        ),
    ],
)
def test_a_path_takes_that_browser_alone(wanted: str, command: tuple[str, ...], name: str) -> None:
    (chosen,) = choose(wanted, FULL)
    assert (chosen.command, chosen.name, chosen.is_default) == (command, name, False)


def test_a_path_may_be_the_default_browsers() -> None:
    assert [browser.is_default for browser in choose("/usr/bin/firefox", FULL)] == [True]


@pytest.mark.parametrize(
    ("wanted", "here", "message", "hint"),
    [
        ("chromium", _machine("/usr/bin/firefox"), "No browser of the Chromium family", "Google Chrome, Chromium"),
        ("firefox", _machine("/usr/bin/chromium"), "No browser of the Firefox family", "Firefox, LibreWolf"),
        ("/nowhere/chrome", FULL, "/nowhere/chrome was not found", "path"),
        ("/opt/\x1b[2Jchrome", FULL, "/opt/[2Jchrome was not found", "path"),
        ("/usr/bin/epiphany", FULL, "/usr/bin/epiphany is not known", "--browser default"),
        ("flatpak", FULL, "flatpak is not known", "--browser default"),
        ("/mnt/c/Chrome/chrome.exe", FULL, "is a Windows browser", "Install a Linux browser"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_hint(wanted: str, here: Surroundings, message: str, hint: str) -> None:
    with pytest.raises(NoBrowserError) as refused:
        choose(wanted, here)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert refused.value.exit_status == 9


@pytest.mark.parametrize(
    "program",
    ["chromedriver", "chrome-headless-shell", "epiphany", "snap", "wslview", "firefoxdriver", "x-www-browser", ""],
)
def test_other_programs_are_not_taken_for_browsers(program: str) -> None:
    assert product_of(program) is None


# Whether a window can open at all


def _reason(environ: dict[str, str], platform: str, *programs: str) -> str | None:
    here = _machine(*programs)
    return why_no_window(PATH | environ, platform, which=here.which)


def test_a_window_needs_a_display_on_linux_and_nowhere_else() -> None:
    assert "no display" in str(_reason({}, "linux", "/usr/bin/chromium"))
    assert "no display" in str(_reason({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, "linux", "/usr/bin/chromium"))
    assert _reason({"DISPLAY": ":0"}, "linux") is None
    assert _reason({"WAYLAND_DISPLAY": "wayland-0"}, "linux") is None
    assert _reason({}, "darwin") is None
    assert _reason({}, "win32") is None


def test_wsl_needs_a_linux_browser() -> None:
    assert "WSL" in str(_reason(WSL, "linux", "/mnt/c/Chrome/chrome.exe"))
    assert "WSL" in str(_reason({"WSL_INTEROP": "/run/x", "DISPLAY": ":0"}, "linux"))
    assert _reason(WSL, "linux", "/usr/bin/firefox") is None


def test_a_windows_browser_is_never_found_from_wsl() -> None:
    here = _machine(
        "/mnt/c/Chrome/chrome.exe",
        environ=PATH | WSL,
        entries=["chrome.desktop"],
        files={f"{SYSTEM}/chrome.desktop": _entry("/mnt/c/Chrome/chrome.exe %u")},
    )
    assert find_browsers(here) == []


# This machine


def _install(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


async def _look(folder: Path) -> Surroundings:
    return await look_around({"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}, "linux")


async def test_debians_browsers_are_found_with_the_default_first(tmp_path: Path) -> None:
    _install(tmp_path / "bin", "xdg-settings", "echo firefox-esr.desktop")
    _install(tmp_path / "bin", "xdg-mime", "echo chromium.desktop")
    here = await _look(tmp_path / "bin")
    assert here.default_entries == ("firefox-esr.desktop", "chromium.desktop")
    assert find_browsers(here) == [
        FoundBrowser(
            Family.FIREFOX, ("/usr/lib/firefox-esr/firefox-esr",), "Firefox", Packaging.PLAIN, is_default=True
        ),
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/chromium",), "Chromium", Packaging.PLAIN, is_default=False),
    ]
    # Debian's alternative is a link to firefox-esr, and known by that.
    (alternative,) = choose("/usr/bin/x-www-browser", here)
    assert alternative.family is Family.FIREFOX


async def test_the_desktops_own_tools_are_understood(tmp_path: Path) -> None:
    for tool in ("xdg-settings", "xdg-mime"):
        assert shutil.which(tool, path="/usr/bin")
    applications = tmp_path / "data" / "applications"
    applications.mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "mimeapps.list").write_text(
        "[Default Applications]\nx-scheme-handler/http=mine.desktop\nx-scheme-handler/https=mine.desktop\n"
        "text/html=mine.desktop\n",
        encoding="utf-8",
    )
    (applications / "mine.desktop").write_text(
        "[Desktop Entry]\nType=Application\nName=Mine\nExec=/usr/bin/chromium --incognito %U\n"
        "MimeType=x-scheme-handler/https;\n",
        encoding="utf-8",
    )
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    here = await look_around(environ | {"XDG_DATA_HOME": str(tmp_path / "data")}, "linux")
    assert here.default_entries[0] == "mine.desktop"
    assert _brief(find_browsers(here))[0] == "/usr/bin/chromium default"


@pytest.mark.parametrize(
    "script",
    ["exit 4", "echo 'no idea'", "echo", "kill -9 $$", "printf '\\377\\376\\000'", "echo ../../etc/passwd"],
)
async def test_a_tool_that_answers_nothing_useful_leads_to_the_next(tmp_path: Path, script: str) -> None:
    _install(tmp_path / "bin", "xdg-settings", script)
    _install(tmp_path / "bin", "xdg-mime", "echo 'chromium.desktop;other.desktop;'")
    here = await _look(tmp_path / "bin")
    assert here.default_entries == ("chromium.desktop", "other.desktop")
    assert _brief(find_browsers(here))[0] == "/usr/bin/chromium default"


async def test_a_tool_that_cannot_start_leads_to_the_next(tmp_path: Path) -> None:
    _install(tmp_path / "bin", "xdg-settings", "")
    (tmp_path / "bin" / "xdg-settings").write_text("#!/nowhere/at/all\n", encoding="utf-8")
    _install(tmp_path / "bin", "xdg-mime", "echo firefox-esr.desktop")
    assert (await _look(tmp_path / "bin")).default_entries == ("firefox-esr.desktop",)


async def test_without_the_tools_browsers_are_found_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "chromium").symlink_to("/usr/bin/chromium")
    here = await look_around({"PATH": str(folder), "HOME": str(tmp_path)}, "linux")
    assert here.default_entries == ()
    assert _brief(find_browsers(here)) == [str(folder / "chromium")]


async def test_a_tool_that_hangs_ends_with_all_it_started_and_the_other_is_heard(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(tmp_path / "never")
    _install(tmp_path / "bin", "xdg-settings", f"cat {tmp_path}/never &\necho $$ $! >{pids}\necho a.desktop\nwait")
    _install(tmp_path / "bin", "xdg-mime", "echo firefox-esr.desktop")
    began = time.monotonic()
    here = await _look(tmp_path / "bin")
    assert time.monotonic() - began < 6
    assert here.default_entries == ("firefox-esr.desktop",)
    _assert_ended(pids)


async def test_a_cancelled_look_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(tmp_path / "never")
    os.mkfifo(tmp_path / "started")
    started = os.open(tmp_path / "started", os.O_RDWR)
    _install(
        tmp_path / "bin",
        "xdg-settings",
        f"cat {tmp_path}/never &\necho $$ $! >{pids}\necho x >{tmp_path}/started\nwait",
    )
    looking = asyncio.create_task(_look(tmp_path / "bin"))
    try:
        async with asyncio.timeout(10):
            await asyncio.to_thread(os.read, started, 1)
    finally:
        os.close(started)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    _assert_ended(pids)


def _assert_ended(pids: Path) -> None:
    for pid in pids.read_text(encoding="utf-8").split():
        try:
            process = os.pidfd_open(int(pid))
        except ProcessLookupError:
            continue
        # A grandchild may stay a zombie where nobody reaps it: that is an end too, and makes this readable.
        ended, _, _ = select.select([process], [], [], 5)
        os.close(process)
        assert ended


@pytest.mark.parametrize("platform", ["darwin", "win32"])
async def test_the_tools_of_linux_are_asked_nowhere_else(tmp_path: Path, platform: str) -> None:
    _install(tmp_path / "bin", "xdg-settings", f"echo asked >{tmp_path}/asked\necho chromium.desktop")
    here = await look_around({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, platform)
    assert here.default_entries == ()
    assert not (tmp_path / "asked").exists()


def test_only_plain_files_are_read_and_only_their_beginning(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * (3 << 20))
    assert read_file(str(tmp_path / "fifo")) == b""
    assert read_file(str(tmp_path / "absent")) == b""
    assert read_file(str(tmp_path / ("n" * 300))) == b""
    assert len(read_file(str(tmp_path / "large"))) == 1 << 20


@pytest.mark.skipif(sys.platform == "win32", reason="there it has one")
def test_without_windows_there_is_no_registry() -> None:
    assert read_registry(CHOICE, "ProgId") == ""
