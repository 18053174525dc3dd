"""What the user demands: any browser, a family, or one by its path."""

import pytest
from paper_machine import SYSTEM, desktop_entry, machine

from oauth_helper.browsers.discovery import Machine, choose, find_browsers, product_of
from oauth_helper.errors import NoBrowserError

FULL = machine(
    *("/usr/bin/firefox", "/usr/bin/librewolf", "/usr/bin/chromium", "/usr/bin/vivaldi"),
    *("/usr/bin/flatpak", "/opt/brave.com/brave/brave-browser-beta", "/home/me/mine", "/usr/bin/epiphany"),
    *("/home/me/chrome.exe", "/mnt/c/Chrome/chrome.exe", "/var/lib/flatpak/exports/bin/com.opera.Opera"),
    entries=["firefox.desktop"],
    files={f"{SYSTEM}/firefox.desktop": desktop_entry("/usr/bin/firefox %u")},
    links={"/home/me/mine": "/opt/google/chrome/google-chrome"},
)


def test_auto_takes_all_there_are_even_if_that_is_none() -> None:
    assert choose("auto", FULL) == find_browsers(FULL)
    assert choose("auto", machine()) == []


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
        ("chromium", machine("/usr/bin/firefox"), "No browser of the Chromium family", "Google Chrome, Chromium"),
        ("firefox", machine("/usr/bin/chromium"), "No browser of the Firefox family", "Firefox, LibreWolf"),
        ("/nowhere/chrome", FULL, "/nowhere/chrome was not found", "path"),
        ("/opt/\x1b[2Jchrome", FULL, "/opt/[2Jchrome was not found", "path"),
        ("/usr/bin/epiphany", FULL, "/usr/bin/epiphany is not known", "--browser default"),
        ("flatpak", FULL, "flatpak is not known", "--browser default"),
        ("/mnt/c/Chrome/chrome.exe", FULL, "is a Windows browser", "Install a Linux browser"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_hint(wanted: str, here: Machine, message: str, hint: str) -> None:
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
