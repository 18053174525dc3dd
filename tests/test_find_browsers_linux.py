"""Browsers on Linux: the default one by its desktop entry, all others by name, from packages, snaps and flatpaks."""

import pytest
from paper_machine import PATH, SYSTEM, brief, desktop_entry, machine

from oauth_helper.browsers.discovery import Family, FoundBrowser, Machine, Packaging, find_browsers

SNAPS = "/var/lib/snapd/desktop/applications"

SHIM = b"""#!/bin/sh
if ! [ -x /snap/bin/%(name)s ]; then
    echo "Command '$0' requires the %(name)s snap to be installed." >&2
    exit 1
fi
SOME=1 exec /snap/bin/%(name)s "$@"
"""


def test_without_a_default_the_chromium_family_comes_before_firefox() -> None:
    here = machine("/usr/bin/firefox", "/usr/bin/chromium", "/usr/bin/brave", "/usr/bin/google-chrome")
    assert find_browsers(here) == [
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/google-chrome",), "Google Chrome", Packaging.PLAIN, is_default=False),
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/chromium",), "Chromium", Packaging.PLAIN, is_default=False),
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/brave",), "Brave", Packaging.PLAIN, is_default=False),
        FoundBrowser(Family.FIREFOX, ("/usr/bin/firefox",), "Firefox", Packaging.PLAIN, is_default=False),
    ]


def test_the_default_browser_comes_first_and_only_once() -> None:
    here = machine(
        *("/usr/lib/firefox-esr/firefox-esr", "/usr/bin/firefox-esr", "/usr/bin/firefox", "/usr/bin/chromium"),
        entries=["firefox-esr.desktop"],
        files={f"{SYSTEM}/firefox-esr.desktop": desktop_entry("/usr/lib/firefox-esr/firefox-esr %u")},
    )
    assert brief(find_browsers(here)) == ["/usr/lib/firefox-esr/firefox-esr default", "/usr/bin/chromium"]


def test_an_entry_that_is_missing_or_leads_nowhere_is_passed_over() -> None:
    here = machine(
        *("/usr/bin/firefox", "/usr/bin/chromium"),
        entries=["gone.desktop", "empty.desktop", "removed.desktop", "firefox.desktop"],
        files={
            f"{SYSTEM}/empty.desktop": "",
            f"{SYSTEM}/removed.desktop": desktop_entry("/opt/removed/chrome %U"),
            f"{SYSTEM}/firefox.desktop": desktop_entry("firefox %u"),
        },
    )
    assert brief(find_browsers(here)) == ["/usr/bin/firefox default", "/usr/bin/chromium"]


def test_a_default_browser_of_another_family_makes_nobody_else_the_default() -> None:
    here = machine(
        *("/usr/bin/epiphany", "/usr/bin/firefox", "/usr/bin/chromium"),
        entries=["epiphany.desktop", "firefox.desktop"],
        files={
            f"{SYSTEM}/epiphany.desktop": desktop_entry("epiphany %U"),
            f"{SYSTEM}/firefox.desktop": desktop_entry("firefox %u"),
        },
    )
    assert brief(find_browsers(here)) == ["/usr/bin/chromium", "/usr/bin/firefox"]


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
    here = machine(
        "/usr/bin/vivaldi-stable",
        environ=PATH | environ,
        entries=["v.desktop"],
        files={f"{folder}/applications/v.desktop": desktop_entry("/usr/bin/vivaldi-stable %U")},
    )
    assert brief(find_browsers(here)) == ["/usr/bin/vivaldi-stable default"]


def test_the_users_own_entry_stands_before_the_systems() -> None:
    here = machine(
        *("/usr/bin/chromium", "/opt/mine/chromium"),
        entries=["c.desktop"],
        files={
            f"{SYSTEM}/c.desktop": desktop_entry("/usr/bin/chromium %U"),
            "/home/me/.local/share/applications/c.desktop": desktop_entry("/opt/mine/chromium %U"),
        },
    )
    assert brief(find_browsers(here)) == ["/opt/mine/chromium default"]


def test_a_snap_as_the_default_is_told_by_its_path() -> None:
    hint = f"env BAMF_DESKTOP_FILE_HINT={SNAPS}/firefox_firefox.desktop /snap/bin/firefox %u"
    here = machine(
        *("/snap/bin/firefox", "/usr/bin/firefox", "/usr/bin/google-chrome"),
        entries=["firefox_firefox.desktop"],
        files={
            f"{SNAPS}/firefox_firefox.desktop": desktop_entry(hint),
            "/usr/bin/firefox": SHIM % {b"name": b"firefox"},
        },
        links={"/snap/bin/firefox": "/usr/bin/snap"},
    )
    default, other = find_browsers(here)
    assert default == FoundBrowser(Family.FIREFOX, ("/snap/bin/firefox",), "Firefox", Packaging.SNAP, is_default=True)
    assert other.name == "Google Chrome"


def test_ubuntus_shims_are_the_snaps_behind_them() -> None:
    here = machine(
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
    (found,) = find_browsers(machine(program, links=links))
    assert (found.command, found.packaging) == ((program,), Packaging.SNAP)


def test_a_launcher_script_of_a_distribution_is_no_snap() -> None:
    here = machine("/usr/bin/firefox", files={"/usr/bin/firefox": '#!/bin/sh\nexec firefox-esr "$@"\n'})
    assert find_browsers(here)[0].packaging is Packaging.PLAIN


def test_flatpaks_come_last_the_default_one_included() -> None:
    run = "/usr/bin/flatpak run --branch=stable --arch=x86_64 --command=firefox --file-forwarding"
    exports = "/var/lib/flatpak/exports"
    here = machine(
        *("/usr/bin/flatpak", "/usr/bin/firefox"),
        *(f"{exports}/bin/org.mozilla.firefox", "/home/me/.local/share/flatpak/exports/bin/com.google.Chrome"),
        entries=["org.mozilla.firefox.desktop"],
        files={
            f"{exports}/share/applications/org.mozilla.firefox.desktop": desktop_entry(
                f"{run} org.mozilla.firefox @@u %u @@"
            )
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
    here = machine("/usr/bin/flatpak", entries=["f.desktop"], files={f"{SYSTEM}/f.desktop": desktop_entry(command)})
    assert find_browsers(here) == []


def test_what_flatpak_left_behind_counts_for_nothing_without_flatpak() -> None:
    assert find_browsers(machine("/var/lib/flatpak/exports/bin/org.chromium.Chromium")) == []


def test_the_current_folder_is_never_searched() -> None:
    asked: list[str] = []

    def which(program: str, path: str) -> str | None:
        asked.append(path)
        return None

    find_browsers(Machine({"PATH": ":/usr/bin::", "HOME": "/home/me"}, "linux", which=which))
    assert {folder for path in asked for folder in path.split(":")} == {
        *("/usr/bin", "/snap/bin", "/var/lib/snapd/snap/bin")
    }
